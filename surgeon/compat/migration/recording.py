"""What a script does to a graph, taken down edit by edit."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from surgeon.compat.edits import Edit
from surgeon.compat.messages import is_node
from surgeon.diagnostics import Span


class NodeState(NamedTuple):
    """A node as a script sees it: its name, its operation, and its inputs as they are spelt."""

    name: str
    op: str
    inputs: tuple[str, ...]


State = tuple[NodeState, ...]


@dataclass(frozen=True, slots=True)
class RecordedEdit:
    """One edit: the method, the nodes that the script named, its line, the graph before and after.

    A loop that forwards or removes node by node, at one line, is one edit.

    ``namespaces`` gives the name of the new node by namespace, ``kept`` the nodes that a collapse leaves out,
    and ``exclusive`` whether a removal takes what only the removed nodes read.
    """

    method: str
    nodes: tuple[str, ...]
    place: Span | None
    before: State
    after: State
    namespaces: dict[str, str] = field(default_factory=dict)
    kept: tuple[str, ...] = ()
    exclusive: bool = False

    @property
    def line(self) -> str:
        """The script's line, such as ``line 12``; empty where it is unknown."""
        return f"line {self.place.line}" if self.place is not None else ""

    @property
    def gone(self) -> tuple[str, ...]:
        """Names of nodes that the edit took out."""
        left = {node.name for node in self.after}
        return tuple(node.name for node in self.before if node.name not in left)


@dataclass
class Recording:
    """The edits of one graph, in order; ``graphdef`` is the message that the script edits."""

    graphdef: Any
    edits: list[RecordedEdit] = field(default_factory=list)


class Recorder:
    """A listener that takes down the edits of every graph of a script."""

    def __init__(self) -> None:
        self.recordings: dict[int, Recording] = {}
        self._before: State = ()

    def of(self, graphdef: Any) -> Recording:
        """Return the recording of a GraphDef."""
        return self.recordings.setdefault(id(graphdef), Recording(graphdef))

    def before(self, edit: Edit) -> None:
        """Take down the graph as it is."""
        self._before = state_of(edit.graph.as_graph_def())

    def after(self, edit: Edit) -> None:
        """Take down the edit."""
        graphdef = edit.graph.as_graph_def()
        arguments = edit.arguments
        namespaces = {key: node.name for key, node in arguments.get("namespace_map", {}).items()}
        edits = self.of(graphdef).edits
        recorded = RecordedEdit(
            edit.method,
            tuple(_names(next(iter(arguments.values()), ()))) if not namespaces else (),
            edit.place,
            self._before,
            state_of(graphdef),
            namespaces,
            tuple(_names(arguments.get("exclude_nodes", ()))),
            bool(arguments.get("remove_exclusive_dependencies")),
        )
        if edits and _goes_on(edits[-1], recorded):
            recorded = replace(recorded, before=edits[-1].before, nodes=(*edits[-1].nodes, *recorded.nodes))
            edits.pop()
        edits.append(recorded)


def _goes_on(last: RecordedEdit, recorded: RecordedEdit) -> bool:
    """Return whether an edit is the next round of a loop that forwards or removes node by node."""
    return (
        recorded.method in ("forward_inputs", "remove")
        and (last.method, last.place, last.exclusive) == (recorded.method, recorded.place, recorded.exclusive)
        and last.after == recorded.before
    )


def state_of(graphdef: Any) -> State:
    """Return a GraphDef's nodes as they are."""
    return tuple(NodeState(node.name, node.op, tuple(node.input)) for node in graphdef.node)


def _names(nodes: Any) -> Iterator[str]:
    if isinstance(nodes, str):
        yield nodes
    elif is_node(nodes):
        yield nodes.name
    elif isinstance(nodes, list | tuple | set | frozenset):
        for node in nodes:
            yield from _names(node)
