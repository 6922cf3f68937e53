"""Detections as TensorFlow's detectors choose them, in standard operators.

They compute what :mod:`surgeon.kernels.postprocessing.numbers` does.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from surgeon.diagnostics import error
from surgeon.formats.onnx.emitter import Emitter
from surgeon.formats.onnx.lowering import PluginNode
from surgeon.formats.onnx.shapes import batch_size, picture_numbers, sample_dims
from surgeon.kernels.boxes import onnx as coding
from surgeon.kernels.detection_output.numbers import TF_CENTER
from surgeon.kernels.detection_output.onnx import NO_DETECTION
from surgeon.kernels.postprocessing.numbers import (
    AFTER,
    BEFORE,
    CENTRE_SIZE,
    SIGMOID,
    SOFTMAX,
)
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

_HARDLY = -1e29


def detections(at: PluginNode) -> tuple[str, str]:
    """Return the detections, float32[N, 1, maxTotal, 7], and their number, int32[N, 1, 1, 1].

    Difference: the number is an int32, where the plugin has its bits in a float32. Raise SurgeonError X160
    where a size is unknown, X161 for soft suppression in TensorRT, X162 for more rows than TensorRT takes.
    """
    emit, fields = at.emit, at.fields
    if fields["softSigma"] > 0 and at.version is not None:
        raise error(
            "X161",
            f"{at.spec.op} has softSigma {fields['softSigma']:g}, which lowers the scores of boxes that "
            "overlap; in standard operators that is a Loop, which is written for other runtimes alone",
            None,
            help=["write the plugin node itself (--plugins native), for a TensorRT that has it"],
        )
    labels, any_object = labels_but(fields["classes"], fields["background"])
    check_rows(at, "maxTotal", fields["maxTotal"])
    every = _candidates(at, labels, any_object)
    names = emit.constant(labels, np.float32)
    best = None
    if fields["classAgnostic"]:
        every, best = _best_class(emit, every)
    places = None
    if fields["softSigma"] > 0:
        every, kept, places = _soft(at, every)
    else:
        kept = survivors(
            emit,
            every,
            fields["iouThreshold"],
            fields["maxPerClass"],
            least=_below(fields) if any_object else None,
            together=compared(at),
        )
    if fields["clip"] == AFTER:
        every = replace(every, boxes=coding.clipped(emit, every.boxes))
    if fields["dropEmpty"] == AFTER:
        kept = _without_empty(emit, every.boxes, kept, every.shared)
    rows = best_rows(emit, every, kept, fields["maxTotal"])
    label = rows.classes
    if best is not None:
        box = rows.places
        if places is not None:
            box = emit.op("GatherElements", emit.op("Squeeze", places, emit.ints(1)), box, axis=1)
        label = emit.op("GatherElements", best, box, axis=1)
    columns = [
        emit.op("Unsqueeze", each, emit.ints(2))
        for each in (emit.op("Gather", names, label, axis=0), rows.scores, rows.valid)
    ]
    found = emit.op("Concat", *columns[:2], rows.boxes, axis=2)
    found = emit.op("Where", columns[2], found, emit.constant(NO_DETECTION, np.float32))
    picture = emit.op("Expand", picture_numbers(at, 0, 3, np.float32), emit.ints(1, fields["maxTotal"], 1))
    whole = emit.op("Unsqueeze", emit.op("Concat", picture, found, axis=2), emit.ints(1))
    return whole, emit.op("Unsqueeze", number_of(emit, rows), emit.ints(2, 3))


def _below(fields: Any) -> float:
    """Return the score above which every candidate is."""
    threshold = np.float32(fields["scoreThreshold"])
    return float(np.nextafter(threshold, np.float32(-np.inf)) if fields["scoreAtLeast"] else threshold)


def _candidates(at: PluginNode, labels: tuple[int, ...], any_object: bool) -> Candidates:
    """Return boxes and scores as they go into suppression."""
    emit, fields = at.emit, at.fields
    classes = fields["classes"]
    anchors = int(np.prod(sample_dims(at, 1))) // classes
    shared = bool(fields["shareLocation"]) or classes == 1
    boxes = _boxes(at, anchors, labels, shared)
    if fields["clip"] == BEFORE:
        boxes = coding.clipped(emit, boxes)
    scores = _scores(at, anchors, labels, any_object)
    if fields["dropEmpty"] == BEFORE:
        scores = _without_empty(emit, boxes, scores, shared)
    return Candidates(boxes, scores, len(labels), anchors, shared)


def _boxes(at: PluginNode, anchors: int, labels: tuple[int, ...], shared: bool) -> str:
    """Return the boxes (xmin, ymin, xmax, ymax): float32[N, P, 4], or float32[N, L, P, 4] where each of the L
    labels has its own.
    """
    emit, fields = at.emit, at.fields
    if shared:
        shape = emit.ints(0, anchors, 4)
        given = emit.op("Reshape", at.inputs[0], shape)
    else:
        shape = emit.ints(0, 1, anchors, 4)
        each = emit.op("Reshape", at.inputs[0], emit.ints(0, anchors, fields["classes"], 4))
        given = emit.op("Transpose", objects(emit, each, labels, fields["classes"], 2), perm=(0, 2, 1, 3))
    if fields["coding"] != CENTRE_SIZE:
        return emit.op("Gather", given, emit.ints(1, 0, 3, 2), axis=-1)
    first = emit.op("Slice", at.inputs[2], emit.ints(0), emit.ints(1), emit.ints(0))
    corners, variance = emit.op_many("Split", (first, emit.ints(1, 1)), 2, axis=1)
    of_anchor, of_encoding = (emit.op("Reshape", each, shape) for each in (corners, variance))
    return coding.decoded(emit, TF_CENTER, given, of_anchor, of_encoding)


def _scores(at: PluginNode, anchors: int, labels: tuple[int, ...], any_object: bool) -> str:
    """Return the scores, float32[N, L, P], ``NONE`` for what is no candidate."""
    emit, fields = at.emit, at.fields
    classes = fields["classes"]
    scores = emit.op("Reshape", at.inputs[1], emit.ints(0, anchors, classes))
    if fields["scoreScale"] != 1:
        scores = emit.op("Mul", scores, emit.constant(fields["scoreScale"], np.float32))
    if fields["scoreConverter"] == SOFTMAX:
        scores = emit.op("Softmax", scores, axis=2)
    scores = emit.op("Transpose", objects(emit, scores, labels, classes, 2), perm=(0, 2, 1))
    if fields["scoreConverter"] == SIGMOID:
        scores = coding.logistic(emit, scores)
    threshold = emit.constant(fields["scoreThreshold"] if any_object else np.inf, np.float32)
    passes = emit.op("GreaterOrEqual" if fields["scoreAtLeast"] else "Greater", scores, threshold)
    return emit.op("Where", passes, scores, emit.constant(NONE, np.float32))


def _without_empty(emit: Emitter, boxes: str, scores: str, shared: bool) -> str:
    """Return the scores, float32[N, L, P], with ``NONE`` for boxes without an area."""
    low, high = coding.halves(emit, boxes)
    sides = emit.op("Max", emit.op("Sub", high, low), emit.constant(0, np.float32))
    area = emit.op("ReduceProd", sides, axes=(-1,), keepdims=0)
    if shared:
        area = emit.op("Unsqueeze", area, emit.ints(1))
    filled = emit.op("Greater", area, emit.constant(0, np.float32))
    return emit.op("Where", filled, scores, emit.constant(NONE, np.float32))


def _best_class(emit: Emitter, every: Candidates) -> tuple[Candidates, str]:
    """Return the candidates with the best score of each box alone, and its place among the labels,
    int64[N, P].

    Of equal scores, that of the first label counts.
    """
    best = emit.op("ArgMax", every.scores, axis=1, keepdims=0)
    scores = emit.op("ReduceMax", every.scores, axes=(1,), keepdims=1)
    boxes = every.boxes
    if not every.shared:
        by_box = emit.op("Transpose", boxes, perm=(0, 2, 1, 3))
        boxes = emit.op("GatherND", by_box, emit.op("Unsqueeze", best, emit.ints(2)), batch_dims=2)
    return Candidates(boxes, scores, 1, every.each, shared=True), best


def _soft(at: PluginNode, every: Candidates) -> tuple[Candidates, str, str]:
    """Return the boxes that soft suppression keeps, best first of each label, their lowered scores, and their
    places, int64[N, L, K].

    A Loop takes one box of each label at a time, as many as are kept of a class.
    """
    emit, fields = at.emit, at.fields
    count = min(fields["maxPerClass"], every.each)
    body = _SoftBody(emit, every, fields, batch_size(at, 0))
    _, scores, places = emit.op_many(
        "Loop",
        (emit.constant(count, np.int64), "", every.scores),
        3,
        body=body.graph(),
    )
    # A round gives float32[N, L, 1] and int64[N, L, 1], so the Loop gives [K, N, L, 1].
    rows = emit.ints(0, every.classes, count)
    scores, places = (
        emit.op("Reshape", emit.op("Transpose", each, perm=(1, 2, 0, 3)), rows) for each in (scores, places)
    )
    if every.shared:
        flat = emit.op("Reshape", places, emit.ints(0, every.classes * count, 1))
        chosen = emit.op("GatherND", every.boxes, flat, batch_dims=1)
        boxes = emit.op("Reshape", chosen, emit.ints(0, every.classes, count, 4))
    else:
        boxes = emit.op("GatherND", every.boxes, emit.op("Unsqueeze", places, emit.ints(3)), batch_dims=2)
    return Candidates(boxes, scores, every.classes, count, shared=False), scores, places


@dataclass(frozen=True)
class _SoftBody:
    """One round of soft suppression: the best box of each label, and the scores that the others keep."""

    outer: Emitter
    every: Candidates
    fields: Any
    pictures: int | None

    def graph(self) -> Any:
        """Return the body of the Loop."""
        outer, every, fields = self.outer, self.every, self.fields
        emit = Emitter(outer.name("round"), outer.opset)
        left, boxes = emit.name("left"), coding.ordered(outer, every.boxes)
        around = outer.op("Unsqueeze", boxes, outer.ints(1)) if every.shared else boxes
        others = [outer.op("Squeeze", side, outer.ints(-1)) for side in coding.sides(outer, around)]
        best = emit.op("ArgMax", left, axis=2, keepdims=1)
        score = emit.op("GatherElements", left, best, axis=2)
        if every.shared:
            box = emit.op("GatherND", boxes, best, batch_dims=1)
        else:
            box = emit.op("GatherND", boxes, best, batch_dims=2)
        share = coding.overlap(emit, coding.sides(emit, box), others)
        squared = emit.op("Mul", share, share)
        falling = emit.op(
            "Exp", emit.op("Mul", squared, emit.constant(np.float32(-0.5 / np.float32(fields["softSigma"]))))
        )
        above = emit.op("Greater", share, emit.constant(fields["iouThreshold"], np.float32))
        weight = emit.op("Where", above, emit.constant(0, np.float32), falling)
        lowered = emit.op("Mul", left, weight)
        same = emit.op("Equal", lowered, left)
        enough = emit.op("Greater", lowered, emit.constant(fields["scoreThreshold"], np.float32))
        candidate = emit.op("Greater", left, emit.constant(_HARDLY, np.float32))
        stays = emit.op("And", candidate, emit.op("Or", same, enough))
        none = emit.constant(NONE, np.float32)
        after = emit.op("Where", stays, lowered, none)
        gone = emit.op("Where", emit.op("Greater", score, none), none, none)
        after = emit.op("ScatterElements", after, best, gone, axis=2)
        going = emit.op("Identity", emit.constant(True, np.bool_))
        number, again = emit.name("number"), emit.name("again")
        scores, one = [self.pictures, every.classes, every.each], [self.pictures, every.classes, 1]
        return emit.body(
            [(number, np.int64, []), (again, np.bool_, []), (left, np.float32, scores)],
            [
                (going, np.bool_, []),
                (after, np.float32, scores),
                (score, np.float32, one),
                (best, np.int64, one),
            ],
        )
