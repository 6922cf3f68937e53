"""Which nodes run in a loop or in a branch of TensorFlow 1's control flow."""

from __future__ import annotations

from surgeon.graph.graph import Graph
from surgeon.graph.node import Node
from surgeon.graph.op_sets import LOOP_ENDS, LOOP_ENTRIES, LOOP_EXITS, MERGES, SWITCHES


def conditional(graph: Graph) -> set[str]:
    """Return the nodes that run once an iteration of a loop, or in one branch only; membership only.

    A constant made from them would have to be made in the same loop or branch. Raise SurgeonError G107 for a
    cycle.
    """
    return set(frame_depths(graph))


def frame_depths(graph: Graph) -> dict[str, tuple[int, int]]:
    """Return in how many loops and in how many branches each node runs, of the nodes inside only.

    Raise SurgeonError G107 for a cycle.
    """
    if not any(n.op in LOOP_ENTRIES or n.op in SWITCHES for n in graph):
        return {}
    depths: dict[str, tuple[int, int]] = {}
    for name in graph.topological():
        node = graph.nodes[name]
        around = [depths[source] for source in node.sources if source in depths]
        if not around and node.op not in LOOP_ENTRIES and node.op not in SWITCHES:
            continue
        loop = max((depth for depth, _ in around), default=0)
        branch = max((depth for _, depth in around), default=0)
        loop += (node.op in LOOP_ENTRIES) - (node.op in LOOP_EXITS)
        branch += (node.op in SWITCHES) - (node.op in LOOP_EXITS or _joins_branches(graph, node))
        if loop > 0 or branch > 0:
            depths[name] = max(0, loop), max(0, branch)
    return depths


def _joins_branches(graph: Graph, node: Node) -> bool:
    """True for the Merge of a conditional; the Merge of a loop reads a NextIteration."""
    return node.op in MERGES and not any(
        graph[r.node].op in LOOP_ENDS for r in node.inputs if r.node in graph
    )
