"""The EfficientNMS plugins in standard operators.

They compute what :mod:`surgeon.kernels.efficient_nms.numbers` does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from surgeon.formats.onnx.emitter import Emitter
from surgeon.formats.onnx.lowering import PluginNode
from surgeon.formats.onnx.shapes import batch_size, onnx_type, picture_numbers, sample_dims
from surgeon.kernels.boxes import onnx as coding
from surgeon.kernels.efficient_nms.numbers import CORNERS, DENSE, MOST_CANDIDATES, OUTSIDE, Rules
from surgeon.kernels.suppression.onnx import (
    NONE,
    Candidates,
    Rows,
    best_rows,
    check_rows,
    compared,
    divided,
    filled,
    filled_boxes,
    most_rows,
    number_of,
    survivors,
)

ROWS = ("max_output_boxes", "max_total_size", "max_output_boxes_per_class")
"""Fields that ask for rows, of which each plugin has one."""


@dataclass(frozen=True)
class Sizes:
    """Sizes of a picture: boxes, classes, and boxes of one candidate: 1, or one for each class."""

    each: int
    classes: int
    owners: int


def sizes_of(at: PluginNode) -> Sizes:
    """Return the sizes that boxes and scores have; raise SurgeonError X160 where one is unknown."""
    boxes, scores = sample_dims(at, 0), sample_dims(at, 1)
    return Sizes(boxes[0], scores[1], boxes[1] if len(boxes) == 3 else 1)


def corners(at: PluginNode, sizes: Sizes, code: int) -> str:
    """Return the boxes as corners, float32[N, P, 4] or, where each class has its own, float32[N, P, C, 4].

    A third input holds anchors, from which boxes are then offsets.
    """
    emit, shape = at.emit, (0, sizes.each, 4) if sizes.owners == 1 else (0, sizes.each, sizes.owners, 4)
    boxes = emit.op("Reshape", at.inputs[0], emit.ints(*shape))
    if len(at.inputs) == 3:
        anchors = at.inputs[2] if sizes.owners == 1 else emit.op("Unsqueeze", at.inputs[2], emit.ints(2))
        if code == CORNERS:
            return emit.op("Add", coding.ordered(emit, boxes), coding.ordered(emit, anchors))
        boxes = _moved(emit, boxes, anchors)
    return boxes if code == CORNERS else coding.corners_of(emit, boxes)


def chosen(at: PluginNode, boxes: str, sizes: Sizes, rules: Rules) -> Rows:
    """Return what is left of each picture, in ``rules.most`` rows.

    ``boxes`` is what :func:`corners` returns. Scores are before the logistic function. Equal scores come in
    the order of the reference, lower box first. Raise SurgeonError X162 for more rows than TensorRT takes.
    """
    emit = at.emit
    check_rows(at, next(name for name in ROWS if name in at.fields), rules.most)
    scores = _best(at, _scores(at, sizes, rules), sizes)
    limit = rules.most if rules.most_per_class < 0 else min(rules.most, rules.most_per_class)
    # An overlap at the threshold suppresses, where NonMaxSuppression has it above; one of 0 or less always
    # does.
    level = float(np.clip(np.nextafter(np.float32(rules.iou_threshold), np.float32(-np.inf)), 0, 1))
    limit = min(limit, 1) if rules.iou_threshold <= 0 else limit
    if rules.agnostic:
        return _of_any_class(emit, boxes, scores, sizes, rules, level, limit)
    scores = emit.op("Transpose", scores, perm=(0, 2, 1))
    if sizes.owners > 1:
        boxes = emit.op("Transpose", boxes, perm=(0, 2, 1, 3))
    candidates = Candidates(boxes, scores, sizes.classes, sizes.each, shared=sizes.owners == 1)
    kept = survivors(emit, candidates, level, limit)
    return best_rows(emit, candidates, kept, rules.most, box_first=True)


def detections(at: PluginNode, rows: Rows, rules: Rules, *, clip: bool = False) -> tuple[str, str, str, str]:
    """Return the detections: their number, boxes, scores and classes.

    These are int32[N, 1], float32[N, K, 4], float32[N, K] and int32[N, K].
    """
    emit = at.emit
    scores = coding.logistic(emit, rows.scores) if rules.sigmoid else rows.scores
    boxes = filled_boxes(emit, rows)
    classes = emit.op("Cast", rows.classes, to=onnx_type(np.int32))
    return (
        number_of(emit, rows),
        coding.clipped(emit, boxes) if clip else boxes,
        filled(emit, rows, scores, 0),
        filled(emit, rows, classes, 0, np.int32),
    )


def combined_nms(at: PluginNode) -> tuple[str, str, str, str]:
    """Return the detections of TensorFlow's CombinedNonMaxSuppression, as :func:`detections` does.

    Two plugins stand for that operation. Raise SurgeonError X160 where a size is unknown.
    """
    fields, sizes = at.fields, sizes_of(at)
    most, of_class = fields["max_total_size"], fields["max_output_size_per_class"]
    if fields["pad_per_class"] and of_class > 0:
        most = min(most, of_class * sizes.classes)
    rules = Rules(fields["score_threshold"], fields["iou_threshold"], most, of_class)
    rows = chosen(at, corners(at, sizes, CORNERS), sizes, rules)
    return detections(at, rows, rules, clip=bool(fields["clip_boxes"]))


def combined_nms_implicit(at: PluginNode) -> list[str]:
    """Return the same with the number of detections as int32[N]."""
    number, *rest = combined_nms(at)
    return [at.emit.op("Squeeze", number, at.emit.ints(1)), *rest]


def _scores(at: PluginNode, sizes: Sizes, rules: Rules) -> str:
    """Return the scores, float32[N, P, C].

    They are ``NONE`` for what is not a candidate, and ``OUTSIDE`` for what comes last.
    """
    emit = at.emit
    scores = emit.op("Reshape", at.inputs[1], emit.ints(0, sizes.each, sizes.classes))
    threshold, dense = (
        _before_logistic(level) if rules.sigmoid else np.float32(level)
        for level in (rules.score_threshold, DENSE)
    )
    counts = emit.op(
        "Greater", scores, emit.constant(np.nextafter(threshold, np.float32(-np.inf)), np.float32)
    )
    if 0 <= rules.background < sizes.classes:
        counts = emit.op(
            "And",
            counts,
            emit.constant([label != rules.background for label in range(sizes.classes)], np.bool_),
        )
    return emit.op("Where", counts, scores, emit.constant(OUTSIDE if threshold < dense else NONE, np.float32))


def _before_logistic(score: float) -> np.float32:
    """Return whose logistic function a threshold is; above 1 nothing has it."""
    level = np.float32(score)
    if level <= 0:
        return np.float32(OUTSIDE)
    with np.errstate(divide="ignore"):
        return np.float32(np.log(level / (np.float32(1) - level))) if level <= 1 else np.float32(np.inf)


def _best(at: PluginNode, scores: str, sizes: Sizes) -> str:
    """Return the scores, float32[N, P, C], with all but the best of a picture at ``NONE``.

    One TopK after another takes the best, where the runtime bounds its rows.
    """
    emit, total, most = at.emit, sizes.each * sizes.classes, MOST_CANDIDATES
    # NonMaxSuppression of TensorRT leaves out as many by itself, and TopK does not take so many.
    if total <= most or compared(at) is not None:
        return scores
    left = emit.op("Reshape", scores, emit.ints(0, total))
    cut = emit.op("Expand", emit.constant(NONE, np.float32), emit.op("Shape", left))
    at_once = most_rows(at) or most
    best = index = ""
    for first in range(0, most, at_once):
        if first:
            taken = emit.op("Expand", emit.constant(-np.inf, np.float32), emit.op("Shape", best))
            left = emit.op("ScatterElements", left, index, taken, axis=1)
        count = emit.ints(min(at_once, most - first))
        best, index = emit.op_many("TopK", (left, count), 2, axis=1, largest=1, sorted=1)
        cut = emit.op("ScatterElements", cut, index, best, axis=1)
    return emit.op("Reshape", cut, emit.ints(0, sizes.each, sizes.classes))


def _of_any_class(
    emit: Emitter, boxes: str, scores: str, sizes: Sizes, rules: Rules, level: float, limit: int
) -> Rows:
    """Return the rows where a box of any class suppresses.

    Every pair of box and class is a candidate of one class.
    """
    total = sizes.each * sizes.classes
    if sizes.owners == 1 and sizes.classes > 1:
        boxes = emit.op(
            "Expand", emit.op("Unsqueeze", boxes, emit.ints(2)), emit.ints(1, 1, sizes.classes, 1)
        )
    pairs = emit.op("Reshape", boxes, emit.ints(0, total, 4))
    candidates = Candidates(pairs, emit.op("Reshape", scores, emit.ints(0, 1, total)), 1, total, shared=True)
    rows = best_rows(emit, candidates, survivors(emit, candidates, level, limit), rules.most)
    place, label = divided(emit, rows.places, sizes.classes)
    return replace(rows, classes=label, places=place)


def _moved(emit: Emitter, boxes: str, anchors: str) -> str:
    (shift, growth), (center, size) = coding.halves(emit, boxes), coding.halves(emit, anchors)
    moved = emit.op("Add", emit.op("Mul", shift, size), center)
    return emit.op("Concat", moved, emit.op("Mul", size, emit.op("Exp", growth)), axis=-1)


def efficient_nms(at: PluginNode) -> Sequence[str]:
    """Return the detections: their number, boxes, scores and classes.

    These are int32[N, 1], float32[N, K, 4], float32[N, K] and int32[N, K]. Which of equal scores comes first
    is left to chance in the plugin; here the lower box does. Raise SurgeonError X160 where a size is unknown,
    X162 for more rows than TensorRT takes.
    """
    fields, sizes = at.fields, sizes_of(at)
    rules = Rules(
        score_threshold=fields["score_threshold"],
        iou_threshold=fields["iou_threshold"],
        most=fields["max_output_boxes"],
        background=fields["background_class"],
        sigmoid=bool(fields["score_activation"]),
        agnostic=bool(fields["class_agnostic"]),
    )
    return detections(at, chosen(at, corners(at, sizes, fields["box_coding"]), sizes, rules), rules)


def efficient_nms_indices(at: PluginNode) -> Sequence[str]:
    """Return picture, class and box of each detection, int32[N K, 3]; see the reference.

    K is max_output_boxes_per_class. Pictures come in order, which the plugin leaves to chance. Raise
    SurgeonError X160 where a size is unknown, X162 for more rows than TensorRT takes.
    """
    emit, fields, sizes = at.emit, at.fields, sizes_of(at)
    most = fields["max_output_boxes_per_class"]
    rules = Rules(fields["score_threshold"], fields["iou_threshold"], most, most)
    rows = chosen(at, corners(at, sizes, fields["center_point_box"]), sizes, rules)
    picture = emit.op("Expand", picture_numbers(at, 0, 2, np.int64), emit.ints(1, most))
    triples = [
        emit.op("Unsqueeze", each, emit.ints(2))
        for each in (picture, rows.classes, _box(at, sizes, rows, picture))
    ]
    every = emit.op("Reshape", emit.op("Concat", *triples, axis=2), emit.ints(-1, 3))
    return [emit.op("Cast", _joined(at, every, rows, most), to=onnx_type(np.int32))]


def _box(at: PluginNode, sizes: Sizes, rows: Rows, picture: str) -> str:
    """Return the number of each detection's box, int64[N, K]."""
    if sizes.owners == 1:
        return rows.places
    emit, owners = at.emit, at.emit.constant(sizes.owners, np.int64)
    # With boxes of its own for each class the plugin takes a place in their array for the box.
    before = emit.op("Mul", picture, emit.constant(sizes.each * sizes.owners, np.int64))
    place = emit.op("Add", emit.op("Add", before, emit.op("Mul", rows.places, owners)), rows.classes)
    return divided(emit, place, sizes.each)[1]


