"""EfficientDet of google/automl: recognised by its structure, drafted, converted and proven, by option."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import surgeon
from surgeon.diagnostics import SurgeonError
from surgeon.families import Refusal, recognise
from surgeon.families.automl_efficientdet import AutomlEfficientDet
from surgeon.formats.graphdef import load_graph
from surgeon.graph import Graph
from surgeon.language.recipe import fitted_size
from surgeon.zoo.automl_efficientdet import SAMPLES, AutomlOptions, build_automl_efficientdet
from surgeon.zoo.keras_retinanet import build_keras_retinanet
from surgeon.zoo.keras_ssd import build_keras_ssd
from surgeon.zoo.ssd import build_ssd

PAIRS = AutomlOptions(post="per_class", pairs=120)


def _graph(folder: Path, options: AutomlOptions = AutomlOptions()) -> Graph:
    path = folder / "efficientdet.pb"
    path.write_bytes(build_automl_efficientdet(options))
    return load_graph(path)


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        (AutomlOptions(), {"class_agnostic": True, "clip": "after", "max_per_class": 20}),
        (AutomlOptions(table=True, sigma=0.5), {"class_agnostic": True, "soft_sigma": 0.25}),
        (PAIRS, {"class_agnostic": False, "coding": "none", "score_converter": "identity", "clip": "none"}),
        (
            AutomlOptions(pairs=50, classes=2),
            {"class_agnostic": True, "coding": "none", "classes": 2, "score_converter": "identity"},
        ),
        (
            AutomlOptions(post="per_class", prepares=False, score_threshold=0.0, classes=1),
            {"class_agnostic": False, "score_threshold": 0.0, "classes": 1},
        ),
        pytest.param(
            AutomlOptions(post="combined", iou_threshold=0.4),
            {"class_agnostic": False, "iou_threshold": 0.4},
            marks=pytest.mark.xfail(reason="an SSD of TensorFlow 2 has the same structure, and is asked for"),
        ),
    ],
)
def test_findings(tmp_path: Path, options: AutomlOptions, wanted: Mapping[str, Any]) -> None:
    found = recognise(_graph(tmp_path, options))
    assert isinstance(found, AutomlEfficientDet)
    assert found.kind == "automl_efficientdet_b0"
    original = found.postprocessing
    usual = {
        "boxes": (8 * 12 + 4 * 6) * 3,
        "coding": "centre-size",
        "variances": (1.0, 1.0, 1.0, 1.0),
        "classes": 3,
        "background": -1,
        "score_converter": "sigmoid",
        "score_threshold": 0.08,
        "max_total": 20,
        "soft_sigma": 0.0,
    }
    for name, value in {**usual, **wanted}.items():
        found_value = getattr(original, name).value
        assert found_value == (pytest.approx(value) if isinstance(value, float) else value), name
    assert found.label_offset.value == 1 and found.class_shift == -1
    assert not [key for key, each in found.findings.items() if isinstance(each, SurgeonError)]


def test_anchors_are_relative_to_the_input(tmp_path: Path) -> None:
    """The first anchor of each box is 24 pixels high and wide, by its ratio, at (4, 4) of 64 x 96."""
    for options in (AutomlOptions(), PAIRS):
        anchors = recognise(_graph(tmp_path, options))
        assert isinstance(anchors, AutomlEfficientDet)
        for anchor, ratio in zip(anchors.anchors.value[:3], (1.0, 2.0, 0.5), strict=True):
            wide, high = 24 * np.sqrt(ratio), 24 / np.sqrt(ratio)
            corners = np.array([4 - high / 2, 4 - wide / 2, 4 + high / 2, 4 + wide / 2])
            np.testing.assert_allclose(anchor, corners / [64, 96, 64, 96], atol=1e-6)


def test_pictures_are_prepared_as_the_graph_or_the_scripts_do(tmp_path: Path) -> None:
    for prepares in (True, False):
        found = recognise(_graph(tmp_path, AutomlOptions(prepares=prepares)))
        assert isinstance(found, AutomlEfficientDet)
        image = found.image.value
        assert found.takes_prepared_pictures is not prepares
        assert (image.size, image.resize, image.rounding) == ((64, 96), "keep-aspect-ratio", "down")
        assert (image.padding, image.interpolation) == ("after-steps", "half-pixel-bilinear")
        assert image.steps[0].subtract == pytest.approx((123.675, 116.28, 103.53))
        assert image.steps[1].divide == pytest.approx((58.395, 57.12, 57.375))


def test_sides_are_rounded_as_the_image_says() -> None:
    """333 x 777 into 64 x 96 is 41.14 x 96, 500 x 333 is 64 x 42.62."""
    assert fitted_size((64, 96), 500, 333) == (64, 43)
    assert fitted_size((64, 96), 500, 333, "down") == (64, 42)
    assert fitted_size((64, 96), 333, 777, "down") == (41, 96)
    with pytest.raises(ValueError, match="'rounding' means nothing with 'resize: stretch'"):
        surgeon.language.Image.model_validate({"size": [4, 4], "rounding": "down"})


def test_a_network_without_a_name_has_no_picture(tmp_path: Path) -> None:
    graph = _graph(tmp_path, AutomlOptions(prepares=False))
    nameless = tmp_path / "nameless.pb"
    nameless.write_bytes(
        (tmp_path / "efficientdet.pb").read_bytes().replace(b"efficientnet-b0", b"classifier-net-")
    )
    assert len(load_graph(nameless)) == len(graph)
    drafted = surgeon.init(load_graph(nameless), tmp_path / "nameless.yaml")
    assert "D115" in {each.code for each in drafted.diagnostics}


def test_detectors_of_other_families_are_none(tmp_path: Path) -> None:
    for build in (build_ssd, build_keras_ssd, build_keras_retinanet):
        (tmp_path / "other.pb").write_bytes(build())
        other = load_graph(tmp_path / "other.pb")
        refusal = AutomlEfficientDet.match(other)
        assert isinstance(refusal, Refusal) and refusal.reason.diagnostics[0].code == "D112"
        assert not isinstance(recognise(other), AutomlEfficientDet)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("tensorflow", reason="TensorFlow computes the original")
    return tmp_path_factory.mktemp("efficientdet")


@pytest.mark.parametrize(
    ("options", "target", "unnoticed"),
    [
        (
            AutomlOptions(table=True, sigma=0.5),
            "onnx@tensorrt-10",
            {"scoreAtLeast", "iouThreshold", "dropEmpty"},
        ),
        (AutomlOptions(prepares=False), "uff@tensorrt-8.5", {"scoreAtLeast", "dropEmpty"}),
        (PAIRS, "onnx@onnxruntime", {"scoreAtLeast", "dropEmpty"}),
    ],
)
def test_every_detection_is_the_originals(
    folder: Path, options: AutomlOptions, target: str, unnoticed: set[str]
) -> None:
    graph = _graph(folder, options)
    surgeon.init(graph, folder / "drafted.yaml", target=target, force=True)
    verification = surgeon.verify(folder / "drafted.yaml", graph, target=target)
    assert verification.passed, str(verification)
    assert not any(verdict.excused for verdict in verification.verdicts)
    assert {each.field for each in verification.power if not each.exercised} <= unnoticed


def test_a_file_holds_the_same_detections(folder: Path) -> None:
    pytest.importorskip("onnxruntime", reason="the ONNX file is run")
    graph = _graph(folder, AutomlOptions(post="per_class", sigma=0.5))
    recipe, file = folder / "files.yaml", folder / "files.onnx"
    surgeon.init(graph, recipe, force=True)
    surgeon.convert(recipe, graph, file, target="onnx@onnxruntime")
    assert surgeon.verify(recipe, graph, target="onnx@onnxruntime", onnx=file).passed


def test_samples() -> None:
    assert len({build() for build in SAMPLES.values()}) == len(SAMPLES)
