"""A Slice that cuts one axis becomes a SurgeonSlice."""

from __future__ import annotations

from surgeon.graph import Node
from surgeon.steps.native.cutting import one_axis
from surgeon.steps.native.native_op import NativeOp, NativeReader, PluginOutput
from surgeon.steps.patterns import Miss


def _sliced(reader: NativeReader, node: Node) -> tuple[PluginOutput, ...]:
    source = node.inputs[0]
    dims, begin, size = reader.dims(source), reader.ints(node, 1, "begin"), reader.ints(node, 2, "size")
    if not len(begin) == len(size) == len(dims):
        raise Miss(
            f"its begin and size have {len(begin)} and {len(size)} entries; expected {len(dims)}, one for "
            "each axis"
        )
    ranges: list[tuple[int, int] | None] = []
    for start, count, length in zip(begin, size, dims, strict=True):
        whole = start == 0 and count in (-1, length)
        if not whole and count == -1 and length is None:
            raise Miss("the length of the axis that it cuts is not known; expected a known one")
        ranges.append(None if whole else (start, (length or 0) - start if count == -1 else count))
    return (one_axis(reader, source, ranges),)


SLICE = NativeOp("Slice", _sliced)
