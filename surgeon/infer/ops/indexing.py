"""Ops that take elements out of a tensor by position."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from surgeon.graph import DType, Node, Shape, TensorSpec
from surgeon.infer.dims import axis_of, merge
from surgeon.infer.rule import Array, Context, Dim, Dims, Mismatch, Rule, attr_dtype, attr_int, moves


@dataclass(frozen=True, slots=True)
class _Entry:
    """One entry of a strided slice: ``kind`` is 'ellipsis', 'new', 'index' or 'range'.

    Masked ends are None.
    """

    kind: str
    begin: Dim = None
    end: Dim = None
    stride: Dim = 1
    begin_masked: bool = False
    end_masked: bool = False


def _entries(node: Node, begin: Sequence[Dim], end: Sequence[Dim], strides: Sequence[Dim]) -> list[_Entry]:
    """Return the entries that the masks make of begin, end and strides (tf.strided_slice)."""
    if not len(begin) == len(end) == len(strides):
        raise Mismatch(
            f"begin, end and strides have {len(begin)}, {len(end)} and {len(strides)} entries; expected "
            "equal numbers"
        )
    masks = {
        key: attr_int(node, key)
        for key in ("begin_mask", "end_mask", "ellipsis_mask", "new_axis_mask", "shrink_axis_mask")
    }
    out: list[_Entry] = []
    for i in range(len(begin)):
        on = {key: bool(mask >> i & 1) for key, mask in masks.items()}
        if on["ellipsis_mask"]:
            out.append(_Entry("ellipsis"))
        elif on["new_axis_mask"]:
            out.append(_Entry("new"))
        elif on["shrink_axis_mask"]:
            if strides[i] is not None and strides[i] != 1 and (strides[i] or 0) <= 0:
                raise Mismatch(
                    f"entry {i} takes one index with a stride of {strides[i]}; expected a stride of 1"
                )
            out.append(_Entry("index", begin[i]))
        else:
            if strides[i] == 0:
                raise Mismatch(f"entry {i} has a stride of 0; expected another")
            out.append(_Entry("range", begin[i], end[i], strides[i], on["begin_mask"], on["end_mask"]))
    if sum(e.kind == "ellipsis" for e in out) > 1:
        raise Mismatch("the slice has several ellipses; expected one at most")
    return out


def strided_slice(ctx: Context) -> Sequence[TensorSpec]:
    dtype, dims = ctx.dtype(), ctx.dims(0)
    begin, end, strides = ctx.ints(1), ctx.ints(2), ctx.ints(3)
    count = next((len(x) for x in (begin, end, strides) if x is not None), None)
    if dims is None or count is None:
        return [TensorSpec(dtype)]
    unknown: tuple[Dim, ...] = (None,) * count
    entries = _entries(ctx.node, begin or unknown, end or unknown, strides or unknown)
    return [TensorSpec(dtype, Shape(_sliced(dims, entries)))]


def _sliced(dims: tuple[Dim, ...], entries: list[_Entry]) -> tuple[Dim, ...]:
    used = sum(e.kind in ("index", "range") for e in entries)
    if used > len(dims):
        raise Mismatch(f"the slice has {used} entries for axes; the input has {len(dims)} axes")
    if not any(e.kind == "ellipsis" for e in entries):
        entries = [*entries, _Entry("ellipsis")]
    out: list[Dim] = []
    at = 0
    for entry in entries:
        if entry.kind == "ellipsis":
            out += dims[at : at + len(dims) - used]
            at += len(dims) - used
        elif entry.kind == "new":
            out.append(1)
        elif entry.kind == "index":
            axis_of(entry.begin, dims[at], f"index into axis {at}:") if dims[at] is not None else None
            at += 1
        else:
            out.append(_range_length(dims[at], entry))
            at += 1
    return tuple(out)


def _range_length(dim: Dim, entry: _Entry) -> Dim:
    begin = None if entry.begin_masked else entry.begin
    end = None if entry.end_masked else entry.end
    if dim is None or entry.stride is None:
        return None
    if (begin is None and not entry.begin_masked) or (end is None and not entry.end_masked):
        return None
    return len(range(*slice(begin, end, entry.stride).indices(dim)))


def _strided_slice(node: Node, arrays: list[Array]) -> Sequence[Array]:
    x = arrays[0]
    begin, end, strides = ([int(v) for v in a.ravel()] for a in arrays[1:4])
    index: list[Any] = []
    for entry in _entries(node, begin, end, strides):
        match entry.kind:
            case "ellipsis":
                index.append(Ellipsis)
            case "new":
                index.append(None)
            case "index":
                index.append(entry.begin)
            case _:
                first = None if entry.begin_masked else entry.begin
                last = None if entry.end_masked else entry.end
                index.append(slice(first, last, entry.stride))
    return [np.asarray(x[tuple(index)])]


def slice_(ctx: Context) -> Sequence[TensorSpec]:
    dims, begin, sizes, dtype = ctx.dims(0), ctx.ints(1), ctx.ints(2), ctx.dtype()
    rank = next((len(x) for x in (dims, begin, sizes) if x is not None), None)
    if rank is None:
        return [TensorSpec(dtype)]
    if any(x is not None and len(x) != rank for x in (begin, sizes)):
        raise Mismatch(f"begin or size does not have {rank} entries; expected one per axis of {Shape(dims)}")
    out: list[Dim] = []
    for i in range(rank):
        dim = None if dims is None else dims[i]
        first = None if begin is None else begin[i]
        size = None if sizes is None else sizes[i]
        if size is not None and size >= 0:
            out.append(size)
        elif size == -1 and dim is not None and first is not None:
            out.append(dim - first)
        elif size is not None and size < -1:
            raise Mismatch(f"axis {i} is sliced to {size} elements; expected -1 or more")
        else:
            out.append(None)
        length = out[-1]
        if first is not None and (first < 0 or (dim is not None and first + (length or 0) > dim)):
            raise Mismatch(
                f"axis {i} of {dim} elements is sliced from {first} to {first + (length or 0)}; expected a "
                "part of it"
            )
        if length is not None and dim is not None and length > dim:
            raise Mismatch(f"axis {i} of {dim} elements is sliced to {length}; expected a part of it")
    return [TensorSpec(dtype, Shape(tuple(out)))]


def _slice(node: Node, arrays: list[Array]) -> Sequence[Array]:
    x, begin, sizes = arrays[0], arrays[1].ravel().tolist(), arrays[2].ravel().tolist()
    cut = tuple(slice(b, dim if s == -1 else b + s) for b, s, dim in zip(begin, sizes, x.shape, strict=True))
    return [x[cut]]


def _gathered(params: Dims, indices: Dims, axis: Dim, batch: int) -> Dims:
    if params is None or indices is None:
        return None
    if not params:
        raise Mismatch("the gathered tensor is a scalar; expected 1 axis at least")
    if batch < 0:
        batch += len(indices)
    if not 0 <= batch <= min(len(indices), len(params)):
        raise Mismatch(
            f"'batch_dims' is {batch}; expected a number up to the axes of the indices {Shape(indices)}"
        )
    at = axis_of(axis, len(params))
    if at is None:
        return (None,) * (len(params) + len(indices) - 1 - batch)
    if at < batch:
        raise Mismatch(f"axis {at} lies before 'batch_dims' {batch}; expected one behind it")
    return params[:at] + indices[batch:] + params[at + 1 :]


def gather(ctx: Context) -> Sequence[TensorSpec]:
    dims = _gathered(ctx.dims(0), ctx.dims(1), 0, 0)
    return [TensorSpec(ctx.dtype("Tparams"), Shape(dims))]


def gather_v2(ctx: Context) -> Sequence[TensorSpec]:
    dims = _gathered(ctx.dims(0), ctx.dims(1), ctx.scalar(2), attr_int(ctx.node, "batch_dims"))
    return [TensorSpec(ctx.dtype("Tparams"), Shape(dims))]


def resource_gather(ctx: Context) -> Sequence[TensorSpec]:
    return [TensorSpec(attr_dtype(ctx.node, "dtype"))]


def gather_nd(ctx: Context) -> Sequence[TensorSpec]:
    dtype, params, indices = ctx.dtype("Tparams"), ctx.dims(0), ctx.dims(1)
    if params is None or not indices or indices[-1] is None:
        return [TensorSpec(dtype)]
    depth = indices[-1]
    if depth > len(params):
        raise Mismatch(
            f"indices of {depth} coordinates go into {len(params)} axes; expected {len(params)} at most"
        )
    return [TensorSpec(dtype, Shape(indices[:-1] + params[depth:]))]


def _in_range(indices: Array, length: int) -> None:
    if indices.size and not (int(indices.min()) >= 0 and int(indices.max()) < length):
        raise IndexError(
            f"indices from {indices.min()} to {indices.max()} go into {length} elements; expected 0 to "
            f"{length - 1}"
        )


def _gather(node: Node, arrays: list[Array]) -> Sequence[Array]:
    params, indices = arrays[:2]
    axis = int(arrays[2].reshape(())) if len(arrays) > 2 else 0
    axis += params.ndim if axis < 0 else 0
    batch = attr_int(node, "batch_dims")
    batch += indices.ndim if batch < 0 else 0
    _in_range(indices, params.shape[axis])
    if batch == 0:
        return [np.take(params, indices, axis)]
    lead = tuple(np.indices(indices.shape[:batch], sparse=True))
    grid = tuple(g.reshape(g.shape + (1,) * (indices.ndim - batch)) for g in lead)
    moved = np.moveaxis(params, axis, batch)
    taken = moved[(*grid, indices)]
    count = indices.ndim - batch
    return [np.moveaxis(taken, list(range(batch, batch + count)), list(range(axis, axis + count)))]


def _gather_nd(node: Node, arrays: list[Array]) -> Sequence[Array]:
    params, indices = arrays
    depth = indices.shape[-1]
    for i in range(depth):
        _in_range(indices[..., i], params.shape[i])
    if depth == 0:
        return [np.broadcast_to(params, indices.shape[:-1] + params.shape)]
    return [np.asarray(params[tuple(np.moveaxis(indices, -1, 0))])]


def where(ctx: Context) -> Sequence[TensorSpec]:
    return [TensorSpec(DType.INT64, Shape((None, ctx.spec(0).shape.rank)))]


def _where(node: Node, arrays: list[Array]) -> Sequence[Array]:
    return [np.argwhere(arrays[0]).astype(np.int64)]


def scatter_nd(ctx: Context) -> Sequence[TensorSpec]:
    return [TensorSpec(ctx.dtype("T", 1), Shape(ctx.ints(2)))]


def sparse_to_dense(ctx: Context) -> Sequence[TensorSpec]:
    return [TensorSpec(ctx.dtype("T", 2), Shape(ctx.ints(1)))]


def dynamic_stitch(ctx: Context) -> Sequence[TensorSpec]:
    """Return as many rows as the largest index says, then what each row holds beyond its index."""
    count = len(ctx.inputs) // 2
    rest: Dims = None
    for i in range(count):
        index, data = ctx.dims(i), ctx.dims(count + i)
        if index is not None and data is not None:
            rest = merge(rest, data[len(index) :], "the rows")
    indices = [ctx.value(i) for i in range(count)]
    known = [int(v.max(initial=-1)) for v in indices if v is not None]
    rows = max(known) + 1 if known and len(known) == count else None
    return [TensorSpec(ctx.dtype("T", count), Shape(None if rest is None else (rows, *rest)))]


def unique(ctx: Context) -> Sequence[TensorSpec]:
    index = attr_dtype(ctx.node, "out_idx", DType.INT32)
    return [TensorSpec(ctx.dtype(), Shape((None,))), TensorSpec(index, ctx.spec(0).shape)]


def _unique(node: Node, arrays: list[Array]) -> Sequence[Array]:
    values, first, inverse = np.unique(arrays[0], return_index=True, return_inverse=True)
    order = np.argsort(first, kind="stable")
    place = np.empty_like(order)
    place[order] = np.arange(order.size)
    index = attr_dtype(node, "out_idx", DType.INT32) or DType.INT32
    return [values[order], place[inverse.ravel()].astype(index.numpy())]


RULES = (
    Rule("StridedSlice", strided_slice, _strided_slice, partial=moves(0)),
    Rule("Slice", slice_, _slice, partial=moves(0)),
    Rule("Gather", gather, _gather, partial=moves(0)),
    Rule("GatherV2", gather_v2, _gather, partial=moves(0)),
    Rule("ResourceGather", resource_gather),
    Rule("GatherNd", gather_nd, _gather_nd, partial=moves(0)),
    Rule("Where", where, _where),
    Rule("ScatterNd", scatter_nd),
    Rule("SparseToDense", sparse_to_dense),
    Rule("DynamicStitch", dynamic_stitch),
    Rule("Unique", unique, _unique, outputs=2),
)
