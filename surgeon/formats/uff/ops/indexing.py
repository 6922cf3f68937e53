"""Slices and gathers."""

from __future__ import annotations

from surgeon.formats.uff.conversion import ConverterContext, converts
from surgeon.formats.uff.model import UffNode, UffValue
from surgeon.graph import DType


@converts("StridedSlice")
def strided_slice(at: ConverterContext) -> list[UffNode]:
    """StridedSlice; masks for an ellipsis and for new axes have no place in UFF."""
    for mask in ("ellipsis_mask", "new_axis_mask"):
        value = at.attr(mask, int, 0)
        if value:
            raise at.refused(
                f"has the {mask} {value}; UFF has masks for begin, end and shrinking only",
                "write the slice with a begin and an end for every axis, and a Reshape for new axes",
            )
    masks = ("begin_mask", "end_mask", "shrink_axis_mask")
    fields = {mask: UffValue("i", at.attr(mask, int, 0)) for mask in masks}
    return [at.uff("StridedSlice", [at.edge(i) for i in range(4)], fields)]


@converts("Gather")
def gather(at: ConverterContext) -> list[UffNode]:
    """Gather along the first axis."""
    fields = {
        "indices_dtype": UffValue("dtype", at.dtype("Tindices", DType.INT32)),
        "params_dtype": UffValue("dtype", at.dtype("Tparams")),
        "validate_indices": UffValue("b", at.attr("validate_indices", bool, True)),
    }
    return [at.uff("Gather", (at.edge(0), at.edge(1)), fields)]


@converts("GatherV2")
def gather_v2(at: ConverterContext) -> list[UffNode]:
    """GatherV2 along a constant axis."""
    if at.attr("batch_dims", int, 0):
        raise at.refused("gathers batch by batch (batch_dims); UFF gathers from the whole tensor")
    fields = {
        "axis": UffValue("i", at.integer(2, "axis")),
        "indices_dtype": UffValue("dtype", at.dtype("Tindices", DType.INT32)),
        "params_dtype": UffValue("dtype", at.dtype("Tparams")),
    }
    return [at.uff("GatherV2", (at.edge(0), at.edge(1)), fields)]
