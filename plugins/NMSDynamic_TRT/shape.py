"""Shapes of NMSDynamic_TRT."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from surgeon.graph import TensorSpec
from surgeon.kernels.detection_output import shapes as detection_shapes
from surgeon.kernels.shapes import common_dim


def outputs(fields: Mapping[str, Any], inputs: Sequence[TensorSpec]) -> list[TensorSpec]:
    """Return float32[N, 1, keepTopK, 7] and float32[N, 1, 1, 1].

    Raise SurgeonError C109 where the sizes of the inputs are known and do not go together.
    """
    common_dim("NMSDynamic_TRT", "pictures", inputs, *((index, 0) for index in fields["inputOrder"]))
    return detection_shapes.outputs("NMSDynamic_TRT", fields, inputs)


def check(fields: Mapping[str, Any]) -> list[str]:
    """Return what is wrong between the fields."""
    return detection_shapes.check(fields)
