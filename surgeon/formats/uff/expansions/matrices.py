"""Products of matrices of any number of axes; UFF has those of a matrix and constant weights."""

from __future__ import annotations

from math import prod

import numpy as np

from surgeon.formats.uff.expansion import Expanded, Expansion
from surgeon.graph import Ref

_PRODUCTS = 1 << 25
"""Products of two numbers that stand in memory before they are summed up."""


def _product(at: Expansion) -> Expanded:
    """By constant weights: a convolution of size 1. Of two tensors: all products, and their sums."""
    left, right, result = at.dims(0), at.dims(1), at.dims(Ref(at.node.name))
    if (
        left is None
        or right is None
        or result is None
        or len(left) < 3
        or left[0] != 1
        or not at.varies(at.inputs[0])
    ):
        return None
    x = _turned(at, at.inputs[0], left) if at.attr("adj_x", False) else at.inputs[0]
    if not at.varies(at.inputs[1]):
        return _by_weights(at, x, right, result)
    if len(right) != len(left) or right[0] != 1:
        return None
    y = _turned(at, at.inputs[1], right) if at.attr("adj_y", False) else at.inputs[1]
    inner = left[-2] if at.attr("adj_x", False) else left[-1]
    if prod(result) * inner > _PRODUCTS:
        return None
    rows = at.reshaped(x, (*left[:-2], result[-2], inner, 1))
    columns = at.reshaped(y, (*right[:-2], 1, inner, result[-1]))
    total = at.op("Sum", at.op("Mul", rows, columns), at.whole([len(result) - 1]), keep_dims=True)
    return at.reshaped(total, result)


def _turned(at: Expansion, ref: Ref, dims: tuple[int, ...]) -> Ref:
    """Return a tensor with its last two axes exchanged."""
    rank = len(dims)
    return at.transposed(ref, (*range(rank - 2), rank - 1, rank - 2))


def _by_weights(at: Expansion, x: Ref, dims: tuple[int, ...], result: tuple[int, ...]) -> Expanded:
    if prod(dims[:-2]) != 1 or (value := at.value(1)) is None:
        return None
    matrix = value.reshape(dims[-2:])
    weights = np.ascontiguousarray(matrix.T if at.attr("adj_y", False) else matrix)[None, None]
    product = at.op(
        "Conv2D",
        at.reshaped(x, (1, prod(result[1:-1]), 1, weights.shape[2])),
        at.const(weights),
        strides=(1, 1, 1, 1),
        padding=b"VALID",
        data_format=b"NHWC",
        dilations=(1, 1, 1, 1),
    )
    return at.reshaped(product, result)


EXPANSIONS = dict.fromkeys(("BatchMatMul", "BatchMatMulV2"), _product)
