"""Cuts of one axis, which SurgeonSlice makes."""

from __future__ import annotations

from collections.abc import Sequence

from surgeon.graph import Ref
from surgeon.steps.native.native_op import NativeReader, PluginOutput
from surgeon.steps.patterns import Miss


def cut_axis(reader: NativeReader, source: Ref, told: Sequence[int]) -> tuple[int, int]:
    """Return an axis counted from the front, and its length.

    Raise Miss for the batch or an unknown length.
    """
    dims = reader.dims(source)
    if len(told) != 1:
        raise Miss(f"its axis has {len(told)} numbers; expected one")
    axis = told[0] + (len(dims) if told[0] < 0 else 0)
    if not 0 < axis < len(dims):
        raise Miss(f"it cuts axis {axis}; expected one after the batch, 1 to {len(dims) - 1}")
    length = dims[axis]
    if length is None:
        raise Miss(f"the length of its axis {axis} is not known; expected a known one")
    return axis, length


def one_axis(reader: NativeReader, source: Ref, ranges: Sequence[tuple[int, int] | None]) -> PluginOutput:
    """Return the slice of the one axis that has a range.

    Raise Miss where none or several have, or it is empty.
    """
    cut = [axis for axis, found in enumerate(ranges) if found is not None]
    if len(cut) != 1 or cut == [0]:
        shown = f"axes {', '.join(map(str, cut))}" if len(cut) > 1 else "the batch" if cut else "nothing"
        raise Miss(f"it cuts {shown}; expected one axis after the batch")
    begin, size = ranges[cut[0]] or (0, 0)
    length = reader.dims(source)[cut[0]]
    if begin < 0 or size < 1 or (length is not None and begin + size > length):
        raise Miss(
            f"it takes {size} places from {begin} on of an axis of {length}; expected 1 at least, within the "
            "axis"
        )
    return reader.cut(source, cut[0], begin, size)
