"""Biases and normalisations."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from surgeon.graph import DType, Node, Shape, TensorSpec
from surgeon.infer.dims import merge
from surgeon.infer.quantization import QuantizedRange
from surgeon.infer.rule import (
    Array,
    Context,
    Dim,
    Mismatch,
    NoKernel,
    Rule,
    attr_bool,
    attr_float,
    attr_int,
    attr_text,
)


def _channel_axis(node: Node, rank: int) -> int:
    return 1 if attr_text(node, "data_format", "NHWC").startswith("NC") and rank > 2 else rank - 1


def bias_add(ctx: Context) -> Sequence[TensorSpec]:
    dims, bias = ctx.dims(0), ctx.dims(1)
    if dims is None:
        return [TensorSpec(ctx.dtype())]
    if len(dims) < 2:
        raise Mismatch(f"the input has shape {Shape(dims)}; expected 2 axes at least")
    if bias is not None and len(bias) != 1:
        raise Mismatch(f"the bias has shape {Shape(bias)}; expected 1 axis")
    at = _channel_axis(ctx.node, len(dims))
    count = bias[0] if bias else None
    if count is not None and dims[at] not in (None, count):
        ctx.contradict(f"the input {Shape(dims)} has {dims[at]} channels; the bias expected {count}")
        return [TensorSpec(ctx.dtype(), Shape(dims))]
    return [
        TensorSpec(ctx.dtype(), Shape((*dims[:at], count if dims[at] is None else dims[at], *dims[at + 1 :])))
    ]


def batch_norm(ctx: Context) -> Sequence[TensorSpec]:
    dims, dtype = ctx.dims(0), ctx.dtype()
    axes = 5 if len(attr_text(ctx.node, "data_format", "NHWC")) == 5 else 4
    dims = (None,) * axes if dims is None else dims
    if len(dims) != axes:
        raise Mismatch(f"the input has shape {Shape(dims)}; expected {axes} axes")
    at = _channel_axis(ctx.node, axes)
    depth: tuple[Dim, ...] = (dims[at],)
    statistics = (
        (1, 2) if attr_bool(ctx.node, "is_training", True) and not _averages(ctx.node) else (1, 2, 3, 4)
    )
    for i in statistics:
        depth_i = ctx.dims(i)
        if depth_i is not None and (len(depth_i) != 1 or not Shape(depth).compatible(Shape(depth_i))):
            ctx.contradict(
                f"input {i} has shape {Shape(depth_i)}; the input {Shape(dims)} expected {Shape(depth)}"
            )
            break
        depth = merge(depth, depth_i) or depth
    out = (*dims[:at], depth[0], *dims[at + 1 :])
    kind = ctx.dtype("U", 1)
    specs = [TensorSpec(dtype, Shape(out)), *[TensorSpec(kind, Shape(depth))] * 4]
    return [*specs, TensorSpec(kind)] if ctx.node.op == "FusedBatchNormV3" else specs


def _averages(node: Node) -> bool:
    return attr_float(node, "exponential_avg_factor", 1.0) != 1.0


def lrn(ctx: Context) -> Sequence[TensorSpec]:
    dims = merge(ctx.dims(0), (None,) * 4, "the input and 4 axes")
    return [TensorSpec(ctx.dtype(), Shape(dims))]


def fake_quantized(ctx: Context) -> Sequence[TensorSpec]:
    for i in range(1, len(ctx.inputs)):
        bound = ctx.dims(i)
        if bound is not None and bound:
            ctx.contradict(f"input {i} has shape {Shape(bound)}; expected a scalar")
    return [TensorSpec(DType.FLOAT32, ctx.spec(0).shape)]


def fake_quantized_channels(ctx: Context) -> Sequence[TensorSpec]:
    dims = ctx.dims(0)
    for i in range(1, len(ctx.inputs)):
        merge(None if dims is None else dims[-1:], ctx.dims(i), "the last axis and the bounds")
    return [TensorSpec(DType.FLOAT32, ctx.spec(0).shape)]


def l2_loss(ctx: Context) -> Sequence[TensorSpec]:
    return [TensorSpec(ctx.dtype(), Shape(()))]


def _by_channel(node: Node, values: Array, rank: int) -> Array:
    at = _channel_axis(node, rank)
    return values.reshape([-1 if i == at else 1 for i in range(rank)])


def _bias_add(node: Node, arrays: list[Array]) -> Sequence[Array]:
    x, bias = arrays
    return [x + _by_channel(node, bias, x.ndim)]


def _batch_norm(node: Node, arrays: list[Array]) -> Sequence[Array]:
    """Normalise with given statistics: scale / sqrt(variance + epsilon) * (x - mean) + offset."""
    if attr_bool(node, "is_training", True):
        raise NoKernel("training")
    x, scale, offset, mean, variance = arrays
    factor = scale / np.sqrt(variance + variance.dtype.type(attr_float(node, "epsilon", 1e-4)))
    centred = x.astype(scale.dtype) - _by_channel(node, mean, x.ndim)
    y = (centred * _by_channel(node, factor, x.ndim) + _by_channel(node, offset, x.ndim)).astype(x.dtype)
    statistics = [mean, variance, mean, variance]
    return [y, *statistics, np.zeros(0, scale.dtype)] if node.op == "FusedBatchNormV3" else [y, *statistics]


def _lrn(node: Node, arrays: list[Array]) -> Sequence[Array]:
    """Divide by (bias + alpha * sum of squares over 2 * radius + 1 channels) ** beta."""
    x = arrays[0]
    one = x.dtype.type
    radius = min(max(attr_int(node, "depth_radius", 5), 0), x.shape[-1])
    bias, alpha, beta = (
        one(attr_float(node, k, d)) for k, d in (("bias", 1.0), ("alpha", 1.0), ("beta", 0.5))
    )
    sums = np.cumsum(np.pad(np.square(x.astype(np.float64)), [(0, 0)] * 3 + [(radius + 1, radius)]), axis=-1)
    around = (sums[..., 2 * radius + 1 :] - sums[..., : x.shape[-1]]).astype(x.dtype)
    return [x / np.power(bias + alpha * around, beta)]


def _fake_quantized(node: Node, arrays: list[Array]) -> Sequence[Array]:
    if node.op == "FakeQuantWithMinMaxArgs":
        least, most = np.asarray(attr_float(node, "min", -6.0)), np.asarray(attr_float(node, "max", 6.0))
    else:
        least, most = arrays[1:3]
    bits, narrow = attr_int(node, "num_bits", 8), attr_bool(node, "narrow_range", False)
    steps = QuantizedRange.of(least, most, bits, narrow)
    return [steps.rounded(arrays[0])]


RULES = (
    Rule("BiasAdd", bias_add, _bias_add),
    Rule("FusedBatchNorm", batch_norm, _batch_norm, outputs=5),
    Rule("FusedBatchNormV2", batch_norm, _batch_norm, outputs=5),
    Rule("FusedBatchNormV3", batch_norm, _batch_norm, outputs=6),
    Rule("LRN", lrn, _lrn),
    Rule("L2Loss", l2_loss),
    Rule("FakeQuantWithMinMaxArgs", fake_quantized, _fake_quantized),
    Rule("FakeQuantWithMinMaxVars", fake_quantized, _fake_quantized),
    Rule("FakeQuantWithMinMaxVarsPerChannel", fake_quantized_channels, _fake_quantized),
)
