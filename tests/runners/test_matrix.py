"""One detector in every runner: the demo model detects what TensorFlow detects, and is verified."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import surgeon
from surgeon import Ref, SurgeonError
from surgeon.cli import main
from surgeon.engine import TensorInfo
from surgeon.runners.detection_runner import DetectionRunner
from surgeon.runners.detections import Detections, detections_of_original, pair
from surgeon.runners.drawing import ranked
from surgeon.runners.engine import EngineRunner
from surgeon.runners.image import Picture, given_pictures
from surgeon.runners.image_result import ImageResult
from surgeon.runners.onnxruntime import OnnxRuntimeRunner
from surgeon.runners.references import ReferenceRunner
from surgeon.runners.runner import FileRunner, Runner, file_runners
from surgeon.runners.tensorflow import TensorFlowRunner
from surgeon.verification import (
    DetectionComparison,
    Outcome,
    RunInfo,
    RunRecord,
    RunRecorder,
    read_records,
    verify_runner,
)
from surgeon.verification.graph_pair import GraphPair
from surgeon.zoo import demo

pytest.importorskip("tensorflow", reason="ordinary operations run in TensorFlow")
pytest.importorskip("PIL", reason="Pillow reads and writes pictures")

TOLERANCE = 1e-5
"""Of boxes relative to the picture and of scores: all compute in float32."""

PICTURES = demo.picture_paths()[0].parent


@dataclass
class Work:
    """A folder with the demo model's recipe and files, what TensorFlow detects, and records of it, stored."""

    folder: Path
    references: ReferenceRunner
    original: list[Detections]
    info: RunInfo
    records: list[RunRecord]
    demo_onnx: Callable[..., Path]


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory, demo_recipe: Path, demo_onnx: Callable[..., Path]) -> Work:
    folder = tmp_path_factory.mktemp("matrix")
    shutil.copy(demo_recipe, folder / "demo.yaml")
    recipe, catalog = surgeon.load_recipe(folder / "demo.yaml"), surgeon.load_catalog()
    plan = surgeon.plan(recipe, demo.model_path())
    graphs = GraphPair(plan, recipe, catalog)
    info = graphs.info(made=False, graph=plan.digest)
    recorder = RunRecorder(info)
    records = list(recorder.taking(graphs.records(list(given_pictures(PICTURES))[:2], 0)))
    recorder.write(folder / "original.npz")
    references = ReferenceRunner.of_plan(plan, recipe, catalog)
    return Work(folder, references, detected_by_tensorflow(), info, records, demo_onnx)


def detected_by_tensorflow() -> list[Detections]:
    """Return what TensorFlow detects in the samples with the model as it is."""
    names = ("detection_boxes", "detection_scores", "detection_classes", "num_detections")
    runner = TensorFlowRunner(surgeon.load_graph(demo.model_path()), [Ref(name) for name in names])
    detected = []
    for picture in given_pictures(PICTURES):
        outputs = runner.run({"image_tensor": picture.pixels[None]})
        boxes, scores, classes, count = (outputs[name][0] for name in names)
        detected.append(ranked(detections_of_original(boxes, scores, classes, float(count), 0), 0.3))
    return detected


def onnx(work: Work, **options: int | str) -> OnnxRuntimeRunner:
    return OnnxRuntimeRunner(work.demo_onnx(**options))


def engine(work: Work) -> EngineRunner:
    """Return an engine's runner; the references stand in for the engine."""
    info = work.references.info

    def tensor(name: str, shape: tuple[int | None, ...]) -> TensorInfo:
        return TensorInfo(name=name, binding=name, dtype="float32", shape=shape)

    manifest = SimpleNamespace(
        graph=work.info.graph,
        image=info.image,
        labels=info.labels,
        max_batch=4,
        inputs=(tensor("Input", (None, 300, 300, 3)),),
        detections=info.detections,
        outputs=tuple(tensor(name, (None,)) for name in work.references.outputs),
        tf32=False,
        precision="fp32",
        tensorrt="8.5.3.1",
        gpu="none",
    )
    run = work.references.run
    stand_in = SimpleNamespace(
        path=Path("demo.engine"), manifest=manifest, run=run, run_each=lambda batches: map(run, batches)
    )
    return EngineRunner(stand_in)  # type: ignore[arg-type]


