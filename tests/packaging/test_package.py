"""What every kind of folder is told of a model."""

from __future__ import annotations

from pathlib import Path

import surgeon
from surgeon.api.build import classes_among
from surgeon.catalog.plugin_uses import PluginUse
from surgeon.engine.sources import for_another_runtime
from surgeon.graph import Shape, TensorSpec, parse_graph

DETECTIONS = {"detections": "NMS", "count": "NMS:1"}


def test_classes_are_counted() -> None:
    plugin = PluginUse("NMS", "NMS_TRT", {"numClasses": 91})
    other = PluginUse("Region", "Region_TRT", {"classes": 200})
    scores = TensorSpec(None, Shape((None, 1917, 21)))
    unknown = TensorSpec(None, Shape(None))
    assert classes_among([plugin, other], DETECTIONS, {}) == 91
    assert classes_among([plugin], DETECTIONS, {90: "toothbrush", 95: "more"}) == 96
    assert classes_among([], DETECTIONS, {1: "face"}) == 2
    assert classes_among([PluginUse("NMS", "EfficientNMS_TRT")], DETECTIONS, {}, scores, unknown) == 21
    assert classes_among([other], DETECTIONS, {}, unknown) is None


def test_a_file_for_another_runtime_is_warned_of() -> None:
    (warning,) = for_another_runtime("ssd.onnx", "onnx@onnxruntime")
    assert (warning.code, warning.severity.value) == ("B115", "warning")
    assert warning.message.startswith("'ssd.onnx' was written for onnx@onnxruntime")
    assert "--target onnx@tensorrt-10" in warning.help[0]
    assert not for_another_runtime("ssd.onnx", "onnx@tensorrt-8.5")
    assert not for_another_runtime("other.onnx", "")


def test_a_folder_of_such_a_file_says_so(tmp_path: Path) -> None:
    graph = parse_graph(
        "graph v1\noutputs: y\nx = Placeholder() {dtype: float32, shape: shape[1,4]}\ny = Relu(x) {T: float32}\n"
    )
    recipe = surgeon.parse_recipe("recipe: 1\nname: relu\noutputs: [y]\nsteps: []\n")
    surgeon.convert(recipe, graph, tmp_path / "relu.onnx", target="onnx@onnxruntime")
    made = surgeon.package(tmp_path / "relu.onnx", None, tmp_path / "folder")
    assert [each.code for each in made.diagnostics] == ["B115"]
