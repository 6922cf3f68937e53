"""Numbers of NMS_TRT."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from surgeon.kernels.detection_output import numbers as detection_output

COUNTERFACTUALS = detection_output.COUNTERFACTUALS


def run(
    fields: Mapping[str, Any], inputs: Sequence[np.ndarray], changes: frozenset[str] = frozenset()
) -> list[np.ndarray]:
    """Return the detections, float32[N, 1, keepTopK, 7], and their number, float32[N, 1, 1, 1] holding an
    int32's bits.
    """
    return detection_output.detection_output(fields, inputs, changes)
