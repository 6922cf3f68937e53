"""Numbers of DetectionLayer_TRT."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from surgeon.kernels.mask_rcnn.numbers import detection_layer


def run(
    fields: Mapping[str, Any], inputs: Sequence[np.ndarray], changes: frozenset[str] = frozenset()
) -> list[np.ndarray]:
    """Return float32[N, keep_topk, 6], the detections best first.

    Rows without one are 0 and have the class -1.
    """
    return [detection_layer(fields, inputs[0], inputs[1], inputs[2])]
