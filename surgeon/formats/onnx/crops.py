"""Where crops of feature maps are sampled: one formula for TensorFlow's operation and for plugins."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np


class Writer(Protocol):
    """Adds nodes and constants to an ONNX graph."""

    def op(self, op_type: str, *inputs: str, **attributes: Any) -> str:
        """Add a node with one output; return the output's name."""

    def constant(self, value: Any, dtype: Any = None) -> str:
        """Return the name of a constant: an array, or a number or list with its element type."""


def crop_samples(
    emit: Writer, low: str, high: str, size: int, count: int, margin: float = 0
) -> tuple[str, str]:
    """Return where regions are sampled along one axis of a map, and which samples are inside the map.

    ``low`` and ``high`` are float32[..., 1], the ends of the regions, where 0 and 1 are the first and the
    last of ``size`` rows. The results are float32[..., count], counted in rows, and bool[..., count]. What
    is outside, or is not a number, is put at 0. The operations have TensorFlow's order: whether the last
    sample of a region that ends with the map is inside depends on their rounding. With a ``margin``, samples
    up to this share beyond the last row are inside, too.
    """
    last, zero = emit.constant(size - 1, np.float32), emit.constant(0, np.float32)
    if count > 1:
        extent = emit.op("Mul", emit.op("Sub", high, low), last)
        step = emit.op("Div", extent, emit.constant(count - 1, np.float32))
        steps = emit.op("Mul", step, emit.constant(range(count), np.float32))
        at = emit.op("Add", emit.op("Mul", low, last), steps)
    else:
        middle = emit.op("Mul", emit.op("Add", low, high), emit.constant(0.5, np.float32))
        at = emit.op("Mul", middle, last)
    end = emit.constant(np.float32(size - 1) * np.float32(1 + margin), np.float32) if margin else last
    inside = emit.op("And", emit.op("GreaterOrEqual", at, zero), emit.op("LessOrEqual", at, end))
    return emit.op("Where", inside, at, zero), inside
