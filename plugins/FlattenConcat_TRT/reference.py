"""Numbers of FlattenConcat_TRT."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np


def run(
    fields: Mapping[str, Any], inputs: Sequence[np.ndarray], changes: frozenset[str] = frozenset()
) -> list[np.ndarray]:
    """Return float32[N, X, 1, 1]: each sample's inputs flattened, one after the other.

    With ignoreBatch 1 the plugin copies the first sample alone; what it leaves unwritten of the others is
    zero here.
    """
    joined = np.concatenate([part.reshape(len(part), -1) for part in inputs], axis=1)[:, :, None, None]
    if fields["ignoreBatch"]:
        joined[1:] = 0
    return [joined]
