"""Elements in other places, in standard operators."""

from __future__ import annotations

from collections.abc import Sequence

from surgeon.formats.onnx.lowering import PluginNode
from surgeon.formats.onnx.pictures import for_each_picture
from surgeon.formats.onnx.shapes import batch_size, picture_numbers


def batch_tile(at: PluginNode) -> Sequence[str]:
    """Return float32[N, C, H, W]: the one picture of the second input, for each picture of the first."""
    return [for_each_picture(at, 0, at.inputs[1], 4)]


def native_inputs_flatten_concat(at: PluginNode) -> Sequence[str]:
    """Return the inputs with four axes.

    TensorRT 8.5.3.1 asserts three without the batch, which UFF's parser adds by itself.
    """
    return [
        name if spec.shape.rank == 4 else at.emit.op("Reshape", name, at.emit.ints(0, -1, 1, 1))
        for name, spec in zip(at.inputs, at.specs, strict=True)
    ]


def flatten_concat(at: PluginNode) -> Sequence[str]:
    """Return float32[N, X, 1, 1].

    With ignoreBatch 1 all pictures but the first are zero, which the plugin leaves unwritten.
    """
    emit = at.emit
    parts = [emit.op("Reshape", name, emit.ints(0, -1, 1, 1)) for name in at.inputs]
    joined = emit.op("Concat", *parts, axis=1) if len(parts) > 1 else parts[0]
    if at.fields["ignoreBatch"] and batch_size(at, 0) != 1:
        first = emit.op("Less", picture_numbers(at, 0, 4, "float32"), emit.constant(1, "float32"))
        joined = emit.op("Where", first, joined, emit.constant(0, "float32"))
    return [joined]


def split(at: PluginNode) -> Sequence[str]:
    """Return the parts of the input along an axis, of the lengths that the field tells."""
    lengths = [int(length) for length in at.fields["output_lengths"]]
    return at.emit.op_many(
        "Split", (at.inputs[0], at.emit.ints(*lengths)), len(lengths), axis=int(at.fields["axis"])
    )
