"""What excuses a difference of an engine: only one that the rewritten graph's references show as well, and are excused for."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from detection_rows import moved, rows

import surgeon
from surgeon.catalog import load_catalog
from surgeon.catalog.reference import Counterfactual
from surgeon.rewrite import plan
from surgeon.runners.detections import WHOLE, Detections
from surgeon.runners.runner import Runner
from surgeon.targets import load_target
from surgeon.verification import DetectionComparison, Limits, Outcome, Tolerances, given_pictures
from surgeon.verification.compare_detections import compare_detections
from surgeon.verification.graph_pair import GraphPair
from surgeon.verification.records import RunInfo, RunRecord, RunRecorder
from surgeon.verification.verification import verify_runner

LIMITS = Limits(Tolerances(1e-3, 1e-3, 1e-3), 100)
"""Those of an engine, and any number of excuses: what fails here fails for want of one."""


def grid(scores: list[float]) -> Detections:
    """Return boxes that are far apart, one a score."""
    corners = [[0.09 * i, 0.0, 0.09 * i + 0.05, 0.5] for i in range(len(scores))]
    return Detections(
        np.array(corners, np.float32), np.array(scores, np.float32), np.ones(len(scores), np.int64)
    )


def compare(original: Detections, engine: Detections, runs: Mapping[str, Detections]) -> DetectionComparison:
    """Compare an engine's detections; ``runs`` are the references', by the rule that is changed, '' for none."""
    return compare_detections(
        "NMS",
        "",
        original,
        engine,
        LIMITS,
        [Counterfactual(name, "") for name in runs if name],
        runs.__getitem__,
        by_reference=False,
    )


TEN = grid([0.9 - 0.05 * i for i in range(10)])
SHIFTED = moved(TEN, 3, 0.01)
FEWER = rows(TEN, *range(9))


def test_no_run_of_the_references_where_all_agree() -> None:
    assert compare(TEN, TEN, {}).outcome is Outcome.PASSED


def test_what_the_references_show_and_are_excused_for_is_excused() -> None:
    for engine in (SHIFTED, moved(SHIFTED, 3, 5e-4)):
        found = compare(TEN, engine, {"": SHIFTED, "clip-first": TEN})
        assert dict(found.excused) == {"clip-first": 1} and found.outcome is Outcome.PASSED
    assert dict(compare(TEN, FEWER, {"": FEWER, "clip-first": TEN}).excused) == {"clip-first": 1}
    assert dict(compare(FEWER, TEN, {"": TEN, "drop-empty": FEWER}).excused) == {"drop-empty": 1}


@pytest.mark.parametrize(
    ("original", "engine", "runs"),
    [
        (TEN, SHIFTED, {"": TEN, "clip-first": TEN}),  # the references agree with the original
        (TEN, SHIFTED, {"": SHIFTED, "clip-first": SHIFTED}),  # they show it, and no rule explains it
        (
            TEN,
            moved(TEN, 3, 0.02),
            {"": SHIFTED, "clip-first": TEN},
        ),  # they show another difference of this row
        (TEN, moved(TEN, 4, 0.01), {"": SHIFTED, "clip-first": TEN}),  # or one of another row
        (TEN, FEWER, {"": TEN, "clip-first": TEN}),
        (
            TEN,
            FEWER,
            {"": moved(TEN, 9, 0.01), "clip-first": TEN},
        ),  # they give the row otherwise, the engine not at all
        (FEWER, TEN, {"": FEWER, "clip-first": FEWER}),
        (FEWER, TEN, {"": moved(TEN, 9, 0.01), "clip-first": FEWER}),
    ],
)
def test_nothing_else_is(original: Detections, engine: Detections, runs: Mapping[str, Detections]) -> None:
    found = compare(original, engine, runs)
    assert found.excused == {} and found.outcome is Outcome.FAILED


def test_a_second_difference_beside_an_excused_one_fails() -> None:
    found = compare(TEN, moved(SHIFTED, 6, 0.01), {"": SHIFTED, "clip-first": TEN})
    assert (
        dict(found.excused) == {"clip-first": 1}
        and len(found.unexcused) == 1
        and found.outcome is Outcome.FAILED
    )


def test_near_equal_scores_change_places_at_the_cut() -> None:
    """An engine's last digits decide which of two is the last one kept, though the references keep the original's."""
    many = grid([0.9, 0.8, 0.7, 0.5001, 0.5, 0.3])
    original, engine = rows(many, 0, 1, 2, 3), rows(many, 0, 1, 2, 4)
    found = compare(original, engine, {"": original, "keep-all": many})
    assert dict(found.excused) == {"keep-all": 2} and found.outcome is Outcome.PASSED
    # Not a row that nobody else finds, nor one that is farther below, nor one that is not a candidate.
    for other, kept in ((moved(engine, 3, 0.02), many), (rows(many, 0, 1, 2, 5), many), (engine, original)):
        assert compare(original, other, {"": original, "keep-all": kept}).outcome is Outcome.FAILED
    five = rows(many, 0, 1, 2, 3, 4)
    assert compare(five, original, {"": five, "keep-all": many}).outcome is Outcome.FAILED


# --- a generated detector whose exporter clips boxes first, which no plugin does ----------------------------------------------


def same(found: np.ndarray) -> None:
    """Change nothing."""


def boxes(found: np.ndarray) -> None:
    found[:10, 3:] += np.float32(0.02)


def lost(found: np.ndarray) -> None:
    found[20:40, 1] = -1


def scores(found: np.ndarray) -> None:
    found[5:20, 2] *= np.float32(0.5)


def classes(found: np.ndarray) -> None:
    found[:3, 1] = found[:3, 1] % 3 + 1


@pytest.fixture(scope="module")
def verify(zoo_ssd: Callable[..., Path]) -> Callable[[Callable[[np.ndarray], None]], surgeon.Verification]:
    """Give a verification of the references in the place of an engine, with what a mistake does to float32[100, 7]."""
    pytest.importorskip("tensorflow", reason="ordinary operations run in TensorFlow")
    recipe, catalog = surgeon.load_recipe("ssd"), load_catalog()
    made = plan(
        recipe,
        surgeon.load_graph(zoo_ssd("2019")),
        target=load_target("uff@tensorrt-8.5"),
        catalog=catalog,
        decode="plugin",
    )
    graphs = GraphPair(made, recipe, catalog)
    info = graphs.info(made=True, graph=made.digest)
    records = list(graphs.records(given_pictures(None), 0))

    class StandIn(Runner):
        name, inputs, outputs = "stand-in", graphs.runner.inputs, graphs.runner.outputs
        info = replace(graphs.runner.info, graph=made.digest)

        def __init__(self, mistake: Callable[[np.ndarray], None]) -> None:
            self.mistake = mistake

        def run(self, feeds: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
            outputs = graphs.runner.run(feeds)
            outputs["NMS"] = outputs["NMS"].copy()
            self.mistake(outputs["NMS"][0, 0])
            return outputs

    return lambda mistake: verify_runner(StandIn(mistake), records, info, LIMITS)


def test_what_no_recipe_can_change_is_excused(verify: Callable[..., surgeon.Verification]) -> None:
    found = verify(same)
    assert found.passed and all(dict(v.excused).keys() == {"drop-empty"} for v in found.verdicts)


@pytest.mark.parametrize(("mistake", "least"), [(boxes, 8), (lost, 18), (scores, 14), (classes, 5)])
def test_mistakes_of_an_engine_are_not(
    verify: Callable[..., surgeon.Verification], mistake: Callable[..., None], least: int
) -> None:
    found = verify(mistake)
    for verdict in found.verdicts:
        (compared,) = verdict.comparisons
        assert isinstance(compared, DetectionComparison) and verdict.outcome is Outcome.FAILED
        assert len(compared.unexcused) >= least and set(compared.excused) == {"drop-empty"}


# --- without TensorFlow -------------------------------------------------------------------------------------------------------

PROGRAM = """\
import sys
sys.modules["tensorflow"] = None
from pathlib import Path
from types import SimpleNamespace
import numpy as np
import surgeon.engine
from surgeon.cli import main

