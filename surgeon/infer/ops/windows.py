"""Convolutions and pools."""

from __future__ import annotations

from collections.abc import Sequence

from surgeon.graph import DType, Node, Shape, TensorSpec
from surgeon.infer.dims import merge, product, window
from surgeon.infer.rule import Context, Dim, Mismatch, Rule, attr_dtype, attr_ints, attr_text

_LAYOUTS = {"NHWC": (0, 1, 2, 3), "NCHW": (0, 2, 3, 1)}
"""Positions of batch, height, width and channels."""


def layout(node: Node) -> tuple[int, int, int, int] | None:
    """Return the positions of batch, height, width and channels, None for a layout not known here."""
    return _LAYOUTS.get(attr_text(node, "data_format", "NHWC"))


def _four(node: Node, key: str) -> tuple[int, ...]:
    values = attr_ints(node, key)
    return values if values is not None and len(values) == 4 else (1, 1, 1, 1)


def _explicit(node: Node, axis: int) -> tuple[int, int]:
    pads = attr_ints(node, "explicit_paddings") or ()
    return (pads[2 * axis], pads[2 * axis + 1]) if len(pads) == 8 else (0, 0)


def _rank4(ctx: Context, index: int, what: str) -> tuple[Dim, ...]:
    dims = ctx.dims(index)
    if dims is None:
        return (None,) * 4
    if len(dims) != 4:
        raise Mismatch(f"the {what} has shape {Shape(dims)}; expected 4 axes")
    return dims


def _slid(ctx: Context, size: Dim, kernel: Dim, axis: int) -> Dim:
    node = ctx.node
    return window(
        size,
        kernel,
        _four(node, "strides")[axis],
        attr_text(node, "padding"),
        _four(node, "dilations")[axis],
        _explicit(node, axis),
    )


def _placed(
    positions: tuple[int, int, int, int], batch: Dim, height: Dim, width: Dim, channels: Dim
) -> Shape:
    out: list[Dim] = [None] * 4
    for position, dim in zip(positions, (batch, height, width, channels), strict=True):
        out[position] = dim
    return Shape(tuple(out))


def conv2d(ctx: Context) -> Sequence[TensorSpec]:
    """Return the output of a convolution with filter [height, width, input channels per group, output
    channels].
    """
    x, weights, where = _rank4(ctx, 0, "input"), _rank4(ctx, 1, "filter"), layout(ctx.node)
    if where is None:
        return [TensorSpec(ctx.dtype(), Shape((None,) * 4))]
    n, h, w, c = where
    channels, expected = x[c], weights[2]
    if channels is not None and expected and channels % expected:
        ctx.contradict(
            f"the input has {channels} channels; the filter {Shape(weights)} expected {expected} or a "
            "multiple"
        )
    elif channels and expected == 0:
        ctx.contradict(f"the input has {channels} channels; the filter {Shape(weights)} expected none")
    shape = _placed(where, x[n], _slid(ctx, x[h], weights[0], h), _slid(ctx, x[w], weights[1], w), weights[3])
    return [TensorSpec(ctx.dtype(), shape)]


def depthwise(ctx: Context) -> Sequence[TensorSpec]:
    """Return the output of a depthwise convolution with filter [height, width, channels, multiplier]."""
    x, weights, where = _rank4(ctx, 0, "input"), _rank4(ctx, 1, "filter"), layout(ctx.node)
    if where is None:
        return [TensorSpec(ctx.dtype(), Shape((None,) * 4))]
    n, h, w, c = where
    channels, expected = x[c], weights[2]
    if channels is not None and expected is not None and channels != expected:
        ctx.contradict(f"the input has {channels} channels; the filter {Shape(weights)} expected {expected}")
    depth = product((expected if channels is None else channels, weights[3]))
    shape = _placed(where, x[n], _slid(ctx, x[h], weights[0], h), _slid(ctx, x[w], weights[1], w), depth)
    return [TensorSpec(ctx.dtype(), shape)]


