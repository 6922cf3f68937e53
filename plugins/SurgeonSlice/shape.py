"""Shape of SurgeonSlice."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from surgeon.graph import DType, Shape, TensorSpec
from surgeon.kernels.shapes import unfit


def outputs(fields: Mapping[str, Any], inputs: Sequence[TensorSpec]) -> list[TensorSpec]:
    """Return float32 of the input's shape, the axis of the slice's size.

    Raise SurgeonError C109 where the input has no such axis, or the slice leaves it.
    """
    x, axis, end = inputs[0], fields["axis"], fields["begin"] + fields["size"]
    dims = x.shape.dims
    if dims is None:
        return [TensorSpec(DType.FLOAT32)]
    if axis >= len(dims):
        raise unfit("SurgeonSlice", 0, x, f"more than {axis} axes", f"axis is {axis}")
    length = dims[axis]
    if length is not None and length < end:
        raise unfit(
            "SurgeonSlice", 0, x, f"{end} at least at axis {axis}", f"begin and size are together {end}"
        )
    return [TensorSpec(DType.FLOAT32, Shape((*dims[:axis], fields["size"], *dims[axis + 1 :])))]
