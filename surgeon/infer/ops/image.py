"""Ops on pictures."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from surgeon.graph import DType, Node, Shape, TensorSpec
from surgeon.infer.rule import Array, Context, Dim, Mismatch, Rule, attr_bool, attr_dtype, attr_int


def _sized(ctx: Context, dtype: DType | None) -> Sequence[TensorSpec]:
    dims, size = ctx.dims(0), ctx.ints(1)
    if dims is not None and len(dims) != 4:
        raise Mismatch(
            f"the pictures have shape {Shape(dims)}; expected 4 axes: batch, height, width, channels"
        )
    if size is not None and len(size) != 2:
        raise Mismatch(f"the size has {len(size)} entries; expected height and width")
    if size is not None and any(d is not None and d < 1 for d in size):
        raise Mismatch(f"the size is {list(size)}; expected 1 at least")
    height, width = size if size is not None else (None, None)
    batch, channels = (dims[0], dims[3]) if dims is not None else (None, None)
    return [TensorSpec(dtype, Shape((batch, height, width, channels)))]


def resize_float(ctx: Context) -> Sequence[TensorSpec]:
    return _sized(ctx, DType.FLOAT32)


def resize_same(ctx: Context) -> Sequence[TensorSpec]:
    return _sized(ctx, ctx.dtype())


def crop_and_resize(ctx: Context) -> Sequence[TensorSpec]:
    dims, boxes, index, size = ctx.dims(0), ctx.dims(1), ctx.dims(2), ctx.ints(3)
    if dims is not None and len(dims) != 4:
        raise Mismatch(f"the pictures have shape {Shape(dims)}; expected 4 axes")
    if boxes is not None and (len(boxes) != 2 or boxes[1] not in (4, None)):
        raise Mismatch(f"the boxes have shape {Shape(boxes)}; expected [?,4]")
    count: Dim = boxes[0] if boxes else None
    if count is None and index:
        count = index[0]
    if index and index[0] not in (None, count):
        ctx.contradict(f"{count} boxes come with {index[0]} picture indices; expected equal numbers")
    height, width = size if size is not None and len(size) == 2 else (None, None)
    return [TensorSpec(DType.FLOAT32, Shape((count, height, width, dims[3] if dims else None)))]


def decoded(ctx: Context) -> Sequence[TensorSpec]:
    """Return a picture of unknown size, in as many channels as the attribute says."""
    channels = attr_int(ctx.node, "channels") or None
    window = ctx.ints(1) if ctx.node.op == "DecodeAndCropJpeg" else None
    height, width = window[2:] if window is not None and len(window) == 4 else (None, None)
    return [TensorSpec(attr_dtype(ctx.node, "dtype", DType.UINT8), Shape((height, width, channels)))]


def decoded_gif(ctx: Context) -> Sequence[TensorSpec]:
    return [TensorSpec(DType.UINT8, Shape((None, None, None, 3)))]


def decoded_image(ctx: Context) -> Sequence[TensorSpec]:
    """Return a picture, of which not even the rank is known where an animation becomes several."""
    if attr_bool(ctx.node, "expand_animations", True):
        return [TensorSpec(attr_dtype(ctx.node, "dtype", DType.UINT8))]
    return decoded(ctx)


def adjusted(ctx: Context) -> Sequence[TensorSpec]:
    return [TensorSpec(ctx.dtype(), ctx.spec(0).shape)]


def _positions(length: int, out: int, node: Node) -> Array:
    """Return where each output element samples the input axis, in input elements (float32)."""
    corners, half = attr_bool(node, "align_corners"), attr_bool(node, "half_pixel_centers")
    scale = (
        np.float32(length - 1) / np.float32(out - 1)
        if corners and out > 1
        else np.float32(length) / np.float32(out)
    )
    steps = np.arange(out, dtype=np.float32)
    if half:
        steps = (steps + np.float32(0.5)) * scale - np.float32(0.5)
    else:
        steps = steps * scale
    return np.asarray(steps, np.float32)


def _check_size(x: Array, size: Array) -> tuple[int, int]:
    if not x.shape[1] or not x.shape[2]:
        raise ValueError("the picture has no elements; expected height and width of 1 at least")
    height, width = (int(v) for v in size.ravel())
    return height, width


def _bilinear(node: Node, arrays: list[Array]) -> Sequence[Array]:
    x = arrays[0]
    height, width = _check_size(x, arrays[1])
    (top, bottom, down), (left, right, across) = (
        _neighbours(_positions(length, out, node), length)
        for length, out in ((x.shape[1], height), (x.shape[2], width))
    )
    # Each row that is needed is interpolated once, though several output rows may lie beside it.
    used, places = np.unique(np.concatenate([top, bottom]), return_inverse=True)
    x = x[:, used]
    rows = _between(
        x.take(left, 2).astype(np.float32), x.take(right, 2).astype(np.float32), across[None, None, :, None]
    )
    return [_between(rows[:, places[:height]], rows[:, places[height:]], down[None, :, None, None])]


def _between(first: Array, second: Array, share: Array) -> Array:
    """Return ``first + (second - first) * share``, in the memory of ``second``."""
    second -= first
    second *= share
    second += first
    return second


def _neighbours(positions: Array, length: int) -> tuple[Array, Array, Array]:
    floor = np.floor(positions)
    low = np.maximum(floor, 0).astype(np.int64)
    high = np.minimum(np.ceil(positions), length - 1).astype(np.int64)
    return np.minimum(low, length - 1), high, (positions - floor).astype(np.float32)


def _nearest(node: Node, arrays: list[Array]) -> Sequence[Array]:
    x = arrays[0]
    rows, columns = (
        _closest(length, out, node)
        for length, out in zip(x.shape[1:3], _check_size(x, arrays[1]), strict=True)
    )
    return [x[:, rows][:, :, columns]]


def _closest(length: int, out: int, node: Node) -> Array:
    if attr_bool(node, "half_pixel_centers"):
        scale = np.float32(length) / np.float32(out)
        positions = np.floor((np.arange(out, dtype=np.float32) + np.float32(0.5)) * scale)
    else:
        positions = _positions(length, out, node)
        corners = attr_bool(node, "align_corners")
        positions = np.floor(positions + np.float32(0.5)) if corners else np.floor(positions)
    return np.asarray(np.clip(positions, 0, length - 1), np.int64)


RULES = (
    Rule("ResizeBilinear", resize_float, _bilinear),
    Rule("ResizeNearestNeighbor", resize_same, _nearest),
    Rule("ResizeBicubic", resize_float),
    Rule("ResizeArea", resize_float),
    Rule("CropAndResize", crop_and_resize),
    *(Rule(op, decoded) for op in ("DecodeJpeg", "DecodeAndCropJpeg", "DecodePng", "DecodeBmp")),
    Rule("DecodeGif", decoded_gif),
    Rule("DecodeImage", decoded_image),
    Rule("AdjustContrastv2", adjusted),
)
