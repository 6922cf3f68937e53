"""Probes of NMS_TRT and NMSDynamic_TRT: what they read for boxes and scores that are made up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from surgeon.kernels.detection_output.numbers import CORNER, CORNER_SIZE, TF_CENTER
from surgeon.kernels.suppression.probes import SuppressionRules, in_shape, logits, with_background


def rules_detection_output(
    fields: Mapping[str, Any], inputs: Sequence[np.ndarray]
) -> SuppressionRules | None:
    """Return the rules of suppression; None where boxes are in pixels."""
    if not fields["isNormalized"]:
        return None
    _, _, prior = (inputs[i] for i in fields["inputOrder"])
    return SuppressionRules(
        boxes=prior.shape[2] // 4,
        classes=fields["numClasses"] - (fields["backgroundLabelId"] >= 0),
        score_threshold=fields["confidenceThreshold"],
        iou_threshold=fields["nmsThreshold"],
        most=fields["keepTopK"],
        most_of_class=fields["keepTopK"],
    )


def detection_output(
    fields: Mapping[str, Any], inputs: Sequence[np.ndarray], boxes: np.ndarray, scores: np.ndarray
) -> list[np.ndarray]:
    """Return the inputs for boxes float32[P, 4] (ymin, xmin, ymax, xmax) and scores float32[P, C].

    ``inputs`` are those of a picture: their shapes count, and their anchors.
    """
    loc, conf, prior = (inputs[i] for i in fields["inputOrder"])
    scores = with_background(scores, fields["backgroundLabelId"])
    made = (
        in_shape(encode(fields, boxes, prior), loc),
        in_shape(logits(scores) if fields["confSigmoid"] else scores, conf),
        prior,
    )
    found: list[np.ndarray] = [prior, prior, prior]
    for at, value in zip(fields["inputOrder"], made, strict=True):
        found[at] = value
    return found


def encode(fields: Mapping[str, Any], boxes: np.ndarray, prior: np.ndarray) -> np.ndarray:
    """Return the encodings float32[P, 4] of boxes float32[P, 4] (ymin, xmin, ymax, xmax).

    The opposite of :func:`surgeon.kernels.detection_output.numbers.decode`, with the anchors and variances
    float32[N, 2, 4P, 1] of the first picture.
    """
    corners, variance = prior[0].reshape(2, -1, 4).astype(np.float64)
    wanted = boxes[:, [1, 0, 3, 2]].astype(np.float64)
    code = fields["codeType"]
    if code != TF_CENTER and fields["varianceEncodedInTarget"]:
        variance = np.ones_like(variance)
    size = corners[:, 2:] - corners[:, :2]
    if code == CORNER:
        found = (wanted - corners) / variance
    elif code == CORNER_SIZE:
        found = (wanted - corners) / (variance * np.tile(size, 2))
    else:
        offset = (wanted[:, 2:] + wanted[:, :2] - corners[:, 2:] - corners[:, :2]) / 2
        grown = np.log((wanted[:, 2:] - wanted[:, :2]) / size)
        found = np.concatenate([offset / size / variance[:, :2], grown / variance[:, 2:]], axis=1)
        if code == TF_CENTER:
            found = found[:, [1, 0, 3, 2]]
    return np.asarray(found, np.float32)
