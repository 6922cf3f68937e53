"""Shapes of resized feature maps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from surgeon.catalog.fields import float32
from surgeon.graph import TensorSpec
from surgeon.kernels.shapes import check_rank, dim, unfit

LARGEST = (1 << 31) - 1
"""Most elements that an axis can have."""


def resize_nearest(fields: Mapping[str, Any], inputs: Sequence[TensorSpec]) -> list[TensorSpec]:
    """Return float32[N, C, H s, W s], sizes computed in float32 and rounded down.

    Raise UnfitInput where nothing or too much would be left of an axis.
    """
    x, scale = inputs[0], fields["scale"]
    return [TensorSpec.of("float32", dim(x, 0), dim(x, 1), _scaled(x, 2, scale), _scaled(x, 3, scale))]


def _scaled(x: TensorSpec, axis: int, scale: float) -> int | None:
    size = dim(x, axis)
    if size is None:
        return None
    scaled = float32(size * scale)
    if scaled is None or not 1 <= scaled <= LARGEST:
        raise unfit(0, x, f"axis {axis} times {scale:g} to be 1 to {LARGEST}")
    return int(scaled)


def resize_bilinear(fields: Mapping[str, Any], inputs: Sequence[TensorSpec]) -> list[TensorSpec]:
    """Return float32[N, C, height, width]; raise UnfitInput where the input has not 4 axes."""
    x = inputs[0]
    check_rank(0, x, 4)
    return [TensorSpec.of("float32", dim(x, 0), dim(x, 1), fields["height"], fields["width"])]


def check_resize_bilinear(fields: Mapping[str, Any]) -> list[str]:
    """Return what is wrong between the fields."""
    both = fields["alignCorners"] and fields["halfPixelCenters"]
    return ["'alignCorners' and 'halfPixelCenters' are both 1; expected one of them at most"] if both else []
