"""Shapes of what is split, joined or repeated."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from surgeon.catalog.modules import UnfitInput
from surgeon.display import plural
from surgeon.graph import DType, Shape, TensorSpec
from surgeon.kernels.shapes import check_dim, dim, unfit


def batch_tile(fields: Mapping[str, Any], inputs: Sequence[TensorSpec]) -> list[TensorSpec]:
    """Return float32[N, C, H, W], N from the first input.

    Raise UnfitInput where the second has several pictures.
    """
    batch, x = inputs
    check_dim(1, x, 0, 1, why="one picture is repeated")
    return [TensorSpec.of("float32", dim(batch, 0), dim(x, 1), dim(x, 2), dim(x, 3))]


def flatten_concat(fields: Mapping[str, Any], inputs: Sequence[TensorSpec]) -> list[TensorSpec]:
    """Return float32[N, X, 1, 1], X the sum of the inputs' sizes without the batch.

    X is None while one of these is unknown. Raise UnfitInput where the inputs differ in an axis after the
    first of a sample.
    """
    _check_alike(inputs)
    sizes = [_sample_size(spec) for spec in inputs]
    total = sum(size for size in sizes if size is not None)
    batches = [spec.shape.dims[0] for spec in inputs if spec.shape.dims]
    batch = next((n for n in batches if n is not None), None)
    return [TensorSpec.of("float32", batch, None if None in sizes else total, 1, 1)]


def _sample_size(spec: TensorSpec) -> int | None:
    if not spec.shape.dims or None in spec.shape.dims[1:]:
        return None
    return math.prod(dim for dim in spec.shape.dims[1:] if dim is not None)


def _check_alike(inputs: Sequence[TensorSpec]) -> None:
    known = [
        (i, spec, spec.shape.dims[2:])
        for i, spec in enumerate(inputs)
        if spec.shape.dims and spec.shape.rank == 4
    ]
    for i, spec, tail in known[1:]:
        first, other, wanted = known[0]
        if any(a is not None and b is not None and a != b for a, b in zip(tail, wanted, strict=True)):
            raise UnfitInput(
                i,
                f" is {spec} and input {first} is {other}; expected the same numbers after the second axis",
                (),
                "reshape the inputs to [N, numbers, 1, 1] before they are joined",
            )


def scatter_nd(fields: Mapping[str, Any], inputs: Sequence[TensorSpec]) -> list[TensorSpec]:
    """Return type and shape of the data; raise UnfitInput where indices or updates do not fit them."""
    data, indices, updates = inputs
    for index, spec in ((0, data), (2, updates)):
        if spec.dtype not in (None, DType.FLOAT32, DType.INT32):
            raise unfit(index, spec, "float32 or int32")
    if None not in (data.dtype, updates.dtype) and data.dtype is not updates.dtype:
        raise unfit(2, updates, "the element type of the data", f"input 0 is {data}")
    depth, places, slices = dim(indices, -1), indices.shape.dims, updates.shape.dims
    if places is not None and not places:
        raise unfit(1, indices, "at least one axis, which holds the coordinates")
    if depth is None or data.shape.dims is None:
        return [data]
    if depth > len(data.shape.dims):
        raise unfit(
            1,
            indices,
            f"at most {len(data.shape.dims)} coordinates of a slice, as many as input 0 has axes",
        )
    wanted = (*(places or ())[:-1], *data.shape.dims[depth:])
    if slices is not None and not _agree(slices, wanted):
        raise unfit(2, updates, f"the shape {list(wanted)}", f"the data are {data}, the indices {indices}")
    return [data]


def _agree(found: Sequence[int | None], wanted: Sequence[int | None]) -> bool:
    return len(found) == len(wanted) and all(
        None in pair or pair[0] == pair[1] for pair in zip(found, wanted, strict=True)
    )


def split(fields: Mapping[str, Any], inputs: Sequence[TensorSpec]) -> list[TensorSpec]:
    """Return a part for each length, float32.

    Raise UnfitInput where the input has no such axis, or the lengths do not add up to that of the axis.
    """
    x, axis, lengths = inputs[0], fields["axis"], fields["output_lengths"]
    dims = x.shape.dims
    if dims is None:
        return [TensorSpec(DType.FLOAT32)] * len(lengths)
    if axis >= len(dims):
        raise unfit(0, x, f"more than {axis} axes", f"axis is {axis}")
    if dims[axis] not in (None, sum(lengths)):
        raise unfit(0, x, f"{sum(lengths)} at axis {axis}", f"the lengths are together {sum(lengths)}")
    return [TensorSpec(DType.FLOAT32, Shape((*dims[:axis], length, *dims[axis + 1 :]))) for length in lengths]


def slice(fields: Mapping[str, Any], inputs: Sequence[TensorSpec]) -> list[TensorSpec]:
    """Return float32 of the input's shape, the axis of the slice's size.

    Raise UnfitInput where the input has no such axis, or the slice leaves it.
    """
    x, axis, end = inputs[0], fields["axis"], fields["begin"] + fields["size"]
    dims = x.shape.dims
    if dims is None:
        return [TensorSpec(DType.FLOAT32)]
    if axis >= len(dims):
        raise unfit(0, x, f"more than {axis} axes", f"axis is {axis}")
    length = dims[axis]
    if length is not None and length < end:
        raise unfit(0, x, f"{end} at least at axis {axis}", f"begin and size are together {end}")
    return [TensorSpec(DType.FLOAT32, Shape((*dims[:axis], fields["size"], *dims[axis + 1 :])))]


LARGEST = (1 << 31) - 1
"""Most elements that an axis can have."""


def tile(fields: Mapping[str, Any], inputs: Sequence[TensorSpec]) -> list[TensorSpec]:
    """Return float32, each axis after the batch repeated.

    Raise UnfitInput where the axes are not as many as the repeats, or one becomes too long.
    """
    x, repeats = inputs[0], fields["repeats"]
    dims = x.shape.dims
    if dims is None:
        return [TensorSpec(DType.FLOAT32, Shape((None,) * (len(repeats) + 1)))]
    if len(dims) != len(repeats) + 1:
        raise unfit(
            0,
            x,
            f"{len(repeats) + 1} axes, the batch included",
            f"repeats has {plural(len(repeats), 'value')}",
        )
    tiled = [
        None if length is None else length * times for length, times in zip(dims[1:], repeats, strict=True)
    ]
    if any(length is not None and length > LARGEST for length in tiled):
        raise unfit(0, x, f"axes of at most {LARGEST} once repeated", f"repeats is {list(repeats)}")
    return [TensorSpec(DType.FLOAT32, Shape((dims[0], *tiled)))]
