"""Numbers of Proposal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from surgeon.kernels.faster_rcnn.numbers import proposals


def run(
    fields: Mapping[str, Any], inputs: Sequence[np.ndarray], changes: frozenset[str] = frozenset()
) -> list[np.ndarray]:
    """Return float32[N, post_nms_top_n, 4, 1], the regions best first; rows without one are 0."""
    return [proposals(fields, inputs[0], inputs[1])]
