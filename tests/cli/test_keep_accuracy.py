"""`surgeon build --keep-accuracy`, over a stand-in for TensorRT whose layers lose accuracy as a test says."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import surgeon
from surgeon.api.keep_accuracy import Aim, build_accurate
from surgeon.diagnostics import SurgeonError
from surgeon.engine import BuildOptions, CalibrationBatches, Source, read_manifest
from surgeon.zoo import demo

Run = Callable[..., Any]

LAYERS = [
    ["first", "CONVOLUTION", ["Input"], ["first:0"]],
    ["second", "CONVOLUTION", ["first:0"], ["second:0"]],
    ["third", "CONVOLUTION", ["second:0"], ["third:0"]],
    ["boxes", "CONVOLUTION", ["third:0"], ["boxes:0"]],
    ["flat", "SHUFFLE", ["boxes:0"], ["flat:0"]],
    ["NMS", "PLUGIN_V2", ["flat:0"], ["NMS"]],
]


@pytest.fixture(scope="module")
def demo_recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("demo") / "ssd.yaml"
    surgeon.init(demo.model_path(), path, labels=demo.labels_path())
    return path


@pytest.fixture
def build(fake: pytest.MonkeyPatch, tmp_path: Path, demo_recipe: Path, run: Run) -> Callable[..., Any]:
    """Give ``build(*options, losses={...})``, which runs the command with the demo's recipe and pictures."""
    pytest.importorskip("pycocotools", reason="pycocotools measures")
    fake.setenv("FAKE_MARKS", json.dumps({"MarkOutput_0": [["NMS", [1, 10, 7]], ["NMS_1", [1, 1, 1]]]}))
    fake.setenv("FAKE_LAYERS", json.dumps(LAYERS))
    fake.chdir(tmp_path)

    def built(*options: object, losses: dict[str, float]) -> Any:
        fake.setenv("FAKE_LOSSES", json.dumps(losses))
        pictures = ("--calibration", demo.picture_paths()[0].parent)
        return run("build", demo_recipe, demo.model_path(), "-o", "ssd.engine", *pictures, *options)

    return built


def told() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(Path("ssd.engine").read_bytes())
    return found


def test_the_layer_that_loses_accuracy_is_kept_in_fp32(build: Callable[..., Any]) -> None:
    done = build("--int8", "--keep-accuracy", "--max-builds", 6, losses={"second": 0.06, "third": 0.0001})
    assert done.code == 0, done.err
    accuracy = read_manifest(Path("ssd.engine")).accuracy
    assert accuracy is not None and accuracy.complete and accuracy.reached and accuracy.loss <= 0.5
    assert "second" in accuracy.in_fp32 and len(accuracy.in_fp32) < 5 and accuracy.pictures == 4
    assert accuracy.trials[0].in_fp32 == 0 and accuracy.trials[0].map is not None
    assert accuracy.trials[0].map < 0.9
    precisions = {name: precision for name, _, precision, _ in told()["layers"]}
    assert precisions["second"] == "FP32" and "INT8" in precisions.values() and 5 in told()["flags"]
    assert "it loses 0.00 points, 0.5 are allowed" in done.err and "0 layers kept in FP32: mAP 0" in done.err
    assert Path("ssd.engine.calibration").exists()
    assert sorted(path.name for path in Path().iterdir()) == [
        "ssd.engine",
        "ssd.engine.calibration",
        "ssd.engine.json",
    ]
    again = build("--int8", "--keep-accuracy", "--max-builds", 6, "--json", losses={"second": 0.06})
    assert again.json["reused"] and again.json["manifest"]["accuracy"]["complete"]
    assert again.json["layers"]["FP32"] == list(accuracy.in_fp32) and again.json["layers"]["INT8"]


@pytest.mark.parametrize(
    ("version", "flag"),
    [("7.1.3", 4), pytest.param("8.0.1", 4, marks=pytest.mark.exhaustive), ("8.6.1", 5)],
)
def test_versions_have_their_own_flags(
    build: Callable[..., Any], fake: pytest.MonkeyPatch, version: str, flag: int
) -> None:
    fake.setenv("FAKE_TENSORRT", version)
    done = build("--fp16", "--keep-accuracy", "2", "--max-builds", 3, losses={"flat": 0.06})
    assert done.code == 0, done.err
    accuracy = read_manifest(Path("ssd.engine")).accuracy
    assert accuracy is not None and set(accuracy.in_fp32) == {"flat", "boxes"} and flag in told()["flags"]
    assert len(accuracy.trials) == 2


def test_an_engine_that_loses_nothing_takes_one_trial(build: Callable[..., Any]) -> None:
    done = build("--int8", "--keep-accuracy", "0", losses={"nothing": 1})
    accuracy = read_manifest(Path("ssd.engine")).accuracy
    assert done.code == 0 and accuracy is not None
    assert accuracy.in_fp32 == () and accuracy.loss == 0 and len(accuracy.trials) == 1


def test_an_aim_that_is_not_reached_is_told(build: Callable[..., Any]) -> None:
    losses = {"first": 0.01, "boxes": 0.03}
    done = build("--int8", "--keep-accuracy=0.5", "--max-builds", 3, losses=losses)
    assert done.code == 3 and "B114" in done.err and "expected at most 0.5" in done.err
    accuracy = read_manifest(Path("ssd.engine")).accuracy
    assert accuracy is not None and accuracy.complete and not accuracy.reached
    assert accuracy.in_fp32 == ("boxes", "flat") and len(accuracy.trials) == 2


