"""Shapes of BatchedNMS_TRT."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from surgeon.graph import TensorSpec
from surgeon.kernels.boxes.shapes import batched_nms, check_kept


def outputs(fields: Mapping[str, Any], inputs: Sequence[TensorSpec]) -> list[TensorSpec]:
    """Return int32[N], float32[N, keepTopK, 4], float32[N, keepTopK] and float32[N, keepTopK].

    Raise SurgeonError C109 where the sizes of the inputs are known and do not go together.
    """
    pictures, rows = batched_nms("BatchedNMS_TRT", fields, inputs)
    return [TensorSpec.of("int32", pictures), *rows]


def check(fields: Mapping[str, Any]) -> list[str]:
    """Return what is wrong between the fields."""
    return check_kept(fields)
