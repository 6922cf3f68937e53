"""Numbers of Normalize_TRT, as normalizeLayer.cu computes them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np


def run(
    fields: Mapping[str, Any], inputs: Sequence[np.ndarray], changes: frozenset[str] = frozenset()
) -> list[np.ndarray]:
    """Return the input, float32[N, C, H, W], divided by its length: over channels, or over all of a picture.

    Across the picture with a weight for each channel the plugin divides by the weights, and multiplies
    otherwise.
    """
    x = inputs[0]
    axes = (1, 2, 3) if fields["acrossSpatial"] else (1,)
    length = np.sqrt((x * x).sum(axis=axes, keepdims=True) + np.float32(fields["eps"]))
    weights = np.asarray(fields["weights"], np.float32)
    if fields["channelShared"]:
        return [x / length * weights[0]]
    weights = weights[:, None, None]
    return [x / length / weights if fields["acrossSpatial"] else x / length * weights]
