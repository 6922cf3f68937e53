"""Shapes of Split_TRT."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from surgeon.graph import DType, Shape, TensorSpec
from surgeon.kernels.shapes import unfit


def outputs(fields: Mapping[str, Any], inputs: Sequence[TensorSpec]) -> list[TensorSpec]:
    """Return a part for each length, float32.

    Raise SurgeonError C109 where the input has no such axis, or the lengths are not together that of the
    axis.
    """
    x, axis, lengths = inputs[0], fields["axis"], fields["output_lengths"]
    dims = x.shape.dims
    if dims is None:
        return [TensorSpec(DType.FLOAT32)] * len(lengths)
    if axis >= len(dims):
        raise unfit("Split_TRT", 0, x, f"more than {axis} axes", f"axis is {axis}")
    if dims[axis] not in (None, sum(lengths)):
        raise unfit(
            "Split_TRT", 0, x, f"{sum(lengths)} at axis {axis}", f"the lengths are together {sum(lengths)}"
        )
    return [TensorSpec(DType.FLOAT32, Shape((*dims[:axis], length, *dims[axis + 1 :]))) for length in lengths]
