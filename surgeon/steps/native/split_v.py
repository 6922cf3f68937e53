"""Each output of a SplitV becomes a SurgeonSlice."""

from __future__ import annotations

import numpy as np

from surgeon.graph import Node
from surgeon.steps.native.cutting import cut_axis
from surgeon.steps.native.native_op import NativeOp, NativeReader, PluginOutput
from surgeon.steps.patterns import Miss


def _split_by_sizes(reader: NativeReader, node: Node) -> tuple[PluginOutput, ...]:
    source, sizes = node.inputs[0], reader.ints(node, 1, "list of sizes")
    axis, length = cut_axis(reader, source, reader.ints(node, 2, "axis"))
    rest = length - sum(size for size in sizes if size != -1)
    sizes = [rest if size == -1 else size for size in sizes]
    if min(sizes, default=0) < 1 or sum(sizes) != length:
        raise Miss(
            f"its sizes {sizes} do not divide the axis of {length} places; expected sizes of 1 at least"
        )
    begins = np.cumsum([0, *sizes[:-1]]).tolist()
    return tuple(reader.cut(source, axis, begin, size) for begin, size in zip(begins, sizes, strict=True))


SPLIT_V = NativeOp("SplitV", _split_by_sizes)
