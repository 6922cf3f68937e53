"""Ops on pictures."""

from __future__ import annotations

from collections.abc import Sequence

from surgeon.graph import DType, Node, Shape, TensorSpec
from surgeon.infer.resizing import resize_bilinear, resize_nearest
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


def _bilinear(node: Node, arrays: list[Array]) -> Sequence[Array]:
    return [resize_bilinear(arrays[0], _size(arrays[1]), **_modes(node))]


def _nearest(node: Node, arrays: list[Array]) -> Sequence[Array]:
    return [resize_nearest(arrays[0], _size(arrays[1]), **_modes(node))]


def _size(size: Array) -> tuple[int, int]:
    height, width = (int(value) for value in size.ravel())
    return height, width


def _modes(node: Node) -> dict[str, bool]:
    return {
        "corners": attr_bool(node, "align_corners"),
        "half_pixel": attr_bool(node, "half_pixel_centers"),
    }


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
