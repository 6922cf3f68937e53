"""YOLO, as regionForward.cu and reorgForward.cu of TensorRT compute it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np


def region(
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


def reorg(
    fields: Mapping[str, Any], inputs: Sequence[np.ndarray], changes: frozenset[str] = frozenset()
) -> list[np.ndarray]:
    """Return float32[N, C s s, H / s, W / s] of float32[N, C, H, W], s the stride.

    As in Darknet, the input's memory is taken for C / (s s) channels of H s x W s, blocks of s x s become
    channels, and the result's memory is taken for the shape of the output. So C must be a multiple of s s.
    """
    x, s = inputs[0], fields["stride"]
    count, channels, height, width = x.shape
    blocks = x.reshape(count, channels // (s * s), height, s, width, s)
    return [blocks.transpose(0, 3, 5, 1, 2, 4).reshape(count, channels * s * s, height // s, width // s)]
