"""Shape of Region_TRT."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from surgeon.graph import DType, TensorSpec
from surgeon.kernels.shapes import check_dim


def outputs(fields: Mapping[str, Any], inputs: Sequence[TensorSpec]) -> list[TensorSpec]:
    """Return float32 of the input's shape.

    Raise SurgeonError C109 where its channels are not those of the fields.
    """
    num, coords, classes = fields["num"], fields["coords"], fields["classes"]
    channels = num * (coords + 1 + classes)
    check_dim(
        "Region_TRT",
        0,
        inputs[0],
        1,
        channels,
        why=f"{num} boxes x ({coords} + 1 + {classes} classes) = {channels}",
    )
    return [TensorSpec(DType.FLOAT32, inputs[0].shape)]


def check(fields: Mapping[str, Any]) -> list[str]:
    """Return what is wrong between the fields."""
    if "smTree" in fields:
        return ["'smTree' is a pointer into a program's memory, which no file can hold; expected it left out"]
    return []
