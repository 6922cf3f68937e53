"""Shape of GenerateDetection_TRT."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from surgeon.graph import TensorSpec
from surgeon.kernels.regions.shapes import detections


def outputs(fields: Mapping[str, Any], inputs: Sequence[TensorSpec]) -> list[TensorSpec]:
    """Return float32[N, keep_topk, 6].

    Raise SurgeonError C109 where the inputs do not fit num_classes or one another.
    """
    return detections("GenerateDetection_TRT", fields, inputs)
