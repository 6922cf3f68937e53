"""SpecialSlice_TRT in standard operators: Slice."""

from __future__ import annotations

from collections.abc import Sequence

from surgeon.formats.onnx.lowering import PluginNode


def standard(at: PluginNode) -> Sequence[str]:
    """Return the boxes of detections, float32[N, K, 4] of float32[N, K, 6].

    The first four numbers of each.
    """
    emit = at.emit
    return [emit.op("Slice", at.inputs[0], emit.ints(0), emit.ints(4), emit.ints(-1))]
