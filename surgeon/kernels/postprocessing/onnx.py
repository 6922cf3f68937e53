"""SurgeonDetection in standard operators.

They compute what :mod:`surgeon.kernels.postprocessing.numbers` does, but for soft suppression.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from surgeon.diagnostics import error
from surgeon.formats.onnx.emitter import Emitter
from surgeon.formats.onnx.lowering import PluginNode
from surgeon.formats.onnx.shapes import picture_numbers, sample_dims
from surgeon.kernels.boxes import onnx as coding
from surgeon.kernels.detection_output.numbers import TF_CENTER
from surgeon.kernels.detection_output.onnx import NO_DETECTION
from surgeon.kernels.postprocessing.numbers import AFTER, BEFORE, CENTRE_SIZE, SIGMOID, SOFTMAX
from surgeon.kernels.suppression.onnx import (
    NONE,
    Candidates,
    best_rows,
    check_rows,
    compared,
    labels_but,
    number_of,
    objects,
    survivors,
)


def detections(at: PluginNode) -> tuple[str, str]:
    """Return the detections, float32[N, 1, maxTotal, 7], and their number, int32[N, 1, 1, 1].

    Difference: the number is an int32, where the plugin has its bits in a float32. Raise SurgeonError X160
    where a size is unknown, X161 for soft suppression, X162 for more rows than TensorRT takes.
    """
    emit, fields = at.emit, at.fields
    if fields["softSigma"] > 0:
        raise error(
            "X161",
            f"{at.spec.op} has softSigma {fields['softSigma']:g}, which lowers the scores of boxes that "
            "overlap; expected 0, for NonMaxSuppression of ONNX drops them",
            None,
            help=["write the plugin node itself (--plugins native), for a TensorRT that has it"],
        )
    check_rows(at, "maxTotal", fields["maxTotal"])
    labels, any_object = labels_but(fields["classes"], fields["background"])
    anchors = math.prod(sample_dims(at, 1)) // fields["classes"]
    boxes, shared = _boxes(at, anchors, labels)
    scores = _scores(at, anchors, labels, any_object)
    if fields["dropEmpty"] == BEFORE:
        scores = _without_empty(emit, scores, boxes, shared)
    best = None
    if fields["classAgnostic"]:
        best = emit.op("ArgMax", scores, axis=1, keepdims=1)
        scores = emit.op("ReduceMax", scores, axes=[1], keepdims=1)
        if not shared:
            index = emit.op("Transpose", best, perm=(0, 2, 1))
            each = emit.op("Transpose", boxes, perm=(0, 2, 1, 3))
            boxes, shared = emit.op("GatherND", each, index, batch_dims=2), True
    candidates = Candidates(boxes, scores, 1 if best else len(labels), anchors, shared)
    kept = survivors(emit, candidates, fields["iouThreshold"], fields["maxPerClass"], together=compared(at))
    if fields["dropEmpty"] == AFTER:
        shown = coding.clipped(emit, boxes) if fields["clip"] == AFTER else boxes
        kept = _without_empty(emit, kept, shown, shared)
    rows = best_rows(emit, candidates, kept, fields["maxTotal"])
    classes = rows.classes
    if best:
        every = emit.op("Squeeze", best, emit.ints(1))
        places = emit.op("Unsqueeze", rows.places, emit.ints(2))
        classes = emit.op("GatherND", every, places, batch_dims=1)
    named = emit.op("Gather", emit.constant(labels, np.float32), classes, axis=0)
    label, score, valid = (
        emit.op("Unsqueeze", each, emit.ints(2)) for each in (named, rows.scores, rows.valid)
    )
    box = coding.clipped(emit, rows.boxes) if fields["clip"] == AFTER else rows.boxes
    found = emit.op("Concat", label, score, box, axis=2)
    found = emit.op("Where", valid, found, emit.constant(NO_DETECTION, np.float32))
    picture = emit.op("Expand", picture_numbers(at, 0, 3, np.float32), emit.ints(1, fields["maxTotal"], 1))
    whole = emit.op("Unsqueeze", emit.op("Concat", picture, found, axis=2), emit.ints(1))
    return whole, emit.op("Unsqueeze", number_of(emit, rows), emit.ints(2, 3))


def _boxes(at: PluginNode, anchors: int, labels: Sequence[int]) -> tuple[str, bool]:
    """Return the boxes as they go into suppression, and whether the classes share them.

    They are float32[N, P, 4], or float32[N, L, P, 4] where each of the L labels has its own.
    """
    emit, fields, classes = at.emit, at.fields, at.fields["classes"]
    shared = bool(fields["shareLocation"]) or classes == 1
    shape = emit.ints(0, anchors, 4) if shared else emit.ints(0, 1, anchors, 4)
    if shared:
        given = emit.op("Reshape", at.inputs[0], shape)
    else:
        each = emit.op("Reshape", at.inputs[0], emit.ints(0, anchors, classes, 4))
        given = emit.op("Transpose", objects(emit, each, labels, classes, 2), perm=(0, 2, 1, 3))
    if fields["coding"] == CENTRE_SIZE:
        first = emit.op("Slice", at.inputs[2], emit.ints(0), emit.ints(1), emit.ints(0))
        corners, variance = emit.op_many("Split", (first, emit.ints(1, 1)), 2, axis=1)
        boxes = coding.decoded(
            emit,
            TF_CENTER,
            given,
            emit.op("Reshape", corners, shape),
            emit.op("Reshape", variance, shape),
        )
    else:
        boxes = emit.op("Gather", given, emit.ints(1, 0, 3, 2), axis=-1)
    return (coding.clipped(emit, boxes) if fields["clip"] == BEFORE else boxes), shared


def _scores(at: PluginNode, anchors: int, labels: Sequence[int], any_object: bool) -> str:
    """Return the scores, float32[N, L, P], ``NONE`` for what is no candidate."""
    emit, fields, classes = at.emit, at.fields, at.fields["classes"]
    scores = emit.op("Reshape", at.inputs[1], emit.ints(0, anchors, classes))
    if fields["scoreScale"] != 1:
        scores = emit.op("Mul", scores, emit.constant(fields["scoreScale"], np.float32))
    if fields["scoreConverter"] == SIGMOID:
        scores = coding.logistic(emit, scores)
    elif fields["scoreConverter"] == SOFTMAX:
        scores = emit.op("Softmax", scores, axis=-1)
    scores = emit.op("Transpose", objects(emit, scores, labels, classes, 2), perm=(0, 2, 1))
    threshold = emit.constant(fields["scoreThreshold"] if any_object else np.inf, np.float32)
    passes = emit.op("GreaterOrEqual" if fields["scoreAtLeast"] else "Greater", scores, threshold)
    return emit.op("Where", passes, scores, emit.constant(NONE, np.float32))


def _without_empty(emit: Emitter, scores: str, boxes: str, shared: bool) -> str:
    """Return scores float32[N, L, P], ``NONE`` for boxes without an area."""
    low, high = coding.halves(emit, boxes)
    sides = emit.op("Sub", high, low)
    width, height = emit.op_many("Split", (sides, emit.ints(1, 1)), 2, axis=-1)
    zero = emit.constant(0, np.float32)
    positive = emit.op("And", emit.op("Greater", width, zero), emit.op("Greater", height, zero))
    area = emit.op("Greater", emit.op("Mul", width, height), zero)
    has_area = emit.op("Squeeze", emit.op("And", positive, area), emit.ints(-1))
    has_area = emit.op("Unsqueeze", has_area, emit.ints(1)) if shared else has_area
    kept: str = emit.op("Where", has_area, scores, emit.constant(NONE, np.float32))
    return kept
