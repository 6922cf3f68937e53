"""A recipe's image that does not fit the graph's input."""

from __future__ import annotations

from collections.abc import Iterator

from surgeon.diagnostics import Diagnostic
from surgeon.graph import Ref, Shape
from surgeon.lints.lint import LintContext

CODE = "L111"
TARGETS = ("uff", "onnx", "graphdef")


def check(context: LintContext) -> Iterator[Diagnostic]:
    if context.image is None or len(context.inputs) != 1:
        return
    node = context.inputs[0]
    dims = context.dims(Ref(node.name))
    if dims is None or len(dims) != 4:
        return
    channels = 1 if context.image.color == "GRAY" else 3
    height, width = context.image.size
    for layout in ((dims[0], height, width, channels), (dims[0], channels, height, width)):
        if Shape(layout).compatible(Shape(dims)):
            return
    yield Diagnostic(
        CODE,
        f"the recipe's image is {height} x {width} in {context.image.color}, and the input '{node.name}' is "
        f"{Shape(dims)}; expected the same height, width and channels",
        node.name,
        help=("correct 'image' in the recipe: 'size' is [height, width]; or write 'image: auto'",),
    )
