"""What joins the heads of a detector."""

from __future__ import annotations

from collections.abc import Iterable

from surgeon.families.parts.heads import convolution_behind
from surgeon.families.parts.walk import data_inputs
from surgeon.graph import Graph, Node, Ref

_SIZES = frozenset({"Shape", "ShapeN", "Size", "Rank", "TensorArraySizeV3", "TensorArraySizeV2"})
"""Operations whose result depends on sizes only."""


def is_join(graph: Graph, node: Node) -> bool:
    """Return whether a node joins the results of convolutions, nothing but reshapes and biases between."""
    if node.op not in ("ConcatV2", "Concat"):
        return False
    parts = data_inputs(node)
    return bool(parts) and all(convolution_behind(graph, ref, joined=False) is not None for ref in parts)


def dependent(graph: Graph) -> frozenset[str]:
    """Return the nodes whose numbers depend on what is fed to the graph; by sizes alone does not count.

    Membership only.
    """
    stack = [n.name for n in graph if n.op in ("Placeholder", "PlaceholderV2", "PlaceholderWithDefault")]
    seen = set(stack)
    while stack:
        name = stack.pop()
        for reader in graph.readers[name]:
            node = graph[reader]
            if reader not in seen and node.op not in _SIZES and any(ref.node == name for ref in node.inputs):
                seen.add(reader)
                stack.append(reader)
    return frozenset(seen)


def joins_behind(graph: Graph, varying: frozenset[str], start: Ref) -> tuple[list[Node], dict[str, None]]:
    """Return what joins heads behind a tensor, and the nodes between (the tensor's own included), nearest
    first.
    """
    found: dict[str, Node] = {}
    between: dict[str, None] = {start.node: None}
    queue = [start.node]
    for name in queue:
        node = graph[name]
        if is_join(graph, node):
            found[name] = node
            continue
        for ref in node.inputs:
            if ref.node in varying and ref.node not in between:
                between[ref.node] = None
                queue.append(ref.node)
    for name in found:
        between.pop(name)
    return list(found.values()), between


def entering(graph: Graph, varying: frozenset[str], between: Iterable[str]) -> list[Ref]:
    """Return the tensors that the nodes between read and that do not depend on what is fed, each once, in
    order.
    """
    found: dict[Ref, None] = {}
    for name in between:
        for ref in graph[name].inputs:
            if ref.node not in varying:
                found[ref] = None
    return list(found)
