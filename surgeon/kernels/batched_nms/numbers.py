"""Detections as BatchedNMS_TRT and BatchedNMSDynamic_TRT compute them.

Sources: batchedNMSInference.cu, gatherNMSOutputs.cu, sortScoresPerClass.cu, allClassNMS.cu of TensorRT 8.5.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from surgeon.kernels.boxes.numbers import RELATIVE, Overlap, clip
from surgeon.kernels.detection_output.numbers import PIXELS_THAT_TOUCH, candidate_scores
from surgeon.kernels.suppression.numbers import nms_by_class

PIXEL_BOXES = Overlap(side=1.0)
"""isNormalized 0 without caffeSemantics: boxes have a pixel more, their intersection has not."""


def batched_nms(
    fields: Mapping[str, Any], inputs: Sequence[np.ndarray], changes: frozenset[str] = frozenset()
) -> list[np.ndarray]:
    """Return the detections: their number, boxes, scores and classes.

    These are int32[N, 1], float32[N, K, 4], float32[N, K] and float32[N, K]; K is keepTopK. The inputs are
    boxes, float32[N, P, L, 4] with any order of corners' coordinates, L 1 or numClasses, and scores,
    float32[N, P, C] or float32[N, P, C, 1]. Rows without a detection are zero, and their class is -1.
    """
    boxes, scores = inputs
    count, kept = len(boxes), fields["keepTopK"]
    numbers = np.zeros(count, np.int32)
    rows, row_scores = np.zeros((count, kept, 4), np.float32), np.zeros((count, kept), np.float32)
    classes = np.full((count, kept), -1, np.float32)
    candidates = candidate_scores(
        fields, scores.reshape(count, -1, fields["numClasses"]), fields["scoreThreshold"]
    )
    for n in range(count):
        shared = boxes.shape[2] == 1
        found = nms_by_class(
            boxes[n, :, 0] if shared else boxes[n],
            candidates[n],
            threshold=fields["iouThreshold"],
            candidates=fields["topK"],
            keep=kept,
            rule=_overlap(fields),
        )
        numbers[n] = size = len(found.score)
        row_scores[n, :size], classes[n, :size] = found.score, found.label
        chosen = boxes[n, found.candidate, 0 if shared else found.label]
        rows[n, :size] = clip(chosen) if fields["clipBoxes"] else chosen
    return [numbers[:, None], rows, row_scores, classes]


def batched_nms_implicit(
    fields: Mapping[str, Any], inputs: Sequence[np.ndarray], changes: frozenset[str] = frozenset()
) -> list[np.ndarray]:
    """Return the same with the number of detections as int32[N]."""
    numbers, *rest = batched_nms(fields, inputs)
    return [numbers[:, 0], *rest]


def _overlap(fields: Mapping[str, Any]) -> Overlap:
    if fields["isNormalized"]:
        return RELATIVE
    return PIXELS_THAT_TOUCH if fields["caffeSemantics"] else PIXEL_BOXES