def test_engines_that_cannot_be_built_count_as_tried(
    build: Callable[..., Any], fake: pytest.MonkeyPatch
) -> None:
    fake.setenv("FAKE_FAULT", "constrained")
    done = build("--int8", "--keep-accuracy", "--max-builds", 4, losses={"boxes": 0.06})
    accuracy = read_manifest(Path("ssd.engine")).accuracy
    assert done.code == 3 and accuracy is not None and accuracy.in_fp32 == ()
    assert [trial.map is None for trial in accuracy.trials] == [False, True, True]
    assert all(trial.problem for trial in accuracy.trials[1:])


def test_an_end_on_the_way_leaves_the_best_so_far(
    build: Callable[..., Any], demo_recipe: Path, fake: pytest.MonkeyPatch
) -> None:
    fake.setenv("FAKE_LOSSES", json.dumps({"boxes": 0.06}))
    begun: list[str] = []

    def interrupted(phase: str, what: str, done: int, total: int) -> None:
        begun.extend([phase] if phase == "build" and not what else [])
        if len(begun) == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        surgeon.build_engine(
            demo_recipe,
            demo.model_path(),
            "ssd.engine",
            precision="int8",
            calibration=demo.picture_paths()[0].parent,
            keep_accuracy=0.5,
            watch=interrupted,
        )
    accuracy = read_manifest(Path("ssd.engine")).accuracy
    assert accuracy is not None and not accuracy.complete and accuracy.loss > 5
    assert build("--int8", "--keep-accuracy", losses={"boxes": 0.06}).code == 0
    finished = read_manifest(Path("ssd.engine")).accuracy
    assert finished is not None and finished.complete and finished.in_fp32 == ("boxes",)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (("--fp32", "--keep-accuracy"), "the engine is FP32"),
        (("--int8", "--keep-accuracy", "1", "--max-builds", "1"), "1 build was allowed"),
    ],
)
def test_what_cannot_be_kept_is_refused(
    build: Callable[..., Any], options: tuple[str, ...], text: str
) -> None:
    done = build(*options, losses={})
    assert done.code == 1 and "B112" in done.err and text in done.err and not list(Path().iterdir())


def test_pictures_are_needed_for_fp16_too(build: Callable[..., Any], run: Run, demo_recipe: Path) -> None:
    done = run("build", demo_recipe, demo.model_path(), "-o", "ssd.engine", "--fp16", "--keep-accuracy")
    assert done.code == 1 and "B112" in done.err and "there are no pictures" in done.err
    wrong = run("build", "--fp16", "--keep-accuracy", demo_recipe, demo.model_path(), "-o", "ssd.engine")
    assert wrong.code == 2 and "behind the other arguments" in wrong.err


def test_versions_without_precisions_are_refused(fake: pytest.MonkeyPatch, tmp_path: Path) -> None:
    pytest.importorskip("pycocotools", reason="pycocotools measures")
    fake.setenv("FAKE_TENSORRT", "11.0.0")
    file = tmp_path / "net.onnx"
    file.write_text(json.dumps({"inputs": [["x", [1, 2, 2, 3]]], "outputs": [["y", [1, 4, 7]]]}))
    with pytest.raises(SurgeonError, match=r"TensorRT 11\.0\.0 takes precisions from the file") as caught:
        build_accurate(
            Source("onnx", file),
            tmp_path / "e.engine",
            BuildOptions("fp16"),
            Aim(0.5, 8, [np.zeros((2, 2, 3), np.uint8)]),
            tmp_path,
            calibration=CalibrationBatches(1, 1, 1, "digest"),
            timeout=60,
        )
    assert caught.value.diagnostics[0].code == "B112"
    assert [path.name for path in tmp_path.iterdir()] == ["net.onnx"]


def test_pictures_without_objects_are_refused(build: Callable[..., Any]) -> None:
    # Without losses the stand-in gives rows whose score is the mean of a picture's values, below 0.3 here.
    done = build("--fp16", "--keep-accuracy", losses={})
    assert done.code == 1 and "B113" in done.err and not list(Path().iterdir())


@pytest.mark.exhaustive
def test_a_search_from_python(build: Callable[..., Any], demo_recipe: Path, fake: pytest.MonkeyPatch) -> None:
    from surgeon.runners.image import read_picture

    fake.setenv("FAKE_LOSSES", json.dumps({"boxes": 0.06}))
    pictures = [read_picture(path).pixels for path in demo.picture_paths()]
    built = surgeon.build_engine(
        demo_recipe,
        demo.model_path(),
        "ssd.engine",
        precision="fp16",
        calibration=pictures,
        keep_accuracy=1.0,
    )
    assert built.manifest.accuracy is not None and built.manifest.accuracy.in_fp32 == ("boxes",)
    with pytest.raises(SurgeonError, match="100 points"):
        surgeon.build_engine(
            demo_recipe, demo.model_path(), "x.engine", precision="fp16", keep_accuracy=float("nan")
        )
