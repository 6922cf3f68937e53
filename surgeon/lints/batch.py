"""Tensors whose first axis is no longer the batch, which TensorRT keeps to itself in the networks that UFF
gives.
"""

from __future__ import annotations

from collections.abc import Iterator

from surgeon.diagnostics import Diagnostic
from surgeon.graph import DType, Node, Ref, Shape
from surgeon.lints.lint import LintContext

CODE = "L102"
TARGETS = ("uff",)

_FLOATS = (DType.FLOAT32, DType.FLOAT16, None)


def check(context: LintContext) -> Iterator[Diagnostic]:
    batches = {dims[0] for node in context.inputs if (dims := context.dims(Ref(node.name)))}
    if len(batches) != 1 or None in batches:
        return
    batch = batches.pop()
    for node in context.nodes:
        dims = _wrong(context, node, batch)
        if dims is None or any(_wrong(context, context.graph[ref.node], batch) for ref in node.inputs):
            continue
        yield Diagnostic(
            CODE,
            f"'{node.name}' ({node.op}) gives {Shape(dims)}, where pictures are not told apart; expected "
            f"the batch, {batch}, as the first axis",
            node.name,
            (f"it reads '{node.inputs[0]}' {context.inference.spec(node.inputs[0])}",) if node.inputs else (),
            ("keep the batch as an axis of its own, or map the namespace to a plugin",),
        )


def _wrong(context: LintContext, node: Node, batch: int | None) -> tuple[int | None, ...] | None:
    """Return a tensor's dimensions where it holds data and its first axis is known and not the batch."""
    ref = Ref(node.name)
    spec = context.inference.spec(ref)
    dims = spec.shape.dims
    if (
        not dims
        or dims[0] in (None, batch)
        or spec.dtype not in _FLOATS
        or node.op in context.catalog
        or not context.varies(ref)
    ):
        return None
    return dims
