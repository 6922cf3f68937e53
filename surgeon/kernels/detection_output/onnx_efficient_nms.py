"""NMS_TRT and NMSDynamic_TRT with EfficientNMS_TRT in place of their suppression, for TensorRT that has the
one and not the other.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from surgeon.formats.onnx.lowering import PluginNode
from surgeon.formats.onnx.native import DOMAIN, native_attributes
from surgeon.formats.onnx.shapes import picture_numbers, sample_dims
from surgeon.kernels.boxes import onnx as coding
from surgeon.kernels.detection_output.onnx import NO_DETECTION, candidate_boxes

PLUGIN = "EfficientNMS_TRT"


def by_efficient_nms(at: PluginNode) -> tuple[str, str]:
    """Return the detections, float32[N, 1, keepTopK, 7], and their number, int32[N, 1, 1, 1].

    Differences from the plugin: of all classes of a picture the best 5000 candidates are compared, whatever
    topK says; a score equal to confidenceThreshold counts, and an overlap equal to nmsThreshold suppresses;
    which of equal scores comes first is left to chance; isNormalized 0 has no meaning; the number is an
    int32, where the plugin has its bits in a float32. Raise SurgeonError X160 where a size is unknown, C102
    to C108 for fields that EfficientNMS_TRT refuses.
    """
    emit, fields, kept = at.emit, at.fields, at.fields["keepTopK"]
    classes, loc = fields["numClasses"], fields["inputOrder"][0]
    anchors = sample_dims(at, fields["inputOrder"][2])[1] // 4
    boxes = candidate_boxes(at, anchors, tuple(range(classes)))
    if not fields["shareLocation"] and classes > 1:
        boxes = emit.op("Transpose", boxes, perm=(0, 2, 1, 3))
    scores = emit.op("Reshape", at.inputs[fields["inputOrder"][1]], emit.ints(0, anchors, classes))
    number, found, score, label = emit.op_many(PLUGIN, (boxes, scores), 4, DOMAIN, **_attributes(at))
    places = emit.constant(np.arange(kept)[None], np.int32)
    valid = emit.op("Unsqueeze", emit.op("Less", places, number), emit.ints(2))
    rows = [emit.op("Unsqueeze", each, emit.ints(2)) for each in (emit.op("Cast", label, to=FLOAT), score)]
    detections = emit.op("Concat", *rows, coding.clipped(emit, found), axis=2)
    detections = emit.op("Where", valid, detections, emit.constant(NO_DETECTION, np.float32))
    picture = emit.op("Expand", picture_numbers(at, loc, 3, np.float32), emit.ints(1, kept, 1))
    whole = emit.op("Unsqueeze", emit.op("Concat", picture, detections, axis=2), emit.ints(1))
    return whole, emit.op("Unsqueeze", number, emit.ints(2, 3))


FLOAT = 1
"""ONNX's number of float32."""


def _attributes(at: PluginNode) -> dict[str, Any]:
    fields, spec = at.fields, at.catalog[PLUGIN]
    wanted = {
        "score_threshold": fields["confidenceThreshold"],
        "iou_threshold": fields["nmsThreshold"],
        "max_output_boxes": fields["keepTopK"],
        "background_class": fields["backgroundLabelId"],
        "score_activation": fields["confSigmoid"],
        "box_coding": 0,
    }
    return native_attributes(spec, wanted, at.version)
