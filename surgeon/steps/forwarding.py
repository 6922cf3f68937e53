"""Joining the readers of nodes that go to what those nodes read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from surgeon.graph import Drop, Edit, Graph, Node, Ref, Rewire
from surgeon.graph.op_sets import MERGES, SWITCHES
from surgeon.steps.step import StepContext


def forward(
    context: StepContext, gone: Sequence[Node], fate: str, position: int = 0, *path: str | int
) -> list[Edit]:
    """Plan to take nodes out and to join their readers to their data input ``position``, chains included.

    Control inputs of the nodes move to the readers, control edges from them to what the readers are joined
    to.
    """
    graph, span = context.graph, context.at(*path)
    behind = resolve_chains(gone, position)
    edits: list[Edit] = []
    for node in gone:
        target = behind[node.name][0]
        edits.append(Drop(node.name, f"{fate} to '{target}'", target.node, span))
    for name in dict.fromkeys(r for node in gone for r in graph.readers[node.name] if r not in behind):
        reader = graph[name]
        joined = [behind.get(ref.node, (ref, ())) for ref in reader.inputs]
        moved = [source for _, control in joined for source in control]
        control = _signals([*moved, *reader.control], behind)
        edits.append(Rewire(name, tuple(ref for ref, _ in joined), control, span))
    return edits


def _signals(sources: Sequence[str], behind: Mapping[str, tuple[Ref, tuple[str, ...]]]) -> tuple[str, ...]:
    """Return control inputs with each node that is taken out replaced by what it waits for itself."""
    waiting, seen = list(reversed(sources)), set()
    kept: dict[str, None] = {}
    while waiting:
        source = waiting.pop()
        if source in seen:
            continue
        seen.add(source)
        if source not in behind:
            kept[source] = None
            continue
        target, moved = behind[source]
        waiting += [*reversed(moved), target.node]
    return tuple(kept)


def resolve_chains(gone: Sequence[Node], position: int = 0) -> dict[str, tuple[Ref, tuple[str, ...]]]:
    """Return, for each node, the tensor at the end of its chain and the control inputs met on the way."""
    taken = {node.name: node for node in gone}
    resolved: dict[str, tuple[Ref, tuple[str, ...]]] = {}
    for start in taken:
        for node in reversed(_chain(taken, start, position, resolved)):
            source = node.inputs[position]
            target, moved = resolved.get(source.node, (source, ()))
            resolved[node.name] = (target, tuple(dict.fromkeys((*node.control, *moved))))
    return resolved


def obstacles(graph: Graph, wanted: Sequence[Node], position: int = 0) -> dict[str, str]:
    """Return, by name, the nodes that cannot be forwarded without changing what runs, and why.

    A control edge from a Switch cannot name the branch that a data edge names; a Merge waits for the control
    inputs of all branches, so that those of one branch cannot move to it. A node that has to stay ends the
    chain behind it.
    """
    taken = {node.name: node for node in wanted}
    reasons: dict[str, str] = {}
    branch: dict[str, str] = {}
    moves: dict[str, bool] = {}
    for start in taken:
        for node in reversed(_chain(taken, start, position, branch)):
            source = node.inputs[position].node
            inner = source in taken and source not in reasons
            source_node = graph.get(source)
            switch = branch[source] if inner else source if source_node and source_node.op in SWITCHES else ""
            moving = bool(node.control) or (inner and moves[source])
            branch[node.name], moves[node.name] = switch, moving
            for reader in (graph[name] for name in graph.readers[node.name]):
                if switch and node.name in reader.control:
                    reasons[node.name] = (
                        f"'{reader.name}' ({reader.op}) runs after it; behind the Switch '{switch}' it tells "
                        "the branch"
                    )
                elif moving and reader.op in MERGES:
                    reasons[node.name] = (
                        f"its control inputs cannot move to '{reader.name}' ({reader.op}), which joins "
                        "branches"
                    )
    return reasons


def _chain(taken: Mapping[str, Node], start: str, position: int, done: Mapping[str, object]) -> list[Node]:
    """Return the taken nodes from ``start`` towards what they read, up to the first that is done or not
    taken.
    """
    chain: list[Node] = []
    name = start
    while name in taken and name not in done and len(chain) <= len(taken):
        chain.append(taken[name])
        name = taken[name].inputs[position].node
    return chain
