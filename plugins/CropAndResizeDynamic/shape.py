"""Shape of CropAndResizeDynamic."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from surgeon.graph import TensorSpec
from surgeon.kernels.regions.shapes import crop_and_resize


def outputs(fields: Mapping[str, Any], inputs: Sequence[TensorSpec]) -> list[TensorSpec]:
    """Return float32[N, R, C, crop_height, crop_width].

    Raise SurgeonError C109 where the inputs do not go together.
    """
    return crop_and_resize("CropAndResizeDynamic", fields, inputs)
