"""Shapes and rules of every shipped plugin but those of test_plugins.py, by numbers computed by hand."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest

from surgeon.catalog import Catalog, load_catalog
from surgeon.diagnostics import Diagnostic, SurgeonError
from surgeon.graph import DType, TensorSpec

f32 = lambda *dims: TensorSpec.of("float32", *dims)  # noqa: E731
i32 = lambda *dims: TensorSpec.of("int32", *dims)  # noqa: E731
ANY = TensorSpec()

PRIOR_BOX: Mapping[str, Any] = {
    "minSize": [60.0],
    "maxSize": [111.0],
    "aspectRatios": [2.0, 3.0],
    "flip": 1,
    "clip": 0,
    "variance": [0.1, 0.1, 0.2, 0.2],
    "imgH": 0,
    "imgW": 0,
    "stepH": 0.0,
    "stepW": 0.0,
    "offset": 0.5,
}
NORMALIZE: Mapping[str, Any] = {"weights": [20.0] * 512, "acrossSpatial": 0, "channelShared": 0, "eps": 1e-10}
SHARED = {"channelShared": 1, "weights": [20.0]}
BATCHED: Mapping[str, Any] = {
    "shareLocation": 1,
    "backgroundLabelId": -1,
    "numClasses": 80,
    "topK": 1000,
    "keepTopK": 100,
    "scoreThreshold": 0.25,
    "iouThreshold": 0.5,
    "isNormalized": 1,
}
NMS: Mapping[str, Any] = {
    "shareLocation": 1,
    "varianceEncodedInTarget": 0,
    "backgroundLabelId": 0,
    "numClasses": 91,
    "topK": 100,
    "keepTopK": 50,
    "confidenceThreshold": 1e-8,
    "nmsThreshold": 0.6,
    "confSigmoid": 1,
    "isNormalized": 1,
}
EFFICIENT: Mapping[str, Any] = {
    "score_threshold": 0.25,
    "iou_threshold": 0.5,
    "max_output_boxes": 100,
    "background_class": -1,
    "score_activation": 0,
    "box_coding": 0,
}
ONNX = {
    "score_threshold": 0.25,
    "iou_threshold": 0.5,
    "max_output_boxes_per_class": 20,
    "center_point_box": 0,
}
COMBINED = {
    "max_output_size_per_class": 10,
    "max_total_size": 100,
    "iou_threshold": 0.5,
    "score_threshold": 0.25,
    "pad_per_class": 0,
    "clip_boxes": 1,
}
PADDED = {"pad_per_class": 1}
REGION = {"num": 5, "coords": 4, "classes": 80}
INSTANCE: Mapping[str, Any] = {"epsilon": 1e-5, "scales": [1.0] * 3, "bias": [0.0] * 3}

FIELDS: Mapping[str, Mapping[str, Any]] = {
    "BatchTilePlugin_TRT": {},
    "BatchedNMSDynamic_TRT": BATCHED,
    "BatchedNMS_TRT": BATCHED,
    "Clip_TRT": {"clipMin": 0.0, "clipMax": 6.0},
    "CoordConvAC": {},
    "EfficientNMS_Explicit_TF_TRT": COMBINED,
    "EfficientNMS_Implicit_TF_TRT": COMBINED,
    "EfficientNMS_ONNX_TRT": ONNX,
    "EfficientNMS_TRT": EFFICIENT,
    "InstanceNormalization_TRT": INSTANCE,
    "LReLU_TRT": {"negSlope": 0.1},
    "NMSDynamic_TRT": NMS,
    "Normalize_TRT": NORMALIZE,
    "PriorBox_TRT": PRIOR_BOX,
    "Region_TRT": REGION,
    "Reorg_TRT": {"stride": 2},
    "ResizeNearest_TRT": {"scale": 2.0},
    "SpecialSlice_TRT": {},
    "Split_TRT": {"axis": 1, "output_lengths": [1, 2, 3]},
}

EFFICIENT_ROWS = (f32(2, 100, 4), f32(2, 100), i32(2, 100))
UNKNOWN_ROWS = (f32(None, 100, 4), f32(None, 100), i32(None, 100))
LOC, CONF, PRIOR = f32(2, 7668, 1, 1), f32(2, 174447, 1, 1), f32(2, 2, 7668, 1)

SHAPES: Sequence[tuple[str, Mapping[str, Any], Sequence[TensorSpec], Sequence[TensorSpec]]] = [
    # 6 boxes a cell: two squares, ratios 2, 1/2, 3 and 1/3.
    ("PriorBox_TRT", {}, [f32(1, 512, 19, 19), f32(1, 3, 300, 300)], [f32(1, 2, 361 * 6 * 4, 1)]),
    ("PriorBox_TRT", {"flip": 0}, [f32(1, 512, 19, 10), f32(1, 3, 300, 300)], [f32(1, 2, 190 * 4 * 4, 1)]),
    ("PriorBox_TRT", {"maxSize": []}, [f32(8, 512, 19, 19), ANY], [f32(1, 2, 361 * 5 * 4, 1)]),
    (
        "PriorBox_TRT",
        {"minSize": [30.0, 60.0], "maxSize": [60.0, 111.0]},
        [f32(1, 1, 2, 3), ANY],
        [f32(1, 2, 6 * 12 * 4, 1)],
    ),
    # 1 is there already; with flip 1/2 is the inverse of 2.
    (
        "PriorBox_TRT",
        {"aspectRatios": [1.0, 2.0, 0.5, 2.0000001]},
        [f32(1, 1, 1, 1), ANY],
        [f32(1, 2, 4 * 4, 1)],
    ),
    (
        "PriorBox_TRT",
        {"aspectRatios": [1.0, 2.0, 0.5], "flip": 0},
        [f32(1, 1, 1, 1), ANY],
        [f32(1, 2, 4 * 4, 1)],
    ),
    ("PriorBox_TRT", {}, [f32(1, 512, None, 19), ANY], [f32(1, 2, None, 1)]),
    ("PriorBox_TRT", {}, [ANY, ANY], [f32(1, 2, None, 1)]),
    ("Normalize_TRT", {}, [f32(1, 512, 38, 38)], [f32(1, 512, 38, 38)]),
    ("Normalize_TRT", {}, [f32(None, None, 38, None)], [f32(None, None, 38, None)]),
    ("Normalize_TRT", SHARED, [f32(1, 7, 38, 38)], [f32(1, 7, 38, 38)]),
    ("Normalize_TRT", SHARED, [ANY], [TensorSpec(DType.FLOAT32)]),
    (
        "BatchedNMS_TRT",
        {},
        [f32(2, 25200, 1, 4), f32(2, 25200, 80)],
        [i32(2), f32(2, 100, 4), f32(2, 100), f32(2, 100)],
    ),
    (
        "BatchedNMS_TRT",
        {"shareLocation": 0},
        [f32(2, 9, 80, 4), f32(2, 9, 80, 1)],
        [i32(2), f32(2, 100, 4), f32(2, 100), f32(2, 100)],
    ),
    (
        "BatchedNMSDynamic_TRT",
        {"keepTopK": 7},
        [f32(2, 9, 1, 4), f32(2, 9, 80)],
        [i32(2, 1), f32(2, 7, 4), f32(2, 7), f32(2, 7)],
    ),
    (
        "BatchedNMSDynamic_TRT",
        {},
        [f32(None, None, 1, 4), ANY],
        [i32(None, 1), f32(None, 100, 4), f32(None, 100), f32(None, 100)],
    ),
    (
        "BatchedNMSDynamic_TRT",
        {},
        [ANY, f32(3, 9, None)],
        [i32(3, 1), f32(3, 100, 4), f32(3, 100), f32(3, 100)],
    ),
    ("NMSDynamic_TRT", {}, [LOC, PRIOR, CONF], [f32(2, 1, 50, 7), f32(2, 1, 1, 1)]),
    ("NMSDynamic_TRT", {"inputOrder": [1, 0, 2]}, [CONF, LOC, PRIOR], [f32(2, 1, 50, 7), f32(2, 1, 1, 1)]),
    ("NMSDynamic_TRT", {}, [ANY, ANY, ANY], [f32(None, 1, 50, 7), f32(None, 1, 1, 1)]),
    ("EfficientNMS_TRT", {}, [f32(2, 9, 4), f32(2, 9, 80)], [i32(2, 1), *EFFICIENT_ROWS]),
    ("EfficientNMS_TRT", {}, [f32(2, 9, 1, 4), f32(2, 9, 80, 1)], [i32(2, 1), *EFFICIENT_ROWS]),
    ("EfficientNMS_TRT", {}, [f32(2, 9, 80, 4), f32(2, 9, 80), f32(1, 9, 4)], [i32(2, 1), *EFFICIENT_ROWS]),
    ("EfficientNMS_TRT", {}, [f32(2, 9, 4), f32(2, 9, 80), f32(2, None, 4)], [i32(2, 1), *EFFICIENT_ROWS]),
    ("EfficientNMS_TRT", {}, [ANY, ANY], [i32(None, 1), *UNKNOWN_ROWS]),
    ("EfficientNMS_ONNX_TRT", {}, [f32(3, 9, 4), f32(3, 9, 80)], [i32(60, 3)]),
    ("EfficientNMS_ONNX_TRT", {}, [f32(None, 9, 4), f32(None, 9, 80)], [i32(None, 3)]),
    ("EfficientNMS_Explicit_TF_TRT", {}, [f32(2, 9, 1, 4), f32(2, 9, 80)], [i32(2, 1), *EFFICIENT_ROWS]),
    ("EfficientNMS_Implicit_TF_TRT", {}, [f32(2, 9, 4), f32(2, 9, 80)], [i32(2), *EFFICIENT_ROWS]),
    # 3 classes x 10, fewer than 100; 80 x 10 are more.
    (
        "EfficientNMS_Explicit_TF_TRT",
        PADDED,
        [f32(2, 9, 3, 4), f32(2, 9, 3)],
        [i32(2, 1), f32(2, 30, 4), f32(2, 30), i32(2, 30)],
    ),
    (
        "EfficientNMS_Implicit_TF_TRT",
        PADDED,
        [f32(2, 9, 3, 4), f32(2, 9, 3)],
        [i32(2), f32(2, 30, 4), f32(2, 30), i32(2, 30)],
    ),
    ("EfficientNMS_Implicit_TF_TRT", PADDED, [f32(2, 9, 4), f32(2, 9, 80)], [i32(2), *EFFICIENT_ROWS]),
    (
        "EfficientNMS_Implicit_TF_TRT",
        {**PADDED, "max_output_size_per_class": -1},
        [f32(2, 9, 4), f32(2, 9, 3)],
        [i32(2), *EFFICIENT_ROWS],
    ),
    (
        "EfficientNMS_Explicit_TF_TRT",
        PADDED,
        [ANY, ANY],
        [i32(None, 1), f32(None, None, 4), f32(None, None), i32(None, None)],
    ),
    ("ResizeNearest_TRT", {}, [f32(1, 256, 13, 26)], [f32(1, 256, 26, 52)]),
    ("ResizeNearest_TRT", {"scale": 0.5}, [f32(1, 256, 13, 26)], [f32(1, 256, 6, 13)]),
    # 0.7 is 0.69999999 in float32; 10 times that is below 7 in float64, and 7 in float32.
    ("ResizeNearest_TRT", {"scale": 0.7}, [f32(1, 1, 10, 10)], [f32(1, 1, 7, 7)]),
    ("ResizeNearest_TRT", {}, [f32(None, None, None, 4)], [f32(None, None, None, 8)]),
    ("ResizeNearest_TRT", {}, [ANY], [f32(None, None, None, None)]),
    ("LReLU_TRT", {}, [f32(None, 3, 4)], [f32(None, 3, 4)]),
    ("LReLU_TRT", {"negSlope": 0}, [f32(2, 3, 4, 5, 6)], [f32(2, 3, 4, 5, 6)]),
    ("Clip_TRT", {}, [f32(None, 3)], [f32(None, 3)]),
    ("Clip_TRT", {"clipMin": 6.0}, [f32(3)], [f32(3)]),
    ("Reorg_TRT", {}, [f32(1, 64, 26, 26)], [f32(1, 256, 13, 13)]),
    ("Reorg_TRT", {"stride": 3}, [f32(None, 9, 6, 12)], [f32(None, 81, 2, 4)]),
    ("Reorg_TRT", {}, [f32(1, None, 26, None)], [f32(1, None, 13, None)]),
    ("Reorg_TRT", {"stride": 1}, [f32(1, 5, 7, 9)], [f32(1, 5, 7, 9)]),
    ("Region_TRT", {}, [f32(1, 425, 13, 13)], [f32(1, 425, 13, 13)]),
    ("Region_TRT", {}, [f32(None, None, 13, 13)], [f32(None, None, 13, 13)]),
    ("BatchTilePlugin_TRT", {}, [f32(8, 3), f32(1, 3, 7, 9)], [f32(8, 3, 7, 9)]),
    ("BatchTilePlugin_TRT", {}, [ANY, f32(1, 3, None, 9)], [f32(None, 3, None, 9)]),
    ("SpecialSlice_TRT", {}, [f32(2, 100, 6)], [f32(2, 100, 4)]),
    ("SpecialSlice_TRT", {}, [f32(None, None, None)], [f32(None, None, 4)]),
    ("Split_TRT", {}, [f32(2, 6, 5)], [f32(2, 1, 5), f32(2, 2, 5), f32(2, 3, 5)]),
    ("Split_TRT", {"axis": 0}, [f32(None)], [f32(1), f32(2), f32(3)]),
    ("CoordConvAC", {}, [f32(1, 3, 5, 7)], [f32(1, 5, 5, 7)]),
    ("CoordConvAC", {}, [f32(None, None, 5, 7)], [f32(None, None, 5, 7)]),
    ("InstanceNormalization_TRT", {}, [f32(1, 3, 5, 7)], [f32(1, 3, 5, 7)]),
    (
        "InstanceNormalization_TRT",
        {"relu": 1, "alpha": 0.1},
        [f32(None, 3, 5, 7, 9)],
        [f32(None, 3, 5, 7, 9)],
    ),
]

REFUSED: Sequence[tuple[str, Mapping[str, Any], Sequence[TensorSpec], str]] = [
    ("PriorBox_TRT", {}, [f32(1, 512, 19), ANY], "expected 4 axes"),
    ("PriorBox_TRT", {}, [f32(1, 512, 19, 19)], "has 1 input; expected 2"),
    ("Normalize_TRT", {}, [f32(1, 511, 38, 38)], "expected 512 at axis 1"),
    ("Normalize_TRT", {}, [f32(512, 38, 38)], "expected 4 axes"),
    ("Normalize_TRT", {}, [i32(1, 512, 38, 38)], "expected float32"),
    ("BatchedNMS_TRT", {}, [f32(2, 9, 4), f32(2, 9, 80)], "expected 4 axes"),
    ("BatchedNMS_TRT", {}, [f32(2, 9, 80, 4), f32(2, 9, 80)], "expected 1 at axis 2"),
    ("BatchedNMS_TRT", {"shareLocation": 0}, [f32(2, 9, 1, 4), f32(2, 9, 80)], "expected 80 at axis 2"),
    ("BatchedNMS_TRT", {}, [f32(2, 9, 1, 5), f32(2, 9, 80)], "expected 4 at the last axis"),
    ("BatchedNMSDynamic_TRT", {}, [f32(2, 9, 1, 4), f32(2, 9, 81)], "expected 80 at axis 2"),
    ("BatchedNMSDynamic_TRT", {}, [f32(2, 9, 1, 4), f32(2, 9, 80, 2)], "expected 1 at axis 3"),
    (
        "BatchedNMSDynamic_TRT",
        {},
        [f32(2, 9, 1, 4), f32(2, 10, 80)],
        "expected 9 boxes at axis 1, as in input 0",
    ),
    ("BatchedNMSDynamic_TRT", {}, [f32(2, 9, 1, 4), f32(3, 9, 80)], "expected 2 pictures at axis 0"),
    ("BatchedNMSDynamic_TRT", {}, [f32(2, 9, 1, 4), f32(2, 720)], "expected 3 or 4 axes"),
    ("NMSDynamic_TRT", {}, [LOC, f32(1, 2, 7668, 1), CONF], "expected 2 pictures at axis 0, as in input 0"),
    ("NMSDynamic_TRT", {}, [CONF, PRIOR, LOC], "input 0 of NMSDynamic_TRT, taken as loc, has 174447 numbers"),
    ("NMSDynamic_TRT", {"numClasses": 90}, [LOC, PRIOR, CONF], "expected 172530"),
    ("EfficientNMS_TRT", {}, [f32(2, 9), f32(2, 9, 80)], "expected 3 or 4 axes"),
    ("EfficientNMS_TRT", {}, [f32(2, 9, 5), f32(2, 9, 80)], "expected 4 at the last axis"),
    ("EfficientNMS_TRT", {}, [f32(2, 9, 79, 4), f32(2, 9, 80)], "expected 1 or 80 at axis 2"),
    ("EfficientNMS_TRT", {}, [f32(2, 9, 4), f32(2, 10, 80)], "expected 9 boxes"),
    ("EfficientNMS_TRT", {}, [f32(2, 9, 4), f32(2, 9, 80), f32(3, 9, 4)], "expected 1 or 2 at axis 0"),
    ("EfficientNMS_TRT", {}, [f32(2, 9, 4), f32(2, 9, 80), f32(1, 9, 5)], "expected 4 at axis 2"),
    ("EfficientNMS_TRT", {}, [f32(2, 9, 4), f32(2, 9, 80), f32(1, 8, 4)], "expected 9 boxes"),
    ("EfficientNMS_TRT", {}, [f32(2, 9, 4), f32(2, 9, 80), f32(9, 4)], "expected 3 axes"),
    ("EfficientNMS_TRT", {}, [f32(2, 9, 4)], "has 1 input; expected 2"),
    ("EfficientNMS_TRT", {}, [f32(2, 9, 4), i32(2, 9, 80)], "expected float32"),
    ("EfficientNMS_ONNX_TRT", {}, [f32(3, 9, 4), f32(2, 9, 80)], "expected 3 pictures"),
    ("EfficientNMS_ONNX_TRT", {}, [f32(3, 9, 4), f32(3, 9, 80), f32(1, 9, 4)], "has 3 inputs; expected 2"),
    ("EfficientNMS_Explicit_TF_TRT", {}, [f32(2, 9, 2, 4), f32(2, 9, 80)], "expected 1 or 80"),
    ("EfficientNMS_Implicit_TF_TRT", {}, [f32(2, 9, 4), f32(2, 9, 80, 1)], "expected 3 axes"),
    ("ResizeNearest_TRT", {"scale": 0.01}, [f32(1, 1, 13, 13)], "axis 2 times 0.01"),
    ("ResizeNearest_TRT", {"scale": 1e30}, [f32(1, 1, None, 13)], "axis 3 times 1e+30"),
    ("ResizeNearest_TRT", {}, [f32(1, 13, 13)], "expected 4 axes"),
    ("LReLU_TRT", {}, [i32(1)], "expected float32"),
    ("Clip_TRT", {}, [f32(1), f32(1)], "has 2 inputs; expected 1"),
    ("Reorg_TRT", {}, [f32(1, 64, 27, 26)], "a multiple of 2 at axis 2"),
    ("Reorg_TRT", {}, [f32(1, 64, 26, 25)], "a multiple of 2 at axis 3"),
    ("Reorg_TRT", {}, [f32(1, 66, 26, 26)], "a multiple of 4 at axis 1"),
    ("Region_TRT", {}, [f32(1, 424, 13, 13)], "expected 425 at axis 1"),
    ("BatchTilePlugin_TRT", {}, [f32(8, 3), f32(2, 3, 7, 9)], "expected 1 at axis 0"),
    ("BatchTilePlugin_TRT", {}, [f32(8, 3), f32(3, 7, 9)], "expected 4 axes"),
    ("SpecialSlice_TRT", {}, [f32(2, 100, 7)], "expected 6 at axis 2"),
    ("SpecialSlice_TRT", {}, [f32(100, 6)], "expected 3 axes"),
    ("Split_TRT", {}, [f32(2, 7, 5)], "expected 6 at axis 1"),
    ("Split_TRT", {}, [f32(6)], "expected more than 1 axes"),
    ("CoordConvAC", {}, [f32(3, 5, 7)], "expected 4 axes"),
    ("InstanceNormalization_TRT", {}, [f32(1, 4, 5, 7)], "expected 3 at axis 1"),
    ("InstanceNormalization_TRT", {}, [f32(1, 3, 5)], "expected 4 or 5 axes"),
]

WRONG: Sequence[tuple[str, Mapping[str, Any], str, str]] = [
    ("PriorBox_TRT", {"maxSize": [1.0, 2.0]}, "C108", "'maxSize' has 2 numbers and 'minSize' has 1"),
    ("PriorBox_TRT", {"maxSize": [60.0]}, "C108", "not above 'minSize' 60, item 0"),
    ("PriorBox_TRT", {"minSize": []}, "C106", "at least 1"),
    ("PriorBox_TRT", {"minSize": [0.0]}, "C105", "more than 0"),
    ("PriorBox_TRT", {"aspectRatios": []}, "C106", "at least 1"),
    ("PriorBox_TRT", {"aspectRatios": [2.0] * 257}, "C106", "at most 256"),
    ("PriorBox_TRT", {"variance": [0.1]}, "C106", "expected 4"),
    ("PriorBox_TRT", {"imgH": -1}, "C105", "at least 0"),
    ("Normalize_TRT", {"channelShared": 1}, "C108", "'weights' has 512 numbers"),
    ("Normalize_TRT", {"nbWeights": 2}, "C105", "expected 1"),
    ("Normalize_TRT", {"weights": []}, "C106", "at least 1"),
    ("BatchedNMS_TRT", {"keepTopK": 1001}, "C108", "'keepTopK' is 1001"),
    ("BatchedNMS_TRT", {"backgroundLabelId": 80}, "C108", "'backgroundLabelId' is 80"),
    ("BatchedNMSDynamic_TRT", {"topK": 4097}, "C105", "1 to 4096"),
    ("BatchedNMSDynamic_TRT", {"keepTopK": 1001}, "C108", "'keepTopK' is 1001"),
    ("NMSDynamic_TRT", {"isBatchAgnostic": 1}, "C105", "expected 0"),
    ("NMSDynamic_TRT", {"keepTopK": 101}, "C108", "'keepTopK' is 101"),
    ("NMSDynamic_TRT", {"inputOrder": [0, 0, 2]}, "C108", "'inputOrder' is [0, 0, 2]"),
    ("EfficientNMS_TRT", {"iou_threshold": 0.0}, "C105", "more than 0"),
    ("EfficientNMS_TRT", {"score_threshold": -0.1}, "C105", "at least 0"),
    ("EfficientNMS_TRT", {"max_output_boxes": 0}, "C105", "at least 1"),
    ("EfficientNMS_TRT", {"box_coding": 2}, "C105", "0 or 1"),
    ("EfficientNMS_ONNX_TRT", {"max_output_boxes_per_class": 0}, "C105", "at least 1"),
    ("EfficientNMS_Explicit_TF_TRT", {"max_total_size": 0}, "C105", "at least 1"),
    ("EfficientNMS_Implicit_TF_TRT", {"max_output_size_per_class": -2}, "C105", "at least -1"),
    ("ResizeNearest_TRT", {"scale": 0.0}, "C105", "more than 0"),
    ("LReLU_TRT", {"negSlope": -0.1}, "C105", "at least 0"),
    ("Clip_TRT", {"clipMin": 7.0}, "C108", "'clipMin' 7"),
    ("Reorg_TRT", {"stride": 0}, "C105", "1 to 32768"),
    ("Region_TRT", {"smTree": 0}, "C108", "'smTree' is a pointer"),
    ("Region_TRT", {"coords": 5}, "C105", "expected 4"),
    ("BatchTilePlugin_TRT", {"count": 2}, "C102", "no field 'count'"),
    ("SpecialSlice_TRT", {"size": 4}, "C102", "no field 'size'"),
    ("CoordConvAC", {"with_r": 1}, "C102", "no field 'with_r'"),
    ("Split_TRT", {"output_lengths": [1, 0]}, "C105", "at least 1"),
    ("Split_TRT", {"axis": -1}, "C105", "0 to 7"),
    ("InstanceNormalization_TRT", {"bias": [0.0]}, "C108", "'scales' has 3 numbers and 'bias' has 1"),
    ("InstanceNormalization_TRT", {"relu": 2}, "C105", "0 or 1"),
]


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    return load_catalog()


def refused(action: Callable[[], object]) -> Diagnostic:
    with pytest.raises(SurgeonError) as caught:
        action()
    (diagnostic,) = caught.value.diagnostics
    return diagnostic


@pytest.mark.parametrize(("op", "change", "inputs", "wanted"), SHAPES)
def test_shapes(
    catalog: Catalog,
    op: str,
    change: Mapping[str, Any],
    inputs: Sequence[TensorSpec],
    wanted: Sequence[TensorSpec],
) -> None:
    assert catalog[op].output_specs({**FIELDS[op], **change}, inputs) == tuple(wanted)


@pytest.mark.parametrize(("op", "change", "inputs", "text"), REFUSED)
def test_inputs_that_do_not_fit_are_c109(
    catalog: Catalog, op: str, change: Mapping[str, Any], inputs: Sequence[TensorSpec], text: str
) -> None:
    diagnostic = refused(lambda: catalog[op].output_specs({**FIELDS[op], **change}, inputs))
    assert diagnostic.code == "C109" and text in diagnostic.message and diagnostic.help


@pytest.mark.parametrize(("op", "change", "code", "text"), WRONG)
def test_fields_that_do_not_fit(
    catalog: Catalog, op: str, change: Mapping[str, Any], code: str, text: str
) -> None:
    diagnostic = refused(lambda: catalog[op].complete({**FIELDS[op], **change}))
    assert diagnostic.code == code and text in diagnostic.message


@pytest.mark.parametrize("op", FIELDS)
def test_every_plugin_is_tried_with_right_and_wrong_inputs(catalog: Catalog, op: str) -> None:
    assert set(FIELDS[op]) <= set(catalog[op].complete(FIELDS[op])) <= set(catalog[op].fields)
    for table in (SHAPES, REFUSED, WRONG):
        assert op in {row[0] for row in table}


@pytest.mark.parametrize("op", FIELDS)
def test_outputs_fit_the_ports(catalog: Catalog, op: str) -> None:
    ports = {port.name: port for port in catalog[op].outputs}
    for name, change, inputs, _ in SHAPES:
        if name != op:
            continue
        fields = {**FIELDS[op], **change}
        specs = catalog[op].output_specs(fields, inputs)
        for port_name, spec in zip(catalog[op].output_ports(fields), specs, strict=True):
            port = ports[port_name.rstrip("0123456789")]
            assert spec.dtype == port.dtype and (port.rank is None or spec.shape.rank in (None, port.rank))


@pytest.mark.parametrize(
    ("op", "name", "before", "since"),
    [
        ("EfficientNMS_TRT", "class_agnostic", (8, 6, 0), (8, 6, 1)),
        ("BatchedNMS_TRT", "scoreBits", (7, 2, 1), (8, 0, 1)),
        ("BatchedNMSDynamic_TRT", "caffeSemantics", (8, 2, 1), (8, 4, 1)),
        ("InstanceNormalization_TRT", "relu", (7, 2, 1), (8, 0, 1)),
    ],
)
def test_fields_that_came_later(
    catalog: Catalog, op: str, name: str, before: tuple[int, ...], since: tuple[int, ...]
) -> None:
    given = {**FIELDS[op], name: 1}
    assert refused(lambda: catalog[op].complete(given, version=before)).code == "C107"
    assert catalog[op].complete(given, version=since)[name] == 1
    assert name not in catalog[op].complete(FIELDS[op], version=before)
    assert name in catalog[op].complete(FIELDS[op], version=since)


@pytest.mark.parametrize(
    ("op", "first", "last"),
    [
        ("PriorBox_TRT", (5, 1, 5), None),
        ("Normalize_TRT", (5, 1, 5), (10, 16)),
        ("BatchedNMS_TRT", (5, 1, 5), (10, 16)),
        ("BatchedNMSDynamic_TRT", (7, 2, 1), (10, 16)),
        ("NMSDynamic_TRT", (8, 0, 1), (10, 16)),
        ("EfficientNMS_TRT", (8, 0, 1), None),
        ("EfficientNMS_ONNX_TRT", (8, 0, 1), (10, 16)),
        ("EfficientNMS_Explicit_TF_TRT", (8, 4, 1), None),
        ("EfficientNMS_Implicit_TF_TRT", (8, 4, 1), None),
        ("ResizeNearest_TRT", (6, 0, 1), None),
        ("LReLU_TRT", (5, 1, 5), (10, 16)),
        ("Clip_TRT", (5, 1, 5), (10, 16)),
        ("Reorg_TRT", (5, 1, 5), None),
        ("Region_TRT", (5, 1, 5), None),
        ("BatchTilePlugin_TRT", (6, 0, 1), (10, 16)),
        ("SpecialSlice_TRT", (6, 0, 1), (10, 16)),
        ("Split_TRT", (7, 2, 1), (10, 16)),
        ("CoordConvAC", (7, 1, 3), (10, 16)),
        ("InstanceNormalization_TRT", (6, 0, 1), None),
    ],
)
def test_from_when_to_when_a_plugin_exists(
    catalog: Catalog, op: str, first: tuple[int, ...], last: tuple[int, ...] | None
) -> None:
    plugin = catalog[op]
    assert (
        plugin.exists_in(first)
        and not plugin.exists_in((*first[:-1], first[-1] - 1))
        and plugin.exists_in((10, 16))
    )
    assert plugin.exists_in((11, 0)) is plugin.exists_in((11, 1)) is (last is None)
    if last is not None:
        assert plugin.deprecated == (9, 0)
    assert plugin.replacement_in((11, 0)) and plugin.replacement


@pytest.mark.parametrize(
    "op", ["BatchedNMS_TRT", "BatchedNMSDynamic_TRT", "EfficientNMS_TRT", "ResizeNearest_TRT", "Clip_TRT"]
)
def test_fields_that_creators_demand_since_8_5_1(catalog: Catalog, op: str) -> None:
    demanded = [field.name for field in catalog[op].fields.values() if field.required_since == (8, 5, 1)]
    assert demanded == [name for name in FIELDS[op] if name != "isNormalized"]
