"""Channels of coordinates, as coordConvACPluginKernels.cu of TensorRT computes them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np


def coord_conv(
    fields: Mapping[str, Any], inputs: Sequence[np.ndarray], changes: frozenset[str] = frozenset()
) -> list[np.ndarray]:
    """Return float32[N, C + 2, H, W]: the input, and two channels of coordinates from -1 to 1.

    They are those of row and column where H = W. For other maps the plugin takes the step of the columns for
    the rows, and counts columns along the flattened map modulo H; this does the same.
    """
    x = inputs[0]
    count, _, height, width = x.shape
    step_y, step_x = (np.float32(2) / np.float32(size - 1) for size in (height, width))
    place = np.arange(height * width)
    first = -1.0 + ((place // width).astype(np.float32) * step_x).astype(np.float64)
    second = -1.0 + (((place + place.size) % height).astype(np.float32) * step_y).astype(np.float64)
    extra = np.stack([first, second]).astype(np.float32).reshape(1, 2, height, width)
    return [np.concatenate([x, np.repeat(extra, count, axis=0)], axis=1)]
