"""Reductions without keepdims before what counts axes: TensorRT's parser keeps reduced axes as 1."""

from __future__ import annotations

from collections.abc import Iterator

from surgeon.diagnostics import Diagnostic, Severity
from surgeon.graph import Node, Ref
from surgeon.lints.lint import LintContext

CODE = "L104"
TARGETS = ("uff",)

_REDUCTIONS = ("Sum", "Prod", "Max", "Min", "Mean")
_COUNTING = frozenset(
    {
        *_REDUCTIONS,
        "ConcatV2",
        "Pack",
        "ExpandDims",
        "Squeeze",
        "Transpose",
        "StridedSlice",
        "GatherV2",
        "ArgMax",
        "ArgMin",
    }
)


def check(context: LintContext) -> Iterator[Diagnostic]:
    for node in context.of_op(*_REDUCTIONS):
        if (
            node.attrs.get("keep_dims") is True
            or not context.varies(Ref(node.name))
            or _trailing(context, node)
        ):
            continue
        for reader in context.readers(node):
            if reader.op in _COUNTING:
                message = (
                    f"'{reader.name}' ({reader.op}) counts the axes of '{node.name}' ({node.op}), which has "
                    "no keepdims"
                )
                yield Diagnostic(
                    CODE,
                    f"{message}; TensorRT's parser keeps reduced axes as 1",
                    reader.name,
                    (),
                    (
                        f"put a Reshape between them, or let '{node.name}' keep its axes and adapt "
                        f"'{reader.name}'",
                    ),
                    Severity.WARNING,
                )
                break


def _trailing(context: LintContext, node: Node) -> bool:
    """Return whether the last axes alone are reduced, so that no other axis gets another number."""
    if len(node.inputs) < 2:
        return False
    dims, axes = context.dims(node.inputs[0]), context.inference.shape_value(node.inputs[1])
    if dims is None or axes is None or None in axes:
        return False
    rank = len(dims)
    reduced = sorted(axis % rank for axis in axes if axis is not None and -rank <= axis < rank)
    return reduced == list(range(rank - len(reduced), rank)) and len(reduced) < rank - 1
