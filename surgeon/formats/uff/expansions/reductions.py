"""Reductions, and normalizations that are made of them."""

from __future__ import annotations

from math import prod

from surgeon.formats.uff.expansion import SIZES, Expanded, Expansion
from surgeon.formats.uff.ops.reduction import FUNC
from surgeon.graph import DType

_INDIFFERENT = frozenset({"MatMul", "Reshape"})
"""Readers to which axes of 1 make no difference."""


def _reduced(at: Expansion) -> Expanded:
    """A reduction without keepdims gets a Squeeze where a reader counts axes: the parser keeps them as 1."""
    dims, axes = at.dims(0), at.ints(1) if len(at.inputs) > 1 else None
    if at.attr("keep_dims", False) or dims is None or axes is None:
        return None
    counted = sorted({axis % len(dims) for axis in axes})
    trailing = counted == list(range(len(dims) - len(counted), len(dims))) and len(counted) < len(dims) - 1
    counting = [reader for reader in at.readers(at.node) if reader.op not in _INDIFFERENT]
    if 0 in counted or trailing or not counting or at.node in counting:
        return None
    kept = at.op(at.kind, *at.inputs, keep_dims=True, Tidx=at.attr("Tidx", DType.INT32))
    return at.reshaped(kept, [size for axis, size in enumerate(dims) if axis not in counted])


def _euclidean_norm(at: Expansion) -> Expanded:
    total = at.op("Sum", at.op("Square", at.inputs[0]), at.inputs[1], keep_dims=at.attr("keep_dims", False))
    return at.op("Sqrt", total)


def _softmax(at: Expansion) -> Expanded:
    """Three axes, and more than four, become four; the parser transposes no fewer, the converter no more."""
    dims = at.dims(0)
    if dims is None or len(dims) in (1, 2, 4):
        return None
    flat = at.reshaped(at.inputs[0], (dims[0], prod(dims[1:-1]), 1, dims[-1]))
    return at.reshaped(at.op("Softmax", flat), dims)


def _log_softmax(at: Expansion) -> Expanded:
    """Logits less their largest, less the logarithm of the sum of their exponentials."""
    dims = at.dims(0)
    if dims is None:
        return SIZES
    if len(dims) < 2:
        return "it reads a vector, which has no axis beside the batch"
    axis = at.whole([len(dims) - 1])
    less = at.op("Sub", at.inputs[0], at.op("Max", at.inputs[0], axis, keep_dims=True))
    total = at.op("Sum", at.op("Exp", less), axis, keep_dims=True)
    return at.op("Sub", less, at.op("Log", total))


EXPANSIONS = {
    **dict.fromkeys(FUNC, _reduced),
    "EuclideanNorm": _euclidean_norm,
    "LogSoftmax": _log_softmax,
    "Softmax": _softmax,
}
