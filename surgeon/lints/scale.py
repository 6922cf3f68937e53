"""Constants that are broadcast neither along channels nor as a whole, for which TensorRT's scale layer has no
mode.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import prod

from surgeon.diagnostics import Diagnostic, Severity
from surgeon.graph import Node, Ref, Shape
from surgeon.lints.elementwise_ranks import BINARY
from surgeon.lints.lint import LintContext

CODE = "L108"
TARGETS = ("uff",)


def check(context: LintContext) -> Iterator[Diagnostic]:
    for node in context.of_op(*BINARY):
        if len(node.inputs) != 2 or node.op.startswith("BiasAdd"):
            continue
        constant = next((ref for ref in node.inputs if not context.varies(ref)), None)
        if constant is None or not context.varies(Ref(node.name)) or not _unfit(context, node, constant):
            continue
        dims = context.dims(constant) or ()
        upsampling = "map the upsampling to the plugin ResizeNearest_TRT"
        yield Diagnostic(
            CODE,
            f"'{node.name}' ({node.op}) takes the constant '{constant}' of {Shape(dims)} with "
            f"{Shape(context.dims(Ref(node.name)))}; TensorRT's scale layer takes one number, one a "
            "channel, or one an element",
            node.name,
            (f"its parser says 'Invalid scale mode, nbWeights: {prod(d or 1 for d in dims)}'",),
            (
                upsampling
                if len(dims) > 4
                else "tile the constant to the size of a whole picture, and fold it",
            ),
            Severity.WARNING,
        )


def _unfit(context: LintContext, node: Node, constant: Ref) -> bool:
    """Return whether a constant is neither a number, nor one a channel, nor as large as the result without
    its batch.
    """
    result, dims = context.dims(Ref(node.name)), context.dims(constant)
    if result is None or dims is None or None in result or None in dims or len(result) < 2:
        return False
    aligned = (1,) * (len(result) - len(dims)) + tuple(dims)
    wide = [axis for axis, size in enumerate(aligned) if size != 1]
    channel = 1 if context.channels_first and len(result) == 4 else len(result) - 1
    return (
        bool(wide)
        and wide != [channel]
        and prod(d or 1 for d in aligned[1:]) != prod(d or 1 for d in result[1:])
    )
