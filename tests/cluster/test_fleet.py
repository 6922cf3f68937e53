"""Fleets on a cluster of three simulated nodes: what is made, found, lost and made again."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from fleet_files import write_fleet, write_models

import surgeon
from surgeon.cluster.fleet import fleet_status
from surgeon.cluster.report import FleetReport
from surgeon.cluster.store import MARK

# Ray reads this when it is imported: the simulated nodes then listen on the loopback alone.
os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"
pytest.importorskip("ray", reason="Ray is not installed (extra 'fleet')")
pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("fleets")]

FAKES = Path(__file__).parents[1] / "fakes"
ENVIRONMENT = {
    "RAY_AUTH_MODE": "disabled",
    "RAY_USAGE_STATS_ENABLED": "0",
    "PYTHONPATH": str(FAKES),
    "FAKE_TENSORRT": "8.5.3.1",
    "FAKE_MARKS": '{"MarkOutput_0": [["clip", [2, 4, 4]]]}',
    "FAKE_CREATORS": "CustomClipPlugin",
    "SURGEON_DEVICES": '[["Fake GPU", "7.5", 1073741824]]',
    "CUDA_VISIBLE_DEVICES": "0",
}
TENSORRT = {"tensorrt-8.5.3.1": 1}
NODE = {"num_cpus": 1, "object_store_memory": 80 << 20}

MATRIX = """\
    fleet: 1
    matrix:
      model: "*.pb"
      recipe: small.yaml
      target: [uff@tensorrt-8.5, uff@tensorrt-7.0]
    jobs: [convert]
    """


@dataclass
class Nodes:
    """A simulated cluster: its address, and a node that a test may kill."""

    cluster: Any
    kept: tuple[Any, ...]

    @property
    def address(self) -> str:
        return str(self.cluster.address)

    def add(self, **resources: Any) -> Any:
        return self.cluster.add_node(**NODE, **resources)


@pytest.fixture(scope="module")
def nodes() -> Iterator[Nodes]:
    """Give a cluster of three nodes, two with a GPU of a kind of its own and TensorRT's stand-in."""
    patch = pytest.MonkeyPatch()
    for name, value in ENVIRONMENT.items():
        patch.setenv(name, value)
    patch.syspath_prepend(str(FAKES))
    from ray.cluster_utils import Cluster

    # The path of a socket may have about a hundred bytes.
    folder = Path(tempfile.mkdtemp(prefix="ray-", dir="/tmp"))
    (folder / "ray").mkdir()
    patch.setenv("RAY_TMPDIR", str(folder))
    cluster = Cluster(initialize_head=True, head_node_args={**NODE, "include_dashboard": False})
    for kind in ("T4", "A100"):
        resources = {f"accelerator_type:{kind}": 1, **TENSORRT}
        cluster.add_node(**NODE, num_gpus=1, resources=resources)
    yield Nodes(cluster, ())
    cluster.shutdown()
    shutil.rmtree(folder, ignore_errors=True)
    patch.undo()


def marks(store: Path) -> dict[str, dict[str, Any]]:
    """Return the marks of a store's objects, by key."""
    return {path.parent.name: json.loads(path.read_text()) for path in store.glob(f"objects/*/*/{MARK}")}


def files(folder: Path) -> dict[str, bytes]:
    """Return what a fleet's cells hold, by path, but for their states."""
    found = sorted(path for path in (folder / "cells").rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in found if path.name != "cell.json"}


def test_a_node_dies_and_nothing_stored_is_made_twice(nodes: Nodes, tmp_path: Path) -> None:
    """Sixteen cells over four nodes, one of which is killed after the third; the bytes are those without loss."""
    write_models(tmp_path, *(f"m{i}.pb" for i in range(8)))
    path = write_fleet(tmp_path, MATRIX)
    doomed = nodes.add()
    before: dict[str, Any] = {}

    def kill(cell: object, done: object) -> None:
        if not before:
            before.update({"seen": 0})
        before["seen"] += 1
        if before["seen"] == 3:
            before["marks"] = marks(tmp_path / "out" / "store")
            nodes.cluster.remove_node(doomed, allow_graceful=False)

    report = surgeon.fleet(path, tmp_path / "out", address=nodes.address, watch=kill)
    assert report.passed and len(report.cells) == 16 and before["seen"] == 16
    after = marks(tmp_path / "out" / "store")
    assert {key: after[key] for key in before["marks"]} == before["marks"]
    whole = surgeon.fleet(path, tmp_path / "whole", address=nodes.address)
    assert whole.made == 16 and files(tmp_path / "whole") == files(tmp_path / "out")
    assert len(files(tmp_path / "out")) == 16


