"""Which nodes a node reaches by data, upstream and downstream.

:meth:`Graph.ancestors` follows control edges, too. Every function is linear in nodes and edges, and goes
round loops once. Ask the sets for membership only: their order must not reach an output.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from surgeon.graph.graph import Graph
from surgeon.graph.node import Node, Ref
from surgeon.graph.op_sets import PASSED_OVER, SIZES


def upstream(graph: Graph, names: Iterable[str], *, stop: str = "") -> set[str]:
    """Return ``names`` and the nodes whose data they depend on.

    ``stop`` is left out, with what only it needs; so is a name that is not in the graph.
    """
    reached: set[str] = set()
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        if name not in reached and name != stop and name in graph:
            reached.add(name)
            waiting += [ref.node for ref in graph.nodes[name].inputs]
    return reached


def needed_by_data(graph: Graph) -> frozenset[str]:
    """Return the nodes whose data the outputs depend on, the outputs' own included."""
    return frozenset(upstream(graph, (ref.node for ref in graph.output_refs)))


def downstream(
    graph: Graph, names: Iterable[str], *, until: Callable[[Node], bool] = lambda node: False
) -> set[str]:
    """Return ``names`` and the nodes that read their data, however far behind.

    Nodes for which ``until`` holds are left out, with what only they lead to.
    """
    reached: set[str] = set()
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        if name in reached or until(graph[name]):
            continue
        reached.add(name)
        for reader in graph.readers[name]:
            node = graph.nodes[reader]
            if not node.control or any(ref.node == name for ref in node.inputs):
                waiting.append(reader)
    return reached


def varying(graph: Graph, names: Iterable[str]) -> set[str]:
    """Return ``names`` and the nodes whose numbers depend on theirs, and not on sizes alone."""
    return downstream(graph, names, until=lambda node: node.op in SIZES)


def before_identities(graph: Graph, ref: Ref) -> Ref:
    """Return the tensor that ``ref`` equals, past operations that compute nothing."""
    for _ in range(len(graph)):
        node = graph[ref.node]
        if node.op not in PASSED_OVER or ref.slot >= len(node.inputs):
            break
        ref = node.inputs[ref.slot]
    return ref
