"""Shapes of NMS_TRT."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from surgeon.graph import TensorSpec
from surgeon.kernels.detection_output import shapes as detection_shapes


def outputs(fields: Mapping[str, Any], inputs: Sequence[TensorSpec]) -> list[TensorSpec]:
    """Return float32[N, 1, keepTopK, 7] and float32[N, 1, 1, 1].

    Raise SurgeonError C109 where the sizes of the inputs are known and do not go together.
    """
    return detection_shapes.outputs("NMS_TRT", fields, inputs)


def check(fields: Mapping[str, Any]) -> list[str]:
    """Return what is wrong between the fields."""
    return detection_shapes.check(fields)
