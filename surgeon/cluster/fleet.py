"""``surgeon.fleet``: the cells of a matrix, each a chain of jobs, over the nodes of a Ray cluster."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from surgeon.cluster.cells import cells_of
from surgeon.cluster.digests import content_digest
from surgeon.cluster.fleet_file import FleetFile, read_fleet_file
from surgeon.cluster.job import job_kinds
from surgeon.cluster.nodes import Node, Nodes, this_machine
from surgeon.cluster.planning import PlannedCell, PlannedJob, Planner
from surgeon.cluster.ray_cluster import RayCluster, cluster_of_one, joined_cluster
from surgeon.cluster.report import CELL_FILE, CellReport, FleetReport, read_cell, read_report, same_jobs
from surgeon.cluster.report_pages import write_pages
from surgeon.cluster.result_folder import FleetFolder, is_running, unwritable
from surgeon.cluster.store import Store
from surgeon.cluster.tasks import Done, Input, Task, as_json
from surgeon.diagnostics import SurgeonError
from surgeon.engine.registry import read_registry
from surgeon.request import PathLike
from surgeon.stages import tell_stage

_EVERY = 1.0
"""Seconds after which nodes are looked at again while nothing is done."""

_AROUND = ("F103", "F106", "F108", "F109")
"""Diagnostics of what is around a job and may be another at the next run: nodes, inputs, the store."""

Watch = Callable[[CellReport, Done], None]
"""Called with a cell and the job of it that ended."""


def fleet(
    file: PathLike,
    output: PathLike,
    *,
    address: str | None = None,
    retry: bool = False,
    store: str | None = None,
    cpus: int | None = None,
    dashboard: bool = False,
    started: Callable[[str], None] | None = None,
    watch: Watch | None = None,
) -> FleetReport:
    """Make every cell of a fleet file: the matrix of models, recipes, targets and so on, each with its jobs.

    ``file`` is the fleet file, ``output`` the folder for results and report. What is in the ``store`` (by
    default that of the file, else ``store`` in the folder) is not made again. Jobs run on a Ray cluster: one
    of this machine with ``cpus`` CPUs, which this function starts and stops, or the one at ``address``, which
    it joins. A job that failed before is not tried again, unless ``retry``. ``dashboard`` starts Ray's pages
    for a cluster of one; ``started`` is called with the address of the pages where there are any. ``watch``
    is called when a job ends.

    Return the report, which is written to ``output`` as ``report.html``, ``report.md`` and ``report.json``,
    too. What goes wrong with one cell stands in the report, and the others go on.

    Raise SurgeonError R101 to R108, F101, F102, F107 and T101 for the file, F106 for the store, E108 where
    Ray is missing, F111 where the cluster cannot be started or joined, F112 and E120 for a folder of other
    files, E101 for files that cannot be read, and E105 where results cannot be written.
    """
    path, folder = Path(os.path.abspath(file)), Path(output)
    tell_stage("reading the fleet", str(file))
    fleet_file = read_fleet_file(path)
    cells = cells_of(fleet_file)
    place = _store_place(fleet_file, store, folder)
    results = FleetFolder(folder, path, place)
    opened = Store(place)
    opened.sweep()
    with contextlib.ExitStack() as stack:
        cluster: RayCluster | None = None
        node: Node | None = None
        trouble = ""
        if address is not None:
            tell_stage("joining the cluster", address)
            cluster = stack.enter_context(joined_cluster(address))
            nodes = cluster.nodes()
        else:
            node, trouble = _machine(fleet_file, cpus)
            nodes = Nodes((node,))
        tell_stage("reading models and recipes")
        planner = Planner(fleet_file, place, nodes)
        planned = tuple(planner.plan(cells))
        begin = time.monotonic()
        run = _Run(planned, results, opened, nodes, retry, watch, trouble)
        results.open(
            {
                each.cell.name: {"values": dict(each.cell.values), "jobs": [j.options.job for j in each.jobs]}
                for each in planned
            }
        )
        stack.enter_context(results.running())
        try:
            if run.settle():
                if cluster is None:
                    assert node is not None
                    tell_stage("starting Ray")
                    cluster = stack.enter_context(cluster_of_one(node, dashboard=dashboard))
                if cluster.dashboard and started is not None:
                    started(cluster.dashboard)
                if cluster.joined:
                    _send_inputs(opened, planner.inputs)
                run.go(cluster)
        finally:
            report = FleetReport(
                str(path),
                folder,
                place,
                run.cells,
                run.made,
                run.found,
                seconds=time.monotonic() - begin,
                dashboard=cluster.dashboard if cluster is not None else "",
            )
            write_pages(report)
    return report


def fleet_status(output: PathLike) -> FleetReport:
    """Return how a fleet stands, from its folder alone; raise SurgeonError F112 for another folder."""
    folder = Path(output)
    return read_report(folder, running=is_running(folder))


def _store_place(fleet_file: FleetFile, store: str | None, folder: Path) -> str:
    given = store or fleet_file.settings.store
    if given is not None and "://" in given:
        return given
    if store is not None:
        return os.path.abspath(store)
    return os.path.abspath(folder / "store" if given is None else fleet_file.folder / given)


def _machine(fleet_file: FleetFile, cpus: int | None) -> tuple[Node, str]:
    """Return this machine as a node; TensorRT is asked only where a job needs it."""
    kinds = job_kinds()
    if not any(kinds[each.job].gpu for each in fleet_file.jobs):
        return this_machine(None, cpus)
    tell_stage("asking TensorRT")
    return this_machine(read_registry(), cpus)


def _send_inputs(store: Store, inputs: Sequence[Input]) -> None:
    """Store the user's files for nodes that do not see them, but none that has changed since."""
    import shutil

    for given in inputs:
        if store.read(given.key, whole=False) is not None:
            continue
        tell_stage("storing inputs", str(given.path))
        with store.making() as folder:
            copy = folder / given.path.name
            try:
                if os.path.isdir(given.path):
                    shutil.copytree(given.path, copy)
                else:
                    shutil.copyfile(given.path, copy)
            except FileNotFoundError:
                continue
            except OSError as exc:
                raise unwritable(copy, exc) from None
            if content_digest(copy) == given.digest:
                store.write(given.key, folder, {"input": given.path.name})