RUNNERS: Mapping[str, Callable[[Work], Runner]] = {
    "references": lambda work: work.references,
    "ONNX Runtime": lambda work: onnx(work),
    "ONNX Runtime, batch of 4": lambda work: onnx(work, batch=4),
    "ONNX Runtime, open batch": lambda work: onnx(work, batch="dynamic"),
    "engine": engine,
}


@pytest.fixture(scope="module", params=RUNNERS)
def runner(request: pytest.FixtureRequest, work: Work) -> Runner:
    return RUNNERS[request.param](work)


def detect(runner: Runner, pictures: Iterator[Picture], batch: int | None = None) -> list[ImageResult]:
    return [result for _, result in DetectionRunner(runner).detect(pictures, batch)]


def agree(results: list[ImageResult], original: list[Detections]) -> bool:
    """Return whether all detections of both are pairs within the tolerance."""
    for result, wanted in zip(results, original, strict=True):
        assert result.detections is not None
        pairing = pair(wanted, result.detections, TOLERANCE)
        if pairing.only_a.size or pairing.only_b.size or not pairing.agreeing(TOLERANCE, TOLERANCE).all():
            return False
    return True


def test_it_says_what_it_runs(runner: Runner) -> None:
    (spec,) = runner.inputs.values()
    assert list(runner.inputs) == ["Input"] and str(spec.dtype and spec.dtype.value) == "float32"
    assert spec.shape.dims is not None and spec.shape.dims[1:] == (300, 300, 3)
    assert runner.info.detections["detections"] == "NMS" and "NMS" in runner.outputs
    assert runner.info.image is not None and set(runner.info.labels.values()) == set(demo.labels().values())


def test_it_detects_what_tensorflow_detects(runner: Runner, work: Work) -> None:
    results = detect(runner, given_pictures(PICTURES))
    assert sum(map(len, work.original)) >= 20 and agree(results, work.original)
    assert [result.file for result in results] == list(demo.picture_paths())
    for result in results:
        assert result.detections is not None and (np.diff(result.detections.scores) <= 0).all()
        assert result.detections.scores.min() >= 0.3
        assert {row["label"] for row in result.rows()} <= set(demo.labels().values())


def test_batches_agree(runner: Runner, work: Work) -> None:
    results = detect(runner, given_pictures(PICTURES), min(3, runner.info.max_batch or 3))
    assert agree(results, work.original) and not agree(results[::-1], work.original)


def test_pictures_with_their_channels_reversed_do_not_agree(runner: Runner, work: Work) -> None:
    pictures = (replace(each, pixels=each.pixels[..., ::-1]) for each in given_pictures(PICTURES))
    assert not agree(detect(runner, pictures), work.original)


def test_a_batch_that_it_does_not_take_is_refused(runner: Runner) -> None:
    most = runner.info.max_batch
    assert DetectionRunner(runner).check_batch(None) == (most or 1)
    with pytest.raises(SurgeonError, match="V116"):
        detect(runner, given_pictures(PICTURES), 0 if most is None else most + 1)


@pytest.mark.parametrize("stored", [False, True])
def test_it_is_verified(runner: Runner, work: Work, stored: bool) -> None:
    info, records = read_records(work.folder / "original.npz") if stored else (work.info, work.records)
    verification = verify_runner(runner, records, info)
    assert verification.passed and len(verification.pictures) == 2
    assert verification.runtime == runner.info.runtime
    assert [verdict.name for verdict in verification.verdicts] == ["cut to cut", "end to end"]
    for verdict in verification.verdicts:
        for comparison in verdict.comparisons:
            assert isinstance(comparison, DetectionComparison)
            assert comparison.outcome is Outcome.PASSED and comparison.worst_box_error < 1e-5
            # The demo model clips boxes before suppression, which no plugin does: some rows are excused.
            assert comparison.matched > 0.9 * comparison.original > 0
            assert set(comparison.excused) <= {"clip-first"}


