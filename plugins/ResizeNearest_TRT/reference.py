"""Numbers of ResizeNearest_TRT."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np


def run(
    fields: Mapping[str, Any], inputs: Sequence[np.ndarray], changes: frozenset[str] = frozenset()
) -> list[np.ndarray]:
    """Return the input, float32[N, C, H, W], with height and width scaled.

    Each element is that of the place divided by the scale.
    """
    scale, (height, width) = np.float32(fields["scale"]), inputs[0].shape[2:]
    rows, columns = _sources(height, scale), _sources(width, scale)
    return [inputs[0][:, :, rows[:, None], columns]]


def _sources(size: int, scale: np.float32) -> np.ndarray:
    places = np.arange(int(np.float32(size) * scale), dtype=np.float32)
    return np.minimum((places / scale).astype(np.int64), size - 1)
