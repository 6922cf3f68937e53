"""Numbers of CropAndResize_TRT."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from surgeon.kernels.regions.numbers import crop_and_resize


def run(
    fields: Mapping[str, Any], inputs: Sequence[np.ndarray], changes: frozenset[str] = frozenset()
) -> list[np.ndarray]:
    """Return float32[N, R, C, crop_height, crop_width]; 0 where a region lies outside of the feature map."""
    return [crop_and_resize(inputs[0], inputs[1], fields["crop_height"], fields["crop_width"])]
