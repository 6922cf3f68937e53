"""Shape of ScatterND."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from surgeon.graph import DType, TensorSpec
from surgeon.kernels.shapes import dim, unfit

OP = "ScatterND"


def outputs(fields: Mapping[str, Any], inputs: Sequence[TensorSpec]) -> list[TensorSpec]:
    """Return type and shape of the data; raise SurgeonError C109 where indices or updates do not fit them."""
    data, indices, updates = inputs
    for index, spec in ((0, data), (2, updates)):
        if spec.dtype not in (None, DType.FLOAT32, DType.INT32):
            raise unfit(OP, index, spec, "float32 or int32")
    if None not in (data.dtype, updates.dtype) and data.dtype is not updates.dtype:
        raise unfit(OP, 2, updates, "the element type of the data", f"input 0 is {data}")
    depth, places, slices = dim(indices, -1), indices.shape.dims, updates.shape.dims
    if places is not None and not places:
        raise unfit(OP, 1, indices, "at least one axis, which holds the coordinates")
    if depth is None or data.shape.dims is None:
        return [data]
    if depth > len(data.shape.dims):
        raise unfit(
            OP,
            1,
            indices,
            f"at most {len(data.shape.dims)} coordinates of a slice, as many as input 0 has axes",
        )
    wanted = (*(places or ())[:-1], *data.shape.dims[depth:])
    if slices is not None and not _agree(slices, wanted):
        raise unfit(
            OP, 2, updates, f"the shape {list(wanted)}", f"the data are {data}, the indices {indices}"
        )
    return [data]


def _agree(found: Sequence[int | None], wanted: Sequence[int | None]) -> bool:
    return len(found) == len(wanted) and all(
        None in pair or pair[0] == pair[1] for pair in zip(found, wanted, strict=True)
    )
