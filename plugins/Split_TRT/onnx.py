"""Split_TRT in standard operators: Split."""

from __future__ import annotations

from collections.abc import Sequence

from surgeon.formats.onnx.lowering import PluginNode


def standard(at: PluginNode) -> Sequence[str]:
    """Return the parts of the input along an axis, of the lengths that the field tells."""
    lengths = [int(length) for length in at.fields["output_lengths"]]
    return at.emit.op_many(
        "Split", (at.inputs[0], at.emit.ints(*lengths)), len(lengths), axis=int(at.fields["axis"])
    )
