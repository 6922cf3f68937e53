"""Shape of ROIAlign_TRT."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from surgeon.graph import TensorSpec
from surgeon.kernels.regions.shapes import BOX
from surgeon.kernels.shapes import check_dim, common_dim, dim

OP = "ROIAlign_TRT"


def outputs(fields: Mapping[str, Any], inputs: Sequence[TensorSpec]) -> list[TensorSpec]:
    """Return float32[R, C, output_height, output_width].

    Raise SurgeonError C109 where the inputs do not go together.
    """
    check_dim(OP, 1, inputs[1], 1, 4, why=BOX)
    regions = common_dim(OP, "regions", inputs, (1, 0), (2, 0))
    return [
        TensorSpec.of("float32", regions, dim(inputs[0], 1), fields["output_height"], fields["output_width"])
    ]
