"""Probes of the EfficientNMS plugins: what they read for boxes and scores that are made up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from surgeon.kernels.efficient_nms.numbers import CORNERS
from surgeon.kernels.suppression.probes import SuppressionRules, in_shape, logits, with_background


def rules_efficient_nms(fields: Mapping[str, Any], inputs: Sequence[np.ndarray]) -> SuppressionRules:
    """Return the rules of suppression."""
    return SuppressionRules(
        boxes=inputs[0].shape[1],
        classes=inputs[1].shape[2] - (fields["background_class"] >= 0),
        score_threshold=fields["score_threshold"],
        iou_threshold=fields["iou_threshold"],
        most=fields["max_output_boxes"],
        most_of_class=fields["max_output_boxes"],
    )


def efficient_nms(
    fields: Mapping[str, Any], inputs: Sequence[np.ndarray], boxes: np.ndarray, scores: np.ndarray
) -> list[np.ndarray]:
    """Return the inputs for boxes float32[P, 4] (ymin, xmin, ymax, xmax) and scores float32[P, C].

    ``inputs`` are those of a picture: their shapes count, and their anchors.
    """
    scores = with_background(scores, fields["background_class"])
    coded = _coded(boxes.astype(np.float64), fields["box_coding"], *inputs[2:3])
    made = logits(scores) if fields["score_activation"] else scores
    return [in_shape(coded, inputs[0]), in_shape(made, inputs[1]), *inputs[2:3]]


def _coded(boxes: np.ndarray, coding: int, anchors: np.ndarray | None = None) -> np.ndarray:
    """Return boxes as the plugin reads them: corners, or centre and size, or offsets from anchors."""
    if coding != CORNERS:
        low, high = boxes[:, :2], boxes[:, 2:]
        boxes = np.concatenate([(low + high) / 2, high - low], axis=1)
    if anchors is None:
        return boxes
    own = anchors[0].astype(np.float64)
    if coding == CORNERS:
        low, high = np.minimum(own[:, :2], own[:, 2:]), np.maximum(own[:, :2], own[:, 2:])
        return np.asarray(boxes - np.concatenate([low, high], axis=1))
    size = own[:, 2:]
    return np.concatenate([(boxes[:, :2] - own[:, :2]) / size, np.log(boxes[:, 2:] / size)], axis=1)


def rules_combined_nms(fields: Mapping[str, Any], inputs: Sequence[np.ndarray]) -> SuppressionRules:
    """Return the rules of suppression."""
    most, of_class = fields["max_total_size"], fields["max_output_size_per_class"]
    return SuppressionRules(
        boxes=inputs[0].shape[1],
        classes=inputs[1].shape[2],
        score_threshold=fields["score_threshold"],
        iou_threshold=fields["iou_threshold"],
        most=most,
        most_of_class=min(most, of_class) if of_class > 0 else most,
    )


def combined_nms(
    fields: Mapping[str, Any], inputs: Sequence[np.ndarray], boxes: np.ndarray, scores: np.ndarray
) -> list[np.ndarray]:
    """Return the inputs for boxes and scores, as :func:`efficient_nms` does."""
    return [in_shape(boxes, inputs[0]), in_shape(scores, inputs[1])]


rules_combined_nms_implicit, combined_nms_implicit = rules_combined_nms, combined_nms
