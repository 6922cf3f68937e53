"""Detections as NMS_TRT and NMSDynamic_TRT compute them.

Sources: decodeBBoxes.cu, permuteData.cu, sortScoresPerClass.cu, allClassNMS.cu, gatherTopDetections.cu of
TensorRT 8.5.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from surgeon.catalog.reference import Counterfactual
from surgeon.kernels.boxes.numbers import RELATIVE, Overlap, area, clip
from surgeon.kernels.suppression.numbers import nms_by_class

COUNTERFACTUALS = (
    Counterfactual(
        "all-candidates",
        "only the topK best boxes of a class go into suppression, where the original looks at all; "
        "'topK: auto' avoids it",
        avoidable=True,
        order=20,
    ),
    Counterfactual(
        "clip-first",
        "the original clips boxes to the picture before suppression, the plugin after it",
        order=30,
        of_decoding=True,
    ),
    Counterfactual(
        "drop-empty",
        "the original drops boxes that lie outside the picture, the plugin keeps them without area",
        order=40,
        of_decoding=True,
    ),
    Counterfactual(
        "keep-all", "near-equal scores change places at the last detection that is kept", order=50
    ),
)
"""In what both plugins differ from a graph.

With ``all-candidates`` every box above confidenceThreshold goes into suppression, whatever topK says; with
``clip-first`` boxes are clipped to the picture before suppression, and those that are left without area are
dropped; with ``drop-empty`` those are dropped after suppression, and others take their rows; with
``keep-all`` every box that survives suppression is returned, whatever keepTopK says, and pictures with fewer
are padded.
"""

CORNER, CENTER_SIZE, CORNER_SIZE, TF_CENTER = range(4)
"""Values of codeType."""

PIXELS_THAT_TOUCH = Overlap(side=1.0, shared=1.0, apart_share=True)
"""isNormalized 0: corners are pixels of the box, and boxes that do not meet share one all the same."""

_AS_THEY_ARE = Overlap(sort_corners=False)


def detection_output(
    fields: Mapping[str, Any], inputs: Sequence[np.ndarray], changes: frozenset[str]
) -> list[np.ndarray]:
    """Return the detections, float32[N, 1, K, 7], and their number, float32[N, 1, 1, 1].

    The number holds the bits of an int32. K is keepTopK; with ``keep-all``, the most that survive in one
    picture. Fields are complete, inputs those of :mod:`NMS_TRT`, in the order that inputOrder tells.
    """
    loc, conf, prior = (inputs[i] for i in fields["inputOrder"])
    boxes, scores = decode(fields, loc, prior), _scores(fields, conf)
    rows = [_picture(fields, boxes[n], scores[n], changes) for n in range(len(scores))]
    return packed(rows, None if "keep-all" in changes else fields["keepTopK"])


def packed(rows: Sequence[np.ndarray], most: int | None) -> list[np.ndarray]:
    """Return the detections of all pictures, float32[N, 1, K, 7], and their number, float32[N, 1, 1, 1].

    ``rows`` holds float32[detections, 6] for each picture: label, score and box. K is ``most``, and for None
    the largest number of a picture; rows without a detection have the label -1. The number holds the bits of
    an int32.
    """
    length = max(map(len, rows), default=0) if most is None else most
    detections = np.zeros((len(rows), 1, length, 7), np.float32)
    detections[..., 1] = -1
    for n, found in enumerate(rows):
        detections[n, 0, : len(found), 1:] = found
        detections[n, 0, :, 0] = n
    counts = np.array([len(found) for found in rows], np.int32).view(np.float32)
    return [detections, counts.reshape(-1, 1, 1, 1)]


def decode(fields: Mapping[str, Any], loc: np.ndarray, prior: np.ndarray) -> np.ndarray:
    """Return the boxes of encodings and anchors, float32[N, P, L, 4] (xmin, ymin, xmax, ymax).

    L is 1 or numClasses. With ``isBatchAgnostic`` 1, all pictures of a batch share the anchors of the first.
    """
    anchors = prior.shape[2] // 4
    encoded = loc.reshape(len(loc), anchors, -1, 4)
    prior = prior.reshape(-1, 2, anchors, 1, 4)
    prior = prior[:1] if fields["isBatchAgnostic"] else prior
    corners, variance = prior[:, 0], prior[:, 1]
    code = fields["codeType"]
    if code != TF_CENTER and fields["varianceEncodedInTarget"]:
        variance = np.ones_like(variance)
    boxes: np.ndarray
    if code == CORNER:
        boxes = corners + encoded * variance
    elif code == CORNER_SIZE:
        boxes = corners + encoded * variance * np.tile(corners[..., 2:] - corners[..., :2], 2)
    else:
        # TensorFlow's encodings have y before x; the variances have x before y all the same.
        boxes = _from_center(corners, variance, encoded[..., [1, 0, 3, 2]] if code == TF_CENTER else encoded)
    return boxes


def _from_center(anchors: np.ndarray, variance: np.ndarray, encoded: np.ndarray) -> np.ndarray:
    low, high = anchors[..., :2], anchors[..., 2:]
    size = high - low
    center = variance[..., :2] * encoded[..., :2] * size + (low + high) / np.float32(2)
    half = np.exp(variance[..., 2:] * encoded[..., 2:]) * size / np.float32(2)
    return np.concatenate([center - half, center + half], axis=-1)


def candidate_scores(fields: Mapping[str, Any], scores: np.ndarray, threshold: float) -> np.ndarray:
    """Return the scores float32[N, P, C], -inf for what is not a candidate.

    Those of the background, and those not above the threshold, are no candidates.
    """
    found: np.ndarray = np.where(scores > np.float32(threshold), scores, np.float32(-np.inf))
    if fields["backgroundLabelId"] >= 0:
        found[..., fields["backgroundLabelId"]] = -np.inf
    return found


def _scores(fields: Mapping[str, Any], conf: np.ndarray) -> np.ndarray:
    scores = conf.reshape(len(conf), -1, fields["numClasses"])
    if fields["confSigmoid"]:
        # Above 88 this is not a number, as in the plugin, and so no candidate.
        power = np.exp(scores)
        scores = power / (np.float32(1) + power)
    return candidate_scores(fields, scores, fields["confidenceThreshold"])


def _picture(
    fields: Mapping[str, Any], boxes: np.ndarray, scores: np.ndarray, changes: frozenset[str]
) -> np.ndarray:
    """Return the detections of one picture, best first, float32[k, 6].

    Each is label, score, xmin, ymin, xmax, ymax.
    """
    inside = clip(boxes)
    empty = area(inside, _AS_THEY_ARE) <= 0
    if "clip-first" in changes:
        boxes, scores = inside, np.where(empty, np.float32(-np.inf), scores)
    if boxes.shape[1] == 1:
        boxes, empty = boxes[:, 0], empty[:, 0]
    found = nms_by_class(
        boxes,
        scores,
        threshold=fields["nmsThreshold"],
        candidates=None if "all-candidates" in changes else fields["topK"],
        keep=None if "keep-all" in changes else fields["keepTopK"],
        rule=RELATIVE if fields["isNormalized"] else PIXELS_THAT_TOUCH,
        hidden=empty if "drop-empty" in changes else None,
    )
    kept = inside[found.candidate, np.minimum(found.label, inside.shape[1] - 1)]
    return np.column_stack([found.label.astype(np.float32), found.score, kept])
