"""Cuts, stacks and repetitions."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from surgeon.formats.uff.expansion import BATCH, NOT_CONSTANT, SIZES, Expanded, Expansion
from surgeon.graph import Ref

_PIECES = 128
"""Tensors that one node may be put together from."""


def _stacked(at: Expansion) -> Expanded:
    """The parser stacks constants alone; tensors get the new axis one by one, and are joined."""
    dims = at.dims(0)
    axis = at.attr("axis", 0)
    first = next((ref for ref in at.inputs if at.varies(ref)), None)
    if dims is None or first is None or len(at.inputs) > _PIECES:
        return None
    axis %= len(dims) + 1
    if not axis:
        return None
    computed = (ref if at.varies(ref) else at.repeated(ref, first) for ref in at.inputs)
    return at.joined([at.op("ExpandDims", ref, at.whole(axis)) for ref in computed], axis)


def _unstacked(at: Expansion) -> Expanded:
    dims = at.dims(0)
    if dims is None:
        return SIZES
    axis = at.attr("axis", 0) % len(dims)
    if not axis:
        return _unstacked_of_moved(at, dims)
    parts = _parts(at, at.inputs[0], dims, axis, [1] * dims[axis])
    if isinstance(parts, str):
        return parts
    return tuple(at.reshaped(part, _without(dims, axis)) for part in parts)


def _unstacked_of_moved(at: Expansion, dims: tuple[int, ...]) -> Expanded:
    """Parts along an axis that a Transpose moved to the front are cut where it was."""
    moved = at.source(at.inputs[0])
    order = at.ints(moved.inputs[1]) if moved.op == "Transpose" and len(moved.inputs) == 2 else None
    if order is None or sorted(order) != list(range(len(dims))):
        return BATCH
    axis, rest = order[0], [place - (place > order[0]) for place in order[1:]]
    before = [dims[order.index(place)] for place in range(len(dims))]
    parts = _parts(at, moved.inputs[0], before, axis, [1] * dims[0]) if rest[:1] == [0] else BATCH
    if isinstance(parts, str):
        return parts
    squeezed = [at.reshaped(part, _without(before, axis)) for part in parts]
    in_order = rest == sorted(rest)
    return tuple(part if in_order else at.transposed(part, rest) for part in squeezed)


def _without(dims: Sequence[int], axis: int) -> list[int]:
    return [size for i, size in enumerate(dims) if i != axis]


def _split(at: Expansion) -> Expanded:
    dims, count = at.dims(1), at.attr("num_split", 0)
    if not dims:
        return SIZES
    axis = at.axis(0, len(dims))
    if axis is None:
        return NOT_CONSTANT
    if count < 1 or dims[axis] % count:
        return None
    return _parts(at, at.inputs[1], dims, axis, [dims[axis] // count] * count)


def _split_by_sizes(at: Expansion) -> Expanded:
    dims, sizes = at.dims(0), at.ints(1)
    if not dims:
        return SIZES
    axis = at.axis(2, len(dims))
    if axis is None or sizes is None:
        return NOT_CONSTANT
    rest = dims[axis] - sum(size for size in sizes if size != -1)
    return _parts(at, at.inputs[0], dims, axis, [rest if size == -1 else size for size in sizes])


def _parts(
    at: Expansion, source: Ref, dims: Sequence[int], axis: int, sizes: Sequence[int]
) -> tuple[Ref, ...] | str:
    """Return runs of these lengths of an axis, one after the other; a text says why there are none."""
    if not axis:
        return BATCH
    if len(sizes) > _PIECES:
        return f"it has {len(sizes)} parts, more than {_PIECES}"
    if not sizes or sum(sizes) != dims[axis] or min(sizes) < 1:
        return f"its parts are not {dims[axis]} long together, or one is empty"
    ends = np.cumsum(sizes).tolist()
    return tuple(
        _run(at, source, len(dims), axis, end - size, end) for size, end in zip(sizes, ends, strict=True)
    )


def _run(at: Expansion, source: Ref, rank: int, axis: int, begin: int, end: int) -> Ref:
    return at.cut(source, [(begin, end, 1) if i == axis else None for i in range(rank)])


def _slice(at: Expansion) -> Expanded:
    dims, begin, size = at.dims(0), at.ints(1), at.ints(2)
    if dims is None:
        return SIZES
    if begin is None or size is None:
        return NOT_CONSTANT
    if not len(begin) == len(size) == len(dims):
        return None
    ranges = [
        None if start == 0 and count in (-1, length) else (start, length if count == -1 else start + count, 1)
        for start, count, length in zip(begin, size, dims, strict=True)
    ]
    return BATCH if ranges[0] else at.cut(at.inputs[0], ranges)


def _strided_slice(at: Expansion) -> Expanded:
    """The parser cuts each axis and keeps all; new axes, and those that go, are written behind.

    It takes three axes beside the batch; vectors and sequences get what they lack.
    """
    dims = at.dims(0)
    begin, end, strides = (at.ints(i) for i in (1, 2, 3))
    masks = [at.attr(f"{name}_mask", 0) for name in ("begin", "end", "ellipsis", "new_axis", "shrink_axis")]
    if not dims or begin is None or end is None or strides is None:
        return None
    if not len(begin) == len(end) == len(strides):
        return None
    if not any(masks[2:]) and len(begin) == len(dims) and len(dims) not in (2, 3):
        return None
    open_begin, open_end, ellipsis, new, gone = ([mask >> i & 1 for i in range(len(begin))] for mask in masks)
    at_ellipsis = ellipsis.index(1) if any(ellipsis) else len(begin)
    named = sum(not made for i, made in enumerate(new) if i != at_ellipsis)
    if named > len(dims):
        return None
    ranges: list[tuple[int, int, int] | None] = []
    added: list[int] = []
    removed: list[int] = []
    place = 0
    for i in range(max(len(begin), at_ellipsis + 1)):
        if i == at_ellipsis:
            ranges += [None] * (len(dims) - named)
            place += len(dims) - named
            continue
        if new[i]:
            added.append(place)
            place += 1
            continue
        axis = len(ranges)
        if gone[i]:
            start = begin[i] % dims[axis]
            ranges.append((start, start + 1, 1))
            removed.append(axis)
            continue
        first = None if open_begin[i] else begin[i]
        last = None if open_end[i] else end[i]
        if strides[i] < 1:
            return None
        low, high, step = slice(first, last, strides[i]).indices(dims[axis])
        ranges.append(None if (low, high, step) == (0, dims[axis], 1) else (low, high, step))
        place += 1
    if ranges[0] or (added and not added[0]):
        return None
    result = at.dims(Ref(at.node.name))
    if result is None:
        return None
    found, missing = at.inputs[0], 4 - len(dims)
    if any(ranges):
        if missing in (1, 2):
            found = at.reshaped(found, (*dims[:-1], *[1] * missing, dims[-1]))
            ranges[-1:-1] = [None] * missing
        found = at.cut(found, ranges)
    return at.reshaped(found, result) if removed or added or missing in (1, 2) else found


def _tile(at: Expansion) -> Expanded:
    times = at.ints(1)
    if times is None:
        return NOT_CONSTANT
    if not times or min(times) < 1:
        return None
    if times[0] != 1:
        return BATCH
    if sum(times) > _PIECES:
        return f"it repeats {' + '.join(map(str, times))} times, more than {_PIECES} together"
    found = at.inputs[0]
    for axis, count in enumerate(times):
        found = at.joined([found] * count, axis)
    return found


def _transposed(at: Expansion) -> Expanded:
    """The parser transposes four axes, and refuses three."""
    dims, order = at.dims(0), at.ints(1)
    if dims is None or order != [0, 2, 1]:
        return None
    batch, rows, columns = dims
    wide = at.transposed(at.reshaped(at.inputs[0], (batch, 1, rows, columns)), (0, 1, 3, 2))
    return at.reshaped(wide, (batch, columns, rows))


EXPANSIONS = {
    "Pack": _stacked,
    "Slice": _slice,
    "Split": _split,
    "SplitV": _split_by_sizes,
    "StridedSlice": _strided_slice,
    "Tile": _tile,
    "Transpose": _transposed,
    "Unpack": _unstacked,
}
