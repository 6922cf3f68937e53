"""Ops that make tensors from constants and shapes, and placeholders."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from surgeon.graph import DType, Node, Shape, TensorSpec
from surgeon.infer.dims import broadcast
from surgeon.infer.rule import (
    MAX_RANK,
    Array,
    Context,
    Dim,
    Dims,
    Mismatch,
    Rule,
    attr_dtype,
    attr_shape,
    moves,
)

_SCALARS_ARE_KNOWN_SINCE = 24


def shape_of_ints(ctx: Context, index: int) -> Shape:
    """Return the shape that an integer vector input gives; raise Mismatch for negative dimensions."""
    items = ctx.ints(index)
    if items is None:
        return Shape()
    if any(d is not None and d < 0 for d in items):
        raise Mismatch(f"the shape {list(items)} has a negative dimension; expected dimensions of at least 0")
    return Shape(items)


def const(ctx: Context) -> Sequence[TensorSpec]:
    return [TensorSpec(attr_dtype(ctx.node, "dtype"))]


def placeholder(ctx: Context) -> Sequence[TensorSpec]:
    shape = attr_shape(ctx.node, "shape")
    if shape.dims == () and ctx.producer is not None and ctx.producer < _SCALARS_ARE_KNOWN_SINCE:
        shape = Shape()
    return [TensorSpec(attr_dtype(ctx.node, "dtype"), shape)]


def placeholder_with_default(ctx: Context) -> Sequence[TensorSpec]:
    return [TensorSpec(ctx.dtype("dtype"), attr_shape(ctx.node, "shape"))]


def variable(ctx: Context) -> Sequence[TensorSpec]:
    return [TensorSpec(attr_dtype(ctx.node, "dtype"), attr_shape(ctx.node, "shape"))]


def resource(ctx: Context) -> Sequence[TensorSpec]:
    return [TensorSpec(DType.RESOURCE, Shape(()))]


def read_variable(ctx: Context) -> Sequence[TensorSpec]:
    return [TensorSpec(attr_dtype(ctx.node, "dtype"))]


def fill(ctx: Context) -> Sequence[TensorSpec]:
    value = ctx.dims(1)
    if value is not None and value:
        ctx.contradict(f"the value has shape {Shape(value)}; expected a scalar")
    return [TensorSpec(ctx.dtype("T", 1), shape_of_ints(ctx, 0))]


def like(ctx: Context) -> Sequence[TensorSpec]:
    return [TensorSpec(ctx.dtype(), ctx.spec(0).shape)]


def range_length(start: float, limit: float, delta: float) -> int:
    """Return the number of elements of Range; raise Mismatch where it has none that makes sense."""
    if delta == 0 or not all(math.isfinite(v) for v in (start, limit, delta)):
        raise Mismatch(
            f"the range from {start} to {limit} by {delta} has no length; expected finite numbers and a step"
        )
    if (limit - start) * delta < 0:
        raise Mismatch(
            f"the range from {start} to {limit} by {delta} never ends; expected a step towards the end"
        )
    if isinstance(start, int) and isinstance(limit, int) and isinstance(delta, int):
        return -((start - limit) // delta)
    return math.ceil(abs((limit - start) / delta))


def range_(ctx: Context) -> Sequence[TensorSpec]:
    dtype = ctx.dtype("Tidx")
    values = [ctx.value(i) for i in range(3)]
    if any(v is None or v.size != 1 for v in values):
        return [TensorSpec(dtype, Shape((None,)))]
    start, limit, delta = (v.reshape(-1)[0].item() for v in values if v is not None)
    return [TensorSpec(dtype, Shape((range_length(start, limit, delta),)))]


def lin_space(ctx: Context) -> Sequence[TensorSpec]:
    count = ctx.scalar(2)
    if count is not None and count < 1:
        raise Mismatch(f"'num' is {count}; expected 1 at least")
    return [TensorSpec(ctx.dtype(), Shape((count,)))]


def random(ctx: Context) -> Sequence[TensorSpec]:
    return [TensorSpec(ctx.dtype("dtype", -1), shape_of_ints(ctx, 0))]


def random_int(ctx: Context) -> Sequence[TensorSpec]:
    return [TensorSpec(ctx.dtype("Tout", 1), shape_of_ints(ctx, 0))]


def broadcast_to(ctx: Context) -> Sequence[TensorSpec]:
    shape = shape_of_ints(ctx, 1)
    dims = ctx.dims(0)
    if dims is not None and shape.dims is not None:
        if len(dims) > len(shape.dims):
            raise Mismatch(
                f"an input of shape {Shape(dims)} is broadcast to {shape}; expected no more axes than that"
            )
        joined = broadcast(dims, shape.dims)
        if joined is not None and any(
            s is not None and j != s for j, s in zip(joined, shape.dims, strict=True)
        ):
            raise Mismatch(
                f"an input of shape {Shape(dims)} does not broadcast to {shape}; expected 1 or that dimension"
            )
    return [TensorSpec(ctx.dtype(), shape)]


def one_hot(ctx: Context) -> Sequence[TensorSpec]:
    dtype = ctx.dtype("T", 2)
    dims, depth = ctx.dims(0), ctx.scalar(1)
    if depth is not None and depth < 0:
        raise Mismatch(f"the depth is {depth}; expected 0 at least")
    if dims is None:
        return [TensorSpec(dtype)]
    axis = _one_hot_axis(ctx.node, len(dims))
    out: Dims = (*dims[:axis], depth, *dims[axis:])
    return [TensorSpec(dtype, Shape(out))]


def _one_hot_axis(node: Node, rank: int) -> int:
    axis = node.attrs.get("axis", -1)
    if not isinstance(axis, int) or not -1 <= axis <= rank:
        raise Mismatch(f"axis {axis!r} is out of range; the output has {rank + 1} axes")
    return rank if axis == -1 else axis


def broadcast_args(ctx: Context) -> Sequence[TensorSpec]:
    lengths: list[Dim] = []
    for i in range(2):
        dims = ctx.dims(i)
        lengths.append(dims[0] if dims else None)
    known = [n for n in lengths if n is not None]
    length = max(known) if len(known) == 2 and max(known) <= MAX_RANK else None
    return [TensorSpec(ctx.dtype(), Shape((length,)))]


def _fill(node: Node, arrays: list[Array]) -> Sequence[Array]:
    shape, value = arrays
    return [np.full(tuple(int(d) for d in shape.ravel()), value.reshape(()), dtype=value.dtype)]


def _zeros_like(node: Node, arrays: list[Array]) -> Sequence[Array]:
    return [np.zeros(arrays[0].shape, arrays[0].dtype)]


def _ones_like(node: Node, arrays: list[Array]) -> Sequence[Array]:
    return [np.ones(arrays[0].shape, arrays[0].dtype)]


def _range(node: Node, arrays: list[Array]) -> Sequence[Array]:
    start, limit, delta = (a.reshape(-1)[0] for a in arrays)
    count = range_length(start.item(), limit.item(), delta.item())
    dtype = arrays[0].dtype
    if dtype.kind in "iu":
        return [(start.item() + np.arange(count, dtype=np.int64) * delta.item()).astype(dtype)]
    steps = np.full(count, delta, dtype)
    steps[:1] = start
    return [np.add.accumulate(steps, dtype=dtype)]


def _lin_space(node: Node, arrays: list[Array]) -> Sequence[Array]:
    start, stop = arrays[0].reshape(()), arrays[1].reshape(())
    count = int(arrays[2].reshape(()))
    dtype = start.dtype
    if count == 1:
        return [np.array([start], dtype)]
    step = ((stop - start) / dtype.type(count - 1)).astype(dtype)
    out = (start + step * np.arange(count, dtype=dtype)).astype(dtype)
    out[-1] = stop
    return [out]


def _broadcast_to(node: Node, arrays: list[Array]) -> Sequence[Array]:
    return [np.broadcast_to(arrays[0], tuple(int(d) for d in arrays[1].ravel()))]


def _one_hot(node: Node, arrays: list[Array]) -> Sequence[Array]:
    indices, depth, on, off = arrays
    axis = _one_hot_axis(node, indices.ndim)
    hit = np.expand_dims(indices, axis) == np.arange(int(depth.reshape(()))).reshape(
        [-1 if i == axis else 1 for i in range(indices.ndim + 1)]
    )
    return [np.where(hit, on.reshape(()), off.reshape(())).astype(on.dtype)]


def _broadcast_args(node: Node, arrays: list[Array]) -> Sequence[Array]:
    shapes = [tuple(int(d) for d in a.ravel()) for a in arrays]
    return [np.array(broadcast(shapes[0], shapes[1]), arrays[0].dtype)]


def _default(node: Node, arrays: list[Array]) -> Sequence[Array]:
    return [arrays[0]]


RULES = (
    Rule("Const", const),
    Rule("HostConst", const),
    Rule("Placeholder", placeholder),
    Rule("PlaceholderV2", variable),
    Rule("PlaceholderWithDefault", placeholder_with_default, _default, foldable=False),
    Rule("Variable", variable),
    Rule("VariableV2", variable),
    Rule("VarHandleOp", resource),
    Rule("ReadVariableOp", read_variable),
    Rule("Fill", fill, _fill, partial=moves(1)),
    Rule("ZerosLike", like, _zeros_like),
    Rule("OnesLike", like, _ones_like),
    Rule("Range", range_, _range),
    Rule("LinSpace", lin_space, _lin_space),
    Rule("RandomUniform", random),
    Rule("RandomStandardNormal", random),
    Rule("TruncatedNormal", random),
    Rule("RandomUniformInt", random_int),
    Rule("BroadcastTo", broadcast_to, _broadcast_to, partial=moves(0)),
    Rule("BroadcastArgs", broadcast_args, _broadcast_args),
    Rule("OneHot", one_hot, _one_hot),
)
