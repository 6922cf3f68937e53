"""Each output of a Split becomes a SurgeonSlice."""

from __future__ import annotations

from surgeon.graph import Node
from surgeon.steps.native.cutting import cut_axis
from surgeon.steps.native.native_op import NativeOp, NativeReader, PluginOutput
from surgeon.steps.patterns import Miss


def _split(reader: NativeReader, node: Node) -> tuple[PluginOutput, ...]:
    source, count = node.inputs[1], node.attrs.get("num_split")
    axis, length = cut_axis(reader, source, reader.ints(node, 0, "axis"))
    if not isinstance(count, int) or count < 1 or length % count:
        raise Miss(f"its axis has {length} places; expected a multiple of 'num_split'")
    size = length // count
    return tuple(reader.cut(source, axis, i * size, size) for i in range(count))


SPLIT = NativeOp("Split", _split, data_input=1)
