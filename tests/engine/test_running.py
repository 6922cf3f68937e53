"""Engines at work: CUDA graphs and what cannot be one, batches on their way, and where the time goes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from engine_files import onnx, uff

from surgeon.cli import main
from surgeon.diagnostics import SurgeonError
from surgeon.engine import BuildOptions, build, load_engine


def batch(value: float, size: int = 2) -> dict[str, np.ndarray]:
    values = np.arange(size, dtype=np.float32)[:, None, None, None] + np.float32(value)
    return {"Input": np.broadcast_to(values, (size, 2, 4, 3)).astype(np.float32)}


def first(outputs: dict[str, np.ndarray]) -> list[float]:
    return [float(value) for value in outputs["NMS"][:, 0, 0, 0]]


@pytest.fixture
def engine(fake: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    build(uff(tmp_path), tmp_path / "e.engine", BuildOptions(max_batch=2))
    return tmp_path / "e.engine"


@pytest.mark.parametrize("fault", ["", "capture", "stale", "pinned"])
@pytest.mark.parametrize("graphs", [True, False])
def test_results_are_the_same_with_and_without_graphs(
    engine: Path, fake: pytest.MonkeyPatch, fault: str, graphs: bool
) -> None:
    fake.setenv("FAKE_FAULT", fault)
    with load_engine(engine, cuda_graphs=graphs) as running:
        for value in (1.0, 5.0, 9.0, 2.0, 7.0):
            assert first(running.run(batch(value))) == [value, value + 1]
            assert first(running.run(batch(value, 1))) == [value]


@pytest.mark.parametrize(
    ("fault", "problem"),
    [
        ("", ""),
        ("capture", "cudaStreamEndCapture failed: operation failed due to a previous error during capture"),
        ("stale", "a replayed graph gives other results"),
    ],
)
def test_bench_says_whether_there_is_a_graph(
    engine: Path, fake: pytest.MonkeyPatch, fault: str, problem: str
) -> None:
    fake.setenv("FAKE_FAULT", fault)
    with load_engine(engine) as running:
        found = running.bench(batch=2, warm_up=0.0, rounds=5)
        assert found.graph_problem.startswith(problem) and bool(found.graph_problem) == bool(problem)
        assert (found.graph is None) == bool(problem)
        assert first(running.run(batch(3))) == [3, 4]
    with load_engine(engine, cuda_graphs=False) as running:
        assert running.bench(warm_up=0.0, rounds=2).graph_problem == "they are switched off"


def test_an_engine_that_cannot_be_profiled_is_measured_all_the_same(
    engine: Path, fake: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    fake.setenv("FAKE_FAULT", "profile")
    with load_engine(engine) as running:
        found = running.bench(warm_up=0.0, rounds=2)
        assert (found.layers, found.profile_problem) == ({}, "the execution failed")
        assert found.gpu["p50"] > 0 and set(found.parts) == {"copy_in", "copy_out", "enqueue"}
        assert first(running.run(batch(3))) == [3, 4]
    assert main(["bench", str(engine), "--rounds", "2", "--warm-up", "0"]) == 0
    assert "no profile of the layers: the execution failed" in capsys.readouterr().out


@pytest.mark.parametrize("version", ["7.1.3", "8.5.3.1"])
def test_bench_says_where_the_time_goes(fake: pytest.MonkeyPatch, tmp_path: Path, version: str) -> None:
    fake.setenv("FAKE_TENSORRT", version)
    layers = (
        '[["conv", "CONVOLUTION", ["Input"], ["c"]], ["relu", "ACTIVATION", ["c"], ["r"]], '
        '["NMS", "PLUGIN_V2", ["r"], ["NMS", "NMS_1"]]]'
    )
    fake.setenv("FAKE_LAYERS", layers)
    build(uff(tmp_path), tmp_path / "e.engine", BuildOptions())
    with load_engine(tmp_path / "e.engine") as running:
        found = running.bench(warm_up=0.0, rounds=5)
    assert found.layers == {"conv": 0.25, "relu": 0.5, "NMS": 0.75}
    assert found.parts["network"] == 0.75 and found.parts["suppression"] == 0.75
    assert set(found.parts) == {
        "copy_in",
        "copy_out",
        "enqueue",
        "network",
        "suppression",
        "without_suppression",
    }
    assert found.to_json()["parts_ms"]["network"] == 0.75


@pytest.mark.parametrize("version", ["8.2.1", "8.5.3.1", "10.3.0"])
def test_open_batches_are_run_as_graphs_of_each_size(
    fake: pytest.MonkeyPatch, tmp_path: Path, version: str
) -> None:
    fake.setenv("FAKE_TENSORRT", version)
    build(onnx(tmp_path), tmp_path / "e.engine", BuildOptions(max_batch=4))
    sizes = [4, 4, 1, 4, 4, 1, 3, 1, 1, 4]
    with load_engine(tmp_path / "e.engine") as running:
        feeds = [{"x": np.full((size, 2, 2), number, np.float32)} for number, size in enumerate(sizes)]
        for number, outputs in enumerate(running.run_each(feeds)):
            assert outputs["y"].shape == (sizes[number], 5) and (outputs["y"] == number).all()
        assert running.bench(warm_up=0.0, rounds=3).graph is not None


def test_batches_overlap_and_stay_in_order(engine: Path) -> None:
    taken: list[int] = []

    def feeds() -> Iterator[dict[str, np.ndarray]]:
        for number in range(9):
            taken.append(number)
            yield batch(number, 2 if number < 8 else 1)

    with load_engine(engine) as running:
        ahead = []
        for number, outputs in enumerate(running.run_each(feeds())):
            assert first(outputs)[0] == number
            ahead.append(len(taken) - number)
        assert len(ahead) == 9 and ahead[:8] == [2] * 8
        assert list(running.run_each([])) == []


def test_what_was_done_before_a_mistake_is_given(engine: Path) -> None:
    with load_engine(engine) as running:
        for wrong in (
            {"other": batch(1)["Input"]},
            batch(1, 2) | {"Input": np.zeros((3, 2, 4, 3), np.float32)},
        ):
            found = []
            with pytest.raises(SurgeonError) as caught:
                found.extend(map(first, running.run_each([batch(1), batch(2), wrong])))
            assert caught.value.diagnostics[0].code == "B108"
        given = running.run_each([batch(1), batch(2), wrong])
        assert [first(next(given)), first(next(given))] == [[1, 2], [2, 3]]
        with pytest.raises(SurgeonError):
            next(given)


def test_a_caller_who_stops_leaves_an_engine_that_runs(engine: Path) -> None:
    with load_engine(engine) as running:
        given = running.run_each(batch(number) for number in range(5))
        assert first(next(given)) == [0, 1]
        given.close()  # type: ignore[attr-defined]
        assert first(running.run(batch(7))) == [7, 8]


def test_a_failure_among_batches_is_told(engine: Path, fake: pytest.MonkeyPatch) -> None:
    fake.setenv("FAKE_FAULT", "execute")
    with load_engine(engine) as running, pytest.raises(SurgeonError) as caught:
        list(running.run_each([batch(1), batch(2)]))
    assert caught.value.diagnostics[0].code == "B142"
