"""Probes of SurgeonDetection: what it reads for boxes and scores that are made up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from surgeon.kernels.detection_output.numbers import TF_CENTER
from surgeon.kernels.detection_output.probes import encode
from surgeon.kernels.postprocessing.numbers import CENTRE_SIZE, SIGMOID, SOFTMAX
from surgeon.kernels.suppression.probes import SuppressionRules, in_shape, logits, with_background

_FAINT = 1e-30


def rules_detections(fields: Mapping[str, Any], inputs: Sequence[np.ndarray]) -> SuppressionRules | None:
    """Return the rules of suppression; None where no score of a softmax can be low."""
    if fields["scoreConverter"] == SOFTMAX and fields["background"] < 0:
        return None
    return SuppressionRules(
        boxes=inputs[1][0].size // fields["classes"],
        classes=fields["classes"] - (fields["background"] >= 0),
        score_threshold=fields["scoreThreshold"],
        iou_threshold=fields["iouThreshold"],
        most=fields["maxTotal"],
        most_of_class=fields["maxPerClass"],
    )


def detections(
    fields: Mapping[str, Any], inputs: Sequence[np.ndarray], boxes: np.ndarray, scores: np.ndarray
) -> list[np.ndarray]:
    """Return the inputs for boxes float32[P, 4] (ymin, xmin, ymax, xmax) and scores float32[P, C].

    ``inputs`` are those of a picture: their shapes count, and their anchors.
    """
    scores = with_background(scores, fields["background"])
    if fields["scoreConverter"] == SIGMOID:
        scores = logits(scores)
    elif fields["scoreConverter"] == SOFTMAX:
        scores = np.log(np.maximum(scores, np.float32(_FAINT)))
    coded = boxes
    if fields["coding"] == CENTRE_SIZE:
        coded = encode({"codeType": TF_CENTER, "varianceEncodedInTarget": 0}, boxes, inputs[2])
    scale = np.float32(fields["scoreScale"])
    return [in_shape(coded, inputs[0]), in_shape(scores / scale, inputs[1]), *inputs[2:3]]
