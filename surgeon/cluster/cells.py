"""The cells of a matrix, in the manner of matrices of CI."""

from __future__ import annotations

import glob
import itertools
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel

from surgeon.cluster.axes import AXES, TEXT_AXES
from surgeon.cluster.digests import digest_of
from surgeon.cluster.fleet_file import FleetFile, Precision
from surgeon.diagnostics import Diagnostic, Span, SurgeonError, error, nearest_note
from surgeon.targets import load_target

INIT = "init"
_GLOB = re.compile(r"[*?\[]")
_ODD = re.compile(r"[^A-Za-z0-9._@=,-]+")
_LONGEST = 160
_MOST = 100_000
"""Cells that a matrix may have; more are a mistake."""


@dataclass(frozen=True)
class Cell:
    """One combination of a matrix.

    ``values`` are by axis, without those that the cell does not have. ``name`` is that of its folder.
    """

    name: str
    values: Mapping[str, Any]
    where: Span | None = None


def cells_of(fleet: FleetFile) -> tuple[Cell, ...]:
    """Return the cells of a fleet: every combination but those excluded, then what is included.

    An entry of ``include`` is added to each combination of the axes that it agrees with, where it changes no
    value of an axis; where there is none, it is a cell of its own. An entry of ``exclude`` takes out every
    combination that it matches, by patterns. Raise SurgeonError F101 for a model that is not there and for
    patterns that match nothing, those of jobs included, F102 where there are no cells, or one lacks a model
    or recipe, T101 for an unknown target and R106 for an unknown precision.
    """
    matrix = fleet.settings.matrix
    axes = {axis: _axis(fleet, axis, getattr(matrix, axis)) for axis in AXES if getattr(matrix, axis)}
    count = 1
    for values in axes.values():
        count *= len(values)
    if count > _MOST:
        raise error("F102", f"the matrix has {count} cells; at most {_MOST} are made", fleet.span("matrix"))
    combinations: list[dict[str, Any]] = (
        [dict(zip(axes, values, strict=True)) for values in itertools.product(*axes.values())] if axes else []
    )
    kept = _excluded(fleet, combinations)
    found = _included(fleet, kept, frozenset(axes))
    unique = {digest_of(values): (values, place) for values, place in found}
    if not unique:
        raise error(
            "F102",
            "the matrix has no cells; expected at least one model and recipe",
            fleet.span("matrix"),
            help=["give 'model' and 'recipe', or exclude less"],
        )
    _check(fleet, list(unique.values()))
    _check_jobs(fleet, [values for values, _ in unique.values()])
    names = _names([values for values, _ in unique.values()])
    return tuple(Cell(name, *each) for name, each in zip(names, unique.values(), strict=True))


def _axis(fleet: FleetFile, axis: str, values: Iterable[Any]) -> list[Any]:
    """Return the values of an axis, each once; models with their globs expanded."""
    found: dict[str, Any] = {}
    for index, value in enumerate(values):
        place = fleet.span("matrix", axis, index)
        for each in _models(fleet, value, place) if axis == "model" else [value]:
            found.setdefault(digest_of(each), each)
    return list(found.values())


def _models(fleet: FleetFile, value: str, place: Span | None) -> list[str]:
    """Return the models that a path or a glob names, as paths relative to the file's folder."""
    there = value != "" and os.path.exists(fleet.folder / value)
    if there or not _GLOB.search(value):
        if not there:
            raise error("F101", f"there is no model '{value}'", place, help=["check the path"])
        return [os.path.normpath(value)]
    found = sorted(map(os.path.normpath, glob.glob(value, root_dir=fleet.folder, recursive=True)))
    if not found:
        raise error("F101", f"no file matches '{value}'", place, help=["check the pattern and its folder"])
    return found


