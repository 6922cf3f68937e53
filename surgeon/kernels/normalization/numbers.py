"""Normalization, in numpy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np


def normalize(
    fields: Mapping[str, Any], inputs: Sequence[np.ndarray], changes: frozenset[str] = frozenset()
) -> list[np.ndarray]:
    """Return the input, float32[N, C, H, W], divided by its length: over channels, or over all of a picture.

    Over all of a picture and with a weight for each channel the plugin divides by the weights; otherwise it
    multiplies by them.
    """
    x = inputs[0]
    axes = (1, 2, 3) if fields["acrossSpatial"] else (1,)
    length = np.sqrt((x * x).sum(axis=axes, keepdims=True) + np.float32(fields["eps"]))
    weights = np.asarray(fields["weights"], np.float32)
    if fields["channelShared"]:
        return [x / length * weights[0]]
    weights = weights[:, None, None]
    return [x / length / weights if fields["acrossSpatial"] else x / length * weights]


def instance_normalization(
    fields: Mapping[str, Any], inputs: Sequence[np.ndarray], changes: frozenset[str] = frozenset()
) -> list[np.ndarray]:
    """Return the input with mean 0 and variance 1 in each channel of each picture, scaled and shifted.

    It is float32[N, C, ...]. With relu 1, what is below 0 is then multiplied by alpha.
    """
    x = inputs[0]
    axes = tuple(range(2, x.ndim))
    mean, variance = x.mean(axis=axes, keepdims=True), x.var(axis=axes, keepdims=True)
    scale, bias = (
        np.asarray(fields[name], np.float32).reshape(-1, *[1] * len(axes)) for name in ("scales", "bias")
    )
    y = (x - mean) / np.sqrt(variance + np.float32(fields["epsilon"])) * scale + bias
    return [np.where(y < 0, y * np.float32(fields["alpha"]), y) if fields["relu"] else y]
