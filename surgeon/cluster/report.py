"""What a fleet made so far, cell by cell, as it stands in its folder."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from surgeon.cluster.axes import AXES
from surgeon.cluster.job import Outcome, job_kinds
from surgeon.cluster.tasks import Done
from surgeon.diagnostics import error
from surgeon.display import Displayed, plural
from surgeon.version import refuse_newer

VERSION = 1
FLEET_FILE, CELL_FILE = "fleet.json", "cell.json"

CellStatus = Literal["waiting", "done", "failed"]


@dataclass(frozen=True)
class CellReport:
    """A cell: its values by axis, and its jobs in order, those that wait included."""

    name: str
    values: Mapping[str, Any]
    jobs: tuple[Done, ...]

    @property
    def status(self) -> CellStatus:
        """``failed`` where a job failed, ``waiting`` where one is still to be done, else ``done``."""
        states = {job.status for job in self.jobs}
        return "failed" if "failed" in states else "waiting" if "waiting" in states else "done"

    @property
    def verdict(self) -> Outcome | None:
        """The worst verdict of its jobs; None where none gave one."""
        verdicts = {job.verdict for job in self.jobs}
        worst: tuple[Outcome, ...] = ("failed", "inconclusive", "passed")
        return next((each for each in worst if each in verdicts), None)

    @property
    def columns(self) -> Mapping[str, Any]:
        """What the report shows of the results, by column."""
        kinds = job_kinds()
        found: dict[str, Any] = {}
        for job in self.jobs:
            if job.status == "done" and job.job in kinds:
                found |= kinds[job.job].columns(job.result)
        return found

    def diagnostics(self) -> Iterator[tuple[str, Mapping[str, Any]]]:
        """Yield every diagnostic with the job that it is of."""
        for job in self.jobs:
            for each in job.diagnostics:
                yield job.job, each

    def with_job(self, done: Done) -> CellReport:
        """Return the cell with another state of a job."""
        return replace(self, jobs=tuple(done if each.job == done.job else each for each in self.jobs))

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        return {
            "name": self.name,
            "status": self.status,
            "verdict": self.verdict,
            "values": dict(self.values),
            "columns": dict(self.columns),
            "jobs": [job.to_json() for job in self.jobs],
        }


@dataclass(frozen=True)
class FleetReport(Displayed):
    """What a fleet made: the cells in the order of the matrix.

    ``file`` is the fleet file, ``folder`` that of the results, ``store`` where what was made is kept.
    ``made`` counts the jobs that this run did, ``found`` those that were in the store. ``running`` says that
    a process is at work on the folder.
    """

    file: str
    folder: Path
    store: str
    cells: tuple[CellReport, ...]
    made: int = 0
    found: int = 0
    running: bool = False
    seconds: float = 0.0
    dashboard: str = field(default="", compare=False)

    def __repr__(self) -> str:
        return f"<FleetReport: {self.folder}, {self.summary}>"

    @property
    def summary(self) -> str:
        """How many cells stand how, in words."""
        parts = []
        for status in ("done", "failed", "waiting"):
            count = sum(cell.status == status for cell in self.cells)
            if count:
                parts.append(f"{count} {status}")
        for verdict in ("failed", "inconclusive"):
            count = sum(cell.verdict == verdict for cell in self.cells)
            if count:
                parts.append(f"{count} with the verdict '{verdict}'")
        return f"{plural(len(self.cells), 'cell')}: {', '.join(parts)}"

    @property
    def failed(self) -> bool:
        """Whether a job of some cell failed."""
        return any(cell.status == "failed" for cell in self.cells)

    @property
    def passed(self) -> bool:
        """Whether every cell is done, and no verdict is another than passed."""
        return all(cell.status == "done" and cell.verdict in (None, "passed") for cell in self.cells)

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        return {
            "version": VERSION,
            "fleet": self.file,
            "folder": str(self.folder),
            "store": self.store,
            "passed": self.passed,
            "running": self.running,
            "made": self.made,
            "found": self.found,
            "seconds": round(self.seconds, 3),
            "cells": [cell.to_json() for cell in self.cells],
        }


def in_order(axes: Mapping[str, Any]) -> dict[str, Any]:
    """Return values by axis in the order of axes."""
    return {axis: axes[axis] for axis in AXES if axis in axes}


def read_cell(path: Path) -> CellReport | None:
    """Return a cell as its file tells; None where there is none, or it is damaged."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
        jobs = tuple(Done.from_json(job) for job in value["jobs"])
        return CellReport(value["name"], value["values"], jobs)
    except (OSError, ValueError, KeyError, TypeError):
        return None


def read_report(folder: Path, *, running: bool = False) -> FleetReport:
    """Return how a fleet stands, from its folder alone.

    Raise SurgeonError F112 for a folder that is none of a fleet, E121 for one of a newer release.
    """
    path = folder / FLEET_FILE
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
        refuse_newer(value["version"], VERSION, "the state", path, "surgeon fleet FLEET.yaml -o DIR")
        cells = []
        for name, cell in value["cells"].items():
            empty = CellReport(name, cell["values"], tuple(Done(job) for job in cell["jobs"]))
            found = read_cell(folder / "cells" / name / CELL_FILE)
            cells.append(found if found is not None and same_jobs(found, empty) else empty)
        return FleetReport(value["fleet"], folder, value["store"], tuple(cells), running=running)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        what = "has a damaged 'fleet.json'" if os.path.exists(path) else "is no folder of a fleet"
        raise error(
            "F112",
            f"'{folder}' {what}; expected one that 'surgeon fleet' wrote",
            str(folder),
            help=["surgeon fleet FLEET.yaml -o DIR"],
        ) from None


def same_jobs(one: CellReport, other: CellReport) -> bool:
    """Return whether two reports of a cell have the same jobs."""
    return [job.job for job in one.jobs] == [job.job for job in other.jobs]
