"""NMS_TRT and NMSDynamic_TRT in standard operators.

They compute what :mod:`surgeon.kernels.detection_output.numbers` does.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from surgeon.diagnostics import error
from surgeon.formats.onnx.lowering import PluginNode
from surgeon.formats.onnx.native import DOMAIN, native_attributes
from surgeon.formats.onnx.shapes import batch_size, onnx_type, picture_numbers, sample_dims
from surgeon.kernels.boxes import onnx as coding
from surgeon.kernels.detection_output.numbers import TF_CENTER
from surgeon.kernels.suppression.onnx import (
    Candidates,
    Rows,
    above,
    best_of_each,
    best_rows,
    check_rows,
    compared,
    labels_but,
    number_of,
    objects,
    survivors,
)

EFFICIENT_NMS = "EfficientNMS_TRT"

NO_DETECTION = (-1, 0, 0, 0, 0, 0)
"""Label, score and box of a row without a detection."""

_LARGEST_LOGIT = np.log(np.finfo(np.float32).max)
"""The plugin's logistic function of more is not a number, and no candidate."""


def detection_output(at: PluginNode) -> tuple[str, str]:
    """Return the detections, float32[N, 1, keepTopK, 7], and their number, int32[N, 1, 1, 1].

    Differences: the number is an int32, where the plugin has its bits in a float32; scoreBits has no meaning.
    Raise SurgeonError X160 where a size is unknown, X161 where isNormalized is 0, X162 for more rows than
    TensorRT takes.
    """
    emit, fields = at.emit, at.fields
    if not fields["isNormalized"]:
        raise error(
            "X161",
            f"{at.spec.op} has isNormalized 0, by which boxes that do not meet share a pixel all the same, "
            "as large as the "
            "picture to which they are cut; expected an overlap that NonMaxSuppression of ONNX measures",
            None,
            help=[
                "set isNormalized to 1, for boxes relative to the picture, or write the plugin node itself "
                "(--plugins native)"
            ],
        )
    labels, any_object = labels_but(fields["numClasses"], fields["backgroundLabelId"])
    threshold = fields["confidenceThreshold"] if any_object else np.inf
    anchors = sample_dims(at, fields["inputOrder"][2])[1] // 4
    scores = above(emit, _scores(at, anchors, labels), threshold)
    shared = bool(fields["shareLocation"]) or fields["numClasses"] == 1
    every = Candidates(candidate_boxes(at, anchors, labels), scores, len(labels), anchors, shared)
    if fields["topK"] < anchors:
        check_rows(at, "topK", fields["topK"])
    check_rows(at, "keepTopK", fields["keepTopK"])
    candidates = best_of_each(emit, every, fields["topK"])
    kept = survivors(
        emit, candidates, fields["nmsThreshold"], fields["keepTopK"], least=threshold, together=compared(at)
    )
    rows = best_rows(emit, candidates, kept, fields["keepTopK"])
    return _detections(at, rows, labels), emit.op("Unsqueeze", number_of(emit, rows), emit.ints(2, 3))


def candidate_boxes(at: PluginNode, anchors: int, labels: tuple[int, ...]) -> str:
    """Return the boxes, float32[N, P, 4], or float32[N, L, P, 4] where each of the L labels has its own."""
    emit, fields = at.emit, at.fields
    loc, prior = fields["inputOrder"][0], fields["inputOrder"][2]
    name = at.inputs[prior]
    if fields["isBatchAgnostic"] and batch_size(at, prior) != 1:
        name = emit.op("Slice", name, emit.ints(0), emit.ints(1), emit.ints(0))
    corners, variance = emit.op_many("Split", (name, emit.ints(1, 1)), 2, axis=1)
    classes = fields["numClasses"]
    if fields["shareLocation"] or classes == 1:
        shape = emit.ints(0, anchors, 4)
        encoded = emit.op("Reshape", at.inputs[loc], shape)
    else:
        shape = emit.ints(0, 1, anchors, 4)
        each = emit.op("Reshape", at.inputs[loc], emit.ints(0, anchors, classes, 4))
        encoded = emit.op("Transpose", objects(emit, each, labels, classes, 2), perm=(0, 2, 1, 3))
    plain = fields["codeType"] != TF_CENTER and fields["varianceEncodedInTarget"]
    of_encoding = None if plain else emit.op("Reshape", variance, shape)
    return coding.decoded(emit, fields["codeType"], encoded, emit.op("Reshape", corners, shape), of_encoding)


