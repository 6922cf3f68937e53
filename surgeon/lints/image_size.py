"""Anchors of ProposalLayer_TRT that were made for a picture of another size."""

from __future__ import annotations

from collections.abc import Iterator

from surgeon.diagnostics import Diagnostic
from surgeon.display import plural
from surgeon.graph import Ref
from surgeon.infer.dims import ceil_div
from surgeon.lints.lint import LintContext

CODE = "L117"
TARGETS = ("uff", "onnx@tensorrt")

COMPILED = (3, 1024, 1024)
"""The picture's size in TensorRT before 7.2.1, which has no field for it."""

_STRIDES = (4, 8, 16, 32, 64)
_RATIOS = 3


def check(context: LintContext) -> Iterator[Diagnostic]:
    for node in context.of_op("ProposalLayer_TRT"):
        size = node.attrs.get("image_size", COMPILED)
        dims = context.dims(node.inputs[0]) if node.inputs else None
        if not isinstance(size, tuple) or len(size) != 3 or dims is None or len(dims) < 2 or dims[1] is None:
            continue
        height, width = (side if isinstance(side, int) else 0 for side in size[1:])
        made = sum(_RATIOS * ceil_div(height, stride) * ceil_div(width, stride) for stride in _STRIDES)
        if made != dims[1]:
            fact, remedy = _picture(context), "write the picture's size as 'image_size: [3, H, W]'"
            if "image_size" not in node.attrs:
                fact = f"{context.target.title} has no field for the picture's size"
                remedy = "take TensorRT 7.2.1 or later, which has 'image_size'"
            yield Diagnostic(
                CODE,
                f"'{node.name}' (ProposalLayer_TRT) makes {plural(made, 'anchor')} for a picture of "
                f"{height} x "
                f"{width}, and '{node.inputs[0]}' scores {dims[1]}; expected as many",
                node.name,
                (fact,),
                (remedy,),
            )


def _picture(context: LintContext) -> str:
    return "the input is " + ", ".join(
        f"'{node.name}' {context.inference.spec(Ref(node.name))}" for node in context.inputs[:3]
    )
