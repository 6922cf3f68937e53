"""Shape of SurgeonResizeBilinear."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from surgeon.graph import TensorSpec
from surgeon.kernels.shapes import check_rank, dim


def outputs(fields: Mapping[str, Any], inputs: Sequence[TensorSpec]) -> list[TensorSpec]:
    """Return float32[N, C, height, width]; raise SurgeonError C109 where the input has not 4 axes."""
    x = inputs[0]
    check_rank("SurgeonResizeBilinear", 0, x, 4)
    return [TensorSpec.of("float32", dim(x, 0), dim(x, 1), fields["height"], fields["width"])]


def check(fields: Mapping[str, Any]) -> list[str]:
    """Return what is wrong between the fields."""
    both = fields["alignCorners"] and fields["halfPixelCenters"]
    return ["'alignCorners' and 'halfPixelCenters' are both 1; expected one of them at most"] if both else []
