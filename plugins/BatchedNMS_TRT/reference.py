"""Numbers of BatchedNMS_TRT."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from surgeon.kernels.batched_nms.numbers import batched_nms


def run(
    fields: Mapping[str, Any], inputs: Sequence[np.ndarray], changes: frozenset[str] = frozenset()
) -> list[np.ndarray]:
    """Return the number of detections, int32, boxes, float32[N, keepTopK, 4], scores and classes, float32[N,
    keepTopK] each.
    """
    numbers, *rest = batched_nms(fields, *inputs)
    return [numbers, *rest]
