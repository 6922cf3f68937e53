"""Numbers of InstanceNormalization_TRT."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np


def run(
    fields: Mapping[str, Any], inputs: Sequence[np.ndarray], changes: frozenset[str] = frozenset()
) -> list[np.ndarray]:
    """Return float32[N, C, ...]: each channel of each picture with mean 0 and variance 1, then scaled and
    shifted.

    With relu 1, what is below 0 is multiplied by alpha afterwards.
    """
    x = inputs[0]
    axes = tuple(range(2, x.ndim))
    mean, variance = x.mean(axis=axes, keepdims=True), x.var(axis=axes, keepdims=True)
    scale, bias = (
        np.asarray(fields[name], np.float32).reshape(-1, *[1] * len(axes)) for name in ("scales", "bias")
    )
    y = (x - mean) / np.sqrt(variance + np.float32(fields["epsilon"])) * scale + bias
    return [np.where(y < 0, y * np.float32(fields["alpha"]), y) if fields["relu"] else y]
