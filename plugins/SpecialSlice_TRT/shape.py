"""Shape of SpecialSlice_TRT."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from surgeon.graph import TensorSpec
from surgeon.kernels.shapes import check_dim, dim


def outputs(fields: Mapping[str, Any], inputs: Sequence[TensorSpec]) -> list[TensorSpec]:
    """Return float32[N, K, 4]; raise SurgeonError C109 where the input's rows are not of six numbers."""
    (detections,) = inputs
    check_dim("SpecialSlice_TRT", 0, detections, 2, 6, why="a row is a box, a class and a score")
    return [TensorSpec.of("float32", dim(detections, 0), dim(detections, 1), 4)]
