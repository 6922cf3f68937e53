"""What every kind of folder is told of a model."""

from __future__ import annotations

from surgeon.api.build import classes_among
from surgeon.catalog.plugin_uses import PluginUse
from surgeon.graph import Shape, TensorSpec

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
