"""Single jobs as a node does them: what their keys depend on, and what goes wrong in them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fleet_files import write_fleet, write_models

import surgeon
from surgeon.cli import main
from surgeon.cluster import performing, ray_cluster
from surgeon.cluster.axes import AXES, TEXT_AXES
from surgeon.cluster.cells import cells_of
from surgeon.cluster.fleet import _Run, _send_inputs, fleet_status
from surgeon.cluster.fleet_file import Combination, Matrix, read_fleet_file
from surgeon.cluster.job import JobKind, JobOptions, JobResult, job_kinds
from surgeon.cluster.nodes import Node, Nodes, gpu_kind, this_machine
from surgeon.cluster.performing import perform
from surgeon.cluster.planning import PlannedCell, Planner
from surgeon.cluster.report import CellReport
from surgeon.cluster.result_folder import FleetFolder
from surgeon.cluster.store import Store
from surgeon.cluster.tasks import Demands, Done, Platform, Task
from surgeon.diagnostics import SurgeonError, error
from surgeon.ending import ended_by_signals
from surgeon.engine.registry import Device, Registry

GPU = {"CPU": 2, "memory": 1 << 36, "GPU": 1}
NODES = Nodes(
    (
        Node("head", {"CPU": 2, "memory": 1 << 36}),
        Node("one", {**GPU, "accelerator_type:T4": 1, "tensorrt-8.5.3.1": 1}),
        Node("two", {**GPU, "accelerator_type:A100": 1, "tensorrt-10.9.0.34": 1}),
    )
)


@pytest.fixture
def here(tmp_path: Path) -> Path:
    write_models(tmp_path, "a.pb")
    return tmp_path


def planned(folder: Path, jobs: str = "[convert]", more: str = "", nodes: Nodes = NODES) -> PlannedCell:
    """Return the one cell of a fleet."""
    text = f"fleet: 1\nmatrix: {{model: a.pb, recipe: small.yaml{more}}}\njobs: {jobs}\n"
    fleet = read_fleet_file(write_fleet(folder, text))
    (cell,) = Planner(fleet, str(folder / "store"), nodes).plan(cells_of(fleet))
    return cell


def task(folder: Path, jobs: str = "[convert]", more: str = "", nodes: Nodes = NODES) -> Task:
    """Return the task of the last job of the one cell."""
    found = planned(folder, jobs, more, nodes).jobs[-1].task
    assert found is not None
    return found


def code_of(done: Done) -> str:
    assert done.status == "failed" and done.stops
    return str(done.diagnostics[0]["code"])


def test_the_axes_are_those_of_the_fleet_file() -> None:
    assert tuple(Combination.model_fields) == AXES
    assert {*Matrix.model_fields} == {*AXES, "include", "exclude"}
    assert TEXT_AXES[-1] == "dataset"


def test_every_job_is_found_with_its_options() -> None:
    kinds = job_kinds()
    assert {"init", "convert", "verify", "verify-onnx", "build", "verify-engine", "bench", "package"} <= {
        *kinds
    }
    for name, kind in kinds.items():
        assert kind.name == name and set(kind.requires) <= set(kinds) and set(kind.facts) <= set(AXES)
        for field in kind.options.model_fields.values():
            assert field.description


@pytest.mark.parametrize(
    "change",
    [
        "model",
        "recipe",
        "step",
        "target",
        "option",
        "parameter",
        "plugin",
        "program",
        "tool",
    ],
)
def test_a_key_changes_with_all_that_decides(
    here: Path, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    before = task(here, "[{job: convert, batch: 1}]", ", target: onnx@tensorrt-10").key
    assert task(here, "[{job: convert, batch: 1}]", ", target: onnx@tensorrt-10").key == before
    more, jobs = ", target: onnx@tensorrt-10", "[{job: convert, batch: 1}]"
    recipe = (here / "small.yaml").read_text()
    if change == "model":
        (here / "a.pb").write_bytes((here / "a.pb").read_bytes() + b"\x22\x00")
    elif change == "recipe":
        (here / "small.yaml").write_text(recipe.replace("clipMin: 0.0", "clipMin: 0.5"))
    elif change == "step":
        (here / "small.yaml").write_text(f"{recipe}steps: [collapse, {{step: replace-op, from: A, to: B}}]\n")
        before = task(here, jobs, more).key
        (here / "small.yaml").write_text(f"{recipe}steps: [collapse, {{step: replace-op, from: A, to: C}}]\n")
    elif change == "target":
        more = ", target: onnx@tensorrt-8.6"
    elif change == "option":
        jobs = "[{job: convert, batch: dynamic}]"
    elif change == "parameter":
        more += ", parameters: {top: 5.0}"
    elif change == "plugin":
        (here / "plugins").mkdir()
        path = write_fleet(
            here,
            "fleet: 1\nmatrix: {model: a.pb, recipe: small.yaml, target: onnx@tensorrt-10}\n"
            f"jobs: {jobs}\nplugin_paths: plugins\n",
        )

        def key() -> str:
            fleet = read_fleet_file(path)
            (cell,) = Planner(fleet, str(here / "store"), NODES).plan(cells_of(fleet))
            assert cell.jobs[-1].task is not None
            return cell.jobs[-1].task.key

        before = key()
        (here / "plugins" / "reference.py").write_text("x = 1\n")
        assert key() != before
        return
    elif change == "program":
        monkeypatch.setattr("surgeon.cluster.planning.program_digest", lambda: "another")
    else:
        monkeypatch.setattr("surgeon.cluster.planning.tool_versions", lambda names: {"numpy": "0"})
    assert task(here, jobs, more).key != before


@pytest.mark.parametrize("change", ["comment", "name of the file", "when", "timeout", "memory"])
def test_a_key_stays_where_nothing_that_decides_changes(here: Path, change: str) -> None:
    before = task(here).key
    jobs = "[convert]"
    if change == "comment":
        (here / "small.yaml").write_text("# a comment\n" + (here / "small.yaml").read_text())
    elif change == "name of the file":
        (here / "a.pb").touch()
    else:
        value = {"when": "{model: a*}", "timeout": "7", "memory": "3GiB"}[change]
        jobs = f"[{{job: convert, {change}: {value}}}]"
    assert task(here, jobs).key == before


def test_an_engine_depends_on_gpu_and_tensorrt_and_a_conversion_does_not(here: Path) -> None:
    jobs = "[convert, build]"
    cells = [planned(here, jobs, f", gpu: {kind}") for kind in ("T4", "A100")]
    conversions, builds = ([cell.jobs[number].task for cell in cells] for number in (0, 1))
    assert conversions[0].key == conversions[1].key and builds[0].key != builds[1].key  # type: ignore[union-attr]
    assert builds[0].demands.platform == Platform("T4", "8.5.3.1")  # type: ignore[union-attr]
    fp16 = task(here, jobs, ", gpu: T4, precision: fp16")
    assert fp16.key != builds[0].key and fp16.given == {"convert": conversions[0].key}  # type: ignore[union-attr]


def test_nodes_are_chosen_by_kind_and_version() -> None:
    assert NODES.platform(None, "10") == Platform("A100", "10.9.0.34")
    assert NODES.platform("T4", None) == NODES.platform("T4", "8.5") == Platform("T4", "8.5.3.1")
    for gpu, version, code in (
        ("T4", "10", "F103"),
        ("H200", None, "F103"),
        (None, None, "F104"),
        (None, "1", "F103"),
    ):
        with pytest.raises(SurgeonError) as caught:
            NODES.platform(gpu, version)
        assert caught.value.diagnostics[0].code == code
    silent = Nodes((Node("plain", GPU),))
    with pytest.raises(SurgeonError, match=r"F103.*(?s:.*)ray start --resources"):
        silent.platform(None, None)
    NODES.check(Demands(1 << 30, Platform("T4", "8.5.3.1")))
    for demands in (Demands(1 << 40), Demands(1, Platform("T4", "10.9.0.34"))):
        with pytest.raises(SurgeonError, match="F103"):
            NODES.check(demands)


def test_this_machine_says_why_it_builds_no_engines() -> None:
    device = Device("NVIDIA H200", "9.0", 1)
    whole = Registry(version="8.5.3.1", devices=(device, device))
    node, trouble = this_machine(whole, 3)
    assert node.platforms() == (Platform("H200", "8.5.3.1"),) and not trouble
    assert (node.resources["CPU"], node.resources["GPU"]) == (3, 2)
    mixed = replace(whole, devices=(device, Device("Tesla T4", "7.5", 1)))
    for registry, words in (
        (None, "not installed"),
        (replace(whole, problem="no library"), "no library"),
        (replace(whole, devices=()), "no GPU"),
        (mixed, "H200, T4"),
    ):
        node, trouble = this_machine(registry, None)
        assert not node.platforms() and words in trouble
    assert gpu_kind("NVIDIA GeForce RTX 4090") == "RTX-4090"


def test_a_job_is_done_once_and_then_found(here: Path) -> None:
    wanted = task(here)
    first, second = perform(wanted), perform(wanted)
    assert (first.status, first.made, second.made) == ("done", True, False)
    assert first.result["output"] == "model.uff" and str(here) not in json.dumps(first.to_json())
    assert replace(second, made=True) == first
    assert Done.from_json(json.loads(json.dumps(first.to_json()))) == first


def test_what_an_earlier_job_did_decides_about_the_next(here: Path) -> None:
    wanted = task(here)
    options = JobOptions(job="verify", timeout=1)  # type: ignore[call-arg]
    record = {"result": {}, "verdict": "failed", "diagnostics": [], "seconds": 0.0, "node": "n"}
    failed = Done.of_record(options, "k", record, made=True)
    ended = perform(wanted, failed)
    assert (ended.status, ended.reason) == ("skipped", "'verify' has the verdict 'failed'")
    assert perform(wanted, ended).reason == ended.reason
    going_on = Done.of_record(
        options.model_copy(update={"continue_on_failure": True}), "k", record, made=True
    )
    assert perform(wanted, going_on).status == "done"
    inconclusive = Done.of_record(options, "k", {**record, "verdict": "inconclusive"}, made=True)
    assert perform(wanted, inconclusive).status == "done"


def test_what_an_earlier_job_did_not_make_is_not_read(here: Path) -> None:
    """In the run where it failed, and in the next."""
    (here / "a.pb").write_bytes(b"no graph")
    jobs = "[{job: convert, continue_on_failure: true}, package]"
    wanted = task(here, jobs)
    failed = Done.failed(planned(here, jobs).jobs[0].options, wanted.given["convert"], SurgeonError())
    ended = perform(wanted, failed)
    assert (ended.status, ended.reason, ended.stops) == ("skipped", "'convert' failed", False)
    cell = CellReport("a+small", {}, (failed, Done("package")))
    (here / "out" / "cells" / cell.name).mkdir(parents=True)
    (here / "out" / "fleet.json").write_text(json.dumps({"fleet": str(here / "FLEET.yaml")}))
    FleetFolder(here / "out", here / "FLEET.yaml", "").write(cell)
    (found,) = surgeon.fleet(here / "FLEET.yaml", here / "out", store=str(here / "store")).cells
    assert [job.status for job in found.jobs] == ["failed", "skipped"]
    assert found.jobs[1].reason == "'convert' failed"


@pytest.mark.parametrize(("code", "again"), [("F103", True), ("F109", True), ("G101", False)])
def test_what_failed_for_the_nodes_is_tried_again(here: Path, code: str, again: bool) -> None:
    plan = planned(here)
    (job,) = plan.jobs
    assert job.task is not None
    failed = Done.failed(job.options, job.task.key, error(code, "no"))
    results = FleetFolder(here / "out", here / "FLEET.yaml", str(here / "store"))
    results.open({plan.cell.name: {"values": {}, "jobs": ["convert"]}})
    results.write(CellReport(plan.cell.name, {}, (failed,)))
    run = _Run([plan], results, Store(str(here / "store")), NODES, False, None, "")
    assert run.settle() == again


def test_what_converts_by_itself_depends_on_the_tools_of_that(here: Path) -> None:
    more = ", target: onnx@tensorrt-10, gpu: A100"
    for job in ("build", "package"):
        assert "tf2onnx" in task(here, f"[{job}]", more).tools
        assert "tf2onnx" not in task(here, f"[convert, {job}]", more).tools


def test_an_input_that_changes_while_it_is_sent_is_not_stored(here: Path) -> None:
    store, wanted = Store(str(here / "store")), task(here)
    _send_inputs(store, [replace(wanted.model, digest="0" * 64)])
    assert store.read("0" * 64) is None
    _send_inputs(store, [wanted.model])
    assert store.read(wanted.model.key) is not None


def test_a_model_that_changes_after_the_start_is_told(here: Path) -> None:
    wanted = task(here)
    write_models(here, "other.pb", "a.pb")
    assert code_of(perform(wanted)) == "F108"
    (here / "a.pb").unlink()
    gone = perform(wanted)
    assert code_of(gone) == "F108" and "does not see" in gone.diagnostics[0]["message"]


def test_a_node_with_other_versions_does_nothing(here: Path) -> None:
    wanted = task(here)
    for other in (replace(wanted, program="9.9"), replace(wanted, tools={**wanted.tools, "numpy": "0.1"})):
        done = perform(other)
        assert code_of(done) == "F109" and not (here / "store" / "objects").exists()


def planted(monkeypatch: pytest.MonkeyPatch, run: Callable[[Any], JobResult]) -> None:
    """Let the job 'convert' do something else."""
    kinds = {"convert": JobKind("convert", "", job_kinds()["convert"].options, run)}
    monkeypatch.setattr(performing, "job_kinds", lambda: kinds)
    monkeypatch.setattr(performing, "tool_versions", lambda names: {})


def test_a_bug_and_a_lack_of_memory_end_one_job(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = replace(task(here), tools={})

    def bug(call: object) -> JobResult:
        raise RuntimeError("something odd")

    def memory(call: object) -> JobResult:
        raise MemoryError

    planted(monkeypatch, bug)
    found = perform(wanted)
    assert code_of(found) == "F110" and "something odd" in found.diagnostics[0]["message"]
    planted(monkeypatch, memory)
    assert code_of(perform(wanted)) == "E109"
    assert list((here / "store" / "work").iterdir()) == []


def test_a_full_disk_ends_a_job_and_leaves_nothing(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*args: object) -> None:
        raise OSError(28, os.strerror(28))

    wanted = task(here)
    monkeypatch.setattr("surgeon.cluster.store.os.replace", full)
    done = perform(wanted)
    assert code_of(done) in ("F106", "E105") and "No space left" in done.diagnostics[0]["message"]
    monkeypatch.undo()
    assert perform(wanted).made and list((here / "store" / "work").iterdir()) == []


HANGS = """
import sys, time
from pathlib import Path
import surgeon.cluster.performing as performing
from surgeon.cluster.job import JobKind, job_kinds
sys.path.insert(0, sys.argv[2])
from test_jobs import task
from dataclasses import replace
performing._GRACE = 0
wanted = task(Path(sys.argv[1]), "[{job: convert, timeout: 1}]")
kinds = {"convert": JobKind("convert", "", job_kinds()["convert"].options, lambda call: time.sleep(60))}
performing.job_kinds = lambda: kinds
performing.tool_versions = lambda names: {}
found = performing.perform(replace(wanted, tools={})).diagnostics[0]
print(found["code"], found["message"])
"""


def test_a_job_that_hangs_is_given_up_and_not_begun_again(here: Path) -> None:
    """The process ends, as Ray sees it die; the next attempt tells why instead of hanging again."""
    support = str(Path(__file__).parents[1] / "support")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([support, os.environ.get("PYTHONPATH", "")])}
    command = [sys.executable, "-c", HANGS, str(here), str(Path(__file__).parent)]
    begin = time.monotonic()
    first, second = (
        subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60) for _ in range(2)
    )
    assert time.monotonic() - begin < 50
    assert (first.returncode, first.stdout) == (1, "")
    assert second.returncode == 0, second.stderr
    assert second.stdout.startswith("F105") and "given up after 1 s" in second.stdout
    assert not list(Path("/tmp").glob(f"surgeon-fleet-{os.getpid()}-*.late"))


@pytest.mark.parametrize("fault", ["", "abort"])
def test_a_build_that_aborts_ends_one_job(here: Path, fake: pytest.MonkeyPatch, fault: str) -> None:
    fake.setenv("FAKE_MARKS", '{"MarkOutput_0": [["clip", [2, 4, 4]]]}')
    fake.setenv("FAKE_CREATORS", "CustomClipPlugin")
    fake.setenv("FAKE_FAULT", fault)
    cell = planned(here, "[convert, build, bench, package]", ", gpu: T4")
    convert, build, _, package = (job.task for job in cell.jobs)
    assert convert and build and package and perform(convert).status == "done"
    done = perform(build)
    if not fault:
        assert done.status == "done" and done.result["manifest"]["tensorrt"] == "8.5.3.1"
        assert perform(package).status == "done"
        wrong = replace(build, key="0" * 64, demands=Demands(1, Platform("T4", "8.6.1")))
        assert code_of(perform(wrong)) == "F109"
        return
    assert code_of(done) == "B141" and "ends the process" in done.diagnostics[0]["message"]


def test_a_folder_of_something_else_is_refused(here: Path) -> None:
    """One with other files, one of another fleet, one that no fleet wrote, a state that is damaged."""
    path = write_fleet(here, "fleet: 1\nmatrix: {model: a.pb, recipe: gone.yaml}\njobs: [convert]\n")

    def code(call: Callable[[], object]) -> str:
        with pytest.raises(SurgeonError) as caught:
            call()
        return caught.value.diagnostics[0].code

    assert code(lambda: surgeon.fleet(path, here)) == "E120"
    assert code(lambda: fleet_status(here)) == "F112"
    report = surgeon.fleet(path, here / "out")
    assert report.failed and not report.passed and fleet_status(here / "out").summary == report.summary
    other = path.rename(here / "OTHER.yaml")
    assert code(lambda: surgeon.fleet(other, here / "out")) == "F112"
    (here / "out" / "fleet.json").write_text("{")
    assert code(lambda: fleet_status(here / "out")) == "F112"


def test_the_command_tells_what_failed_and_how_to_go_on(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A cell that cannot be planned needs no cluster, so none is started."""
    path = write_fleet(here, "fleet: 1\nmatrix: {model: a.pb, recipe: gone.yaml}\njobs: [convert]\n")
    assert main(["fleet", str(path), "-o", str(here / "out")]) == 1
    said = capsys.readouterr()
    assert "R112: there is no recipe file" in said.err and "--retry" in said.err and "1 failed" in said.out
    assert main(["fleet", "--status", str(here / "out"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["cells"][0]["status"] == "failed"
    for wrong in (["fleet"], ["fleet", str(path)], ["fleet", str(path), "--status", "x"]):
        with pytest.raises(SystemExit):
            main(wrong)


def test_names_in_a_report_are_no_markup(here: Path) -> None:
    name = "<b>|x`.pb"
    write_models(here, name)
    path = write_fleet(here, "fleet: 1\nmatrix: {model: '<*.pb', recipe: gone.yaml}\njobs: [convert]\n")
    surgeon.fleet(path, here / "out")
    text, page = (here / "out" / "report.md").read_text(), (here / "out" / "report.html").read_text()
    assert "\\<b\\>\\|x\\`.pb" in text and "<b>|x" not in page and "&lt;b&gt;|x" in page


def test_without_ray_the_extra_is_named(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    path = write_fleet(here, "fleet: 1\nmatrix: {model: a.pb, recipe: small.yaml}\njobs: [convert]\n")
    with pytest.raises(SurgeonError, match=r"E108(?s:.*)\[fleet\]"):
        surgeon.fleet(path, here / "out")


def test_what_a_cell_no_longer_makes_is_not_shown(here: Path) -> None:
    """After an edit that breaks a recipe, and for a cell that is gone; another file of the same size is replaced."""
    text = "fleet: 1\nmatrix: {model: a.pb, recipe: small.yaml}\njobs: [convert]\n"
    path = write_fleet(here, text)
    (cell,) = cells_of(read_fleet_file(path))
    store = str(here / "out" / "store")
    (plan,) = Planner(read_fleet_file(path), store, NODES).plan([cell])
    assert plan.jobs[0].task is not None and perform(plan.jobs[0].task).made
    shown = here / "out" / "cells" / cell.name / "convert" / "model.uff"
    assert surgeon.fleet(path, here / "out").passed
    content = shown.read_bytes()
    shown.unlink()
    shown.write_bytes(b"x" * len(content))
    assert surgeon.fleet(path, here / "out").passed and shown.read_bytes() == content
    recipe = (here / "small.yaml").read_text()
    (here / "small.yaml").write_text("recipe: 1\n")
    assert surgeon.fleet(path, here / "out").failed and not shown.exists()
    (here / "small.yaml").write_text(recipe)
    assert surgeon.fleet(path, here / "out").passed and shown.exists()
    write_fleet(here, text.replace("small.yaml", "gone.yaml"))
    assert surgeon.fleet(path, here / "out").failed and not shown.parents[1].exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ray_starts_whole_before_a_signal_ends_the_fleet(number: int) -> None:
    """Ray's own handler of SIGTERM does not stay."""
    seen: list[str] = []

    class Ray:
        def init(self, **options: object) -> None:
            os.kill(os.getpid(), number)
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            seen.append("started")

    with pytest.raises(KeyboardInterrupt), ended_by_signals():
        before = signal.getsignal(signal.SIGTERM)
        try:
            ray_cluster._init(Ray())
        finally:
            assert seen == ["started"]
            assert number == signal.SIGTERM or signal.getsignal(signal.SIGTERM) == before
