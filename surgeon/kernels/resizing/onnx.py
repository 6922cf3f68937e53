"""Resized feature maps in standard operators."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from surgeon.formats.onnx.lowering import PluginNode
from surgeon.formats.onnx.shapes import sample_dims


def resize_nearest(at: PluginNode) -> Sequence[str]:
    """Return float32[N, C, H', W'] of float32[N, C, H, W].

    Each element is that of the place divided by the scale, rounded down. Raise SurgeonError X160 where a size
    is unknown and the scale is not a power of two above 1.
    """
    emit, x, scale = at.emit, at.inputs[0], np.float32(at.fields["scale"])
    if scale > 1 and np.frexp(scale)[0] == 0.5:
        # Every runtime divides by these without rounding, so they agree on the places.
        rule = {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
        return [emit.op("Resize", x, "", emit.constant([1, 1, scale, scale], np.float32), **rule)]
    for axis, size in enumerate(sample_dims(at, 0)[1:], start=2):
        x = emit.op("Gather", x, emit.ints(*_sources(size, scale)), axis=axis)
    return [x]


def _sources(size: int, scale: np.float32) -> np.ndarray:
    """Return which of ``size`` elements each of the result is, int64[size * scale]."""
    places = np.arange(int(np.float32(size) * scale), dtype=np.float32)
    found: np.ndarray = np.minimum((places / scale).astype(np.int64), size - 1)
    return found