def _excluded(fleet: FleetFile, combinations: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the combinations that no entry of ``exclude`` matches."""
    kept = list(combinations)
    for index, entry in enumerate(fleet.settings.matrix.exclude):
        pattern = _given(entry)
        if not any(_matches(pattern, values) for values in combinations):
            notes: list[str] = []
            for axis, value in pattern.items():
                known = dict.fromkeys(str(each[axis]) for each in combinations if axis in each)
                if isinstance(value, str) and not any(fnmatchcase(one, value) for one in known):
                    notes += nearest_note(value, known) or [f"'{axis}' has no '{value}'"]
            raise error(
                "F101",
                "this entry of 'exclude' matches no cell",
                fleet.span("matrix", "exclude", index),
                notes,
                ["correct it, or take it out"],
            )
        kept = [values for values in kept if not _matches(pattern, values)]
    return kept


def _matches(pattern: Mapping[str, Any], values: Mapping[str, Any]) -> bool:
    return all(
        axis in values
        and (fnmatchcase(values[axis], wanted) if isinstance(wanted, str) else values[axis] == wanted)
        for axis, wanted in pattern.items()
    )


def _included(
    fleet: FleetFile, combinations: Sequence[dict[str, Any]], axes: frozenset[str]
) -> Iterator[tuple[dict[str, Any], Span | None]]:
    """Yield the cells with what ``include`` adds to them, and those that it adds, each with its place."""
    extended = [(dict(values), fleet.span("matrix")) for values in combinations]
    added: list[tuple[dict[str, Any], Span | None]] = []
    for index, entry in enumerate(fleet.settings.matrix.include):
        place = fleet.span("matrix", "include", index)
        given = _given(entry)
        model = given.get("model")
        where = fleet.span("matrix", "include", index, "model")
        models = [None] if model is None else _models(fleet, model, where)
        for each in models:
            values = given if each is None else {**given, "model": each}
            own = {axis: value for axis, value in values.items() if axis in axes}
            agreeing = [
                cell
                for cell, before in zip(extended, combinations, strict=True)
                if all(before[axis] == value for axis, value in own.items())
            ]
            for cell, _ in agreeing:
                cell.update(values)
            if not agreeing:
                added.append((dict(values), place))
    for values, place in (*extended, *added):
        yield {axis: values[axis] for axis in AXES if axis in values}, place


def _given(entry: BaseModel) -> dict[str, Any]:
    return {axis: value for axis, value in entry if value is not None}


def _check(fleet: FleetFile, cells: Iterable[tuple[Mapping[str, Any], Span | None]]) -> None:
    problems: dict[str, Diagnostic] = {}
    for values, place in cells:
        for axis in ("model", "recipe"):
            if axis not in values:
                problems[axis] = Diagnostic(
                    "F102",
                    f"a cell has no '{axis}'",
                    place,
                    (f"it has {', '.join(f'{key} {value}' for key, value in values.items())}",),
                    (f"give '{axis}' in the matrix or in the entry of 'include'",),
                )
        precision = values.get("precision")
        if precision is not None and precision not in get_args(Precision):
            problems[precision] = Diagnostic(
                "R106", f"'precision': '{precision}' is none; expected fp32, fp16 or int8", place
            )
        target = values.get("target")
        if target is not None and target not in problems:
            try:
                load_target(target)
            except SurgeonError as exc:
                (first, *_) = exc.diagnostics
                problems[target] = Diagnostic(
                    first.code, first.message, _place_of(fleet, "target", target), first.notes, first.help
                )
    if problems:
        raise SurgeonError(*problems.values())


def _check_jobs(fleet: FleetFile, cells: Sequence[Mapping[str, Any]]) -> None:
    """Raise SurgeonError F101 for a job that no cell takes."""
    for index, options in enumerate(fleet.jobs):
        if any(map(options.takes, cells)):
            continue
        notes: list[str] = []
        for axis, pattern in options.when.items():
            known = dict.fromkeys(str(each[axis]) for each in cells if axis in each)
            if not any(fnmatchcase(one, pattern) for one in known):
                notes += nearest_note(pattern, known) or [f"'{axis}' has no '{pattern}'"]
        raise error(
            "F101",
            f"the job '{options.job}' is done for no cell: its 'when' matches none",
            fleet.span("jobs", index, "when"),
            notes,
            ["correct it, or take the job out"],
        )


def _place_of(fleet: FleetFile, axis: str, value: Any) -> Span | None:
    """Return where a value of an axis is written first."""
    matrix = fleet.settings.matrix
    for index, each in enumerate(getattr(matrix, axis)):
        if each == value:
            return fleet.span("matrix", axis, index)
    for index, entry in enumerate(matrix.include):
        if getattr(entry, axis) == value:
            return fleet.span("matrix", "include", index, axis)
    return fleet.span("matrix")


def _names(cells: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return a name for each cell: its values; files by the shortest end of a path that tells them apart."""
    short = {
        axis: _short_paths(dict.fromkeys(cell[axis] for cell in cells if axis in cell))
        for axis in ("model", "recipe", "dataset")
    }
    names = []
    for cell in cells:
        parts = [
            short[axis][value] if axis in short else str(value)
            for axis, value in cell.items()
            if axis in TEXT_AXES
        ]
        parts += [_spelt(axis, value) for axis, value in cell.items() if axis not in TEXT_AXES]
        names.append("+".join(_ODD.sub("-", part).strip("-") for part in parts))
    counts = {name: names.count(name) for name in names}
    return [
        name if counts[name] == 1 and len(name) <= _LONGEST else f"{name[:_LONGEST]}+{digest_of(cell)[:8]}"
        for name, cell in zip(names, cells, strict=True)
    ]


def _spelt(axis: str, value: Any) -> str:
    if isinstance(value, Mapping):
        return ",".join(f"{key}={each}" for key, each in value.items()) or axis
    return f"{axis}={value}"


def _short_paths(paths: Iterable[str]) -> dict[str, str]:
    """Return for each path its name without suffix, with as many folders before it as tell it apart."""
    parts = {path: Path(os.path.splitext(path)[0]).parts for path in paths}
    found: dict[str, str] = {}
    for path, own in parts.items():
        others = [each for other, each in parts.items() if other != path]
        count = next(
            (n for n in range(1, len(own) + 1) if not any(each[-n:] == own[-n:] for each in others)), len(own)
        )
        found[path] = "-".join(part for part in own[-count:] if part not in ("/", ".."))
    return found
