"""Shapes of YOLO."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from surgeon.graph import DType, TensorSpec
from surgeon.kernels.shapes import check_dim, dim, unfit


def region(fields: Mapping[str, Any], inputs: Sequence[TensorSpec]) -> list[TensorSpec]:
    """Return float32 of the input's shape.

    Raise UnfitInput where its channels are not those of the fields.
    """
    num, coords, classes = fields["num"], fields["coords"], fields["classes"]
    channels = num * (coords + 1 + classes)
    check_dim(
        0,
        inputs[0],
        1,
        channels,
        why=f"{num} boxes x ({coords} + 1 + {classes} classes) = {channels}",
    )
    return [TensorSpec(DType.FLOAT32, inputs[0].shape)]


def check_region(fields: Mapping[str, Any]) -> list[str]:
    """Return what is wrong between the fields."""
    if "smTree" in fields:
        return ["'smTree' is a pointer into a program's memory, which no file can hold; expected it left out"]
    return []


def reorg(fields: Mapping[str, Any], inputs: Sequence[TensorSpec]) -> list[TensorSpec]:
    """Return float32[N, C s s, H / s, W / s], s the stride.

    Raise UnfitInput unless height and width are multiples of the stride, and the number of channels is a
    multiple of its square.
    """
    x, stride = inputs[0], fields["stride"]
    for axis, unit in ((1, stride * stride), (2, stride), (3, stride)):
        size = dim(x, axis)
        if size is not None and size % unit:
            raise unfit(0, x, f"a multiple of {unit} at axis {axis}", f"stride is {stride}")
    channels, height, width = (dim(x, axis) for axis in (1, 2, 3))
    return [
        TensorSpec.of(
            "float32",
            dim(x, 0),
            None if channels is None else channels * stride * stride,
            None if height is None else height // stride,
            None if width is None else width // stride,
        )
    ]
