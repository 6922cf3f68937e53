"""What nothing but the nodes that are taken out depends on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Iterable
from dataclasses import dataclass
from typing import Any

from surgeon.compat.messages import clean
from surgeon.compat.remarks import and_others, remark, script_place
from surgeon.diagnostics import Span


def exclusive_dependencies(graph: Any, removed: set[str], needed: Container[str] = ()) -> set[str]:
    """Return the nodes to take out with ``removed``, in time linear in the graph.

    A node goes when all that read it go. As in graphsurgeon, one that is read by a port or a control edge
    (``S:1``, ``^B``) goes with its reader even if others read it: see :func:`tell_torn`. What is ``needed``
    stays.
    """
    gone: set[str] = set()
    lost: Counter[str] = Counter()
    forced: dict[str, str] = {}
    waiting = sorted(removed)
    while waiting:
        node = graph.node_map.get(waiting.pop())
        if node is None:
            continue
        for spelling in dict.fromkeys(node.input):
            name = clean(spelling)
            if name in gone or name in removed or name in needed or name not in graph.node_map:
                continue
            if spelling != name:
                forced[name] = spelling
            else:
                lost[name] += 1
                if lost[name] < len(graph.node_outputs[name]):
                    continue
            gone.add(name)
            waiting.append(name)
    everything = gone | removed
    torn = [
        Torn(name, spelling, reader.name, place)
        for place in [script_place()]
        for name, spelling in forced.items()
        for reader in graph.node_outputs[name]
        if reader.name not in everything
    ]
    _remember(graph.as_graph_def(), torn)
    return gone


@dataclass(frozen=True, slots=True)
class Torn:
    """A node that was taken out although ``reader`` read it, because it was read as ``spelling``, too."""

    name: str
    spelling: str
    reader: str
    place: Span | None


_latest: tuple[Any, list[Torn]] = (None, [])


def _remember(graphdef: Any, torn: list[Torn]) -> None:
    """Keep what was torn in a graph; that of the graph before is forgotten."""
    global _latest
    _latest = (graphdef, [*(_latest[1] if _latest[0] is graphdef else ()), *torn])


def tell_torn(graphdef: Any, needed: Container[str]) -> None:
    """Warn of nodes that were taken out of a graph although one that is needed read them."""
    known = _latest[1] if _latest[0] is graphdef else []
    torn = [each for each in known if each.reader in needed]
    if torn:
        first, more = torn[0], and_others(len({each.name for each in torn}), "node")
        remark(
            "P108",
            f"'{first.name}'{more} was taken out, since a node that was taken out reads '{first.spelling}'; "
            f"'{first.reader}' read it, too",
            first.place,
            help=("call 'remove' without 'remove_exclusive_dependencies', or name the nodes to take out",),
        )


@dataclass(frozen=True, slots=True)
class TakenOut:
    """A node that a script took out by name, with the nodes that it read; an output if nothing read it."""

    name: str
    op: str
    sources: tuple[str, ...]
    was_output: bool
    place: Span | None


_latest_taken: tuple[Any, list[TakenOut]] = (None, [])


def remember_taken_out(graph: Any, names: Iterable[str]) -> None:
    """Keep which nodes a script is about to take out of a graph; those of the graph before are forgotten."""
    global _latest_taken
    graphdef, place = graph.as_graph_def(), script_place()
    outputs = {node.name for node in graph.graph_outputs}
    taken = [
        TakenOut(name, node.op, tuple(map(clean, node.input)), name in outputs, place)
        for name in names
        if (node := graph.node_map.get(name)) is not None and node.op != "Assert"
    ]
    _latest_taken = (graphdef, [*taken_out(graphdef), *taken])


def taken_out(graphdef: Any) -> list[TakenOut]:
    """Return the nodes that a script took out of a graph by name, but for assertions."""
    return _latest_taken[1] if _latest_taken[0] is graphdef else []
