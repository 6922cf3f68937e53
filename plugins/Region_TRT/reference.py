"""Numbers of Region_TRT, as regionForward.cu computes them without a tree of classes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np


def run(
    fields: Mapping[str, Any], inputs: Sequence[np.ndarray], changes: frozenset[str] = frozenset()
) -> list[np.ndarray]:
    """Return float32[N, C, H, W] with the numbers of each of ``num`` boxes made probabilities.

    The channels of a box are x, y, w, h, objectness and ``classes`` scores. The logistic function is applied
    to x, y and objectness, softmax to the scores; w and h stay.
    """
    x, boxes = inputs[0], fields["num"]
    parts = x.reshape(len(x), boxes, -1, *x.shape[2:]).copy()
    for part in (slice(0, 2), slice(4, 5)):
        parts[:, :, part] = 1.0 / (1.0 + np.exp(-parts[:, :, part]).astype(np.float64))
    scores = parts[:, :, 5 : 5 + fields["classes"]]
    power = np.exp(scores - scores.max(axis=2, keepdims=True))
    parts[:, :, 5 : 5 + fields["classes"]] = power / power.sum(axis=2, keepdims=True)
    return [parts.reshape(x.shape)]
