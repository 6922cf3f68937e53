"""The shape of aligned regions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from surgeon.graph import TensorSpec
from surgeon.kernels.regions.shapes import BOX
from surgeon.kernels.shapes import check_dim, common_dim, dim


def roi_align(fields: Mapping[str, Any], inputs: Sequence[TensorSpec]) -> list[TensorSpec]:
    """Return float32[R, C, output_height, output_width].

    Raise UnfitInput where the inputs do not go together.
    """
    check_dim(1, inputs[1], 1, 4, why=BOX)
    regions = common_dim("regions", inputs, (1, 0), (2, 0))
    return [
        TensorSpec.of("float32", regions, dim(inputs[0], 1), fields["output_height"], fields["output_width"])
    ]
