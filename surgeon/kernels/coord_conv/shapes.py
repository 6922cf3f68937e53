"""The shape of a map with channels of coordinates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from surgeon.graph import TensorSpec
from surgeon.kernels.shapes import dim


def coord_conv(fields: Mapping[str, Any], inputs: Sequence[TensorSpec]) -> list[TensorSpec]:
    """Return float32[N, C + 2, H, W]."""
    batch, channels, height, width = (dim(inputs[0], axis) for axis in range(4))
    return [TensorSpec.of("float32", batch, None if channels is None else channels + 2, height, width)]
