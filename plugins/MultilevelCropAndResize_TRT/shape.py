"""Shape of MultilevelCropAndResize_TRT."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from surgeon.graph import TensorSpec
from surgeon.kernels.regions.shapes import pyramid


def outputs(fields: Mapping[str, Any], inputs: Sequence[TensorSpec]) -> list[TensorSpec]:
    """Return float32[N, R, C, pooled_size, pooled_size].

    Raise SurgeonError C109 where the inputs do not go together.
    """
    return pyramid("MultilevelCropAndResize_TRT", fields, inputs)
