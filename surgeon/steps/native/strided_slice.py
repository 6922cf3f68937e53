"""A StridedSlice that cuts one axis becomes a SurgeonSlice."""

from __future__ import annotations

from surgeon.graph import Node
from surgeon.steps.native.cutting import one_axis
from surgeon.steps.native.native_op import NativeOp, NativeReader, PluginOutput
from surgeon.steps.patterns import Miss

_MASKS = ("begin_mask", "end_mask", "ellipsis_mask", "new_axis_mask", "shrink_axis_mask")


def _strided(reader: NativeReader, node: Node) -> tuple[PluginOutput, ...]:
    source = node.inputs[0]
    masks = {key: int(mask) if isinstance(mask := node.attrs.get(key, 0), int) else 0 for key in _MASKS}
    if any(masks[key] for key in _MASKS[2:]):
        raise Miss("it takes an axis out, puts one in or has an ellipsis; expected a cut of one axis")
    dims = reader.dims(source)
    begin, end, strides = (
        reader.ints(node, i, what) for i, what in ((1, "begin"), (2, "end"), (3, "list of strides"))
    )
    if not len(begin) == len(end) == len(strides) <= len(dims):
        raise Miss(f"it has {len(begin)} entries for {len(dims)} axes; expected one for each axis at most")
    if any(stride != 1 for stride in strides):
        raise Miss(f"its strides are {strides}; expected 1")
    ranges: list[tuple[int, int] | None] = [None] * len(dims)
    for axis, (start, stop) in enumerate(zip(begin, end, strict=True)):
        first = None if masks["begin_mask"] >> axis & 1 else start
        last = None if masks["end_mask"] >> axis & 1 else stop
        length = dims[axis]
        if first in (None, 0) and last is None:
            continue
        if length is None:
            raise Miss(f"the length of its axis {axis} is not known; expected a known one where it is cut")
        low, high, _ = slice(first, last).indices(length)
        ranges[axis] = None if (low, high) == (0, length) else (low, high - low)
    return (one_axis(reader, source, ranges),)


STRIDED_SLICE = NativeOp("StridedSlice", _strided)
