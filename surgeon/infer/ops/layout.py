"""Ops on shapes: what a tensor's shape is, and the same elements in another shape or order."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from surgeon.graph import DType, Node, Shape, TensorSpec
from surgeon.infer.dims import add, axis_of, merge, product
from surgeon.infer.rule import (
    MAX_RANK,
    Array,
    Context,
    Dim,
    Mismatch,
    Partial,
    Rule,
    attr_dtype,
    attr_ints,
    attr_shape,
    attr_text,
    moves,
)


def _out_type(node: Node) -> DType:
    return attr_dtype(node, "out_type", DType.INT32) or DType.INT32


def shape(ctx: Context) -> Sequence[TensorSpec]:
    return [TensorSpec(_out_type(ctx.node), Shape((s.shape.rank,))) for s in ctx.inputs] or [TensorSpec()]


def _shape_partial(rule: Rule, ctx: Context) -> Sequence[Partial | None]:
    out = _out_type(ctx.node)
    return [None if s.shape.dims is None else Partial.of(s.shape.dims, out) for s in ctx.inputs]


def size(ctx: Context) -> Sequence[TensorSpec]:
    return [TensorSpec(_out_type(ctx.node), Shape(()))]


def _size_partial(rule: Rule, ctx: Context) -> Sequence[Partial | None]:
    dims = ctx.dims(0)
    return () if dims is None else [_scalar(product(dims), _out_type(ctx.node))]


def rank(ctx: Context) -> Sequence[TensorSpec]:
    return [TensorSpec.of(DType.INT32)]


def _rank_partial(rule: Rule, ctx: Context) -> Sequence[Partial | None]:
    return [_scalar(ctx.spec(0).shape.rank, DType.INT32)]


def _scalar(value: Dim, dtype: DType) -> Partial:
    vector = Partial.of((value,), dtype)
    return Partial(vector.data.reshape(()), vector.known.reshape(()))


def reshape(ctx: Context) -> Sequence[TensorSpec]:
    """Return the target's dimensions.

    The one that is unknown or -1 is what is left of a known number of elements.
    """
    target = ctx.ints(1)
    dtype = ctx.dtype()
    if target is None:
        return [TensorSpec(dtype)]
    if any(t is not None and t < -1 for t in target) or target.count(-1) > 1:
        raise Mismatch(
            f"the target {list(target)} is not a shape; expected dimensions of at least 0 and one -1 at most"
        )
    dims = ctx.dims(0)
    total = None if dims is None else product(dims)
    out: list[Dim] = [None if t == -1 else t for t in target]
    unknown = [i for i, d in enumerate(out) if d is None]
    rest = product(d for d in out if d is not None)
    if total is None or rest is None:
        return [TensorSpec(dtype, Shape(tuple(out)))]
    if (not unknown and rest != total) or (unknown and rest and total % rest):
        raise Mismatch(
            f"an input of shape {Shape(dims)} is reshaped to {listed(target)}; expected the same number of "
            "elements"
        )
    if len(unknown) == 1 and rest:
        out[unknown[0]] = total // rest
    return [TensorSpec(dtype, Shape(tuple(out)))]


def listed(items: Sequence[int | None]) -> str:
    return "[" + ",".join("?" if i is None else str(i) for i in items) + "]"


def squeeze(ctx: Context) -> Sequence[TensorSpec]:
    dims, dtype = ctx.dims(0), ctx.dtype()
    axes = attr_ints(ctx.node, "squeeze_dims") or ()
    if dims is None:
        return [TensorSpec(dtype)]
    if not axes:
        if None in dims:
            return [TensorSpec(dtype)]
        return [TensorSpec(dtype, Shape(tuple(d for d in dims if d != 1)))]
    gone = {axis_of(a, len(dims)) for a in axes}
    for i, d in enumerate(dims):
        if i in gone and d not in (1, None):
            raise Mismatch(f"axis {i} of {Shape(dims)} is squeezed; expected a dimension of 1, not {d}")
    return [TensorSpec(dtype, Shape(tuple(d for i, d in enumerate(dims) if i not in gone)))]


def expand_dims(ctx: Context) -> Sequence[TensorSpec]:
    dims, dtype = ctx.dims(0), ctx.dtype()
    axis = ctx.scalar(1)
    if dims is None:
        return [TensorSpec(dtype)]
    if axis is None:
        return [TensorSpec(dtype, Shape((None,) * (len(dims) + 1)))]
    at = axis_of(axis, len(dims) + 1)
    assert at is not None
    return [TensorSpec(dtype, Shape((*dims[:at], 1, *dims[at:])))]


def transpose(ctx: Context) -> Sequence[TensorSpec]:
    dims, order, dtype = ctx.dims(0), ctx.ints(1), ctx.dtype()
    count = len(dims) if dims is not None else len(order) if order is not None else None
    if count is None:
        return [TensorSpec(dtype)]
    if order is not None and dims is not None and len(order) != len(dims):
        raise Mismatch(
            f"an input of {len(dims)} axes is transposed by {listed(order)}; expected one entry per axis"
        )
    if order is None or None in order or dims is None:
        return [TensorSpec(dtype, Shape((None,) * count))]
    axes = [axis_of(a, count) for a in order]
    if sorted(a for a in axes if a is not None) != list(range(count)):
        raise Mismatch(f"{listed(order)} is not a permutation; expected every axis once")
    return [TensorSpec(dtype, Shape(tuple(dims[a] for a in axes if a is not None)))]


def invert_permutation(ctx: Context) -> Sequence[TensorSpec]:
    dims = merge(ctx.dims(0), (None,), "the permutation and a vector")
    return [TensorSpec(ctx.dtype(), Shape(dims))]


def tile(ctx: Context) -> Sequence[TensorSpec]:
    dims, multiples, dtype = ctx.dims(0), ctx.ints(1), ctx.dtype()
    if multiples is not None and any(m is not None and m < 0 for m in multiples):
        raise Mismatch(f"the multiples {listed(multiples)} are negative; expected 0 at least")
    if dims is None and multiples is None:
        return [TensorSpec(dtype)]
    dims = (None,) * len(multiples or ()) if dims is None else dims
    multiples = (None,) * len(dims) if multiples is None else multiples
    if len(dims) != len(multiples):
        raise Mismatch(f"an input of {len(dims)} axes has {len(multiples)} multiples; expected one per axis")
    return [TensorSpec(dtype, Shape(tuple(product(pair) for pair in zip(dims, multiples, strict=True))))]


def pad(ctx: Context) -> Sequence[TensorSpec]:
    dims, dtype = ctx.dims(0), ctx.dtype()
    pads = ctx.ints(1)
    table = ctx.dims(1)
    if pads is None or len(pads) % 2:
        count = len(dims) if dims is not None else table[0] if table else None
        known = count is not None and count <= MAX_RANK
        return [TensorSpec(dtype, Shape((None,) * count if known and count is not None else None))]
    if any(p is not None and p < 0 for p in pads):
        raise Mismatch(f"the paddings {listed(pads)} are negative; expected 0 at least")
    if dims is None:
        return [TensorSpec(dtype, Shape((None,) * (len(pads) // 2)))]
    if len(pads) != 2 * len(dims):
        raise Mismatch(
            f"an input of {len(dims)} axes has paddings of {len(pads) // 2}; expected one pair per axis"
        )
    if ctx.node.op == "MirrorPad":
        _check_mirror(ctx.node, dims, pads)
    return [
        TensorSpec(dtype, Shape(tuple(add(add(d, pads[2 * i]), pads[2 * i + 1]) for i, d in enumerate(dims))))
    ]


def _check_mirror(node: Node, dims: Sequence[Dim], pads: Sequence[Dim]) -> None:
    short = 1 if attr_text(node, "mode", "REFLECT") == "REFLECT" else 0
    for i, dim in enumerate(dims):
        for side in pads[2 * i : 2 * i + 2]:
            if dim is not None and side is not None and side > max(0, dim - short):
                raise Mismatch(
                    f"axis {i} of {dim} elements is mirrored by {side}; expected {max(0, dim - short)} at "
                    "most"
                )


def ensure_shape(ctx: Context) -> Sequence[TensorSpec]:
    dims = merge(ctx.dims(0), attr_shape(ctx.node, "shape").dims, "the input and the attribute")
    return [TensorSpec(ctx.dtype(), Shape(dims))]


def reverse_v2(ctx: Context) -> Sequence[TensorSpec]:
    dims = ctx.dims(0)
    for axis in ctx.ints(1) or ():
        axis_of(axis, None if dims is None else len(dims))
    return [TensorSpec(ctx.dtype(), ctx.spec(0).shape)]


def _shape(node: Node, arrays: list[Array]) -> Sequence[Array]:
    return [np.array(a.shape, _out_type(node).numpy()) for a in arrays]


def _size(node: Node, arrays: list[Array]) -> Sequence[Array]:
    return [np.array(arrays[0].size, _out_type(node).numpy())]


def _rank(node: Node, arrays: list[Array]) -> Sequence[Array]:
    return [np.array(arrays[0].ndim, np.int32)]


def _reshape(node: Node, arrays: list[Array]) -> Sequence[Array]:
    return [arrays[0].reshape([int(d) for d in arrays[1].ravel()])]


def _squeeze(node: Node, arrays: list[Array]) -> Sequence[Array]:
    return [np.squeeze(arrays[0], attr_ints(node, "squeeze_dims") or None)]


def _expand_dims(node: Node, arrays: list[Array]) -> Sequence[Array]:
    return [np.expand_dims(arrays[0], int(arrays[1].reshape(())))]


def _transpose(node: Node, arrays: list[Array]) -> Sequence[Array]:
    return [np.transpose(arrays[0], [int(a) for a in arrays[1].ravel()])]


def _invert_permutation(node: Node, arrays: list[Array]) -> Sequence[Array]:
    order = arrays[0]
    if sorted(order.tolist()) != list(range(order.size)):
        raise ValueError(f"{order.tolist()[:20]} is not a permutation; expected every index once")
    return [np.argsort(order).astype(order.dtype)]


def _tile(node: Node, arrays: list[Array]) -> Sequence[Array]:
    return [np.tile(arrays[0], [int(m) for m in arrays[1].ravel()])]


def pairs_of(array: Array) -> list[tuple[int, int]]:
    return [(int(a), int(b)) for a, b in array.reshape(-1, 2)]


def _pad(node: Node, arrays: list[Array]) -> Sequence[Array]:
    fill = arrays[2].reshape(()) if len(arrays) > 2 else arrays[0].dtype.type(0)
    return [np.pad(arrays[0], pairs_of(arrays[1]), constant_values=fill)]


def _mirror_pad(node: Node, arrays: list[Array]) -> Sequence[Array]:
    if attr_text(node, "mode", "REFLECT") == "REFLECT":
        return [np.pad(arrays[0], pairs_of(arrays[1]), mode="reflect")]
    return [np.pad(arrays[0], pairs_of(arrays[1]), mode="symmetric")]


def _ensure_shape(node: Node, arrays: list[Array]) -> Sequence[Array]:
    return [arrays[0]]


def _reverse_v2(node: Node, arrays: list[Array]) -> Sequence[Array]:
    return [np.flip(arrays[0], tuple(int(a) for a in arrays[1].ravel()))]


def _inputs(node: Node) -> int:
    return len(node.inputs)


RULES = (
    Rule("Shape", shape, _shape, partial=_shape_partial),
    Rule("ShapeN", shape, _shape, outputs=_inputs, partial=_shape_partial),
    Rule("Size", size, _size, partial=_size_partial),
    Rule("Rank", rank, _rank, partial=_rank_partial),
    Rule("Reshape", reshape, _reshape, partial=moves(0)),
    Rule("Squeeze", squeeze, _squeeze, partial=moves(0)),
    Rule("ExpandDims", expand_dims, _expand_dims, partial=moves(0)),
    Rule("Transpose", transpose, _transpose, partial=moves(0)),
    Rule("InvertPermutation", invert_permutation, _invert_permutation),
    Rule("Tile", tile, _tile, partial=moves(0)),
    Rule("Pad", pad, _pad),
    Rule("PadV2", pad, _pad, partial=moves(0, 2)),
    Rule("MirrorPad", pad, _mirror_pad, partial=moves(0)),
    Rule("EnsureShape", ensure_shape, _ensure_shape, partial=moves(0)),
    Rule("ReverseV2", reverse_v2, _reverse_v2, partial=moves(0)),
)
