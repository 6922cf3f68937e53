"""Regions and detections of Mask R-CNN in standard operators.

They compute what :mod:`surgeon.kernels.mask_rcnn.numbers` does. Every step is float32, and in the order of
the reference: the plugins' rounding of scores, and which of two equal scores their sorts put first, are kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from surgeon.formats.onnx.emitter import Emitter
from surgeon.formats.onnx.lowering import PluginNode
from surgeon.formats.onnx.shapes import sample_dims
from surgeon.kernels.boxes import onnx as coding
from surgeon.kernels.mask_rcnn.numbers import (
    ARGMAX_BLOCK,
    LABEL_STEP,
    LEAST_SCORE,
    LEVELS,
    SCORE_STEP,
    level_anchors,
    proposal_anchors,
)
from surgeon.kernels.suppression.onnx import NONE, Candidates, check_rows, survivors, top

F32 = np.float32

NO_DETECTION = (0, 0, 0, 0, -1, 0)
"""Box, class and score of a row without a detection."""

_HARDLY = -1e29


@dataclass(frozen=True)
class Sorted:
    """Boxes of each picture in the order in which the plugins compare them: class by class, best first.

    ``boxes`` is float32[N, R, 4]; ``scores``, float32[N, R], are rounded as the plugins do, ``NONE`` for what
    is not a candidate; ``labels``, float32[N, R], are their classes, None where there is one class.
    """

    boxes: str
    scores: str
    labels: str | None
    count: int


def proposal_layer(at: PluginNode) -> list[str]:
    """Return float32[N, keep_topk, 4] of scores, float32[N, A, 2, 1], and deltas, float32[N, A, 4, 1].

    Raise SurgeonError X162 for more rows than TensorRT takes.
    """
    emit, fields = at.emit, at.fields
    anchors = proposal_anchors(fields["image_size"])
    scores = emit.op("Slice", at.inputs[0], emit.ints(1), emit.ints(2), emit.ints(2))
    best, deltas, near = _best(at, scores, at.inputs[1], anchors)
    found = Sorted(
        _relative(emit, near, deltas),
        _rounded(emit, best, F32(0), LEAST_SCORE),
        None,
        _candidates(at, len(anchors)),
    )
    return _regions(at, *_kept(at, found, 256))


def multilevel_propose_roi(at: PluginNode) -> list[str]:
    """Return the regions, float32[N, keep_topk, 4], of deltas and scores, level by level.

    The inputs are float32[N, A, 4, 1] and float32[N, A, 1, 1] of each level. Raise SurgeonError X162 for more
    rows than TensorRT takes.
    """
    emit, fields = at.emit, at.fields
    _, height, width = fields["image_size"]
    scores, boxes, count = [], [], 0
    for k, level in enumerate(LEVELS):
        anchors = level_anchors(level, height, width)
        best, deltas, near = _best(at, at.inputs[2 * k + 1], at.inputs[2 * k], anchors)
        decoded = _pixels(emit, near, deltas, (1, 1, 1, 1), height, width)
        found = Sorted(
            decoded,
            _rounded(emit, best, F32(fields["fg_threshold"]), F32(0)),
            None,
            _candidates(at, len(anchors)),
        )
        of_level, rows = _kept(at, found, 512)
        scores.append(of_level)
        boxes.append(rows)
        count += fields["keep_topk"]
    best, index = top(emit, emit.op("Concat", *scores, axis=1), count, fields["keep_topk"])
    chosen = emit.op(
        "GatherND", emit.op("Concat", *boxes, axis=1), emit.op("Unsqueeze", index, emit.ints(2)), batch_dims=1
    )
    return _regions(at, best, chosen)


def detection_layer(at: PluginNode) -> list[str]:
    """Return float32[N, keep_topk, 6] as DetectionLayer_TRT computes it, boxes relative to the picture.

    Raise SurgeonError X160 where a size is unknown, X162 for more rows than TensorRT takes.
    """
    best, base, deltas = _of_best_class(at, 0)
    return _detections(at, _relative(at.emit, at.inputs[2], deltas), best, base)


def generate_detection(at: PluginNode) -> list[str]:
    """Return float32[N, keep_topk, 6] as GenerateDetection_TRT computes it, boxes in pixels.

    Raise SurgeonError X160 where a size is unknown, X162 for more rows than TensorRT takes.
    """
    _, height, width = at.fields["image_size"]
    best, base, deltas = _of_best_class(at, 1)
    return _detections(at, _pixels(at.emit, at.inputs[2], deltas, (10, 10, 5, 5), height, width), best, base)


def _candidates(at: PluginNode, anchors: int) -> int:
    """Return how many boxes of so many go into suppression."""
    return int(min(at.fields["prenms_topk"], anchors))


def _best(at: PluginNode, scores: str, deltas: str, anchors: np.ndarray) -> tuple[str, str, str]:
    """Return scores, encodings and anchors of the best candidates, best first.

    They are float32[N, K], float32[N, K, 4] and float32[N, K, 4].
    """
    emit, count = at.emit, _candidates(at, len(anchors))
    check_rows(at, "prenms_topk", count)
    flat = emit.op("Reshape", scores, emit.ints(0, len(anchors)))
    best, index = emit.op_many("TopK", (flat, emit.ints(count)), 2, axis=1, largest=1, sorted=1)
    encoded = emit.op("Reshape", deltas, emit.ints(0, len(anchors), 4))
    chosen = emit.op("GatherND", encoded, emit.op("Unsqueeze", index, emit.ints(2)), batch_dims=1)
    return best, chosen, emit.op("Gather", emit.constant(anchors), index, axis=0)


def _rounded(emit: Emitter, scores: str, threshold: np.float32, above: np.float32) -> str:
    """Return scores of one class as the plugins round them, ``NONE`` for what is not a candidate.

    A candidate's score is at least ``threshold``, and above ``above`` once it is rounded.
    """
    step = emit.constant(SCORE_STEP)
    rounded = emit.op("Sub", emit.op("Add", scores, step), step)
    counts = emit.op(
        "And",
        emit.op("GreaterOrEqual", scores, emit.constant(threshold)),
        emit.op("Greater", rounded, emit.constant(above)),
    )
    return emit.op("Where", counts, rounded, emit.constant(NONE, F32))


def _relative(emit: Emitter, anchors: str, deltas: str) -> str:
    """Return the boxes of encodings dy, dx, log dh, log dw, clipped to the picture.

    The encodings are multiplied by 0.1, 0.1, 0.2, 0.2.
    """
    (near, far), (shift, growth) = coding.halves(emit, anchors), coding.halves(emit, deltas)
    size = emit.op("Sub", far, near)
    moved = emit.op("Mul", emit.op("Mul", shift, emit.constant(0.1, F32)), size)
    middle = emit.op("Add", emit.op("Div", emit.op("Add", near, far), emit.constant(2, F32)), moved)
    size = emit.op("Mul", size, emit.op("Exp", emit.op("Mul", growth, emit.constant(0.2, F32))))
    low = emit.op("Sub", middle, emit.op("Mul", emit.constant(0.5, F32), size))
    return coding.clipped(emit, emit.op("Concat", low, emit.op("Add", low, size), axis=-1))


def _pixels(
    emit: Emitter, anchors: str, deltas: str, divisors: Sequence[float], height: int, width: int
) -> str:
    """Return the boxes of encodings dy, dx, log dh, log dw, clipped to the picture.

    The encodings are divided by ``divisors``.
    """
    (near, far), (shift, growth) = (
        coding.halves(emit, each) for each in (anchors, emit.op("Div", deltas, emit.floats(*divisors)))
    )
    one, half = emit.constant(1, F32), emit.constant(0.5, F32)
    size = emit.op("Add", emit.op("Sub", far, near), one)
    middle = emit.op("Add", emit.op("Add", near, emit.op("Mul", size, half)), emit.op("Mul", shift, size))
    size = emit.op("Mul", size, emit.op("Exp", emit.op("Min", growth, emit.constant(np.log(1000 / 16), F32))))
    low = emit.op("Sub", middle, emit.op("Mul", half, size))
    boxes = emit.op("Concat", low, emit.op("Sub", emit.op("Add", low, size), one), axis=-1)
    return emit.op(
        "Min",
        emit.op("Max", boxes, emit.constant(0, F32)),
        emit.floats(height - 1, width - 1, height - 1, width - 1),
    )


def _of_best_class(at: PluginNode, first: int) -> tuple[str, str, str]:
    """Return each region's best score, a number for its class, and the encoding of that class.

    They are float32[N, R], float32[N, R] and float32[N, R, 4]; classes are looked at from ``first`` on. The
    number is added to the score for sorting; it is negative for a region of the background.
    """
    emit, classes = at.emit, at.fields["num_classes"]
    regions = sample_dims(at, 2)[0]
    # Of equal scores the highest class of a block counts, and the first block; ArgMax takes the first.
    blocks = [
        range(start, min(start + ARGMAX_BLOCK, classes)) for start in range(first, classes, ARGMAX_BLOCK)
    ]
    order = np.array([label for block in blocks for label in reversed(block)])
    scores = emit.op("Reshape", at.inputs[1], emit.ints(0, regions, classes))
    by_rank = emit.op("Gather", scores, emit.constant(order), axis=2)
    rank = emit.op("ArgMax", by_rank, axis=2, keepdims=0)
    best = emit.op("ReduceMax", by_rank, axes=(2,), keepdims=0)
    label = emit.op("Unsqueeze", emit.op("Gather", emit.constant(order), rank, axis=0), emit.ints(2))
    encoded = emit.op("Reshape", at.inputs[0], emit.ints(0, regions, classes, 4))
    base = np.where(order == 0, F32(-1), (classes - 1 - order).astype(F32) * LABEL_STEP)
    deltas = emit.op("GatherND", encoded, label, batch_dims=2)
    return best, emit.op("Gather", emit.constant(base, F32), rank, axis=0), deltas


def _detections(at: PluginNode, boxes: str, scores: str, base: str) -> list[str]:
    """Return float32[N, keep_topk, 6] of boxes, float32[N, R, 4], and what :func:`_of_best_class` returns."""
    emit, fields, regions = at.emit, at.fields, sample_dims(at, 2)[0]
    none = emit.constant(NONE, F32)
    # Class and score are sorted as one number, which rounds the score.
    key = emit.op("Add", emit.op("Add", base, scores), emit.constant(SCORE_STEP))
    threshold = emit.op("GreaterOrEqual", scores, emit.constant(fields["score_threshold"], F32))
    some, real = (
        emit.op("Greater", each, emit.constant(level, F32)) for each, level in ((scores, 0), (base, -0.5))
    )
    counts = emit.op(
        "And",
        emit.op("And", threshold, some),
        emit.op("And", real, emit.op("Greater", key, emit.constant(SCORE_STEP))),
    )
    best, index = emit.op_many(
        "TopK", (emit.op("Where", counts, key, none), emit.ints(regions)), 2, axis=1, largest=1, sorted=1
    )
    step = emit.constant(LABEL_STEP)
    place = emit.op("Floor", emit.op("Div", best, step))
    rounded = emit.op("Sub", emit.op("Sub", best, emit.op("Mul", place, step)), emit.constant(SCORE_STEP))
    there = emit.op("Greater", best, emit.constant(_HARDLY, F32))
    labels = emit.op("Sub", emit.constant(fields["num_classes"] - 1, F32), place)
    in_order = emit.op("GatherND", boxes, emit.op("Unsqueeze", index, emit.ints(2)), batch_dims=1)
    found = Sorted(in_order, emit.op("Where", there, rounded, none), labels, regions)
    best, rows = _kept(at, found, 256)
    visible = emit.op("Unsqueeze", emit.op("Greater", best, emit.constant(LEAST_SCORE)), emit.ints(2))
    return [emit.op("Where", visible, rows, emit.constant(NO_DETECTION, F32))]


def _kept(at: PluginNode, found: Sorted, threads: int) -> tuple[str, str]:
    """Return the keep_topk best that suppression leaves: scores, float32[N, K], boxes, float32[N, K, 4].

    Where there are classes the rows are float32[N, K, 6]: box, class, score. Where no box is left the score
    is ``NONE``, and the row means nothing. ``threads`` is how many the plugin's last sort has.
    """
    emit, keep = at.emit, at.fields["keep_topk"]
    check_rows(at, "keep_topk", keep)
    scores = emit.op("Min", _survivors(at, found), emit.constant(1, F32))
    scores, positions = _last_sort(emit, scores, found.count, threads)
    best, index = top(emit, scores, len(positions), keep)
    there = emit.op("Greater", best, emit.constant(_HARDLY, F32))
    position = emit.op(
        "Gather", emit.constant(positions), emit.op("Where", there, index, emit.constant(0, np.int64)), axis=0
    )
    rows = emit.op("GatherND", _rows(emit, found), emit.op("Unsqueeze", position, emit.ints(2)), batch_dims=1)
    if found.labels is None:
        return best, rows
    return best, emit.op("Concat", rows, emit.op("Unsqueeze", best, emit.ints(2)), axis=2)


def _rows(emit: Emitter, found: Sorted) -> str:
    """Return the boxes, and their classes where there are several: float32[N, R, 4] or float32[N, R, 5]."""
    return (
        found.boxes
        if found.labels is None
        else emit.op("Concat", found.boxes, emit.op("Unsqueeze", found.labels, emit.ints(2)), axis=2)
    )


def _survivors(at: PluginNode, found: Sorted) -> str:
    """Return the scores of what suppression leaves, class by class, float32[N, R]; ``NONE`` for the rest."""
    emit, none = at.emit, at.emit.constant(NONE, F32)
    each, classes = emit.op("Unsqueeze", found.scores, emit.ints(1)), 1
    if found.labels is not None:
        classes = at.fields["num_classes"] - 1
        labels = emit.constant(np.arange(1, classes + 1).reshape(1, -1, 1), F32)
        own = emit.op("Equal", emit.op("Unsqueeze", found.labels, emit.ints(1)), labels)
        each = emit.op("Where", own, each, none)
    candidates = Candidates(found.boxes, each, classes, found.count, shared=True)
    kept = survivors(emit, candidates, min(at.fields["iou_threshold"], 1.0), found.count)
    return emit.op("ReduceMax", kept, axes=(1,), keepdims=0)


def _last_sort(emit: Emitter, scores: str, count: int, threads: int) -> tuple[str, np.ndarray]:
    """Return the scores as the threads of the plugin's last sort hold them, and the position of each.

    They are float32[N, R] and int64[R]. Equal scores come in the order of the threads that hold them, then in
    the order in which a thread read them.
    """
    turns = -(-count // threads)
    if turns == 1:
        return scores, np.arange(count)
    order = np.arange(turns * threads).reshape(turns, threads).T.ravel()
    order = order[order < count]
    return emit.op("Gather", scores, emit.constant(order), axis=1), order


def _regions(at: PluginNode, scores: str, boxes: str) -> list[str]:
    """Return float32[N, keep_topk, 4], zero in rows without a region."""
    emit = at.emit
    there = emit.op("Unsqueeze", emit.op("Greater", scores, emit.constant(_HARDLY, F32)), emit.ints(2))
    return [emit.op("Where", there, boxes, emit.constant(0, F32))]


def special_slice(at: PluginNode) -> Sequence[str]:
    """Return the boxes of detections, float32[N, K, 4]: the first four numbers of float32[N, K, 6]."""
    emit = at.emit
    return [emit.op("Slice", at.inputs[0], emit.ints(0), emit.ints(4), emit.ints(-1))]
