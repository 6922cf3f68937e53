"""Numbers as people write them."""

from __future__ import annotations

import math

import numpy as np


def plain(value: float, tolerance: float = 0.0) -> float:
    """Return the number of fewest decimal digits that is the same float32, or within ``tolerance`` (relative)
    of the value.

    0.2 for 0.20000000298. A number that is not finite is returned as it is.
    """
    if not math.isfinite(value) or not value:
        return value
    single = np.float32(value)
    if not np.isfinite(single):
        return value
    for digits in range(1, 10):
        text = float(f"{value:.{digits}g}")
        if np.float32(text) == single or abs(text - value) <= tolerance * abs(value):
            return text
    return float(single)
