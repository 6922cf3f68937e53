"""A recording read as a history: which nodes are new, what they are called later, what changed in between."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from surgeon.compat.migration.recording import NodeState, RecordedEdit, Recording, State, state_of
from surgeon.graph import Graph
from surgeon.graph.op_sets import IDENTITIES
from surgeon.steps.selector import longest_prefix

ADDING = ("append", "extend", "add")


@dataclass(frozen=True)
class OpChange:
    """Nodes whose operation the script changed in place, between two edits."""

    old: str
    new: str
    names: tuple[str, ...]
    all_of_them: bool


class History:
    """The edits of a script on ``graph``, and the changes that it made in nodes between them."""

    def __init__(self, graph: Graph, recording: Recording) -> None:
        self.graph, self.edits = graph, tuple(recording.edits)
        self.final = state_of(recording.graphdef)
        self.start: State = tuple(
            NodeState(node.name, node.op, tuple(map(str, node.inputs))) for node in graph
        )

    @cached_property
    def pauses(self) -> list[tuple[State, State]]:
        """The states between which the script changed nodes in place: before each edit, after the last."""
        ends = [self.start, *(edit.after for edit in self.edits)]
        return list(zip(ends, [*(edit.before for edit in self.edits), self.final], strict=True))

    @cached_property
    def later(self) -> dict[str, str]:
        """What nodes are called after the script renamed them, by the name before."""
        found: dict[str, str] = {}
        for before, after in self.pauses:
            if len(before) != len(after):
                continue
            for old, new in zip(before, after, strict=True):
                if old.name != new.name:
                    found[old.name] = new.name
        return found

    def last_name(self, name: str) -> str:
        """Return what a node is called in the end."""
        for _ in self.later:
            name = self.later.get(name, name)
        return name

    @cached_property
    def earlier(self) -> dict[str, str]:
        """The first name of each renamed node, by the last."""
        first = set(self.later) - set(self.later.values())
        return {self.last_name(name): name for name in first}

    def is_new(self, name: str, op: str) -> bool:
        """Return whether the script gave a node its operation; the name is the last one."""
        original = self.graph.get(self.earlier.get(name, name))
        return original is None or original.op != op

    @cached_property
    def collapses(self) -> tuple[RecordedEdit, ...]:
        """The edits that put nodes in the place of namespaces."""
        return tuple(edit for edit in self.edits if edit.method == "collapse_namespaces")

    @cached_property
    def takers(self) -> tuple[str, ...]:
        """First names of nodes that take the place of namespaces."""
        return tuple(dict.fromkeys(name for edit in self.collapses for name in edit.namespaces.values()))

    @cached_property
    def made(self) -> tuple[str, ...]:
        """First names of all nodes that the script put in, in its order."""
        found: dict[str, None] = {}
        for edit in self.edits:
            if edit.method == "collapse_namespaces":
                found.update(dict.fromkeys(edit.namespaces.values()))
            elif edit.method in ADDING:
                there = {node.name for node in edit.before}
                found.update(dict.fromkeys(node.name for node in edit.after if node.name not in there))
        for before, after in self.pauses:
            there = {node.name for node in before}
            if len(after) > len(before):
                found.update(dict.fromkeys(node.name for node in after if node.name not in there))
        return tuple(found)

    def members(self, edit: RecordedEdit) -> dict[str, str]:
        """Return the new node by each node that a collapse takes out."""
        gone = set(edit.gone) | (set(edit.namespaces.values()) & {node.name for node in edit.before})
        found: dict[str, str] = {}
        for node in edit.before:
            taker = longest_prefix(node.name, edit.namespaces)
            if taker is not None and node.name in gone:
                found[node.name] = taker
        return found

    def kept(self, edit: RecordedEdit) -> list[str]:
        """Return the nodes of namespaces that a collapse left in."""
        members = self.members(edit)
        return [
            node.name
            for node in edit.before
            if node.name not in members and longest_prefix(node.name, edit.namespaces) is not None
        ]

    def op_changes(self, pause: tuple[State, State]) -> Iterator[OpChange]:
        """Yield the changes of operations between two states, nodes that the script put in left out."""
        before = {node.name: node.op for node in pause[0]}
        groups: dict[tuple[str, str], list[str]] = {}
        for node in pause[1]:
            old = before.get(node.name)
            if old is not None and old != node.op and node.name not in self.made:
                groups.setdefault((old, node.op), []).append(node.name)
        for (old, new), names in groups.items():
            left = [node.name for node in pause[1] if node.op == old and node.name not in self.made]
            yield OpChange(old, new, tuple(names), not left)


def are_identities(edit: RecordedEdit) -> bool:
    """Return whether a forwarding took just what the step ``forward-identities`` takes."""
    ops = {node.name: node.op for node in edit.before}
    gone = set(edit.gone)
    read = {name for node in edit.before for name in _sources(node)}
    others = [
        node.name
        for node in edit.before
        if node.op in IDENTITIES and node.name in read and node.name not in gone
    ]
    return bool(gone) and not others and all(ops[name] in IDENTITIES for name in gone)


def _sources(node: NodeState) -> Iterator[str]:
    for source in node.inputs:
        yield source.lstrip("^").partition(":")[0]


def selection(names: Sequence[str], state: State) -> list[object]:
    """Return entries of a recipe's ``nodes`` that mean exactly these nodes of a state."""
    wanted = set(names)
    found: list[object] = []
    ops = list(dict.fromkeys(node.op for node in state if node.name in wanted))
    for op in ops:
        members = [node.name for node in state if node.op == op]
        if len(members) > 1 and wanted.issuperset(members):
            found.append({"op": op})
            wanted -= set(members)
    spaces = {
        node.name.rsplit("/", count)[0] for node in state for count in range(1, node.name.count("/") + 1)
    }
    for node in state:
        if node.name in wanted:
            found.append({"path": _escaped(node.name)} if node.name in spaces else node.name)
    return found


def _escaped(name: str) -> str:
    return "".join(f"\\{char}" if not char.isalnum() and char not in "_/-" else char for char in name)
