"""TensorArrays: the lists of tensors that while loops read and write."""

from __future__ import annotations

from collections.abc import Sequence

from surgeon.graph import DType, Shape, TensorSpec
from surgeon.infer.rule import Context, Rule, attr_dtype, attr_shape


def create(ctx: Context) -> Sequence[TensorSpec]:
    """Return the handle and the flow, a float that orders the accesses."""
    return [TensorSpec.of(DType.RESOURCE, 2), TensorSpec.of(DType.FLOAT32)]


def flow(ctx: Context) -> Sequence[TensorSpec]:
    return [TensorSpec.of(DType.FLOAT32)]


def read(ctx: Context) -> Sequence[TensorSpec]:
    return [TensorSpec(attr_dtype(ctx.node, "dtype"))]


def gather(ctx: Context) -> Sequence[TensorSpec]:
    """Return the elements asked for, stacked: one per index, then the attribute's shape."""
    dtype, element, indices = (
        attr_dtype(ctx.node, "dtype"),
        attr_shape(ctx.node, "element_shape").dims,
        ctx.dims(1),
    )
    if element is None:
        return [TensorSpec(dtype)]
    return [TensorSpec(dtype, Shape((indices[0] if indices else None, *element)))]


def concat(ctx: Context) -> Sequence[TensorSpec]:
    rest = attr_shape(ctx.node, "element_shape_except0").dims
    shape = Shape() if rest is None else Shape((None, *rest))
    return [TensorSpec(attr_dtype(ctx.node, "dtype"), shape), TensorSpec.of(DType.INT64, None)]


def size(ctx: Context) -> Sequence[TensorSpec]:
    return [TensorSpec.of(DType.INT32)]


def close(ctx: Context) -> Sequence[TensorSpec]:
    return []


RULES = (
    Rule("TensorArrayV3", create, outputs=2),
    Rule("TensorArrayWriteV3", flow),
    Rule("TensorArrayScatterV3", flow),
    Rule("TensorArraySplitV3", flow),
    Rule("TensorArrayReadV3", read),
    Rule("TensorArrayGatherV3", gather),
    Rule("TensorArrayConcatV3", concat, outputs=2),
    Rule("TensorArraySizeV3", size),
    Rule("TensorArrayCloseV3", close, outputs=0),
)
