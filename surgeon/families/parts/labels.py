"""How a detector counts its classes."""

from __future__ import annotations

from surgeon.families.parts.walk import behind, number, operand, trail
from surgeon.graph import Graph, Ref
from surgeon.infer import Inference


def added_last(graph: Graph, inference: Inference, ref: Ref) -> tuple[float, str] | None:
    """Return the constant that is added last to a tensor, with the operation that does so."""
    for at in trail(graph, ref, _behind_casts):
        node = graph[at.node]
        if node.op in ("Add", "AddV2"):
            parts = operand(inference, node)
            value = number(inference, parts[1]) if parts else None
            return None if value is None else (value, node.name)
    return None


def _behind_casts(graph: Graph, ref: Ref) -> Ref | None:
    node = graph[ref.node]
    return node.inputs[0] if node.op == "Cast" and node.inputs else behind(graph, ref)
