"""Matrix products."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from surgeon.graph import Node, Shape, TensorSpec
from surgeon.infer.dims import broadcast, merge
from surgeon.infer.rule import Array, Context, Dim, Dims, Mismatch, Rule, attr_bool, attr_text

_MAX_MULTIPLICATIONS = 1 << 36


def _matrix(dims: Dims, swapped: bool) -> tuple[Dim, Dim]:
    if dims is None:
        return None, None
    return (dims[-1], dims[-2]) if swapped else (dims[-2], dims[-1])


def _multiplied(ctx: Context, first: str, second: str) -> tuple[Dim, Dim]:
    a, b = ctx.dims(0), ctx.dims(1)
    rows, inner = _matrix(a, attr_bool(ctx.node, first))
    other, columns = _matrix(b, attr_bool(ctx.node, second))
    if inner is not None and other is not None and inner != other:
        ctx.contradict(
            f"matrices of {Shape(a)} and {Shape(b)} are multiplied; expected inner dimensions that agree, "
            f"not {inner} and {other}"
        )
    return rows, columns


def matmul(ctx: Context) -> Sequence[TensorSpec]:
    for i in range(2):
        dims = ctx.dims(i)
        if dims is not None and len(dims) != 2:
            raise Mismatch(f"input {i} has shape {Shape(dims)}; expected a matrix")
    return [TensorSpec(ctx.dtype(), Shape(_multiplied(ctx, "transpose_a", "transpose_b")))]


def batch_matmul(ctx: Context) -> Sequence[TensorSpec]:
    a, b = ctx.dims(0), ctx.dims(1)
    for dims in (a, b):
        if dims is not None and len(dims) < 2:
            raise Mismatch(f"an input has shape {Shape(dims)}; expected 2 axes at least")
    join = merge if ctx.node.op == "BatchMatMul" else broadcast
    batch = join(None if a is None else a[:-2], None if b is None else b[:-2])
    if batch is None:
        return [TensorSpec(ctx.dtype())]
    return [TensorSpec(ctx.dtype(), Shape((*batch, *_multiplied(ctx, "adj_x", "adj_y"))))]


def einsum(ctx: Context) -> Sequence[TensorSpec]:
    """Sizes by the letters of the equation; an ellipsis leaves the shape unknown."""
    inputs, _, result = attr_text(ctx.node, "equation").partition("->")
    terms = inputs.split(",")
    if "." in inputs or len(terms) != len(ctx.inputs):
        return [TensorSpec(ctx.dtype())]
    sizes: dict[str, Dim] = {}
    for index, term in enumerate(terms):
        dims = ctx.dims(index)
        if dims is None:
            continue
        if len(dims) != len(term):
            raise Mismatch(f"input {index} has shape {Shape(dims)}; expected {len(term)} axes, '{term}'")
        for label, size in zip(term, dims, strict=True):
            known = sizes.get(label)
            if size is not None and known is not None and size != known:
                raise Mismatch(f"the axes '{label}' have the sizes {known} and {size}; expected one size")
            sizes[label] = known if size is None else size
    return [TensorSpec(ctx.dtype(), Shape(tuple(sizes.get(label) for label in result)))]


def _product(a: Array, b: Array) -> Array:
    rows = a.size if b.ndim < 2 else a.size * b.shape[-1]
    if rows > _MAX_MULTIPLICATIONS:
        raise ValueError(f"the product needs {rows} multiplications; expected {_MAX_MULTIPLICATIONS} at most")
    return np.asarray(np.matmul(a, b))


def _matmul(node: Node, arrays: list[Array]) -> Sequence[Array]:
    a, b = arrays
    return [
        _product(a.T if attr_bool(node, "transpose_a") else a, b.T if attr_bool(node, "transpose_b") else b)
    ]


def _batch_matmul(node: Node, arrays: list[Array]) -> Sequence[Array]:
    a, b = arrays
    a = np.conj(np.swapaxes(a, -1, -2)) if attr_bool(node, "adj_x") else a
    b = np.conj(np.swapaxes(b, -1, -2)) if attr_bool(node, "adj_y") else b
    return [_product(a, b)]


RULES = (
    Rule("MatMul", matmul, _matmul),
    Rule("BatchMatMul", batch_matmul, _batch_matmul),
    Rule("BatchMatMulV2", batch_matmul, _batch_matmul),
    Rule("Einsum", einsum),
)
