"""Nodes followed through the steps of a plan, under whatever names they have on the way."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from surgeon.graph import Add, Drop, Rewire, SetAttr, SetOp
from surgeon.rewrite import Plan, PlannedStep
from surgeon.viewer.node_status import Fate, Mark


@dataclass(frozen=True, slots=True)
class Followed:
    """Where the nodes of a plan's source went, and where those of its result came from.

    ``gone`` has what became of nodes of the source that are not in the result, ``names`` the names that the
    others have there, both by their names in the source. ``new`` has why the nodes of the result are there
    that the source lacks, ``touched`` the last edit of each of the others, ``renames`` that of its name, by
    their names in the result. ``put_in`` has the names in the result of nodes that steps put in, by those
    that the steps gave them.
    """

    gone: Mapping[str, Mark]
    names: Mapping[str, str]
    new: Mapping[str, Mark]
    touched: Mapping[str, Mark]
    renames: Mapping[str, Mark]
    put_in: Mapping[str, str]


class _Walk:
    """The nodes as a step leaves them: each has a number for life, whatever its name."""

    def __init__(self, plan: Plan) -> None:
        self.first = [node.name for node in plan.source or ()]
        self.at = {name: number for number, name in enumerate(self.first)}
        self.count = len(self.first)
        self.dropped: dict[int, tuple[Mark, int | None]] = {}
        self.new: dict[int, Mark] = {}
        self.touched: dict[int, Mark] = {}
        self.renames: dict[int, Mark] = {}
        self.put_in: dict[str, int] = {}
        self.heirs: dict[int, str | None] = {}

    def take(self, step: PlannedStep) -> None:
        """Follow the nodes through one step, whose edits are made at once."""
        added = {edit.node.name: edit for edit in step.edits if isinstance(edit, Add)}
        drops = [edit for edit in step.edits if isinstance(edit, Drop)]
        moved = {
            edit.into: self.at[edit.name] for edit in drops if _renames(edit, step) and edit.name in self.at
        }
        numbers = {}
        for name, add in added.items():
            numbers[name] = moved.get(name, self.count)
            if name not in moved:
                self.new[self.count] = Mark(Fate.ADDED, "put in", None, step.label, add.span or step.span)
                self.put_in[name] = self.count
                self.count += 1
        for edit in step.edits:
            if isinstance(edit, Rewire | SetAttr | SetOp) and edit.name in self.at:
                self.touched[self.at[edit.name]] = _edited(edit, step)
        for drop in drops:
            if drop.name not in self.at:
                continue
            if _renames(drop, step):
                self.renames[self.at[drop.name]] = _mark(Fate.RENAMED, drop, step)
                continue
            into = None if drop.into is None else numbers.get(drop.into, self.at.get(drop.into))
            taken = into is not None and (
                drop.into in added or (into in self.new and step.step == "collapse")
            )
            fate = Fate.DROPPED if drop.into is None else Fate.COLLAPSED if taken else Fate.FORWARDED
            self.dropped[self.at[drop.name]] = (_mark(fate, drop, step), into)
        for drop in drops:
            self.at.pop(drop.name, None)
        self.at.update(numbers)

    def found(self) -> Followed:
        """Return where everything is after the last step."""
        names = {number: name for name, number in self.at.items()}
        gone = {
            self.first[number]: replace(mark, into=self._heir(into, names))
            for number, (mark, into) in self.dropped.items()
            if number < len(self.first)
        }
        kept = {self.first[number]: name for number, name in names.items() if number < len(self.first)}
        new, touched, renames = (
            {names[number]: mark for number, mark in marks.items() if number in names}
            for marks in (self.new, self.touched, self.renames)
        )
        put_in = {name: names[number] for name, number in self.put_in.items() if number in names}
        return Followed(gone, kept, new, touched, renames, put_in)

    def _heir(self, number: int | None, names: Mapping[int, str]) -> str | None:
        """Return the node of the result that stands for one, or for what took its place, and so on.

        None where none does.
        """
        passed: list[int] = []
        while number is not None and number not in names and number not in self.heirs:
            passed.append(number)
            self.heirs[number] = None  # what leads round in a ring leads nowhere
            number = self.dropped[number][1] if number in self.dropped else None
        found = None if number is None else names.get(number) or self.heirs.get(number)
        self.heirs.update(dict.fromkeys(passed, found))
        return found


def follow(plan: Plan) -> Followed:
    """Follow the nodes of a plan's source through its steps, in time linear in the edits."""
    walk = _Walk(plan)
    for step in plan.steps:
        walk.take(step)
    return walk.found()


def _renames(edit: Drop, step: PlannedStep) -> bool:
    return step.step == "rename" and edit.into is not None


def _mark(fate: Fate, edit: Drop, step: PlannedStep) -> Mark:
    return Mark(fate, edit.fate, edit.into, step.label, edit.span or step.span)


def _edited(edit: Rewire | SetAttr | SetOp, step: PlannedStep) -> Mark:
    match edit:
        case Rewire():
            reason = "reads other nodes"
        case SetAttr():
            reason = f"'{edit.key}' was set" if edit.value is not None else f"'{edit.key}' was taken away"
        case SetOp():
            reason = f"became {edit.op}"
    return Mark(Fate.CHANGED, reason, None, step.label, edit.span or step.span)
