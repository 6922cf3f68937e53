"""What the plugins in the place of a single-shot detector's post-processing read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from surgeon.families.parts.scores import convert_scores
from surgeon.graph import AttrValue, Ref

if TYPE_CHECKING:
    from surgeon.families.ssd.detector import SingleShotDetector


def prior_boxes(anchors: np.ndarray, variances: tuple[float, ...]) -> np.ndarray:
    """Return float32[1, 2, 4P, 1] of anchors float32[P, 4] (ymin, xmin, ymax, xmax) and variances for x, y,
    width, height.

    The first channel holds xmin, ymin, xmax, ymax of each anchor, the second the variances of each.
    """
    corners = anchors[:, [1, 0, 3, 2]].reshape(-1)
    repeated = np.tile(np.asarray(variances, np.float32), len(anchors))
    return np.stack([corners, repeated]).astype(np.float32).reshape(1, 2, -1, 1)


def plugin_inputs(
    detector: SingleShotDetector, fields: Mapping[str, AttrValue], values: Mapping[Ref, np.ndarray]
) -> dict[str, np.ndarray]:
    """Return encodings, scores and anchors by port, from the values of the original's tensors.

    Scores are converted where the plugin does not do so itself. Raise SurgeonError where the original does
    not tell them.
    """
    scores = values[detector.logits.value] * np.float32(detector.logit_scale.value)
    if not fields.get("confSigmoid"):
        scores = convert_scores(scores, detector.score_converter.value)
    return {
        "loc": _flat(values[detector.encodings.value]),
        "conf": _flat(scores),
        "prior": detector.anchor_input(values),
    }


def _flat(array: np.ndarray) -> np.ndarray:
    """Return float32[N, ...] as float32[N, X, 1, 1]."""
    return array.reshape(len(array), -1, 1, 1).astype(np.float32)