def test_a_second_run_does_nothing_and_an_edit_redoes_what_depends_on_it(
    nodes: Nodes, tmp_path: Path
) -> None:
    write_models(tmp_path, "a.pb", "b.pb")
    (tmp_path / "base.yaml").write_text((tmp_path / "small.yaml").read_text())
    (tmp_path / "other.yaml").write_text("recipe: 1\nname: other\nextends: [./base.yaml]\n")
    path = write_fleet(tmp_path, MATRIX.replace("recipe: small.yaml", "recipe: [small.yaml, other.yaml]"))

    def run() -> FleetReport:
        return surgeon.fleet(path, tmp_path / "out", address=nodes.address)

    first = run()
    assert first.passed and (first.made, first.found) == (8, 0)
    stored = marks(tmp_path / "out" / "store")
    again = run()
    assert (again.made, again.found) == (0, 8) and marks(tmp_path / "out" / "store") == stored
    comment = (tmp_path / "base.yaml").read_text() + "# a comment\n"
    (tmp_path / "base.yaml").write_text(comment)
    assert run().made == 0
    (tmp_path / "base.yaml").write_text(comment.replace("clipMin: 0.0", "clipMin: 1.0"))
    edited = run()
    assert (edited.made, edited.found) == (4, 4)
    changed = {cell.name for cell in edited.cells if any(job.made for job in cell.jobs)}
    assert changed == {cell.name for cell in edited.cells if cell.values["recipe"] == "other.yaml"}


def test_faults_of_one_cell_leave_the_others(nodes: Nodes, tmp_path: Path) -> None:
    """A bad model, a recipe that does not fit, a kind of GPU and a TensorRT that no node has: each is told at once."""
    write_models(tmp_path, "good.pb")
    (tmp_path / "bad.pb").write_bytes(b"no graph")
    path = write_fleet(
        tmp_path,
        """\
        fleet: 1
        matrix:
          include:
            - {model: "*.pb", recipe: small.yaml, gpu: T4}
            - {model: good.pb, recipe: small.yaml, gpu: A100}
            - {model: good.pb, recipe: small.yaml, gpu: H200}
            - {model: good.pb, recipe: small.yaml, gpu: T4, tensorrt: "10"}
            - {model: good.pb, recipe: small.yaml}
            - {model: good.pb, recipe: gone.yaml, gpu: T4}
        jobs: [convert, build]
        """,
    )
    begin = time.monotonic()
    report = surgeon.fleet(path, tmp_path / "out", address=nodes.address)
    assert time.monotonic() - begin < 120

    def ended(cell: str) -> list[tuple[str, str]]:
        (found,) = (each for each in report.cells if each.name == cell)
        codes = [str(each["code"]) for _, each in found.diagnostics() if each["severity"] == "error"]
        return [(job.status, code) for job, code in zip(found.jobs, [*codes, "", ""], strict=False)]

    assert ended("good+small+T4") == [("done", ""), ("done", "")]
    assert ended("good+small+A100") == [("done", ""), ("done", "")]
    assert ended("bad+small+T4") == [("failed", "G101"), ("skipped", "")]
    assert [job.status for job in cell_of(report, "good+small+H200").jobs] == ["done", "failed"]
    for name, code, words in (
        ("good+small+H200", "F103", "nodes have: A100 with TensorRT 8.5.3.1, T4 with TensorRT 8.5.3.1"),
        ("good+small+T4+10", "F103", "TensorRT 10"),
        ("good+small", "F104", "say which by 'gpu'"),
        ("good+gone+T4", "R112", "gone.yaml"),
    ):
        ((_, found),) = cell_of(report, name).diagnostics()
        assert found["code"] == code and words in json.dumps(found)
    engines = [tmp_path / "out" / "cells" / f"good+small+{kind}" / "build" for kind in ("T4", "A100")]
    assert all((folder / "model.engine.json").exists() for folder in engines)
    assert len({(folder / "model.engine").stat().st_ino for folder in engines}) == 2
    text = (tmp_path / "out" / "report.md").read_text()
    page = (tmp_path / "out" / "report.html").read_text()
    for code in ("G101", "F103", "F104", "R112"):
        assert code in text and code in page
    assert json.loads((tmp_path / "out" / "report.json").read_text())["passed"] is False


def cell_of(report: FleetReport, name: str) -> Any:
    (found,) = (cell for cell in report.cells if cell.name == name)
    return found


@pytest.mark.exhaustive
def test_what_failed_is_tried_again_only_when_asked(nodes: Nodes, tmp_path: Path) -> None:
    write_models(tmp_path, "good.pb")
    (tmp_path / "bad.pb").write_bytes(b"no graph")
    path = write_fleet(tmp_path, MATRIX)

    def run(**options: Any) -> FleetReport:
        return surgeon.fleet(path, tmp_path / "out", address=nodes.address, **options)

    assert [cell.status for cell in run().cells] == ["failed", "failed", "done", "done"]
    seconds = [cell.jobs[0].seconds for cell in fleet_status(tmp_path / "out").cells]
    again = run()
    assert [cell.jobs[0].seconds for cell in again.cells] == seconds and again.made == 0
    write_models(tmp_path, "good.pb", "bad.pb")
    mended = run(retry=True)
    assert mended.passed and (mended.made, mended.found) == (2, 2)