def conv2d_backprop_input(ctx: Context) -> Sequence[TensorSpec]:
    """Return the shape that input 0 gives; with two entries they are height and width."""
    sizes, dtype = ctx.ints(0), ctx.dtype("T", 1)
    weights, upstream, where = _rank4(ctx, 1, "filter"), _rank4(ctx, 2, "gradient"), layout(ctx.node)
    if where is None or sizes is None:
        return [TensorSpec(dtype, Shape((None,) * 4))]
    if len(sizes) == 4:
        n, _, _, c = where
        if (d := sizes[n]) is not None and upstream[n] not in (None, d):
            ctx.contradict(f"the gradient has a batch of {upstream[n]}; expected {d}")
        if (d := sizes[c]) is not None and weights[2] and d % weights[2]:
            ctx.contradict(
                f"the output has {d} channels; the filter {Shape(weights)} expected {weights[2]} or a "
                "multiple"
            )
        return [TensorSpec(dtype, Shape(sizes))]
    if len(sizes) == 2:
        return [TensorSpec(dtype, _placed(where, upstream[where[0]], sizes[0], sizes[1], weights[2]))]
    raise Mismatch(f"the output's shape has {len(sizes)} entries; expected 4, or 2 for height and width")


def depthwise_backprop_input(ctx: Context) -> Sequence[TensorSpec]:
    return [TensorSpec(ctx.dtype("T", 1), Shape(ctx.ints(0) or (None,) * 4))]


def conv3d(ctx: Context) -> Sequence[TensorSpec]:
    node = ctx.node
    x = merge(ctx.dims(0), (None,) * 5, "the input and 5 axes") or ()
    weights = merge(ctx.dims(1), (None,) * 5, "the filter and 5 axes") or ()
    last = attr_text(node, "data_format", "NDHWC") == "NDHWC"
    axes = (1, 2, 3) if last else (2, 3, 4)
    strides, dilations = attr_ints(node, "strides") or (1,) * 5, attr_ints(node, "dilations") or (1,) * 5
    if len(strides) != 5 or len(dilations) != 5:
        return [TensorSpec(ctx.dtype(), Shape((None,) * 5))]
    room = [
        window(x[a], weights[i], strides[a], attr_text(node, "padding"), dilations[a])
        for i, a in enumerate(axes)
    ]
    dims = (x[0], *room, weights[4]) if last else (x[0], weights[4], *room)
    return [TensorSpec(ctx.dtype(), Shape(dims))]


def _pooled(ctx: Context, ksize: tuple[int, ...], strides: tuple[int, ...]) -> Shape:
    x, where = _rank4(ctx, 0, "input"), layout(ctx.node)
    if where is None:
        return Shape((None,) * 4)
    n, h, w, c = where
    padding = attr_text(ctx.node, "padding")
    out = {a: window(x[a], ksize[a], strides[a], padding, 1, _explicit(ctx.node, a)) for a in (h, w)}
    depth = window(x[c], ksize[c], strides[c], "VALID") if ksize[c] > 1 else x[c]
    return _placed(where, x[n], out[h], out[w], depth)


def pool(ctx: Context) -> Sequence[TensorSpec]:
    return [TensorSpec(ctx.dtype(), _pooled(ctx, _four(ctx.node, "ksize"), _four(ctx.node, "strides")))]


def pool_v2(ctx: Context) -> Sequence[TensorSpec]:
    ksize, strides = ctx.ints(1), ctx.ints(2)
    if (
        ksize is None
        or strides is None
        or len(ksize) != 4
        or len(strides) != 4
        or None in ksize
        or None in strides
    ):
        return [TensorSpec(ctx.dtype(), Shape((None,) * 4))]
    sizes = tuple(k for k in ksize if k is not None)
    return [TensorSpec(ctx.dtype(), _pooled(ctx, sizes, tuple(s for s in strides if s is not None)))]


def pool_with_argmax(ctx: Context) -> Sequence[TensorSpec]:
    shape = _pooled(ctx, _four(ctx.node, "ksize"), _four(ctx.node, "strides"))
    return [TensorSpec(ctx.dtype(), shape), TensorSpec(attr_dtype(ctx.node, "Targmax", DType.INT64), shape)]


RULES = (
    Rule("Conv2D", conv2d),
    Rule("DepthwiseConv2dNative", depthwise),
    Rule("Conv2DBackpropInput", conv2d_backprop_input),
    Rule("DepthwiseConv2dNativeBackpropInput", depthwise_backprop_input),
    Rule("Conv3D", conv3d),
    Rule("MaxPool", pool),
    Rule("AvgPool", pool),
    Rule("MaxPoolV2", pool_v2),
    Rule("MaxPoolWithArgmax", pool_with_argmax, outputs=2),
)
