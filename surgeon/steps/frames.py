"""Which nodes run in a loop or in a branch of TensorFlow 1's control flow."""

from __future__ import annotations

from surgeon.graph import Graph, Node

_ENTER = frozenset({"Enter", "RefEnter"})
_EXIT = frozenset({"Exit", "RefExit"})
_SWITCH = frozenset({"Switch", "RefSwitch"})
_MERGE = frozenset({"Merge", "RefMerge"})
_NEXT = frozenset({"NextIteration", "RefNextIteration"})


def conditional(graph: Graph) -> set[str]:
    """Return the nodes that run once an iteration of a loop, or in one branch only; membership only.

    A constant made from them would have to be made in the same loop or branch. Raise SurgeonError G107 for a
    cycle.
    """
    if not any(n.op in _ENTER or n.op in _SWITCH for n in graph):
        return set()
    loops: dict[str, int] = {}
    branches: dict[str, int] = {}
    for name in graph.topological():
        node = graph[name]
        loop = max((loops.get(s, 0) for s in node.sources), default=0)
        branch = max((branches.get(s, 0) for s in node.sources), default=0)
        loops[name] = max(0, loop + (node.op in _ENTER) - (node.op in _EXIT))
        branches[name] = max(
            0, branch + (node.op in _SWITCH) - (node.op in _EXIT or _joins_branches(graph, node))
        )
    return {name for name in loops if loops[name] or branches[name]}


def _joins_branches(graph: Graph, node: Node) -> bool:
    """True for the Merge of a conditional; the Merge of a loop reads a NextIteration."""
    return node.op in _MERGE and not any(graph[r.node].op in _NEXT for r in node.inputs if r.node in graph)
