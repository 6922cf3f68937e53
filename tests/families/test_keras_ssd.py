"""SSD of Keras: recognised by its predictions, drafted, converted and proven, by option."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import surgeon
from surgeon.diagnostics import SurgeonError
from surgeon.families import Refusal, nearest_family, recognise
from surgeon.families.keras_retinanet import KerasRetinaNet
from surgeon.families.keras_ssd import KerasSSD
from surgeon.formats.graphdef import load_graph
from surgeon.graph import DType, Graph, Ref
from surgeon.zoo.keras_retinanet import build_keras_retinanet
from surgeon.zoo.keras_ssd import KerasSsdOptions, build_keras_ssd
from surgeon.zoo.networks import NetworkWriter

IN_PIXELS = KerasSsdOptions(relative=False, softmax=True, classes=1, variances=(1.0, 1.0, 1.0, 1.0))


def _graph(folder: Path, options: KerasSsdOptions = KerasSsdOptions()) -> Graph:
    path = folder / "ssd.pb"
    path.write_bytes(build_keras_ssd(options))
    return load_graph(path)


@pytest.mark.parametrize(
    "options",
    [
        KerasSsdOptions(),
        IN_PIXELS,
        KerasSsdOptions(fast=True, score_threshold=0.3, iou_threshold=0.6, max_detections=11),
    ],
)
def test_findings(tmp_path: Path, options: KerasSsdOptions) -> None:
    found = recognise(_graph(tmp_path, options))
    assert isinstance(found, KerasSSD)
    assert found.kind == ("keras_ssd_fast" if options.fast else "keras_ssd")
    original = found.postprocessing
    assert original.coding.value == "centre-size-xy"
    assert original.variances.value == pytest.approx(options.variances)
    assert original.classes.value == options.classes + 1
    assert original.background.value == 0
    assert original.score_threshold.value == pytest.approx(options.score_threshold)
    assert original.iou_threshold.value == pytest.approx(options.iou_threshold)
    assert original.max_total.value == options.max_detections
    assert original.max_per_class.value == (22 if options.fast else options.max_per_class)
    assert original.class_agnostic.value is options.fast
    assert original.clip.value == "none"
    assert original.boxes.value == (8 * 12 + 4 * 6) * 3
    assert found.findings.keys() == set(found.keys)
    assert set(found.outputs.value) == {"rows"}


def test_anchors_are_relative_to_the_picture(tmp_path: Path) -> None:
    """The first anchor of each box is 16 pixels high and wide, by its ratio, at (4, 4) of 64 x 96."""
    for options in (KerasSsdOptions(), IN_PIXELS):
        anchors = nearest_family(_graph(tmp_path, options)).finding("anchors").value
        for anchor, ratio in zip(anchors[:3], (0.5, 1.0, 2.0), strict=True):
            wide, high = 16 * np.sqrt(ratio), 16 / np.sqrt(ratio)
            corners = np.array([4 - high / 2, 4 - wide / 2, 4 + high / 2, 4 + wide / 2])
            np.testing.assert_allclose(anchor, corners / [64, 96, 64, 96], atol=1e-6)


def test_other_detectors_are_none(tmp_path: Path) -> None:
    (tmp_path / "retinanet.pb").write_bytes(build_keras_retinanet())
    refusal = KerasSSD.match(load_graph(tmp_path / "retinanet.pb"))
    assert isinstance(refusal, Refusal)
    assert "no tensor of it holds scores, encodings, anchors and variances" in str(refusal.reason)
    own = _graph(tmp_path)
    assert isinstance(KerasRetinaNet.match(own), Refusal)
    alone = KerasSSD.match(own.replace(own, [Ref("predictions/concat")]))
    assert isinstance(alone, Refusal)
    with pytest.raises(SurgeonError, match="no operation of it suppresses"):
        KerasSSD(own.replace(own, [Ref("predictions/concat")])).structure  # noqa: B018  raises


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("tensorflow", reason="TensorFlow computes the original")
    return tmp_path_factory.mktemp("ssd")


@pytest.mark.parametrize(
    ("options", "target", "unnoticed"),
    [
        (KerasSsdOptions(), "uff@tensorrt-8.5", {"dropEmpty"}),
        (IN_PIXELS, "onnx@tensorrt-10", {"dropEmpty", "classAgnostic", "maxTotal"}),
        (KerasSsdOptions(fast=True), "onnx@onnxruntime", {"dropEmpty", "maxPerClass"}),
    ],
)
def test_every_detection_is_the_originals(
    folder: Path, options: KerasSsdOptions, target: str, unnoticed: set[str]
) -> None:
    graph = _graph(folder, options)
    surgeon.init(graph, folder / "ssd.yaml", target=target, force=True)
    verification = surgeon.verify(folder / "ssd.yaml", graph, target=target)
    assert verification.passed, str(verification)
    assert not any(verdict.excused for verdict in verification.verdicts)
    assert {each.field for each in verification.power if not each.exercised} == unnoticed
    assert verification.takes_as_given(verification.verdicts[2])
    assert verification.given["image.size"] == (64, 96)


@pytest.mark.parametrize("fast", [False, True], ids=["of each class", "fast"])
def test_files_hold_the_same_detections(folder: Path, fast: bool) -> None:
    pytest.importorskip("onnxruntime", reason="the ONNX file is run")
    graph = _graph(folder, KerasSsdOptions(fast=fast))
    recipe, file = folder / "files.yaml", folder / f"files_{fast}.onnx"
    surgeon.init(graph, recipe, force=True)
    surgeon.convert(recipe, graph, file, target="onnx@onnxruntime")
    assert surgeon.verify(recipe, graph, target="onnx@onnxruntime", onnx=file).passed
    found = surgeon.convert(recipe, graph, folder / f"files_{fast}.uff")
    assert not [each for each in found.diagnostics if each.code == "L115"]


def test_a_plugin_that_clips_is_not_the_graph(folder: Path) -> None:
    """NMS_TRT gives boxes inside the picture, which this graph does not: verify does not pass."""
    graph = _graph(folder)
    surgeon.init(graph, folder / "clips.yaml", force=True)
    assert not surgeon.verify(folder / "clips.yaml", graph, suppression="plugin").passed


def test_a_graph_that_holds_the_plugins_is_verified_without_its_tile(folder: Path) -> None:
    """As docs/families/keras_ssd.md says of graphs in the form of TLT: each box is at its anchor."""
    g, flat = NetworkWriter(0), {"Tshape": DType.INT32}
    picture = g.placeholder("Input", DType.FLOAT32, 1, 8, 8, 3)
    boxes = g.op("loc", "Reshape", g.conv("l", picture, (3, 3, 3, 4)), g.const("a", [-1, 256, 1, 1]), **flat)
    scores = g.op("c", "Reshape", g.conv("s", picture, (3, 3, 3, 3)), g.const("b", [-1, 192, 1, 1]), **flat)
    corners = np.random.default_rng(0).uniform(0, 0.6, (64, 2))
    prior = np.full((1, 2, 256, 1), 0.1, np.float32)
    prior[0, 0, :, 0] = np.concatenate([corners, corners + 0.3], axis=1).ravel()
    tile = g.node("tile", "BatchTilePlugin_TRT", picture, g.const("prior", prior))
    fields = {"shareLocation": 1, "varianceEncodedInTarget": 0, "backgroundLabelId": 0, "numClasses": 3}
    fields |= {"topK": 50, "keepTopK": 20, "inputOrder": (0, 2, 1), "confSigmoid": 0, "isNormalized": 1}
    fields |= {"confidenceThreshold": 0.3, "nmsThreshold": 0.5, "codeType": 1}
    g.node("NMS", "NMS_TRT", boxes, tile, g.op("conf", "Sigmoid", scores), **fields)
    (folder / "tlt.pb").write_bytes(g.serialized())
    recipe = folder / "tlt.yaml"
    surgeon.init(load_graph(folder / "tlt.pb"), recipe, force=True)
    with pytest.raises(SurgeonError, match="BatchTilePlugin_TRT"):
        surgeon.verify(recipe, folder / "tlt.pb", target="onnx@tensorrt-8.5")
    step = "steps:\n  - {step: forward, nodes: [{op: BatchTilePlugin_TRT}], input: 1}\n"
    recipe.write_text(recipe.read_text(encoding="utf-8").replace("steps:\n", step, 1), encoding="utf-8")
    assert surgeon.verify(recipe, folder / "tlt.pb", target="onnx@tensorrt-8.5").passed
