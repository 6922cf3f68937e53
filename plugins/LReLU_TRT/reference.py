"""Numbers of LReLU_TRT."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np


def run(
    fields: Mapping[str, Any], inputs: Sequence[np.ndarray], changes: frozenset[str] = frozenset()
) -> list[np.ndarray]:
    """Return the input, float32 of any shape, with what is not above 0 multiplied by the slope."""
    x = inputs[0]
    return [np.where(x > 0, x, x * np.float32(fields["negSlope"]))]
