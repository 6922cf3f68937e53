"""Detections as the EfficientNMS plugins compute them.

Source: efficientNMSInference.cu and .cuh of TensorRT 8.5 and 8.6.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from surgeon.kernels.boxes.numbers import clip
from surgeon.kernels.suppression.numbers import descending, greedy_nms

CORNERS, CENTER_SIZE = range(2)
"""Values of box_coding and center_point_box."""

MOST_CANDIDATES = 5000
"""Candidates of a picture that go into suppression (2,000 on GPUs with fewer than 65,536 registers a block).
"""

DENSE = 0.007
"""Score threshold below which the plugin leaves no candidate out.

Those under it come last, with the score ``OUTSIDE``.
"""

OUTSIDE = -32768.0


@dataclass(frozen=True)
class Rules:
    """How boxes are chosen.

    ``most_per_class`` bounds the rows of a class, -1 for no bound; ``background`` is -1 where no class is it.
    """

    score_threshold: float
    iou_threshold: float
    most: int
    most_per_class: int = -1
    background: int = -1
    sigmoid: bool = False
    agnostic: bool = False


@dataclass(frozen=True, eq=False)
class Chosen:
    """What is left of one picture, best first: box int64[k], label int64[k], score float32[k]."""

    box: np.ndarray
    label: np.ndarray
    score: np.ndarray


def corners(boxes: np.ndarray, coding: int, anchors: np.ndarray | None = None) -> np.ndarray:
    """Return boxes as corners, float32[N, P, L, 4], of boxes float32[N, P, 4] or float32[N, P, L, 4].

    With ``anchors``, float32[1 | N, P, 4] in the same coding, the boxes are offsets from these.
    """
    boxes = boxes.reshape(len(boxes), boxes.shape[1], -1, 4)
    if anchors is not None:
        anchors = anchors[:, :, None]
        boxes = _ordered(boxes) + _ordered(anchors) if coding == CORNERS else _moved(boxes, anchors)
    if coding == CORNERS:
        return boxes
    center, half = boxes[..., :2], boxes[..., 2:] * np.float32(0.5)
    return np.concatenate([center - half, center + half], axis=-1)


def choose(boxes: np.ndarray, scores: np.ndarray, rules: Rules) -> Chosen:
    """Return the boxes of one picture that no better one of their class suppresses.

    ``boxes`` is float32[P, L, 4] as corners, L 1 or C; ``scores`` float32[P, C]. A score counts if it is at
    least the threshold, and an overlap suppresses if it is at least its own. Among equal scores the lower box
    comes first, then the lower class; the plugin itself leaves that to chance.
    """
    classes = scores.shape[1]
    flat, threshold = scores.ravel(), np.float32(rules.score_threshold)
    dense = np.float32(DENSE)
    if rules.sigmoid:
        threshold, dense = (_logit(t) if t > 0 else np.float32(OUTSIDE) for t in (threshold, dense))
    counts = (flat >= threshold) & (np.arange(flat.size) % classes != rules.background)
    if threshold < dense:
        flat, index = np.where(counts, flat, np.float32(OUTSIDE)), np.arange(flat.size)
    else:
        index = np.flatnonzero(counts)
    index = index[descending(flat[index])][:MOST_CANDIDATES]
    box, label = np.divmod(index, classes)
    own = boxes[box, 0 if boxes.shape[1] == 1 else label]
    kept = _survivors(own, np.zeros_like(label) if rules.agnostic else label, rules)
    score = flat[index[kept]]
    return Chosen(box[kept], label[kept], _sigmoid(score) if rules.sigmoid else score)


def detections(
    boxes: np.ndarray, scores: np.ndarray, rules: Rules, clipped: bool = False
) -> tuple[np.ndarray, ...]:
    """Return the detections: their number, boxes, scores and classes.

    These are int32[N], float32[N, K, 4], float32[N, K] and int32[N, K]; K is ``rules.most``. ``boxes`` is
    float32[N, P, L, 4] as corners, ``scores`` float32[N, P, C] or float32[N, P, C, 1]. Rows without a
    detection are zero.
    """
    count = len(boxes)
    rows, row_scores = np.zeros((count, rules.most, 4), np.float32), np.zeros((count, rules.most), np.float32)
    classes, numbers = np.zeros((count, rules.most), np.int32), np.zeros(count, np.int32)
    for n, found in enumerate(each(boxes, scores, rules)):
        numbers[n] = size = len(found.box)
        chosen = boxes[n, found.box, 0 if boxes.shape[2] == 1 else found.label]
        rows[n, :size] = clip(chosen) if clipped else chosen
        row_scores[n, :size], classes[n, :size] = found.score, found.label
    return numbers, rows, row_scores, classes


def each(boxes: np.ndarray, scores: np.ndarray, rules: Rules) -> Sequence[Chosen]:
    """Return :func:`choose` of each picture."""
    scores = scores.reshape(scores.shape[:3])
    return [choose(own, mine, rules) for own, mine in zip(boxes, scores, strict=True)]


def _survivors(boxes: np.ndarray, group: np.ndarray, rules: Rules) -> np.ndarray:
    """Return the rising positions, int64[k], of the candidates that are kept among those of their group.

    The candidates come best first.
    """
    limit = rules.most if rules.most_per_class < 0 else min(rules.most, rules.most_per_class)
    found = [np.empty(0, np.int64)]
    for label in np.unique(group):
        mine = np.flatnonzero(group == label)
        found.append(mine[greedy_nms(boxes[mine], rules.iou_threshold, limit=limit, inclusive=True)])
    return np.sort(np.concatenate(found))[: rules.most]


def _ordered(boxes: np.ndarray) -> np.ndarray:
    low, high = boxes[..., :2], boxes[..., 2:]
    return np.concatenate([np.minimum(low, high), np.maximum(low, high)], axis=-1)


def _moved(boxes: np.ndarray, anchors: np.ndarray) -> np.ndarray:
    size = anchors[..., 2:]
    return np.concatenate([boxes[..., :2] * size + anchors[..., :2], size * np.exp(boxes[..., 2:])], axis=-1)


def _logit(score: np.float32) -> np.float32:
    return np.log(score / (np.float32(1) - score))  # type: ignore[no-any-return]


def _sigmoid(score: np.ndarray) -> np.ndarray:
    found: np.ndarray = np.float32(1) / (np.float32(1) + np.exp(-score))
    return found


def efficient_nms(
    fields: Mapping[str, Any], inputs: Sequence[np.ndarray], changes: frozenset[str] = frozenset()
) -> list[np.ndarray]:
    """Return the detections: their number, boxes, scores and classes.

    These are int32[N, 1], float32[N, K, 4], float32[N, K] and int32[N, K]; K is max_output_boxes. Boxes come
    out as corners, in the order of coordinates in which they went in.
    """
    boxes = corners(inputs[0], fields["box_coding"], *inputs[2:3])
    rules = Rules(
        score_threshold=fields["score_threshold"],
        iou_threshold=fields["iou_threshold"],
        most=fields["max_output_boxes"],
        background=fields["background_class"],
        sigmoid=bool(fields["score_activation"]),
        agnostic=bool(fields["class_agnostic"]),
    )
    numbers, *rest = detections(boxes, inputs[1], rules)
    return [numbers[:, None], *rest]


def efficient_nms_indices(
    fields: Mapping[str, Any], inputs: Sequence[np.ndarray], changes: frozenset[str] = frozenset()
) -> list[np.ndarray]:
    """Return picture, class and box of each detection, int32[N K, 3], K max_output_boxes_per_class.

    That many rows are kept of a picture, whatever the number of classes. Rows that are left repeat the last
    one; without any detection they are -1. The plugin leaves the order of pictures to chance.
    """
    boxes, scores = corners(inputs[0], fields["center_point_box"]), inputs[1]
    most, (count, anchors, own) = fields["max_output_boxes_per_class"], boxes.shape[:3]
    rules = Rules(fields["score_threshold"], fields["iou_threshold"], most, most)
    rows = []
    for n, found in enumerate(each(boxes, scores, rules)):
        # With boxes of its own for each class the plugin takes a place in their array for the box.
        box = found.box if own == 1 else (n * anchors * own + found.box * own + found.label) % anchors
        rows.append(np.column_stack([np.full(len(box), n), found.label, box]))
    chosen = np.concatenate(rows).astype(np.int32) if rows else np.empty((0, 3), np.int32)
    indices = np.full((count * most, 3), -1, np.int32)
    indices[: len(chosen)] = chosen
    if len(chosen):
        indices[len(chosen) :] = chosen[-1]
    return [indices]


def combined_nms(
    fields: Mapping[str, Any], inputs: Sequence[np.ndarray], changes: frozenset[str] = frozenset()
) -> list[np.ndarray]:
    """Return the detections as CombinedNonMaxSuppression of TensorFlow does.

    They are their number, int32[N, 1], boxes, float32[N, K, 4], scores, float32[N, K], and classes, int32[N,
    K]. K is max_total_size, or with pad_per_class the rows that all classes together may have, where these
    are fewer.
    """
    boxes, scores = inputs
    most, of_class = fields["max_total_size"], fields["max_output_size_per_class"]
    if fields["pad_per_class"] and of_class > 0:
        most = min(most, of_class * scores.shape[2])
    rules = Rules(fields["score_threshold"], fields["iou_threshold"], most, of_class)
    numbers, *rest = detections(corners(boxes, CORNERS), scores, rules, clipped=bool(fields["clip_boxes"]))
    return [numbers[:, None], *rest]


def combined_nms_implicit(
    fields: Mapping[str, Any], inputs: Sequence[np.ndarray], changes: frozenset[str] = frozenset()
) -> list[np.ndarray]:
    """Return the same with the number of detections as int32[N]."""
    numbers, *rest = combined_nms(fields, inputs)
    return [numbers[:, 0], *rest]