@dataclass(frozen=True)
class _Sent:
    """A task that was sent, and the cells that wait for it."""

    task: Task
    ref: Any
    waiting: list[tuple[int, int]] = field(default_factory=list)


class _Run:
    """One run of a fleet: which jobs are settled, which are sent, and what came back."""

    def __init__(
        self,
        planned: Sequence[PlannedCell],
        results: FleetFolder,
        store: Store,
        nodes: Nodes,
        retry: bool,
        watch: Watch | None,
        trouble: str,
    ) -> None:
        self._planned, self._results, self._store, self._nodes = planned, results, store, nodes
        self._retry, self._watch, self._trouble = retry, watch, trouble
        self.made = self.found = 0
        self._held: dict[str, Mapping[str, Any] | None] = {}
        self._cells = [
            CellReport(
                each.cell.name,
                each.cell.values,
                tuple(Done(job.options.job, _key(job)) for job in each.jobs),
            )
            for each in planned
        ]

    @property
    def cells(self) -> tuple[CellReport, ...]:
        """The cells as they stand."""
        return tuple(self._cells)

    def settle(self) -> bool:
        """Settle what needs no cluster: stored results, failures of earlier runs, what no node can do.

        Return whether something is left to do.
        """
        left = False
        for index, planned in enumerate(self._planned):
            tell_stage("looking into the store", planned.cell.name, index, len(self._planned))
            earlier = read_cell(self._results.path / "cells" / planned.cell.name / CELL_FILE)
            if earlier is not None and not same_jobs(earlier, self._cells[index]):
                earlier = None
            stopping: Done | None = None
            ended: dict[str, Done] = {}
            is_open = False
            for number, job in enumerate(planned.jobs):
                before = None if earlier is None else earlier.jobs[number]
                lacking = next((ended[name] for name in job.reads if _is_lacking(ended.get(name))), None)
                if stopping is None and lacking is not None and job.task is not None:
                    reason = lacking.reason or _reason(lacking)
                    done: Done | None = Done.skipped(job.options, job.task.key, reason, stops=False)
                else:
                    opened = is_open and job.task is not None
                    done = None if opened else self._settled(job, stopping, before)
                if done is None:
                    self._results.hide(planned.cell.name, job.options.job)
                    left = is_open = True
                    continue
                ended[job.options.job] = done
                self._end(index, done, told=done.status == "failed")
                stopping = stopping or (done if done.stops else None)
            self._results.write(self._cells[index])
        return left

    def _settled(self, job: PlannedJob, stopping: Done | None, earlier: Done | None) -> Done | None:
        """Return a job's outcome, None where it is to be done."""
        task = job.task
        if stopping is not None:
            return Done.skipped(job.options, _key(job), stopping.reason or _reason(stopping))
        if job.problem is not None:
            return self._with_trouble(job.problem)
        if task is None:
            return Done.skipped(job.options, "", "an earlier job cannot be done")
        if task.key not in self._held:
            held = self._store.read(task.key)
            self._held[task.key] = None if held is None else held.record
        record = self._held[task.key]
        if record is not None:
            self.found += 1
            return Done.of_record(job.options, task.key, record, made=False)
        if not self._retry and earlier is not None and earlier.key == task.key and _is_final(earlier):
            return replace(earlier, stops=not job.options.continue_on_failure)
        try:
            self._nodes.check(task.demands)
        except SurgeonError as exc:
            return Done.failed(job.options, task.key, exc)
        return None

    def _with_trouble(self, problem: Done) -> Done:
        """Return why a job cannot be planned, with why this machine builds no engines."""
        if not self._trouble or problem.diagnostics[0]["code"] != "F103":
            return problem
        first = dict(problem.diagnostics[0])
        first["notes"] = [self._trouble, *first["notes"]]
        return replace(problem, diagnostics=(first, *problem.diagnostics[1:]))

    def go(self, cluster: RayCluster) -> None:
        """Send what is left, and take in what comes back."""
        sent: dict[Any, _Sent] = {}
        by_key: dict[tuple[str, Any], Any] = {}
        for index, planned in enumerate(self._planned):
            refs: dict[str, Any] = {}
            gate: Any = None
            for number, job in enumerate(planned.jobs):
                if self._cells[index].jobs[number].status != "waiting" or job.task is None:
                    continue
                before = [refs[name] for name in job.reads if name in refs]
                if gate is not None and gate not in before:
                    before.append(gate)
                known = (job.task.key, gate)
                if known not in by_key:
                    by_key[known] = cluster.submit(job.task, before)
                    sent[by_key[known]] = _Sent(job.task, by_key[known])
                gate = refs[job.options.job] = by_key[known]
                sent[gate].waiting.append((index, number))
        self._take_in(cluster, sent)

    def _take_in(self, cluster: RayCluster, sent: dict[Any, _Sent]) -> None:
        total = sum(len(each.waiting) for each in sent.values())
        ended = 0
        looked = time.monotonic()
        while sent:
            tell_stage("jobs", "", ended, total)
            for ref in cluster.wait(list(sent), _EVERY):
                each = sent.pop(ref)
                ended += len(each.waiting)
                done = cluster.outcome(each.task, ref)
                self.made += done.made
                self.found += done.status == "done" and not done.made
                for index, number in each.waiting:
                    self._take(index, number, done)
            if time.monotonic() - looked > 5 * _EVERY:
                looked = time.monotonic()
                ended += self._give_up_impossible(cluster, sent)

    def _take(self, index: int, number: int, done: Done) -> None:
        """Take in the outcome of a job for one of its cells."""
        job = self._planned[index].jobs[number]
        stops = done.stops and (done.status == "skipped" or not job.options.continue_on_failure)
        self._end(index, replace(done, stops=stops), told=True)
        with contextlib.suppress(SurgeonError):
            self._results.write(self._cells[index])

    def _end(self, index: int, done: Done, *, told: bool) -> None:
        """Note that a job of a cell ended, and show its files."""
        name = self._cells[index].name
        if done.status == "done":
            try:
                self._results.show(name, done.job, done.key, self._store)
            except SurgeonError as exc:
                done = replace(
                    done, diagnostics=(*done.diagnostics, *as_json(exc.diagnostics)), status="failed"
                )
        if done.status != "done":
            self._results.hide(name, done.job)
        self._cells[index] = self._cells[index].with_job(done)
        if told and self._watch is not None:
            self._watch(self._cells[index], done)

    def _give_up_impossible(self, cluster: RayCluster, sent: dict[Any, _Sent]) -> int:
        """Give up what no node that is left can do, and return how many jobs of cells that ends."""
        nodes, ended = cluster.nodes(), 0
        for ref, each in list(sent.items()):
            try:
                nodes.check(each.task.demands)
            except SurgeonError as exc:
                cluster.cancel(ref)
                del sent[ref]
                ended += len(each.waiting)
                for index, number in each.waiting:
                    self._take(index, number, Done.failed(each.task.options, each.task.key, exc))
        return ended


def _is_lacking(earlier: Done | None) -> bool:
    """Return whether a job ended without what others read."""
    return earlier is not None and earlier.status != "done"


def _is_final(earlier: Done) -> bool:
    """Return whether a job failed in itself, rather than for want of a node, an input there or the store."""
    return earlier.status == "failed" and not any(each["code"] in _AROUND for each in earlier.diagnostics)


def _key(job: PlannedJob) -> str:
    return "" if job.task is None else job.task.key


def _reason(stopping: Done) -> str:
    ended = "failed" if stopping.status == "failed" else f"has the verdict '{stopping.verdict}'"
    return f"'{stopping.job}' {ended}"
