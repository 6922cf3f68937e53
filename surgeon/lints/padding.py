"""Pads of what is not a picture, or of more than two axes."""

from __future__ import annotations

from collections.abc import Iterator

from surgeon.diagnostics import Diagnostic
from surgeon.graph import Ref, Shape
from surgeon.lints.lint import LintContext

CODE = "L122"
TARGETS = ("uff",)

_MOST = 2
"""Axes that the parser pads at once."""


def check(context: LintContext) -> Iterator[Diagnostic]:
    for node in context.of_op("Pad", "PadV2"):
        if not context.varies(Ref(node.name)) or len(node.inputs) < 2:
            continue
        dims, amounts = context.dims(node.inputs[0]), context.inference.value(node.inputs[1])
        if dims is not None and len(dims) != 4:
            problem = f"pads {Shape(dims)}; TensorRT's parser pads tensors of 4 axes, the batch included"
        elif amounts is not None and amounts.ndim == 2 and int((amounts != 0).any(axis=1).sum()) > _MOST:
            problem = (
                f"pads {int((amounts != 0).any(axis=1).sum())} axes; TensorRT's parser pads {_MOST} at once"
            )
        else:
            continue
        yield Diagnostic(
            CODE,
            f"'{node.name}' ({node.op}) {problem}",
            node.name,
            (),
            ("join zeros by ConcatV2 instead, or pad before a Reshape",),
        )