@pytest.mark.exhaustive
def test_two_runs_at_once_share_a_store(nodes: Nodes, tmp_path: Path) -> None:
    """Two processes make the same cells at the same time, and each has all of them."""
    write_models(tmp_path, *(f"m{i}.pb" for i in range(6)))
    path = write_fleet(tmp_path, MATRIX.replace("jobs:", "store: shared\n    jobs:"))
    command = [sys.executable, "-m", "surgeon", "fleet", str(path), "--address", nodes.address, "--json"]
    runs = [
        subprocess.Popen([*command, "-o", str(tmp_path / name)], stdout=subprocess.PIPE, text=True)
        for name in ("one", "two")
    ]
    reports = [json.loads(run.communicate(timeout=240)[0]) for run in runs]
    assert [run.returncode for run in runs] == [0, 0]
    assert all(report["passed"] and len(report["cells"]) == 12 for report in reports)
    assert files(tmp_path / "one") == files(tmp_path / "two")
    assert sum("job" in mark["record"] for mark in marks(tmp_path / "shared").values()) == 12


def test_files_travel_through_the_store_where_a_node_does_not_see_them(nodes: Nodes, tmp_path: Path) -> None:
    """A store that is no folder: models go there with their digests, and a node takes its copy from it."""
    pytest.importorskip("fsspec")
    write_models(tmp_path, "a.pb")
    path = write_fleet(tmp_path, MATRIX)
    store = f"file://{tmp_path}/store"
    assert surgeon.fleet(path, tmp_path / "out", address=nodes.address, store=store).passed
    inputs = [mark for mark in marks(tmp_path / "store").values() if "input" in mark["record"]]
    assert [mark["record"]["input"] for mark in inputs] == ["a.pb"]


def test_a_cluster_that_is_not_there(tmp_path: Path) -> None:
    write_models(tmp_path, "a.pb")
    path = write_fleet(tmp_path, MATRIX)
    with pytest.raises(surgeon.SurgeonError, match="F111"):
        surgeon.fleet(path, tmp_path / "out", address="127.0.0.1:1")


def processes_of(session: int) -> list[str]:
    """Return the command lines of the processes of a session that are left."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and os.getsid(int(entry.name)) == session:
                found.append((entry / "cmdline").read_text())
        except (OSError, ProcessLookupError):
            continue
    return found


def listening() -> set[tuple[str, int]]:
    """Return the addresses and inodes on which something listens on this machine, over IPv4 and IPv6."""
    found = set()
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A":
                found.add((fields[1].partition(":")[0], int(fields[9])))
    return found


LOOPBACK = ("0100007F", "0" * 24 + "01000000", "0000000000000000FFFF00000100007F")


def wait_for(condition: Callable[[], bool], seconds: float) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come about in time"
        time.sleep(0.1)


TWICE = """
import sys, surgeon
file, first, second = sys.argv[1:]
report = surgeon.fleet(file, first, cpus=1)
again = surgeon.fleet(file, second, cpus=1)
print(report.made, report.found, again.made * (report.passed and again.passed))
"""


def test_ctrl_c_loses_nothing_and_leaves_nothing(tmp_path: Path) -> None:
    """A cluster of one, interrupted in the middle, seen from outside while it runs, and resumed."""
    write_models(tmp_path, *(f"m{i}.pb" for i in range(20)))
    path = write_fleet(tmp_path, MATRIX)
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("RAY_", "SURGEON_DEV"))
    }
    others = listening()
    folders = {each.name for each in Path("/tmp").iterdir()}
    command = [
        sys.executable,
        "-m",
        "surgeon",
        "fleet",
        str(path),
        "-o",
        str(tmp_path / "out"),
        "--cpus",
        "1",
    ]
    run = subprocess.Popen(
        command, env=environment, start_new_session=True, stderr=subprocess.PIPE, text=True
    )
    wait_for(lambda: len(marks(tmp_path / "out" / "store")) >= 3, 180)
    status = fleet_status(tmp_path / "out")
    assert status.running and len(status.cells) == 40
    open_ports = listening() - others
    assert open_ports and {address for address, _ in open_ports} <= set(LOOPBACK)
    run.send_signal(signal.SIGINT)
    assert run.wait(60) == 130 and "interrupted" in (run.stderr.read() if run.stderr else "")
    wait_for(lambda: not processes_of(run.pid), 20)
    assert {each.name for each in Path("/tmp").iterdir() if each.name.startswith("ray")} <= folders
    status = fleet_status(tmp_path / "out")
    stored = marks(tmp_path / "out" / "store")
    done = sum(cell.status == "done" for cell in status.cells)
    assert not status.running and 3 <= done <= len(stored) < 40
    resumed = subprocess.run(
        [sys.executable, "-c", TWICE, str(path), str(tmp_path / "out"), str(tmp_path / "again")],
        env=environment,
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert resumed.stdout.split() == [str(40 - len(stored)), str(len(stored)), "40"], resumed.stderr
    after = marks(tmp_path / "out" / "store")
    assert {key: after[key] for key in stored} == stored
    assert not list((tmp_path / "out" / "store" / "work").iterdir())