def _scores(at: PluginNode, anchors: int, labels: tuple[int, ...]) -> str:
    """Return the scores, float32[N, L, P]."""
    emit, classes = at.emit, at.fields["numClasses"]
    every = emit.op("Reshape", at.inputs[at.fields["inputOrder"][1]], emit.ints(0, anchors, classes))
    scores = emit.op("Transpose", objects(emit, every, labels, classes, 2), perm=(0, 2, 1))
    if not at.fields["confSigmoid"]:
        return scores
    finite = emit.op("Less", scores, emit.constant(_LARGEST_LOGIT, np.float32))
    return emit.op("Where", finite, coding.logistic(emit, scores), emit.constant(0, np.float32))


def _detections(at: PluginNode, rows: Rows, labels: tuple[int, ...]) -> str:
    emit, loc, kept = at.emit, at.fields["inputOrder"][0], at.fields["keepTopK"]
    names = emit.constant(labels, np.float32)
    label, score, valid = (
        emit.op("Unsqueeze", each, emit.ints(2))
        for each in (emit.op("Gather", names, rows.classes, axis=0), rows.scores, rows.valid)
    )
    found = emit.op("Concat", label, score, coding.clipped(emit, rows.boxes), axis=2)
    found = emit.op("Where", valid, found, emit.constant(NO_DETECTION, np.float32))
    picture = emit.op("Expand", picture_numbers(at, loc, 3, np.float32), emit.ints(1, kept, 1))
    return emit.op("Unsqueeze", emit.op("Concat", picture, found, axis=2), emit.ints(1))


def efficient_nms_detection_output(at: PluginNode) -> tuple[str, str]:
    """Return what :func:`detection_output` does, with EfficientNMS_TRT for the suppression.

    It is for a TensorRT that has EfficientNMS_TRT and lacks the plugin.

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
    number, found, score, label = emit.op_many(
        EFFICIENT_NMS, (boxes, scores), 4, DOMAIN, **_efficient_attributes(at)
    )
    places = emit.constant(np.arange(kept)[None], np.int32)
    valid = emit.op("Unsqueeze", emit.op("Less", places, number), emit.ints(2))
    rows = [
        emit.op("Unsqueeze", each, emit.ints(2))
        for each in (emit.op("Cast", label, to=onnx_type(np.float32)), score)
    ]
    detections = emit.op("Concat", *rows, coding.clipped(emit, found), axis=2)
    detections = emit.op("Where", valid, detections, emit.constant(NO_DETECTION, np.float32))
    picture = emit.op("Expand", picture_numbers(at, loc, 3, np.float32), emit.ints(1, kept, 1))
    whole = emit.op("Unsqueeze", emit.op("Concat", picture, detections, axis=2), emit.ints(1))
    return whole, emit.op("Unsqueeze", number, emit.ints(2, 3))


def _efficient_attributes(at: PluginNode) -> dict[str, Any]:
    fields, spec = at.fields, at.catalog[EFFICIENT_NMS]
    wanted = {
        "score_threshold": fields["confidenceThreshold"],
        "iou_threshold": fields["nmsThreshold"],
        "max_output_boxes": fields["keepTopK"],
        "background_class": fields["backgroundLabelId"],
        "score_activation": fields["confSigmoid"],
        "box_coding": 0,
    }
    return native_attributes(spec, wanted, at.version)
