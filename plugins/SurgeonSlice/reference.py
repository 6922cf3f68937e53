"""Numbers of SurgeonSlice."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np


def run(
    fields: Mapping[str, Any], inputs: Sequence[np.ndarray], changes: frozenset[str] = frozenset()
) -> list[np.ndarray]:
    """Return ``size`` places of an axis of the input, float32, from ``begin`` on."""
    places = np.arange(fields["begin"], fields["begin"] + fields["size"])
    return [np.take(inputs[0], places, axis=fields["axis"])]
