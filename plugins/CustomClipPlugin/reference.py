"""Numbers of CustomClipPlugin."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np


def run(
    fields: Mapping[str, Any], inputs: Sequence[np.ndarray], changes: frozenset[str] = frozenset()
) -> list[np.ndarray]:
    """Return the input, float32 of any shape, with each element clipped to the range."""
    return [np.clip(inputs[0], np.float32(fields["clipMin"]), np.float32(fields["clipMax"]))]
