"""What joins the heads of a detector."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from surgeon.families.parts.heads import convolution_behind
from surgeon.families.parts.walk import data_inputs
from surgeon.graph import Graph, Node, Ref


def is_join(graph: Graph, node: Node) -> bool:
    """Return whether a node joins the results of convolutions, nothing but reshapes and biases between."""
    if node.op not in ("ConcatV2", "Concat"):
        return False
    parts = data_inputs(node)
    return bool(parts) and all(convolution_behind(graph, ref, joined=False) is not None for ref in parts)


def joins_behind(graph: Graph, varying: Collection[str], start: Ref) -> tuple[list[Node], dict[str, None]]:
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


def entering(graph: Graph, varying: Collection[str], between: Iterable[str]) -> list[Ref]:
    """Return the tensors that the nodes between read and that do not depend on what is fed, each once, in
    order.
    """
    found: dict[Ref, None] = {}
    for name in between:
        for ref in graph[name].inputs:
            if ref.node not in varying:
                found[ref] = None
    return list(found)
