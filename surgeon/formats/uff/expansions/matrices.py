"""Products of matrices of any number of axes; UFF has those of a matrix and constant weights."""

from __future__ import annotations

from math import prod

import numpy as np

from surgeon.formats.uff.expansion import SIZES, Expanded, Expansion
from surgeon.graph import Ref

_PRODUCTS = 1 << 25
"""Products of two numbers that stand in memory before they are summed up."""

_EQUATION = "its equation is no product of two matrices"
_LEFT = "its left matrix is a constant; UFF has constants on the right"
_NO_BATCH = "its first axis is not a batch of 1 in front of two matrices"


def _product(at: Expansion) -> Expanded:
    """By constant weights: a convolution of size 1. Of two tensors: all products, and their sums."""
    left, right, result = at.dims(0), at.dims(1), at.dims(Ref(at.node.name))
    if left is None or right is None or result is None:
        return SIZES
    if not at.varies(at.inputs[0]):
        return _LEFT
    if len(left) < 3 or left[0] != 1:
        return _NO_BATCH
    x, y = at.inputs
    adjoint_x, adjoint_y = at.attr("adj_x", False), at.attr("adj_y", False)
    if not at.varies(y):
        return _by_weights(at, _turned(at, x, left) if adjoint_x else x, right, result)
    if len(right) != len(left) or right[0] != 1:
        return _NO_BATCH
    if adjoint_x and adjoint_y:
        x, left, adjoint_x = _turned(at, x, left), (*left[:-2], left[-1], left[-2]), False
    inner = left[-2] if adjoint_x else left[-1]
    if prod(result) * inner > _PRODUCTS:
        return f"it takes {prod(result) * inner:,} products of two numbers, more than {_PRODUCTS:,}"
    # The axis that is summed up stands first, second or last of three, so that neither matrix is transposed.
    if adjoint_x:
        sizes, axis = ((inner, result[-2], 1), (inner, 1, result[-1])), 0
    elif adjoint_y:
        sizes, axis = ((result[-2], 1, inner), (1, result[-1], inner)), 2
    else:
        sizes, axis = ((result[-2], inner, 1), (1, inner, result[-1])), 1
    factors = (at.reshaped(ref, (*left[:-2], *size)) for ref, size in zip((x, y), sizes, strict=True))
    total = at.op("Sum", at.op("Mul", *factors), at.whole([len(left) - 2 + axis]), keep_dims=True)
    return at.reshaped(total, result)


def _turned(at: Expansion, ref: Ref, dims: tuple[int, ...]) -> Ref:
    """Return a tensor with its last two axes exchanged; the parser transposes four axes."""
    *before, rows, columns = dims
    wide = at.reshaped(ref, (1, prod(before), rows, columns)) if len(dims) != 4 else ref
    turned = at.transposed(wide, (0, 1, 3, 2))
    return turned if len(dims) == 4 else at.reshaped(turned, (*before, columns, rows))


def _by_weights(at: Expansion, x: Ref, dims: tuple[int, ...], result: tuple[int, ...]) -> Expanded:
    if prod(dims[:-2]) != 1:
        return "its constant holds several matrices"
    if (value := at.value(1)) is None:
        return "its constant is not known"
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


def _einsum(at: Expansion) -> Expanded:
    """Sums over the labels that both tensors have and the result lacks: a product of matrices."""
    labels = _labels(at)
    left, right = at.dims(0), at.dims(1) if len(at.inputs) == 2 else None
    if labels is None:
        return _EQUATION
    if left is None or right is None:
        return SIZES
    x, y, result = labels
    if not at.varies(at.inputs[0]):
        return _LEFT
    if left[0] != 1 or x[0] != result[0]:
        return _NO_BATCH
    if len(x) != len(left) or len(y) != len(right):
        return None
    shared = [label for label in x if label in y and label in result]
    inner = [label for label in x if label in y and label not in result]
    rows, columns = [[label for label in part if label not in other] for part, other in ((x, y), (y, x))]
    if at.varies(at.inputs[1]) != bool(shared) or sorted(result) != sorted((*shared, *rows, *columns)):
        return _EQUATION
    sizes = {**dict(zip(x, left, strict=True)), **dict(zip(y, right, strict=True))}

    def matrix(ref: Ref, held: str, *groups: list[str]) -> Ref:
        order = [label for group in groups for label in group]
        turned = ref if list(held) == order else at.transposed(ref, [held.index(label) for label in order])
        return at.reshaped(turned, [prod(sizes[label] for label in group) for group in groups])

    first, others = [x[0]], [label for label in shared if label != x[0]]
    if shared:
        if y[0] != x[0]:
            return _NO_BATCH
        operands = (
            matrix(at.inputs[0], x, first, others, rows, inner),
            matrix(at.inputs[1], y, first, others, inner, columns),
        )
    else:
        rows.remove(x[0])
        operands = (
            matrix(at.inputs[0], x, first, rows, inner),
            matrix(at.inputs[1], y, inner, columns),
        )
    order = [*first, *others, *rows, *columns]
    product = at.op("BatchMatMulV2", *operands, adj_x=False, adj_y=False)
    found = at.reshaped(product, [sizes[label] for label in order])
    if order == list(result):
        return found
    return at.transposed(found, [order.index(label) for label in result])


def _labels(at: Expansion) -> tuple[str, str, str] | None:
    """Return the labels of two tensors and of the result; None where one is repeated, or for an ellipsis."""
    equation = at.attr("equation", b"").decode("utf-8", "replace")
    inputs, arrow, result = equation.partition("->")
    parts = [*inputs.split(","), result]
    if not arrow or len(parts) != 3 or not all(parts):
        return None
    if any(not part.isalpha() or len(set(part)) != len(part) for part in parts):
        return None
    return parts[0], parts[1], parts[2]


EXPANSIONS = {**dict.fromkeys(("BatchMatMul", "BatchMatMulV2"), _product), "Einsum": _einsum}
