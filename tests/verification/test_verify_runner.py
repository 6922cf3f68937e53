"""Engines and other deployed files held against the original, and originals kept in a file; no GPU is needed."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest

import surgeon
from surgeon.catalog import load_catalog
from surgeon.catalog.reference import Counterfactual
from surgeon.diagnostics import SurgeonError
from surgeon.graph import TensorSpec
from surgeon.language import Image, Recipe
from surgeon.language.recipe import ImageStep
from surgeon.rewrite import plan
from surgeon.runners.detections import WHOLE, Detections
from surgeon.runners.references import ReferenceRunner
from surgeon.runners.runner import ModelInfo, Runner
from surgeon.targets import load_target
from surgeon.verification import Limits, Outcome, Tolerances, given_pictures
from surgeon.verification.graph_pair import GraphPair
from surgeon.verification.records import RunInfo, RunRecord, RunRecorder, read_records
from surgeon.verification.verification import verify_rewritten, verify_runner
from surgeon.zoo import demo

LIMITS = Limits(Tolerances(1e-3, 1e-3, 1e-3))
INFO = RunInfo(graph="", recipe="r", target="t", made=False, prepared=("Input",))
Change = Callable[[dict[str, np.ndarray]], dict[str, np.ndarray]]


class StandIn(Runner):
    """A stand-in for an engine: the rewritten graph on the CPU, with what a test does to its outputs."""

    def __init__(
        self,
        runner: ReferenceRunner | None = None,
        image: Image | None = None,
        *,
        graph: str = "",
        change: Change = lambda outputs: outputs,
        name: str = "stand-in",
        inputs: tuple[str, ...] = ("Input",),
        detections: Mapping[str, str] = MappingProxyType({"detections": "NMS", "count": "NMS:1"}),
    ) -> None:
        self.runner, self.change, self.name, self.outputs = runner, change, name, ("NMS", "NMS:1")
        self.inputs = dict.fromkeys(inputs, TensorSpec())
        told = {"engine": "stand-in", "precision": "fp32"}
        self.info = ModelInfo(graph=graph, image=image, detections=detections, runtime=told)

    def run(self, feeds: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        assert self.runner is not None
        return self.change(self.runner.run(feeds))


@dataclass
class Case:
    """The demo model with its recipe, ready, and records of two pictures stored."""

    recipe: Recipe
    graphs: GraphPair
    digest: str
    stored: Path

    def stand_in(self, **change: Any) -> StandIn:
        return StandIn(self.graphs.runner, **{"image": self.graphs.image, "graph": self.digest, **change})


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory, demo_recipe: Path) -> Case:
    folder = tmp_path_factory.mktemp("stored")
    recipe = surgeon.load_recipe(demo_recipe)
    graph, catalog = surgeon.load_graph(demo.model_path()), load_catalog()
    made = plan(recipe, graph, target=load_target("uff@tensorrt-8.5"), catalog=catalog)
    pictures = list(given_pictures(demo.picture_paths()[0].parent))[:2]
    graphs = GraphPair(made, recipe, catalog)
    recorder = RunRecorder(graphs.info(made=False, graph=made.digest))
    records = recorder.taking(graphs.records(pictures, 0))
    assert verify_rewritten(graphs, records, recorder.info).passed
    recorder.write(folder / "original.npz")
    return Case(recipe, graphs, made.digest, folder / "original.npz")


def test_what_was_stored_is_read_again(case: Case) -> None:
    info, rows = read_records(case.stored)
    assert (info.graph, info.recipe, info.made, info.prepared) == (
        case.digest,
        case.recipe.name,
        False,
        ("Input",),
    )
    assert info.image == case.graphs.image and info.labels == case.recipe.labels and len(rows) == 2
    pictures = list(given_pictures(demo.picture_paths()[0].parent))[:2]
    for row, picture in zip(rows, pictures, strict=True):
        direct = case.graphs.record(picture, 0)
        assert row.pixels is not None and np.array_equal(row.pixels, picture.pixels)
        assert np.array_equal(row.inputs["Input"], direct.inputs["Input"])
        assert row.detections is not None and direct.detections is not None
        assert np.array_equal(row.detections.boxes, direct.detections.boxes) and len(row.detections)
        names = [each.name for each in direct.counterfactuals]
        assert (
            [each.name for each in row.counterfactuals] == names
            and row.cut is not None
            and direct.cut is not None
        )
        for change in ("", *names):
            stored, again = row.cut(change).scores, direct.cut(change).scores
            assert np.array_equal(
                stored, again[: 1000 + len(row.detections)] if change == "keep-all" else again
            )


def moved(by: float) -> Change:
    def change(outputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        rows = outputs["NMS"].copy()
        rows[..., 3:] += np.float32(by)
        return {**outputs, "NMS": rows}

    return change


def other_class(outputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    rows = outputs["NMS"].copy()
    rows[..., 0, 1] += 1
    return {**outputs, "NMS": rows}


def lost(outputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    rows = outputs["NMS"].copy()
    rows[..., 3, 1] = -1
    return {**outputs, "NMS": rows}


@pytest.mark.parametrize(
    ("change", "outcome"),
    [
        (moved(9e-4), Outcome.PASSED),
        (moved(1.2e-3), Outcome.FAILED),
        (other_class, Outcome.FAILED),
        (lost, Outcome.FAILED),
    ],
)
def test_a_difference_fails(case: Case, change: Change, outcome: Outcome) -> None:
    info, found = read_records(case.stored)
    assert verify_runner(case.stand_in(change=change), found, info, LIMITS).outcome is outcome


class Noisy(StandIn):
    """A stand-in that gives other boxes when its operations run in another order."""

    noise = 3e-4

    def run_otherwise(self, feeds: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        return moved(self.noise)(self.run(feeds))


@pytest.mark.parametrize(
    ("by", "limits", "outcome"),
    [
        (9e-5, Limits(), Outcome.PASSED),
        (5e-4, Limits(), Outcome.PASSED),
        (7e-4, Limits(), Outcome.FAILED),
        (5e-4, Limits(widened=False), Outcome.FAILED),
    ],
)
def test_a_runner_is_held_to_what_it_differs_from_itself(
    case: Case, by: float, limits: Limits, outcome: Outcome
) -> None:
    info, found = read_records(case.stored)
    noisy = Noisy(case.graphs.runner, case.graphs.image, graph=case.digest, change=moved(by))
    verified = verify_runner(noisy, found, info, limits)
    assert verified.outcome is outcome
    reasons = [c.reason for verdict in verified.verdicts for c in verdict.comparisons]
    assert any("stand-in differs from itself by 0.0003" in r for r in reasons) is (
        by > 1e-4 and limits.widened
    )


def test_no_noise_hides_a_lost_detection_and_no_tolerance_is_wider_than_1e_3(case: Case) -> None:
    info, found = read_records(case.stored)
    for change, noise in ((lost, 3e-4), (moved(1.5e-3), 1e-2)):
        noisy = Noisy(case.graphs.runner, case.graphs.image, graph=case.digest, change=change)
        noisy.noise = noise
        assert verify_runner(noisy, found, info, Limits()).outcome is Outcome.FAILED


class Undecided(StandIn):
    """A stand-in that loses a row, but not where its operations run in another order."""

    def run_otherwise(self, feeds: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        assert self.runner is not None
        return self.runner.run(feeds)


@pytest.mark.parametrize(
    ("limits", "outcome"),
    [
        (Limits(), Outcome.FAILED),
        (Limits(max_excused=0), Outcome.FAILED),
        (Limits(max_excused=1), Outcome.PASSED),
        (Limits(max_excused=1, widened=False), Outcome.FAILED),
    ],
)
def test_a_row_that_rounding_decides_is_named(case: Case, limits: Limits, outcome: Outcome) -> None:
    info, found = read_records(case.stored)
    runner = Undecided(case.graphs.runner, case.graphs.image, graph=case.digest, change=lost)
    verified = verify_runner(runner, found, info, limits)
    assert verified.outcome is outcome
    cut = verified.verdicts[0]
    if not limits.widened:
        assert not cut.excused and not verified.excuses
        return
    assert set(cut.excused) == {"rounding"} == set(verified.excuses)
    assert all(c.reason.startswith("1 by rounding: in another order of operations") for c in cut.comparisons)
    assert ("--max-excused 1 allows that" in cut.comparisons[0].reason) is (outcome is Outcome.FAILED)


def test_a_wrong_preparation_fails_end_to_end_only(case: Case) -> None:
    assert case.graphs.image is not None
    wrong = case.graphs.image.model_copy(update={"color": "BGR"})
    info, found = read_records(case.stored)
    cut, end = verify_runner(case.stand_in(image=wrong), found, info, LIMITS).verdicts
    assert (cut.outcome, end.outcome) == (Outcome.PASSED, Outcome.FAILED)
    smaller = case.graphs.image.model_copy(update={"size": (200, 300)})
    cut, end = verify_runner(case.stand_in(image=smaller), found, info, LIMITS).verdicts
    assert (cut.outcome, end.outcome) == (
        Outcome.PASSED,
        Outcome.FAILED,
    ) and "float32[1,200,300,3]" in end.comparisons[0].reason
    cut, end = verify_runner(case.stand_in(image=None), found, info, LIMITS).verdicts
    assert (cut.outcome, end.outcome) == (
        Outcome.PASSED,
        Outcome.NOT_COMPARED,
    ) and "does not say" in end.reason


def test_another_graph_or_other_inputs_are_refused(case: Case) -> None:
    info, found = read_records(case.stored)
    for change, code in (({"graph": "0" * 64}, "V124"), ({"inputs": ("other",)}, "V125")):
        with pytest.raises(SurgeonError) as caught:
            verify_runner(case.stand_in(**change), found, info, LIMITS)
        assert caught.value.diagnostics[0].code == code
    assert verify_runner(case.stand_in(graph=""), found, info, LIMITS).passed


def test_an_excuse_is_found_in_the_stored_reruns(zoo_ssd: Callable[..., Path], tmp_path: Path) -> None:
    """An exporter of 2017 clips before suppression: what the rewritten graph gives otherwise is excused, stored or not."""
    box = np.float32([[-0.2, 0.1, 0.5, 0.6], [0.2, 0.2, 0.6, 0.7]])
    two = Detections(np.clip(box, 0, 1), np.float32([0.9, 0.8]), np.array([1, 1]))
    one = Detections(two.boxes[:1], two.scores[:1], two.classes[:1])
    row = RunRecord(
        "p",
        None,
        WHOLE,
        {"Input": np.zeros((1, 2, 2, 3), np.float32)},
        one,
        {},
        (Counterfactual("clip-first", ""),),
        lambda change: one if change else two,
    )
    recorder = RunRecorder(INFO)
    recorder.add(row)
    recorder.write(tmp_path / "o.npz")
    info, rows = read_records(tmp_path / "o.npz")
    outputs = np.full((1, 1, 3, 7), -1, np.float32)
    outputs[0, 0, :2, 1] = 1
    outputs[0, 0, :2, 2] = two.scores
    outputs[0, 0, :2, 3:] = two.boxes[:, [1, 0, 3, 2]]

    class Fixed(StandIn):
        def run(self, feeds: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
            return {"NMS": outputs, "NMS:1": np.zeros((1, 1, 1, 1), np.float32)}

    deployed = Fixed()
    found = verify_runner(deployed, rows, info, Limits(LIMITS.tolerances, 1))
    assert found.verdicts[0].excused == {"clip-first": 1} and found.verdicts[0].outcome is Outcome.PASSED
    assert (
        verify_runner(deployed, rows, info, Limits(LIMITS.tolerances, 0)).verdicts[0].outcome
        is Outcome.FAILED
    )
    # The references agree with the original without a rule changed: then no rule explains what the engine gives otherwise.
    alike = replace(row, cut=lambda change: one)
    assert verify_runner(deployed, [alike], info, Limits(LIMITS.tolerances, 1)).verdicts[0].excused == {}


def test_tensors_are_compared_where_there_are_no_detections(tmp_path: Path) -> None:
    values = np.float32([[1, 2, 3]])
    row = RunRecord("p", None, WHOLE, {"x": values}, None, {"y": values * 2, "z": values})

    class Double(StandIn):
        def run(self, feeds: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
            return {"y": feeds["x"] * np.float32(self.name)}

    for factor, outcome in (("2", Outcome.PASSED), ("2.1", Outcome.FAILED)):
        deployed = Double(name=factor, inputs=("x",), detections={})
        cut = verify_runner(deployed, [row], INFO, LIMITS).verdicts[0]
        assert {c.subject: c.outcome for c in cut.comparisons} == {"y": outcome, "z": Outcome.FAILED}  # type: ignore[union-attr]


@pytest.mark.parametrize("damage", ["text", "empty", "cut", "other", "version", "pixels"])
def test_a_damaged_file_is_refused(case: Case, tmp_path: Path, damage: str) -> None:
    path = tmp_path / "o.npz"
    content = dict(np.load(case.stored))
    if damage in ("text", "empty"):
        path.write_bytes(b"no zip" if damage == "text" else b"")
    elif damage == "cut":
        path.write_bytes(case.stored.read_bytes()[:-2000])
    elif damage == "other":
        np.savez(path, a=np.zeros(3))
    elif damage == "version":
        content["meta"] = np.frombuffer(
            content["meta"].tobytes().replace(b'"version": 1', b'"version": 9'), np.uint8
        )
        np.savez(path, **content)
    else:
        content["0/pixels"] = np.zeros(5)
        np.savez(path, **content)
    with pytest.raises(SurgeonError) as caught:
        list(read_records(path)[1])
    assert caught.value.diagnostics[0].code == ("E121" if damage == "version" else "V123")
    with pytest.raises(SurgeonError):
        read_records(tmp_path / "missing.npz")


def test_stored_originals_need_no_tensorflow(case: Case) -> None:
    program = (
        "import sys; sys.modules['tensorflow'] = None\n"
        "from pathlib import Path\nfrom surgeon.verification import read_records, verify_runner\n"
        "facts, rows = read_records(Path(sys.argv[1])); print(len(rows), len(rows[0].detections) > 0)"
    )
    done = subprocess.run([sys.executable, "-c", program, str(case.stored)], capture_output=True, text=True)
    assert done.stdout == "2 True\n", done.stderr


@pytest.mark.parametrize("factor", ["2", "2.1"])
def test_without_preparation_both_verdicts_are_one(factor: str) -> None:
    class Double(StandIn):
        def run(self, feeds: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
            return {"y": feeds["x"] * np.float32(self.name)}

    values = np.float32([[1, 2, 3]])
    row = RunRecord("p", None, WHOLE, {"x": values}, None, {"y": values * 2})
    deployed = Double(name=factor, inputs=("x",), detections={})
    found = verify_runner(deployed, [row], INFO.model_copy(update={"prepared": ()}), LIMITS)
    assert found.passed is (factor == "2") and len({verdict.outcome for verdict in found.verdicts}) == 1
    assert "no picture is prepared" in found.verdicts[1].reason and found.given == {}


def test_an_image_that_nothing_can_be_held_against_is_taken_as_given() -> None:
    """Both graphs read what 'image' prepares, so that a wrong one gives the same; it is listed, and not passed."""
    image = Image(size=(4, 6), color="BGR", steps=(ImageStep(scale=0.5), ImageStep(subtract=(90, 10, 3))))
    values = np.float32([[1, 2, 3]])
    row = RunRecord("p", None, WHOLE, {"x": values}, None, {"y": values})

    class Same(StandIn):
        def run(self, feeds: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
            return {"y": feeds["x"] + np.float32(self.name)}

    info = INFO.model_copy(update={"prepared": (), "image": image, "given": {"anchor-input.scales": [320]}})
    found = verify_runner(Same(name="0", inputs=("x",), detections={}), [row], info, LIMITS)
    cut, end = found.verdicts
    assert (cut.outcome, end.outcome, found.passed) == ("passed", "not compared", True)
    assert "'image' is taken as given" in end.reason
    assert found.given_lines[1:] == (
        "  image: size [4, 6], resize stretch, interpolation tf1-bilinear, color BGR, "
        "steps [{scale: 0.5}, {subtract: [90, 10, 3]}]",
        "  anchor-input: scales [320]",
    )
    assert json.loads(json.dumps(found.to_json()))["given"] == found.to_json()["given"]
    assert found.to_json()["given"]["image.size"] == [4, 6]
    wrong = verify_runner(Same(name="1", inputs=("x",), detections={}), [row], info, LIMITS)
    assert wrong.outcome == "failed"
    # Where the original does something with a picture that is not compared, the verdict counts.
    behind = verify_runner(
        Same(name="0", inputs=("x",), detections={}),
        [row],
        info.model_copy(update={"computed": ("x",), "given": {}}),
        LIMITS,
    )
    assert behind.outcome == "not compared" and behind.given == {}
