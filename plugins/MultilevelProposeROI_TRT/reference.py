"""Numbers of MultilevelProposeROI_TRT."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from surgeon.kernels.mask_rcnn.numbers import multilevel_propose


def run(
    fields: Mapping[str, Any], inputs: Sequence[np.ndarray], changes: frozenset[str] = frozenset()
) -> list[np.ndarray]:
    """Return float32[N, keep_topk, 4], the regions best first; rows without one are 0."""
    return [multilevel_propose(fields, inputs)]