class StandIn:
    path = Path("ssd.engine")
    manifest = SimpleNamespace(graph="", image=None, labels={}, max_batch=1,
                               inputs=[SimpleNamespace(name="x", dtype="float32", shape=(None, 1))],
                               outputs=[SimpleNamespace(name="NMS")], detections={"detections": "NMS"}, tf32=True, precision="fp32", tensorrt="8.5.3.1", gpu="none")
    def __init__(self, path, plugin_libraries=()):
        self.plugin_libraries = plugin_libraries
    def close(self):
        pass
    def run(self, feeds):
        rows = np.zeros((1, 1, 2, 7), np.float32)
        rows[0, 0, :, 1:] = [[1, 0.9, 0.1, 0.2, 0.3, 0.4], [1, 0.8, float(feeds["x"][0, 0]), 0.5, 0.9, 0.9]]
        return {"NMS": rows}

surgeon.engine.load_engine = StandIn
code = main(["verify", "--engine", "ssd.engine", "--original", sys.argv[1]])
assert not [name for name in sys.modules if name.partition(".")[0] in ("tensorflow", "PIL", "tensorrt") and sys.modules[name]]
sys.exit(code)
"""


@pytest.mark.parametrize(("left", "outcome"), [(0.5, "passed"), (0.51, "failed")])
def test_an_engine_is_verified_without_tensorflow(tmp_path: Path, left: float, outcome: str) -> None:
    found = Detections(
        np.float32([[0.2, 0.1, 0.4, 0.3], [0.5, 0.5, 0.9, 0.9]]), np.float32([0.9, 0.8]), np.array([1, 1])
    )
    recorder = RunRecorder(RunInfo(graph="", recipe="r", target="t", made=False))
    recorder.add(
        RunRecord(
            "a.png",
            None,
            WHOLE,
            {"x": np.float32([[left]])},
            found,
            {},
            (Counterfactual("clip-first", ""),),
            lambda change: found,
        )
    )
    recorder.write(tmp_path / "original.npz")
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(tmp_path / "original.npz")], capture_output=True, text=True
    )
    hint = "next: surgeon run ssd.engine PICTURE\n"
    assert (done.returncode, done.stderr) == ((0, hint) if outcome == "passed" else (3, ""))
    assert f"cut to cut: {outcome}" in done.stdout and f"end to end: {outcome}" in done.stdout
    assert "fp32 with TF32" in done.stdout
