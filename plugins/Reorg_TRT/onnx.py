"""Reorg_TRT in standard operators: Reshape and Transpose."""

from __future__ import annotations

from collections.abc import Sequence

from surgeon.formats.onnx.lowering import PluginNode
from surgeon.formats.onnx.shapes import sample_dims


def standard(at: PluginNode) -> Sequence[str]:
    """Return float32[N, C s s, H / s, W / s] of float32[N, C, H, W], s the stride, in the order that Darknet
    has.

    Raise SurgeonError X160 where a size is unknown.
    """
    emit, s = at.emit, at.fields["stride"]
    channels, height, width = sample_dims(at, 0)
    blocks = emit.op("Reshape", at.inputs[0], emit.ints(0, channels // (s * s), height, s, width, s))
    moved = emit.op("Transpose", blocks, perm=(0, 3, 5, 1, 2, 4))
    return [emit.op("Reshape", moved, emit.ints(0, channels * s * s, height // s, width // s))]
