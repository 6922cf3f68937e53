"""Probes of the BatchedNMS plugins: what they read for boxes and scores that are made up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from surgeon.kernels.suppression.probes import SuppressionRules, in_shape, with_background


def rules_batched_nms(fields: Mapping[str, Any], inputs: Sequence[np.ndarray]) -> SuppressionRules | None:
    """Return the rules of suppression; None where boxes are in pixels."""
    if not fields["isNormalized"]:
        return None
    return SuppressionRules(
        boxes=inputs[0].shape[1],
        classes=fields["numClasses"] - (fields["backgroundLabelId"] >= 0),
        score_threshold=fields["scoreThreshold"],
        iou_threshold=fields["iouThreshold"],
        most=fields["keepTopK"],
        most_of_class=fields["keepTopK"],
    )


def batched_nms(
    fields: Mapping[str, Any], inputs: Sequence[np.ndarray], boxes: np.ndarray, scores: np.ndarray
) -> list[np.ndarray]:
    """Return the inputs for boxes float32[P, 4] (ymin, xmin, ymax, xmax) and scores float32[P, C].

    ``inputs`` are those of a picture, whose shapes count.
    """
    scores = with_background(scores, fields["backgroundLabelId"])
    return [in_shape(boxes, inputs[0]), in_shape(scores, inputs[1])]


rules_batched_nms_implicit, batched_nms_implicit = rules_batched_nms, batched_nms
