"""YOLO in standard operators."""

from __future__ import annotations

from collections.abc import Sequence

from surgeon.formats.onnx.lowering import PluginNode
from surgeon.formats.onnx.shapes import sample_dims


def region(at: PluginNode) -> Sequence[str]:
    """Return float32[N, C, H, W] with the numbers of each of ``num`` boxes made probabilities; w and h stay.

    There is no tree of classes. Raise SurgeonError X160 where a size is unknown.
    """
    emit, boxes = at.emit, at.fields["num"]
    channels, height, width = sample_dims(at, 0)
    parts = emit.op("Reshape", at.inputs[0], emit.ints(0, boxes, channels // boxes, height * width))
    lengths = (2, 2, 1, at.fields["classes"])
    place, size, objectness, scores = emit.op_many("Split", (parts, emit.ints(*lengths)), 4, axis=2)
    made = (
        emit.op("Sigmoid", place),
        size,
        emit.op("Sigmoid", objectness),
        emit.op("Softmax", scores, axis=2),
    )
    return [emit.op("Reshape", emit.op("Concat", *made, axis=2), emit.ints(0, channels, height, width))]


def reorg(at: PluginNode) -> Sequence[str]:
    """Return float32[N, C s s, H / s, W / s] of float32[N, C, H, W], s the stride, in Darknet's order.

    Raise SurgeonError X160 where a size is unknown.
    """
    emit, s = at.emit, at.fields["stride"]
    channels, height, width = sample_dims(at, 0)
    blocks = emit.op("Reshape", at.inputs[0], emit.ints(0, channels // (s * s), height, s, width, s))
    moved = emit.op("Transpose", blocks, perm=(0, 3, 5, 1, 2, 4))
    return [emit.op("Reshape", moved, emit.ints(0, channels * s * s, height // s, width // s))]
