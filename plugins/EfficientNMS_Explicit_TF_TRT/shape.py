"""Shapes of EfficientNMS_Explicit_TF_TRT."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from surgeon.graph import TensorSpec
from surgeon.kernels.boxes.shapes import combined_nms


def outputs(fields: Mapping[str, Any], inputs: Sequence[TensorSpec]) -> list[TensorSpec]:
    """Return int32[N, 1], float32[N, K, 4], float32[N, K] and int32[N, K].

    K is max_total_size, or with pad_per_class the rows of all classes together, where these are fewer. Raise
    SurgeonError C109 where the sizes of the inputs are known and do not go together.
    """
    pictures, rows = combined_nms("EfficientNMS_Explicit_TF_TRT", fields, inputs)
    return [TensorSpec.of("int32", pictures, 1), *rows]
