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


def single_joins(graph: Graph, varying: Collection[str]) -> dict[str, str]:
    """Return, for each node with joins of heads behind it, the join: empty where several are.

    A join is behind itself, and hides those behind it. All nodes are told in one walk.
    """
    found = {node.name: node.name for node in graph if node.name in varying and is_join(graph, node)}
    joins = frozenset(found)
    waiting = list(found)
    while waiting:
        name = waiting.pop()
        for reader in graph.readers[name]:
            if reader not in varying or reader in joins:
                continue
            now = found[name] if found.get(reader, found[name]) == found[name] else ""
            if found.get(reader) != now:
                found[reader] = now
                waiting.append(reader)
    return found


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
