"""Shapes of EfficientNMS_TRT."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from surgeon.graph import TensorSpec
from surgeon.kernels.boxes.shapes import candidates, kept_rows
from surgeon.kernels.shapes import check_dim, common_dim

OP = "EfficientNMS_TRT"


def outputs(fields: Mapping[str, Any], inputs: Sequence[TensorSpec]) -> list[TensorSpec]:
    """Return int32[N, 1], float32[N, K, 4], float32[N, K] and int32[N, K], K being max_output_boxes.

    Raise SurgeonError C109 where the sizes of the inputs are known and do not go together.
    """
    pictures = candidates(OP, inputs).pictures
    if len(inputs) == 3:
        check_dim(
            OP, 2, inputs[2], 0, 1, pictures, why="anchors are for all pictures, or each picture has its own"
        )
        check_dim(OP, 2, inputs[2], 2, 4, why="an anchor is four coordinates")
        common_dim(OP, "boxes", inputs, (0, 1), (1, 1), (2, 1))
    return [TensorSpec.of("int32", pictures, 1), *kept_rows(pictures, fields["max_output_boxes"], "int32")]
