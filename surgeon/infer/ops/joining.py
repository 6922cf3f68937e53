"""Ops that join tensors and take them apart."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from surgeon.graph import DType, Node, Shape, TensorSpec
from surgeon.infer.dims import add, axis_of, merge
from surgeon.infer.rule import MAX_OUTPUTS, Array, Context, Dim, Dims, Mismatch, Rule, attr_int, moves


def _joined(ctx: Context, parts: Sequence[Dims], axis: Dim) -> Dims:
    rank = next((len(d) for d in parts if d is not None), None)
    if rank is None:
        return None
    if any(d is not None and len(d) != rank for d in parts):
        shown = ", ".join(str(Shape(d)) for d in parts[:8])
        raise Mismatch(f"the inputs have shapes {shown}; expected equal numbers of axes")
    at = axis_of(axis, rank)
    if at is None:
        return (None,) * rank
    out: list[Dim] = [None] * rank
    for i in range(rank):
        if i == at:
            continue
        for dims in parts:
            dim = None if dims is None else dims[i]
            if dim is None:
                continue
            if out[i] not in (None, dim):
                raise Mismatch(
                    f"the inputs have {out[i]} and {dim} elements on axis {i} and are joined on axis {at}; "
                    "expected equal ones"
                )
            out[i] = dim
    total: Dim = 0
    for dims in parts:
        total = add(total, None if dims is None else dims[at])
    out[at] = total
    return tuple(out)


def _count(node: Node, attr: str) -> int:
    return max(0, min(attr_int(node, attr), MAX_OUTPUTS))


def concat_v2(ctx: Context) -> Sequence[TensorSpec]:
    last = len(ctx.inputs) - 1
    dims = _joined(ctx, [ctx.dims(i) for i in range(max(0, last))], ctx.scalar(last))
    return [TensorSpec(ctx.dtype(), Shape(dims))]


def concat(ctx: Context) -> Sequence[TensorSpec]:
    dims = _joined(ctx, [ctx.dims(i) for i in range(1, len(ctx.inputs))], ctx.scalar(0))
    return [TensorSpec(ctx.dtype("T", 1), Shape(dims))]


def pack(ctx: Context) -> Sequence[TensorSpec]:
    dims: Dims = None
    for i in range(len(ctx.inputs)):
        dims = merge(dims, ctx.dims(i))
    if dims is None:
        return [TensorSpec(ctx.dtype())]
    at = axis_of(attr_int(ctx.node, "axis"), len(dims) + 1)
    assert at is not None
    return [TensorSpec(ctx.dtype(), Shape((*dims[:at], len(ctx.inputs), *dims[at:])))]


def unpack(ctx: Context) -> Sequence[TensorSpec]:
    count, dims, dtype = _count(ctx.node, "num"), ctx.dims(0), ctx.dtype()
    if dims is None:
        return [TensorSpec(dtype)] * count
    at = axis_of(attr_int(ctx.node, "axis"), len(dims))
    assert at is not None
    if dims[at] not in (None, count):
        raise Mismatch(
            f"axis {at} of {Shape(dims)} is unpacked into {count}; expected a dimension of {count}"
        )
    return [TensorSpec(dtype, Shape(dims[:at] + dims[at + 1 :]))] * count


def _replaced(dims: tuple[Dim, ...], at: int, dim: Dim) -> Shape:
    return Shape((*dims[:at], dim, *dims[at + 1 :]))


def split(ctx: Context) -> Sequence[TensorSpec]:
    count, dims, dtype = _count(ctx.node, "num_split"), ctx.dims(1), ctx.dtype("T", 1)
    if count < 1:
        raise Mismatch(f"'num_split' is {count}; expected 1 at least")
    at = axis_of(ctx.scalar(0), None if dims is None else len(dims))
    if dims is None or at is None:
        return [TensorSpec(dtype, Shape(None if dims is None else (None,) * len(dims)))] * count
    dim = dims[at]
    if dim is not None and dim % count:
        raise Mismatch(f"axis {at} of {Shape(dims)} is split into {count}; expected a multiple")
    return [TensorSpec(dtype, _replaced(dims, at, None if dim is None else dim // count))] * count


def split_v(ctx: Context) -> Sequence[TensorSpec]:
    count, dims, dtype = _count(ctx.node, "num_split"), ctx.dims(0), ctx.dtype()
    sizes, at = ctx.ints(1), axis_of(ctx.scalar(2), None if dims is None else len(dims))
    if dims is None or at is None:
        return [TensorSpec(dtype, Shape(None if dims is None else (None,) * len(dims)))] * count
    if sizes is None or len(sizes) != count:
        return [TensorSpec(dtype, _replaced(dims, at, None))] * count
    return [TensorSpec(dtype, _replaced(dims, at, size)) for size in _sizes(sizes, dims[at])]


def _sizes(sizes: Sequence[Dim], total: Dim) -> tuple[Dim, ...]:
    """Return the parts' lengths, -1 replaced by what is left."""
    if any(s is not None and s < -1 for s in sizes) or list(sizes).count(-1) > 1:
        raise Mismatch(f"the sizes {list(sizes)} are no lengths; expected 0 at least and one -1 at most")
    known: Dim = 0
    for size in sizes:
        known = known if size == -1 else add(known, size)
    if known is not None and total is not None and (known > total or (-1 not in sizes and known != total)):
        raise Mismatch(
            f"the sizes {list(sizes)} split an axis of {total} elements; expected them to add up to that"
        )
    left = None if known is None or total is None else total - known
    return tuple(left if s == -1 else s for s in sizes)


