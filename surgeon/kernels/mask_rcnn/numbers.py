"""Regions and detections of Mask R-CNN, as the plugins of its two families compute them.

Boxes are float32[..., 4]: y1, x1, y2, x2; relative to the picture in the one family, in pixels in the other,
TAO's. Source: maskRCNNKernels.cu, proposalLayerPlugin.cpp and multilevelProposeROIPlugin.cpp of TensorRT 8.5.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from surgeon.kernels.boxes.numbers import clip
from surgeon.kernels.suppression.numbers import Selection, descending, greedy_nms

F32 = np.float32

STRIDES = (4, 8, 16, 32, 64)
"""Sides in pixels of the cells that ProposalLayer_TRT has anchors for; an anchor is 8 times as large."""

LEVELS = (2, 3, 4, 5, 6)
"""Levels that MultilevelProposeROI_TRT has anchors for; a cell of level k is 2 to the power of k pixels."""

LEAST_SCORE = F32(0.01)
"""Detections and regions with this score or less are left out of the result."""

ARGMAX_BLOCK = 32
LABEL_STEP, SCORE_STEP = F32(2.5), F32(1)


def proposal_anchor_count(image_size: Sequence[int]) -> int:
    """Return the number of anchors that ProposalLayer_TRT makes for a picture of channels, height, width."""
    _, height, width = image_size
    return sum(3 * -(-height // stride) * -(-width // stride) for stride in STRIDES)


def proposal_anchors(image_size: Sequence[int]) -> np.ndarray:
    """Return the anchors of ProposalLayer_TRT, float32[A, 4], the finest cells first.

    They are relative to the picture less a pixel.
    """
    _, height, width = image_size
    root = np.sqrt(np.array([0.5, 1, 2], F32))
    last = np.array([height - 1, width - 1] * 2, F32)
    found = []
    for stride in STRIDES:
        half = np.stack([F32(8 * stride) / root, F32(8 * stride) * root], axis=-1) / F32(2)
        middle = _middles(np.arange(0, height, stride), np.arange(0, width, stride))
        found.append(np.concatenate([middle - half, middle + half - F32(1)], axis=-1).reshape(-1, 4) / last)
    return np.concatenate(found)


def level_anchor_count(level: int, height: int, width: int) -> int:
    """Return the number of anchors that MultilevelProposeROI_TRT makes of one level."""
    stride = 2**level
    return 3 * len(range(stride // 2, height, stride)) * len(range(stride // 2, width, stride))


def level_anchors(level: int, height: int, width: int) -> np.ndarray:
    """Return the anchors of one level of MultilevelProposeROI_TRT, float32[A, 4] in pixels."""
    stride = 2**level
    half = F32(8 * stride) * np.array([[1, 1], [0.7, 1.4], [1.4, 0.7]], F32) / F32(2)
    middle = _middles(np.arange(stride // 2, height, stride), np.arange(stride // 2, width, stride))
    return np.concatenate([middle - half, middle + half], axis=-1).reshape(-1, 4)


def _middles(y: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Return y and x of each cell, float32[H, W, 1, 2]."""
    return np.stack(np.meshgrid(y, x, indexing="ij"), axis=-1).astype(F32)[:, :, None]


def decode_relative(anchors: np.ndarray, deltas: np.ndarray) -> np.ndarray:
    """Return the boxes of encodings dy, dx, log dh, log dw, clipped to the picture.

    The encodings are multiplied by 0.1, 0.1, 0.2, 0.2.
    """
    size = anchors[..., 2:] - anchors[..., :2]
    middle = (anchors[..., :2] + anchors[..., 2:]) / F32(2) + deltas[..., :2] * F32(0.1) * size
    size = size * np.exp(deltas[..., 2:] * F32(0.2))
    low = middle - F32(0.5) * size
    return clip(np.concatenate([low, low + size], axis=-1))


def decode_pixels(
    anchors: np.ndarray, deltas: np.ndarray, divisors: Sequence[float], height: int, width: int
) -> np.ndarray:
    """Return the boxes of encodings dy, dx, log dh, log dw, clipped to the picture.

    The encodings are divided by ``divisors``. Corners are pixels that belong to a box. Boxes grow to 1000 /
    16 of their anchor at most.
    """
    scaled = deltas / np.asarray(divisors, F32)
    size = anchors[..., 2:] - anchors[..., :2] + F32(1)
    middle = anchors[..., :2] + size * F32(0.5) + scaled[..., :2] * size
    size = size * np.exp(np.minimum(scaled[..., 2:], F32(np.log(1000 / 16))))
    low = middle - F32(0.5) * size
    found: np.ndarray = np.clip(
        np.concatenate([low, low + size - F32(1)], axis=-1),
        F32(0),
        np.array([height - 1, width - 1] * 2, F32),
    )
    return found


