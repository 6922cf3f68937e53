"""Nodes followed through the steps of a plan, under whatever names they have on the way."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from surgeon.graph import Add, Drop, Rewire, SetAttr, SetOp
from surgeon.rewrite import Plan, PlannedStep
from surgeon.viewer.node_status import NodeStatus, Provenance


@dataclass(frozen=True, slots=True)
class NodeTrace:
    """Where the nodes of a plan's source went, and where those of its result came from.

    ``removed`` has what became of nodes of the source that are not in the result, ``names`` the names that
    the others have there, both by their names in the source. ``added`` has why the nodes of the result are
    there that the source lacks, ``edited`` the last edit of each of the others, ``renamed`` that of its name,
    by their names in the result. ``put_in`` has the names in the result of nodes that steps put in, by those
    that the steps gave them.
    """

    removed: Mapping[str, Provenance]
    names: Mapping[str, str]
    added: Mapping[str, Provenance]
    edited: Mapping[str, Provenance]
    renamed: Mapping[str, Provenance]
    put_in: Mapping[str, str]


class _Tracer:
    """The nodes as a step leaves them: each has a number for life, whatever its name."""

    def __init__(self, plan: Plan) -> None:
        self.source = [node.name for node in plan.source or ()]
        self.numbers = {name: number for number, name in enumerate(self.source)}
        self.count = len(self.source)
        self.removed: dict[int, tuple[Provenance, int | None]] = {}
        self.added: dict[int, Provenance] = {}
        self.edited: dict[int, Provenance] = {}
        self.renamed: dict[int, Provenance] = {}
        self.put_in: dict[str, int] = {}
        self.heirs: dict[int, str | None] = {}

    def take(self, step: PlannedStep) -> None:
        """Follow the nodes through one step, whose edits are made at once."""
        adds = {edit.node.name: edit for edit in step.edits if isinstance(edit, Add)}
        drops = [edit for edit in step.edits if isinstance(edit, Drop) and edit.name in self.numbers]
        new_numbers = {
            drop.into: self.numbers[drop.name]
            for drop in drops
            if drop.into is not None and step.step == "rename"
        }
        numbers = {
            name: new_numbers[name] if name in new_numbers else self._add(adds[name], step) for name in adds
        }
        for edit in step.edits:
            if isinstance(edit, Rewire | SetAttr | SetOp) and edit.name in self.numbers:
                self.edited[self.numbers[edit.name]] = _edited(edit, step)
        for drop in drops:
            self._drop(drop, step, numbers)
        for drop in drops:
            self.numbers.pop(drop.name, None)
        self.numbers.update(numbers)

    def _add(self, add: Add, step: PlannedStep) -> int:
        """Number a node that a step puts in."""
        number = self.count
        self.count += 1
        span = add.span or step.span
        self.added[number] = Provenance(NodeStatus.ADDED, "put in", None, step.label, span)
        self.put_in[add.node.name] = number
        return number

    def _drop(self, drop: Drop, step: PlannedStep, adds: Mapping[str, int]) -> None:
        """Note what a step does with a node that it takes out; ``adds`` numbers what it puts in."""
        number = self.numbers[drop.name]
        if drop.into is None:
            self.removed[number] = (_dropped(NodeStatus.DROPPED, drop, step), None)
        elif step.step == "rename":
            self.renamed[number] = _dropped(NodeStatus.RENAMED, drop, step)
        else:
            into = adds.get(drop.into, self.numbers.get(drop.into))
            replaced = drop.into in adds or (into in self.added and step.step == "collapse")
            status = NodeStatus.COLLAPSED if into is not None and replaced else NodeStatus.FORWARDED
            self.removed[number] = (_dropped(status, drop, step), into)

    def trace(self) -> NodeTrace:
        """Return where everything is after the last step."""
        names = {number: name for name, number in self.numbers.items()}
        removed = {
            self.source[number]: replace(provenance, into=self._heir(into, names))
            for number, (provenance, into) in self.removed.items()
            if number < len(self.source)
        }
        kept = {self.source[number]: name for number, name in names.items() if number < len(self.source)}
        added, edited, renamed = (
            {names[number]: provenance for number, provenance in table.items() if number in names}
            for table in (self.added, self.edited, self.renamed)
        )
        put_in = {name: names[number] for name, number in self.put_in.items() if number in names}
        return NodeTrace(removed, kept, added, edited, renamed, put_in)

    def _heir(self, number: int | None, names: Mapping[int, str]) -> str | None:
        """Return the node of the result that stands for one, or for what took its place, and so on.

        Return None where none does.
        """
        passed: list[int] = []
        while number is not None and number not in names and number not in self.heirs:
            passed.append(number)
            self.heirs[number] = None  # what leads round in a ring leads nowhere
            number = self.removed[number][1] if number in self.removed else None
        heir = None if number is None else names.get(number) or self.heirs.get(number)
        self.heirs.update(dict.fromkeys(passed, heir))
        return heir


def trace_nodes(plan: Plan) -> NodeTrace:
    """Follow the nodes of a plan's source through its steps, in time linear in the edits."""
    tracer = _Tracer(plan)
    for step in plan.steps:
        tracer.take(step)
    return tracer.trace()


def _dropped(status: NodeStatus, drop: Drop, step: PlannedStep) -> Provenance:
    return Provenance(status, drop.fate, drop.into, step.label, drop.span or step.span)


def _edited(edit: Rewire | SetAttr | SetOp, step: PlannedStep) -> Provenance:
    match edit:
        case Rewire():
            reason = "reads other nodes"
        case SetAttr():
            reason = f"'{edit.key}' was set" if edit.value is not None else f"'{edit.key}' was taken away"
        case SetOp():
            reason = f"became {edit.op}"
    return Provenance(NodeStatus.CHANGED, reason, None, step.label, edit.span or step.span)
