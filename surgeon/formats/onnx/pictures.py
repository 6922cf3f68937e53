"""Tensors that are the same for every picture of a batch."""

from __future__ import annotations

from surgeon.formats.onnx.lowering import PluginNode
from surgeon.formats.onnx.shapes import batch_size


def for_each_picture(at: PluginNode, index: int, value: str, rank: int) -> str:
    """Return ``value``, whose first of ``rank`` axes is 1, as often as input ``index`` has pictures."""
    emit, count = at.emit, batch_size(at, index)
    if count == 1:
        return value
    if count is not None:
        return emit.op("Expand", value, emit.ints(count, *[1] * (rank - 1)))
    pictures = emit.op("Slice", emit.op("Shape", at.inputs[index]), emit.ints(0), emit.ints(1), emit.ints(0))
    return emit.op("Expand", value, emit.op("Concat", pictures, emit.ints(*[1] * (rank - 1)), axis=0))
