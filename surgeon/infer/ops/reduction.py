"""Ops that reduce, scan or rank along axes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from surgeon.graph import DType, Node, Shape, TensorSpec
from surgeon.infer.dims import axis_of
from surgeon.infer.rule import (
    Array,
    Context,
    Dims,
    Kernel,
    Mismatch,
    Rule,
    attr_bool,
    attr_dtype,
)


def _keeps(node: Node) -> bool:
    return attr_bool(node, "keep_dims")


def reduced(ctx: Context) -> Dims:
    """Return the shape after reducing the axes that input 1 names."""
    dims, axes = ctx.dims(0), ctx.ints(1)
    keep = _keeps(ctx.node)
    if dims is None:
        return None
    if axes is None or None in axes:
        if keep:
            return (None,) * len(dims)
        return None if axes is None or len(axes) != 1 else (None,) * max(0, len(dims) - 1)
    gone = {axis_of(a, len(dims)) for a in axes}
    return tuple(1 if i in gone else d for i, d in enumerate(dims) if keep or i not in gone)


def reduction(ctx: Context) -> Sequence[TensorSpec]:
    return [TensorSpec(ctx.dtype(), Shape(reduced(ctx)))]


def reduction_bool(ctx: Context) -> Sequence[TensorSpec]:
    return [TensorSpec(DType.BOOL, Shape(reduced(ctx)))]


def arg_extreme(ctx: Context) -> Sequence[TensorSpec]:
    dtype = attr_dtype(ctx.node, "output_type", DType.INT64)
    dims = ctx.dims(0)
    if dims is None:
        return [TensorSpec(dtype)]
    at = axis_of(ctx.scalar(1), len(dims))
    if at is None:
        return [TensorSpec(dtype, Shape((None,) * (len(dims) - 1)))]
    return [TensorSpec(dtype, Shape(dims[:at] + dims[at + 1 :]))]


def scan(ctx: Context) -> Sequence[TensorSpec]:
    dims = ctx.dims(0)
    axis_of(ctx.scalar(1), None if dims is None else len(dims))
    return [TensorSpec(ctx.dtype(), ctx.spec(0).shape)]


def top_k(ctx: Context) -> Sequence[TensorSpec]:
    k = ctx.scalar(1)
    index = attr_dtype(ctx.node, "index_type", DType.INT32)
    dims = ctx.dims(0)
    if dims is None:
        return [TensorSpec(ctx.dtype()), TensorSpec(index)]
    if not dims or (k is not None and (k < 0 or (dims[-1] is not None and k > dims[-1]))):
        raise Mismatch(
            f"the input of shape {Shape(dims)} is asked for its top {k}; expected a last axis with that many"
        )
    out = Shape((*dims[:-1], k))
    return [TensorSpec(ctx.dtype(), out), TensorSpec(index, out)]


def softmax(ctx: Context) -> Sequence[TensorSpec]:
    dims = ctx.dims(0)
    if dims is not None and not dims:
        ctx.contradict("the input is a scalar; expected 1 axis at least")
    return [TensorSpec(ctx.dtype(), ctx.spec(0).shape)]


def bincount(ctx: Context) -> Sequence[TensorSpec]:
    return [TensorSpec(ctx.dtype("T", 2), Shape((ctx.scalar(1),)))]


def _axes(arrays: list[Array]) -> tuple[int, ...]:
    rank = arrays[0].ndim
    return tuple(dict.fromkeys(int(a) + rank if a < 0 else int(a) for a in arrays[1].ravel()))


def _reduce(function: Callable[..., Any]) -> Kernel:
    def kernel(node: Node, arrays: list[Array]) -> Sequence[Array]:
        out = function(arrays[0], axis=_axes(arrays), keepdims=_keeps(node))
        return [np.asarray(out).astype(arrays[0].dtype, copy=False)]

    return kernel


def _sum(x: Array, axis: tuple[int, ...], keepdims: bool) -> Any:
    return np.sum(x, axis=axis, keepdims=keepdims, dtype=x.dtype)


def _prod(x: Array, axis: tuple[int, ...], keepdims: bool) -> Any:
    return np.prod(x, axis=axis, keepdims=keepdims, dtype=x.dtype)


def _lowest(x: Array) -> Any:
    return -np.inf if x.dtype.kind == "f" else np.iinfo(x.dtype).min


def _highest(x: Array) -> Any:
    return np.inf if x.dtype.kind == "f" else np.iinfo(x.dtype).max


def _max(x: Array, axis: tuple[int, ...], keepdims: bool) -> Any:
    return np.max(x, axis=axis, keepdims=keepdims, initial=_lowest(x))


def _min(x: Array, axis: tuple[int, ...], keepdims: bool) -> Any:
    return np.min(x, axis=axis, keepdims=keepdims, initial=_highest(x))


def _norm(x: Array, axis: tuple[int, ...], keepdims: bool) -> Any:
    return np.sqrt(_sum(x * x, axis, keepdims))


def _mean(x: Array, axis: tuple[int, ...], keepdims: bool) -> Any:
    total = _sum(x, axis, keepdims)
    count = 1
    for a in axis:
        count *= x.shape[a]
    if x.dtype.kind in "iu":
        if count == 0:
            raise ZeroDivisionError("the mean of no integers is asked for; expected 1 at least")
        return np.trunc(total / count)
    return total / x.dtype.type(count)


def _arg(function: Callable[..., Any]) -> Kernel:
    def kernel(node: Node, arrays: list[Array]) -> Sequence[Array]:
        out = attr_dtype(node, "output_type", DType.INT64) or DType.INT64
        return [np.asarray(function(arrays[0], int(arrays[1].reshape(())))).astype(out.numpy())]

    return kernel


def _scan(function: Callable[..., Any], start: int) -> Kernel:
    def kernel(node: Node, arrays: list[Array]) -> Sequence[Array]:
        x, axis = arrays[0], int(arrays[1].reshape(()))
        if attr_bool(node, "reverse"):
            x = np.flip(x, axis)
        out = function(x, axis=axis, dtype=x.dtype)
        if attr_bool(node, "exclusive") and x.shape[axis]:
            out = np.roll(out, 1, axis)
            out[tuple(0 if i == axis % x.ndim else slice(None) for i in range(x.ndim))] = start
        return [np.flip(out, axis) if attr_bool(node, "reverse") else out]

    return kernel


def _top_k(node: Node, arrays: list[Array]) -> Sequence[Array]:
    x = arrays[0]
    k = int(arrays[1].reshape(()))
    index = attr_dtype(node, "index_type", DType.INT32) or DType.INT32
    last = x.shape[-1] - 1
    order = last - np.argsort(x[..., ::-1], axis=-1, kind="stable")[..., ::-1]
    order = order[..., :k]
    return [np.take_along_axis(x, order, -1), order.astype(index.numpy())]


def _softmax(node: Node, arrays: list[Array]) -> Sequence[Array]:
    x = arrays[0]
    if not x.size:
        return [x]
    powers = np.exp(x - x.max(-1, keepdims=True))
    return [powers / powers.sum(-1, keepdims=True, dtype=x.dtype)]


def _log_softmax(node: Node, arrays: list[Array]) -> Sequence[Array]:
    x = arrays[0]
    if not x.size:
        return [x]
    shifted = x - x.max(-1, keepdims=True)
    return [shifted - np.log(np.exp(shifted).sum(-1, keepdims=True, dtype=x.dtype))]


def _all(node: Node, arrays: list[Array]) -> Sequence[Array]:
    return [np.asarray(np.all(arrays[0], axis=_axes(arrays), keepdims=_keeps(node)))]


def _any(node: Node, arrays: list[Array]) -> Sequence[Array]:
    return [np.asarray(np.any(arrays[0], axis=_axes(arrays), keepdims=_keeps(node)))]


RULES = (
    Rule("Sum", reduction, _reduce(_sum)),
    Rule("Prod", reduction, _reduce(_prod)),
    Rule("Max", reduction, _reduce(_max)),
    Rule("Min", reduction, _reduce(_min)),
    Rule("Mean", reduction, _reduce(_mean)),
    Rule("EuclideanNorm", reduction, _reduce(_norm)),
    Rule("All", reduction_bool, _all),
    Rule("Any", reduction_bool, _any),
    Rule("ArgMax", arg_extreme, _arg(np.argmax)),
    Rule("ArgMin", arg_extreme, _arg(np.argmin)),
    Rule("Cumsum", scan, _scan(np.cumsum, 0)),
    Rule("Cumprod", scan, _scan(np.cumprod, 1)),
    Rule("TopKV2", top_k, _top_k, outputs=2),
    Rule("Softmax", softmax, _softmax),
    Rule("LogSoftmax", softmax, _log_softmax),
    Rule("Bincount", bincount),
)