def _concat_v2(node: Node, arrays: list[Array]) -> Sequence[Array]:
    return [np.concatenate(arrays[:-1], int(arrays[-1].reshape(())))]


def _concat(node: Node, arrays: list[Array]) -> Sequence[Array]:
    return [np.concatenate(arrays[1:], int(arrays[0].reshape(())))]


def _pack(node: Node, arrays: list[Array]) -> Sequence[Array]:
    return [np.stack(arrays, attr_int(node, "axis"))]


def _unpack(node: Node, arrays: list[Array]) -> Sequence[Array]:
    front = np.moveaxis(arrays[0], attr_int(node, "axis"), 0)
    return [front[i] for i in range(front.shape[0])]


def _split(node: Node, arrays: list[Array]) -> Sequence[Array]:
    return np.split(arrays[1], attr_int(node, "num_split"), int(arrays[0].reshape(())))


def _split_v(node: Node, arrays: list[Array]) -> Sequence[Array]:
    axis = int(arrays[2].reshape(()))
    sizes = _sizes([int(s) for s in arrays[1].ravel()], arrays[0].shape[axis])
    ends = np.cumsum([s or 0 for s in sizes])[:-1]
    return np.split(arrays[0], [int(e) for e in ends], axis)


def concat_offset(ctx: Context) -> Sequence[TensorSpec]:
    return [TensorSpec(DType.INT32, s.shape) for s in ctx.inputs[1:]]


def _concat_offset(node: Node, arrays: list[Array]) -> Sequence[Array]:
    axis, shapes = int(arrays[0].reshape(())), arrays[1:]
    out, at = [], 0
    for shape in shapes:
        offset = np.zeros_like(shape)
        offset[axis] = at
        at += int(shape[axis])
        out.append(offset)
    return out


RULES = (
    Rule("ConcatV2", concat_v2, _concat_v2, partial=moves(last=-1)),
    Rule("Concat", concat, _concat),
    Rule("ConcatOffset", concat_offset, _concat_offset, outputs=lambda n: len(n.inputs) - 1),
    Rule("Pack", pack, _pack, partial=moves()),
    Rule("Unpack", unpack, _unpack, outputs=lambda n: attr_int(n, "num"), partial=moves(0)),
    Rule("Split", split, _split, outputs=lambda n: attr_int(n, "num_split"), partial=moves(1)),
    Rule("SplitV", split_v, _split_v, outputs=lambda n: attr_int(n, "num_split"), partial=moves(0)),
)
