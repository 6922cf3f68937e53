"""The jobs that evaluate: what a dataset decides, and that what the CPU detected is not computed again."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from fleet_files import write_fleet

from surgeon.cluster.cells import cells_of
from surgeon.cluster.fleet_file import read_fleet_file
from surgeon.cluster.job import job_kinds
from surgeon.cluster.nodes import Node, Nodes
from surgeon.cluster.performing import perform
from surgeon.cluster.planning import PlannedCell, Planner
from surgeon.zoo import demo
from surgeon.zoo.demo.dataset import write_dataset

pytest.importorskip("tensorflow", reason="TensorFlow runs the original")
pytest.importorskip("pycocotools", reason="pycocotools measures")

COUNT = 2
GPU = {"CPU": 2, "memory": 1 << 40, "GPU": 1, "accelerator_type:Fake-GPU": 1, "tensorrt-8.5.3.1": 1}


@pytest.fixture
def here(tmp_path: Path, demo_recipe: Path) -> Path:
    """Give a folder with the demo model, its recipe, and annotated pictures."""
    shutil.copy(demo.model_path(), tmp_path / "model.pb")
    shutil.copy(demo_recipe, tmp_path / "demo.yaml")
    write_dataset(tmp_path / "shapes", COUNT, 5)
    return tmp_path


def planned(
    folder: Path, more: str = ", dataset: shapes/annotations.json", pictures: int = COUNT
) -> PlannedCell:
    """Return the one cell of a fleet that evaluates an engine."""
    path = write_fleet(
        folder,
        f"""\
        fleet: 1
        matrix: {{model: model.pb, recipe: demo.yaml, target: uff@tensorrt-8.5{more}}}
        jobs:
          - convert
          - build
          - {{job: evaluate, pictures: {pictures}, resamples: 20}}
          - evaluate-engine
        """,
    )
    fleet = read_fleet_file(path)
    nodes = Nodes((Node("one", GPU),))
    (cell,) = Planner(fleet, str(folder / "store"), nodes).plan(cells_of(fleet))
    return cell


def test_a_dataset_decides_by_what_it_holds(here: Path) -> None:
    dataset = next((here / "shapes").glob("**/*.json"))
    more = f", dataset: {dataset.relative_to(here)}"

    def key() -> str:
        task = planned(here, more).jobs[2].task
        assert task is not None
        return task.key

    before = key()
    assert planned(here, more, pictures=1).jobs[2].task.key != before  # type: ignore[union-attr]
    dataset.write_text(dataset.read_text() + "\n")
    assert key() == before
    picture = sorted((here / "shapes").glob("**/*.png"))[0]
    picture.write_bytes(picture.read_bytes() + b"\0")
    from surgeon.cluster.jobs.evaluate import _dataset_digest

    _dataset_digest.cache_clear()
    assert key() != before
    problem = planned(here, "").jobs[2].problem
    assert problem is not None and problem.diagnostics[0]["code"] == "F107"
    missing = planned(here, ", dataset: gone.json").jobs
    assert missing[2].problem is not None and missing[2].problem.diagnostics[0]["code"] == "V140"
    assert missing[3].task is None


@pytest.mark.slow
def test_the_cpu_detects_once_for_all_engines(here: Path, fake: pytest.MonkeyPatch) -> None:
    dataset = next((here / "shapes").glob("**/*.json"))
    cell = planned(here, f", dataset: {dataset.relative_to(here)}")
    done = {}
    for job in cell.jobs:
        assert job.task is not None
        done[job.options.job] = perform(job.task)
        assert done[job.options.job].status == "done", done[job.options.job].diagnostics
    cpu, gpu = done["evaluate"], done["evaluate-engine"]
    assert cpu.verdict == "passed" and not cpu.stops
    assert [side["name"] for side in cpu.result["sides"]] == ["original", "rewritten"]
    assert [side["computed"] for side in gpu.result["sides"]] == [0, 0, COUNT]
    assert gpu.verdict == "failed" and gpu.stops  # the stand-in for TensorRT detects nothing that is there
    assert gpu.result["sides"][0]["numbers"] == cpu.result["sides"][0]["numbers"]
    columns = {
        **job_kinds()["evaluate"].columns(cpu.result),
        **job_kinds()["evaluate-engine"].columns(gpu.result),
    }
    assert columns["mAP of the original"] == columns["mAP"] > columns["mAP of the engine"]