def _joined(at: PluginNode, every: str, rows: Rows, most: int) -> str:
    """Return the rows with a detection of all pictures, int64[N K, 3].

    The last detection fills the other rows, or -1 where there is none.
    """
    emit, one, none = at.emit, at.emit.ints(1), at.emit.floats(0)
    counts = emit.op("Squeeze", emit.op("Cast", number_of(emit, rows), to=onnx_type(np.float32)), one)
    ends = emit.op("CumSum", counts, emit.constant(0, np.int64))
    total = emit.op("ReduceSum", counts, emit.ints(0))
    place = emit.op("Min", _numbers(at, every, most), emit.op("Sub", total, emit.floats(1)))
    passed = emit.op(
        "Cast", emit.op("GreaterOrEqual", emit.op("Unsqueeze", place, one), ends), to=onnx_type(np.float32)
    )
    picture = emit.op("Cast", emit.op("ReduceSum", passed, one, keepdims=0), to=onnx_type(np.int64))
    # Without a detection every row is before the first picture's, and the answer does not count.
    within = emit.op("Sub", place, emit.op("Gather", emit.op("Sub", ends, counts), picture, axis=0))
    source = emit.op(
        "Add",
        emit.op("Mul", picture, emit.constant(most, np.int64)),
        emit.op("Cast", within, to=onnx_type(np.int64)),
    )
    any_found = emit.op("Greater", total, none)
    found = emit.op("Gather", every, emit.op("Where", any_found, source, emit.ints(0)), axis=0)
    return emit.op("Where", any_found, found, emit.constant(-1, np.int64))


def _numbers(at: PluginNode, every: str, most: int) -> str:
    """Return the numbers of the rows of all pictures, float32[N K]."""
    emit, pictures = at.emit, batch_size(at, 0)
    if pictures is not None:
        return emit.floats(*range(pictures * most))
    size = emit.op("Gather", emit.op("Shape", every), emit.constant(0, np.int64), axis=0)
    return emit.op(
        "Cast",
        emit.op("Range", emit.constant(0, np.int64), size, emit.constant(1, np.int64)),
        to=onnx_type(np.float32),
    )
