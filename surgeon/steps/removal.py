"""What else can go once some nodes are gone, and the edges to nodes that go."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

from surgeon.graph import Drop, Edit, Graph, Rewire, SetAttr
from surgeon.graph.frames import conditional
from surgeon.graph.op_sets import LOOP_ENTRIES, PLACEHOLDERS, SWITCHES
from surgeon.steps.placing import COUNTED
from surgeon.steps.step import StepContext


def unneeded(
    graph: Graph, gone: Iterable[str], rewired: Mapping[str, Sequence[str]], keep: Collection[str] = ()
) -> list[str]:
    """Return what only ``gone`` nodes, or the former inputs of ``rewired`` nodes, were there for, in graph
    order.

    ``rewired`` maps nodes to the names that they read from now on. A loop that feeds only such nodes is found
    as well. Declared outputs and the names in ``keep`` stay, with what they need. Linear in nodes and edges.
    """
    leaving = set(gone)
    lost = [s for name, now in rewired.items() for s in graph[name].sources if s not in now]
    candidates = graph.ancestors([*leaving, *lost]) - leaving
    kept = {ref.node for ref in graph.outputs}
    marked: set[str] = set()
    stack = [
        n.name
        for n in graph
        if n.name not in leaving and (n.name not in candidates or n.name in kept or n.name in keep)
    ]
    while stack:
        name = stack.pop()
        if name in marked or name in leaving or name not in graph:
            continue
        marked.add(name)
        stack += rewired[name] if name in rewired else graph.nodes[name].sources
    return [n.name for n in graph if n.name in candidates and n.name not in marked]


def take_out(
    context: StepContext,
    fates: Mapping[str, str],
    *path: str | int,
    exclusive: str | None = None,
    disconnect: bool = False,
) -> list[Edit]:
    """Plan to take out the nodes that ``fates`` names, with control edges from them.

    In a loop or branch such an edge may be all that ties its reader, a constant, to it. There it is replaced
    by one from the nearest node that stays, and kept, so that applying refuses it, where there is none.

    ``exclusive`` is the fate of what only they need, which goes as well, inputs of the graph excepted; None
    keeps it. ``disconnect`` takes data edges from them to nodes that stay away, too; otherwise applying
    refuses such edges. ``path`` places the edits in the step.
    """
    graph, span = context.graph, context.at(*path)
    gone = dict(fates)
    if exclusive is not None:
        inputs = {n.name for n in graph if n.op in PLACEHOLDERS}
        gone.update(dict.fromkeys(unneeded(graph, fates, {}, inputs), exclusive))
    edits: list[Edit] = [Drop(n.name, gone[n.name], None, span) for n in graph if n.name in gone]
    inside = conditional(graph)
    ties = _ties(graph, gone, inside) if inside else {}
    for node in graph:
        if node.name in gone or not any(source in gone for source in node.sources):
            continue
        inputs_now = tuple(r for r in node.inputs if r.node not in gone) if disconnect else node.inputs
        if node.name in inside:
            control = tuple(dict.fromkeys(c if c not in gone else ties[c] or c for c in node.control))
        else:
            control = tuple(c for c in node.control if c not in gone)
        edits.append(Rewire(node.name, inputs_now, control, span))
        edits += counted(context, node.name, len(inputs_now), *path)
    return edits


def counted(context: StepContext, name: str, inputs: int, *path: str | int) -> list[Edit]:
    """Plan the count attribute of an operation that reads ``N`` tensors, for a new number of data inputs."""
    node = context.graph[name]
    if node.op not in COUNTED or len(node.inputs) == inputs:
        return []
    return [SetAttr(name, "N", inputs - COUNTED[node.op], context.at(*path))]


def _ties(graph: Graph, gone: Collection[str], inside: Collection[str]) -> dict[str, str | None]:
    """Return, for each node that goes, a node that stays, is needed by it, and runs in the same loop or
    branch.

    None where there is none. A Switch or Enter does not count: they do not tell the branch or iteration.
    """
    no_tie = SWITCHES | LOOP_ENTRIES
    found: dict[str, str | None] = {}
    for start in gone:
        stack = [start]
        opened: set[str] = set()
        while stack:
            name = stack[-1]
            sources = graph[name].sources
            waiting = [s for s in sources if s in gone and s not in found and s not in opened]
            if name not in found and name not in opened and waiting:
                opened.add(name)
                stack += waiting
                continue
            stack.pop()
            if name not in found:
                staying = (s for s in sources if s in inside and s not in gone and graph[s].op not in no_tie)
                further = (found[s] for s in sources if found.get(s))
                found[name] = next(staying, None) or next(further, None)
    return found


def higher_outputs(graph: Graph) -> dict[str, tuple[str, int]]:
    """Return the nodes of which an output above 0 is used, each with one reader (empty: a graph output) and
    slot.
    """
    found = {ref.node: ("", ref.slot) for ref in graph.outputs if ref.slot}
    for node in graph:
        for ref in node.inputs:
            if ref.slot:
                found.setdefault(ref.node, (node.name, ref.slot))
    return found