class Mistaken(Runner):
    """Another runner, whose boxes are off by a hundredth of the picture."""

    def __init__(self, runner: Runner) -> None:
        self.runner, self.name, self.info = runner, "mistaken", runner.info
        self.inputs, self.outputs = runner.inputs, runner.outputs

    def run(self, feeds: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        outputs = dict(self.runner.run(feeds))
        return outputs | {"NMS": outputs["NMS"] + np.float32([0, 0, 0, 0.01, 0.01, 0.01, 0.01])}


def test_boxes_that_are_off_fail(runner: Runner, work: Work) -> None:
    verification = verify_runner(Mistaken(runner), work.records, work.info)
    assert {verdict.outcome for verdict in verification.verdicts} == {Outcome.FAILED}


TOY = '''
"""A runner of one's own: a .toy file names an ONNX file, and how far its boxes are off."""

from pathlib import Path

import numpy as np

from surgeon.runners.onnxruntime import OnnxRuntimeRunner
from surgeon.runners.runner import FileRunner


class ToyRunner(FileRunner):
    suffixes = (".toy",)

    def __init__(self, path):
        name, off = path.read_text().split()
        self.network, self.off = OnnxRuntimeRunner(path.parent / name), np.float32(off)
        self.name, self.info = str(path), self.network.info
        self.inputs, self.outputs = self.network.inputs, self.network.outputs

    @classmethod
    def open(cls, path, libraries=()):
        return cls(path)

    def run(self, feeds):
        outputs = self.network.run(feeds)
        return outputs | {"NMS": outputs["NMS"] + self.off * np.float32([0, 0, 0, 1, 1, 1, 1])}
'''


@pytest.fixture
def toy(tmp_path: Path, work: Work, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[float], Path]]:
    """Give a function that writes a ``.toy`` file; an installed package has its runner."""
    (tmp_path / "toy_runner.py").write_text(TOY)
    metadata = tmp_path / "toy-1.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: toy\nVersion: 1\n")
    (metadata / "entry_points.txt").write_text("[surgeon.runners]\ntoy = toy_runner\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "toy_runner", raising=False)
    file_runners.cache_clear()
    shutil.copy(work.demo_onnx(), work.folder / "one.onnx")

    def write(off: float) -> Path:
        path = work.folder / f"{off}.toy"
        path.write_text(f"one.onnx {off}")
        return path

    yield write
    file_runners.cache_clear()


def test_a_runner_of_ones_own_runs_and_verifies(toy: Callable[[float], Path], work: Work) -> None:
    results = surgeon.detect(toy(0), PICTURES)
    assert agree(list(results), work.original)
    original = work.folder / "original.npz"
    assert surgeon.verify(file=toy(0), original=original).passed
    assert surgeon.verify(file=toy(0.01), original=original).outcome is Outcome.FAILED
    with pytest.raises(SurgeonError, match=r"V115.*'x\.tox'"):
        surgeon.verify(file="x.tox", original=original)


def test_the_command_line_knows_a_runner_of_ones_own(
    toy: Callable[[float], Path], work: Work, capsys: pytest.CaptureFixture[str]
) -> None:
    picture = demo.picture_paths()[1]
    assert main(["run", str(toy(0)), str(picture), "--json"]) == 0
    (result,) = json.loads(capsys.readouterr().out)["pictures"]
    assert len(result["detections"]) == len(work.original[1])
    arguments = ["verify", str(work.folder / "demo.yaml"), str(demo.model_path()), "--images", str(picture)]
    assert main([*arguments, "--file", str(toy(0))]) == 0
    assert "end to end: passed" in capsys.readouterr().out
    stored = ["verify", "--original", str(work.folder / "original.npz")]
    assert main([*stored, "--file", str(toy(0.01))]) == 3


def test_two_runners_of_one_suffix_are_refused(toy: Callable[[float], Path], tmp_path: Path) -> None:
    (tmp_path / "toy_runner.py").write_text(TOY.replace(".toy", ".onnx"))
    with pytest.raises(SurgeonError, match=r"E112.*'\.onnx'.*surgeon\.runners\.onnxruntime.*toy_runner"):
        surgeon.detect("x.onnx", PICTURES)


def test_the_runners_of_files() -> None:
    runners = file_runners()
    assert {suffix: each.__name__ for suffix, each in runners.items()} == {
        ".engine": "EngineRunner",
        ".plan": "EngineRunner",
        ".trt": "EngineRunner",
        ".onnx": "OnnxRuntimeRunner",
    }
    assert all(issubclass(each, FileRunner) for each in runners.values())
