"""Tensors whose first axis is no longer the batch, which TensorRT keeps to itself in the networks that UFF
gives.
"""

from __future__ import annotations

from collections.abc import Iterator

from surgeon.diagnostics import Diagnostic
from surgeon.graph import DType, Node, Ref, Shape
from surgeon.graph.op_sets import SIZES
from surgeon.graph.reach import downstream
from surgeon.lints.lint import LintContext

CODE = "L102"
TARGETS = ("uff",)

_FLOATS = (DType.FLOAT32, DType.FLOAT16, None)


def check(context: LintContext) -> Iterator[Diagnostic]:
    batches = {dims[0] for node in context.inputs if (dims := context.dims(Ref(node.name)))}
    if len(batches) != 1 or None in batches:
        return
    batch = batches.pop()
    varies = _of_pictures(context)
    for node in context.nodes:
        dims = _wrong(context, node, batch, varies)
        if dims is None or any(
            _wrong(context, context.graph[ref.node], batch, varies) for ref in node.inputs
        ):
            continue
        yield Diagnostic(
            CODE,
            f"'{node.name}' ({node.op}) gives {Shape(dims)}, where pictures are not told apart; expected "
            f"the batch, {batch}, as the first axis",
            node.name,
            (f"it reads '{node.inputs[0]}' {context.inference.spec(node.inputs[0])}",) if node.inputs else (),
            ("keep the batch as an axis of its own, or map the namespace to a plugin",),
        )


def _of_pictures(context: LintContext) -> set[str]:
    """Return the nodes whose numbers depend on those of a picture.

    What a plugin makes without any input, such as anchors, is the same for all pictures.
    """
    plugins = {
        node.name
        for node in context.nodes
        if node.op in context.catalog and all(port.unused for port in context.catalog[node.op].inputs)
    }
    fed = (node.name for node in context.nodes if node in context.inputs or node.op in context.catalog)
    return downstream(
        context.graph,
        (name for name in fed if name not in plugins),
        until=lambda node: node.op in SIZES or node.name in plugins,
    )


def _wrong(
    context: LintContext, node: Node, batch: int | None, varies: set[str]
) -> tuple[int | None, ...] | None:
    """Return a tensor's dimensions where it holds data and its first axis is known and not the batch."""
    ref = Ref(node.name)
    spec = context.inference.spec(ref)
    dims = spec.shape.dims
    if (
        not dims
        or dims[0] in (None, batch)
        or spec.dtype not in _FLOATS
        or node.op in context.catalog
        or node.name not in varies
    ):
        return None
    return dims
