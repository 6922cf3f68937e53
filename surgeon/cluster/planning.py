"""The tasks of a fleet: for each cell its jobs in order, with the key of all that decides each result."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from surgeon.cluster.cells import INIT, Cell
from surgeon.cluster.digests import content_digest, digest_of, program_digest, tool_versions
from surgeon.cluster.fleet_file import FleetFile
from surgeon.cluster.job import JobKind, JobOptions, job_kinds
from surgeon.cluster.nodes import Nodes
from surgeon.cluster.tasks import Demands, Done, Input, Platform, Task
from surgeon.diagnostics import SurgeonError, error
from surgeon.language import Recipe, load_recipe
from surgeon.language.loading import find_recipe
from surgeon.request import DEFAULT_TARGET

_CONVERTING = ("numpy", "onnx", "tf2onnx")
"""The distributions whose versions decide what a job converts by itself."""


@dataclass(frozen=True)
class PlannedJob:
    """A job of a cell: its options and task, or why there is none; ``reads`` names earlier jobs it reads."""

    options: JobOptions
    task: Task | None
    problem: Done | None = None
    reads: tuple[str, ...] = ()


@dataclass(frozen=True)
class PlannedCell:
    """A cell with its jobs in order."""

    cell: Cell
    jobs: tuple[PlannedJob, ...]


class Planner:
    """Plans the cells of a fleet; each file is read, and each recipe loaded, once."""

    def __init__(self, fleet: FleetFile, store: str, nodes: Nodes) -> None:
        self._fleet, self._store, self._nodes = fleet, store, nodes
        self._inputs: dict[str, Input] = {}
        self._recipes: dict[str, Recipe] = {}
        self._recipe_paths = tuple(fleet.folder / path for path in fleet.settings.recipe_paths)

    @property
    def inputs(self) -> tuple[Input, ...]:
        """The files and folders of the user that the planned cells read."""
        return tuple(self._inputs.values())

    def plan(self, cells: Sequence[Cell]) -> Iterator[PlannedCell]:
        """Yield each cell with its jobs.

        Raise SurgeonError E101 for an input that cannot be read, R112 for recipe folders. What is wrong with
        a recipe, or with what a node must have, is the problem of the cell.
        """
        for cell in cells:
            yield PlannedCell(cell, tuple(self._jobs(cell)))

    def _jobs(self, cell: Cell) -> Iterator[PlannedJob]:
        listed = [each for each in self._fleet.jobs if each.takes(cell.values)]
        has_init = any(each.job == INIT for each in listed)
        writes_recipe = cell.values["recipe"] == INIT
        if writes_recipe and not has_init:
            listed.insert(0, job_kinds()[INIT].options.model_validate({"job": INIT}))
        if not writes_recipe:
            listed = [each for each in listed if each.job != INIT]
        earlier: dict[str, Task | None] = {}
        for options in listed:
            kind = job_kinds()[options.job]
            reads = self._reads(kind, cell, frozenset(earlier))
            lacking = [name for name in kind.requires if name not in earlier]
            try:
                if lacking:
                    raise error(
                        "F107",
                        f"the job '{kind.name}' is done without '{lacking[0]}', whose files it reads",
                        self._fleet.span("jobs"),
                        help=["give both the same 'when'"],
                    )
                task = self._task(cell, kind, options, {name: earlier[name] for name in reads})
                planned = PlannedJob(options, task, reads=reads)
            except SurgeonError as exc:
                planned = PlannedJob(options, None, Done.failed(options, "", exc), reads)
            earlier[options.job] = planned.task
            yield planned

    @staticmethod
    def _reads(kind: JobKind, cell: Cell, earlier: frozenset[str]) -> tuple[str, ...]:
        own = kind.uses(cell.values, earlier)
        return (INIT, *own) if INIT in earlier and kind.name != INIT else own

    def _task(
        self, cell: Cell, kind: JobKind, options: JobOptions, given: Mapping[str, Task | None]
    ) -> Task | None:
        """Return the task of a job, None where there is none of an earlier one that it reads."""
        known = {name: task for name, task in given.items() if task is not None}
        if len(known) < len(given):
            return None
        values = cell.values
        model = self._input(values["model"])
        recipe = None if INIT in given or kind.name == INIT else self._recipe(values)
        plugins = tuple(self._input(path) for path in self._fleet.settings.plugin_paths)
        own = {name: self._input(value) for name, value in options.input_options()}
        facts = kind.reads(self._fleet.folder, values, options)
        platform = self._platform(values) if kind.gpu else None
        memory = options.memory or kind.memory(_size(model.path))
        converts = kind.converts and "convert" not in known
        tools = tool_versions((*kind.tools, *_CONVERTING) if converts else kind.tools)
        request = {
            "target": values.get("target") or DEFAULT_TARGET,
            "parameters": values.get("parameters"),
            "recipe_paths": (),
            "anchors": values.get("anchors"),
            "decode": values.get("decode"),
            "suppression": values.get("suppression"),
            "input_specs": values.get("inputs"),
            "constants": values.get("constants"),
        }
        keys = {name: task.key for name, task in known.items()}
        decides = {
            "job": kind.name,
            "options": options.model_dump(
                mode="json", exclude={"when", "memory", "timeout", "continue_on_failure", *own}
            ),
            "inputs": {name: each.digest for name, each in own.items()},
            "model": model.digest,
            "recipe": None if recipe is None else recipe.digest(),
            "request": request,
            "facts": {axis: values.get(axis) for axis in kind.facts},
            "reads": {name: value for name, value in facts.items() if name != "places"},
            "plugins": [each.digest for each in plugins],
            "given": keys,
            "platform": None if platform is None else [platform.gpu, platform.tensorrt],
            "surgeon": program_digest(),
            "tools": tools,
        }
        return Task(
            digest_of(decides),
            options,
            values,
            recipe,
            model,
            request,
            plugins,
            {name: each for task in known.values() for name, each in task.inputs.items()} | own,
            {name: value for task in known.values() for name, value in task.facts.items()} | dict(facts),
            keys,
            {name: task.options for name, task in known.items()},
            Demands(memory, platform),
            program_digest(),
            tools,
            self._store,
        )

    def _platform(self, values: Mapping[str, Any]) -> Platform:
        return self._nodes.platform(values.get("gpu"), values.get("tensorrt"))

    def _recipe(self, values: Mapping[str, Any]) -> Recipe:
        name, parameters = values["recipe"], values.get("parameters") or {}
        key = digest_of([name, parameters])
        if key not in self._recipes:
            path = find_recipe(name, self._recipe_paths, self._fleet.folder)
            self._recipes[key] = load_recipe(path, parameters=parameters, recipe_paths=self._recipe_paths)
        return self._recipes[key]

    def _input(self, name: str) -> Input:
        path = Path(os.path.abspath(self._fleet.folder / name))
        if name not in self._inputs:
            self._inputs[name] = Input(path, content_digest(path))
        return self._inputs[name]


def _size(path: Path) -> int:
    """Return the bytes of a file, or of what is in a folder."""
    if not os.path.isdir(path):
        return os.path.getsize(path)
    return sum(each.stat().st_size for each in path.rglob("*") if each.is_file())