def best_class(scores: np.ndarray, first: int) -> np.ndarray:
    """Return the class with the best score, int64[...], of float32[..., C] from class ``first`` on.

    It is -1 where no score is above 0. The plugins compare blocks of 32 classes: of equal scores they take
    the first block, and in it the highest class.
    """
    best, label = np.zeros(scores.shape[:-1], F32), np.full(scores.shape[:-1], -1, np.int64)
    for start in range(first, scores.shape[-1], ARGMAX_BLOCK):
        block = scores[..., start : start + ARGMAX_BLOCK]
        place = block.shape[-1] - 1 - np.argmax(block[..., ::-1], axis=-1)
        value = np.take_along_axis(block, place[..., None], axis=-1)[..., 0]
        better = value > best
        best, label = np.where(better, value, best), np.where(better, start + place, label)
    return label


def select(
    boxes: np.ndarray,
    labels: np.ndarray,
    scores: np.ndarray,
    *,
    classes: int,
    score_threshold: float,
    iou_threshold: float,
    keep: int,
    threads: int = 256,
) -> Selection:
    """Suppress overlapping boxes class by class, and keep the best over all classes.

    ``boxes`` is float32[R, 4], ``labels`` int64[R], -1 for none, ``scores`` float32[R]. The plugins sort
    class and score as one float32, which rounds the score, and drops those of 0; the rounded score is
    returned. ``threads`` is how many the last sort has: it decides which of two equal scores comes first.
    """
    there = np.flatnonzero((labels >= 0) & (scores >= F32(score_threshold)))
    key = (classes - 1 - labels[there]).astype(F32) * LABEL_STEP + scores[there] + SCORE_STEP
    order = descending(key)
    key, there = key[order], there[order]
    there, key = there[key > SCORE_STEP], key[key > SCORE_STEP]
    place = (key / LABEL_STEP).astype(np.int64)
    score = np.clip(key - place.astype(F32) * LABEL_STEP - SCORE_STEP, F32(0), F32(1))
    label = classes - 1 - place
    kept = _survivors(boxes[there], label, iou_threshold)
    rank = _last_sort(score[kept], kept, -(-len(there) // threads), threads)
    chosen = kept[rank[:keep]]
    return Selection(there[chosen], label[chosen], score[chosen])


def _survivors(boxes: np.ndarray, label: np.ndarray, threshold: float) -> np.ndarray:
    """Return which boxes, class by class and best first, survive: rising positions, int64[k]."""
    groups = np.split(np.arange(len(label)), np.flatnonzero(np.diff(label)) + 1)
    return np.concatenate([group[greedy_nms(boxes[group], threshold)] for group in groups])


def _last_sort(score: np.ndarray, position: np.ndarray, items: int, threads: int) -> np.ndarray:
    """Return the order of the scores, best first.

    Equal scores come in the order of the threads that hold them, then in the order in which a thread read
    them.
    """
    thread, turn = position % threads, position // threads
    return np.lexsort((thread * items + turn, -score))


def proposal_layer(
    fields: Mapping[str, Any], inputs: Sequence[np.ndarray], changes: frozenset[str] = frozenset()
) -> list[np.ndarray]:
    """Return float32[N, keep_topk, 4] of scores, float32[N, A, 2, 1], and deltas, float32[N, A, 4, 1].

    The regions come best first; rows without one are 0.
    """
    scores, deltas = inputs
    rois = np.zeros((len(scores), fields["keep_topk"], 4), F32)
    boxes = decode_relative(proposal_anchors(fields["image_size"]), deltas[..., 0])
    for n, found in enumerate(boxes):
        kept = _proposed(found, scores[n, :, 1, 0], fields, 0, 256)
        visible = kept.candidate[kept.score > LEAST_SCORE]
        rois[n, : len(visible)] = found[visible]
    return [rois]


def multilevel_propose_roi(
    fields: Mapping[str, Any], inputs: Sequence[np.ndarray], changes: frozenset[str] = frozenset()
) -> list[np.ndarray]:
    """Return the regions, float32[N, keep_topk, 4], of deltas and scores, level by level.

    The inputs are float32[N, A, 4, 1] and float32[N, A, 1, 1] of each level. The regions come best first;
    rows without one are 0.
    """
    _, height, width = fields["image_size"]
    pictures, most = len(inputs[0]), fields["keep_topk"]
    rois = np.zeros((pictures, most, 4), F32)
    anchors = [level_anchors(level, height, width) for level in LEVELS]
    for n in range(pictures):
        boxes, scores = [], []
        for k, of_level in enumerate(anchors):
            found = decode_pixels(of_level, inputs[2 * k][n, :, :, 0], (1, 1, 1, 1), height, width)
            kept = _proposed(found, inputs[2 * k + 1][n, :, 0, 0], fields, fields["fg_threshold"], 512)
            boxes.append(found[kept.candidate])
            scores.append(kept.score)
        best = descending(np.concatenate(scores))[:most]
        rois[n, : len(best)] = np.concatenate(boxes)[best]
    return [rois]


def _proposed(
    boxes: np.ndarray, scores: np.ndarray, fields: Mapping[str, Any], score_threshold: float, threads: int
) -> Selection:
    """Return the best of one picture's boxes after suppression; prenms_topk of them go into it."""
    best = descending(scores)[: fields["prenms_topk"]]
    kept = select(
        boxes[best],
        np.zeros(len(best), np.int64),
        scores[best],
        classes=1,
        score_threshold=score_threshold,
        iou_threshold=fields["iou_threshold"],
        keep=fields["keep_topk"],
        threads=threads,
    )
    return Selection(best[kept.candidate], kept.label, kept.score)


def detection_layer(
    fields: Mapping[str, Any], inputs: Sequence[np.ndarray], changes: frozenset[str] = frozenset()
) -> list[np.ndarray]:
    """Return float32[N, keep_topk, 6] as DetectionLayer_TRT computes it, boxes relative to the picture.

    The inputs are deltas, float32[N, R, 4 C, 1, 1], scores, float32[N, R, C, 1, 1], and regions, float32[N,
    R, 4]. Detections come best first; rows without one are 0 and have the class -1.
    """
    deltas, scores, rois = inputs
    found = best_class(scores[..., 0, 0], 0)
    labels = np.where(found == 0, -1, found)
    return _detections(fields, labels, scores, decode_relative(rois, _of_class(deltas, labels)))


def generate_detection(
    fields: Mapping[str, Any], inputs: Sequence[np.ndarray], changes: frozenset[str] = frozenset()
) -> list[np.ndarray]:
    """Return float32[N, keep_topk, 6] as GenerateDetection_TRT computes it, boxes in pixels.

    The inputs are those of :func:`detection_layer`.
    """
    deltas, scores, rois = inputs
    _, height, width = fields["image_size"]
    labels = best_class(scores[..., 0, 0], 1)
    return _detections(
        fields, labels, scores, decode_pixels(rois, _of_class(deltas, labels), (10, 10, 5, 5), height, width)
    )


def _of_class(deltas: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return the encodings of each region's class, float32[N, R, 4]; those of class 0 where it has none."""
    by_class = deltas.reshape(*labels.shape, deltas.shape[2] // 4, 4)
    return np.take_along_axis(by_class, np.maximum(labels, 0)[..., None, None], axis=2)[:, :, 0]


def _detections(
    fields: Mapping[str, Any], labels: np.ndarray, scores: np.ndarray, boxes: np.ndarray
) -> list[np.ndarray]:
    detections = np.zeros((len(boxes), fields["keep_topk"], 6), F32)
    detections[..., 4] = -1
    for n, found in enumerate(boxes):
        of_class = np.take_along_axis(scores[n, :, :, 0, 0], np.maximum(labels[n], 0)[:, None], axis=1)[:, 0]
        kept = select(
            found,
            labels[n],
            of_class,
            classes=fields["num_classes"],
            score_threshold=fields["score_threshold"],
            iou_threshold=fields["iou_threshold"],
            keep=fields["keep_topk"],
        )
        visible = kept.score > LEAST_SCORE
        rows = np.column_stack([found[kept.candidate], kept.label.astype(F32), kept.score])[visible]
        detections[n, : len(rows)] = rows
    return [detections]


def special_slice(
    fields: Mapping[str, Any], inputs: Sequence[np.ndarray], changes: frozenset[str] = frozenset()
) -> list[np.ndarray]:
    """Return the boxes of detections, float32[N, K, 4]: the first four numbers of float32[N, K, 6]."""
    return [inputs[0][..., :4].copy()]
