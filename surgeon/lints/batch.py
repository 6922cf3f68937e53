"""Tensors whose first axis is no longer the batch, which TensorRT keeps to itself in the networks that UFF
gives.
"""

from __future__ import annotations

from collections.abc import Iterator

from surgeon.diagnostics import Diagnostic
from surgeon.graph import DType, Node, Ref, Shape
from surgeon.lints.lint import Subject

CODE = "L102"
TARGETS = ("uff",)

_FLOATS = (DType.FLOAT32, DType.FLOAT16, None)


def check(at: Subject) -> Iterator[Diagnostic]:
    batches = {dims[0] for node in at.inputs if (dims := at.dims(Ref(node.name)))}
    if len(batches) != 1 or None in batches:
        return
    batch = batches.pop()
    for node in at.nodes:
        dims = _wrong(at, node, batch)
        if dims is None or any(_wrong(at, at.graph[ref.node], batch) for ref in node.inputs):
            continue
        yield Diagnostic(
            CODE,
            f"'{node.name}' ({node.op}) gives {Shape(dims)}, where pictures are not told apart; "
            f"expected the batch, {batch}, as the first axis",
            node.name,
            (f"it reads '{node.inputs[0]}' {at.inference.spec(node.inputs[0])}",) if node.inputs else (),
            ("keep the batch as an axis of its own, or map the namespace to a plugin",),
        )


def _wrong(at: Subject, node: Node, batch: int | None) -> tuple[int | None, ...] | None:
    """Return a tensor's dimensions where it holds data and its first axis is known and not the batch."""
    ref = Ref(node.name)
    spec = at.inference.spec(ref)
    dims = spec.shape.dims
    if (
        not dims
        or dims[0] in (None, batch)
        or spec.dtype not in _FLOATS
        or node.op in at.catalog
        or not at.varies(ref)
    ):
        return None
    return dims
