"""Rearranged and enlarged pictures, as convolutions by ones and zeros where nothing else is exact."""

from __future__ import annotations

import numpy as np

from surgeon.formats.uff.expansion import (
    BATCH,
    LIMIT,
    NOT_CONSTANT,
    SIZES,
    TOO_LARGE,
    Expanded,
    Expansion,
)
from surgeon.formats.uff.ops.elementwise import ACTIVATION, UNARY
from surgeon.graph import Ref
from surgeon.graph.op_sets import PLACEHOLDERS

_FIRST, _LAST = (0, 3, 1, 2), (0, 2, 3, 1)

_PADDING = frozenset({"Conv2D", "DepthwiseConv2dNative"})
"""Operations that a symmetric Pad in front is folded into."""

_ALIKE = frozenset({*UNARY, *ACTIVATION, "LeakyRelu"})
"""Operations that leave a tensor in the order in which the parser holds it."""

_PIECES = 256
"""Rows and columns that a MirrorPad may add."""

_NOT_LAST = "its channels are not the last axis (data_format)"


def _depth_to_space(at: Expansion) -> Expanded:
    """A transposed convolution whose stride is its size: each pixel becomes a block."""
    dims, block = at.dims(0), at.attr("block_size", 0)
    if not _is_channels_last(at):
        return _NOT_LAST
    if dims is None:
        return SIZES
    if len(dims) != 4 or block < 2 or dims[3] % block**2:
        return f"its block_size {block} does not divide a tensor of {_size(dims)}"
    channels = dims[3] // block**2
    if 4 * channels * block**2 * dims[3] > LIMIT:
        return TOO_LARGE
    return _enlarged(
        at, _blocks(block, channels), (dims[0], dims[1] * block, dims[2] * block, channels), (block, block)
    )


def _space_to_depth(at: Expansion) -> Expanded:
    """A convolution whose stride is its size: each block becomes a pixel."""
    dims, block = at.dims(0), at.attr("block_size", 0)
    if not _is_channels_last(at):
        return _NOT_LAST
    if dims is None:
        return SIZES
    if len(dims) != 4 or block < 2 or dims[1] % block or dims[2] % block:
        return f"its block_size {block} does not divide a tensor of {_size(dims)}"
    if 4 * dims[3] ** 2 * block**4 > LIMIT:
        return TOO_LARGE
    weights = at.const(_blocks(block, dims[3]))
    return at.op(
        "Conv2D",
        at.inputs[0],
        weights,
        strides=(1, block, block, 1),
        padding=b"VALID",
        data_format=b"NHWC",
        dilations=(1, 1, 1, 1),
    )


def _size(dims: tuple[int, ...]) -> str:
    return "x".join(map(str, dims))


def _is_channels_last(at: Expansion) -> bool:
    return bool(at.attr("data_format", b"NHWC") == b"NHWC")


def _blocks(block: int, channels: int) -> np.ndarray:
    """Return float32[block, block, channels, block² channels]: which place of a block is which channel."""
    numbers = np.eye(block**2 * channels, dtype=np.float32)
    return numbers.reshape(block, block, channels, block**2 * channels)


def _enlarged(at: Expansion, weights: np.ndarray, dims: tuple[int, ...], strides: tuple[int, int]) -> Ref:
    return at.op(
        "Conv2DBackpropInput",
        at.whole(list(dims)),
        at.const(weights),
        at.inputs[0],
        strides=(1, *strides, 1),
        padding=b"VALID",
        data_format=b"NHWC",
        dilations=(1, 1, 1, 1),
    )


def _resized_nearest(at: Expansion) -> Expanded:
    """Whole factors: the plugin where both are the same and the target has it, else a convolution by ones."""
    dims, size = at.dims(0), at.ints(1)
    if at.attr("align_corners", False):
        return "it aligns corners"
    if dims is None:
        return SIZES
    if size is None:
        return NOT_CONSTANT
    if len(dims) != 4 or len(size) != 2 or min(*dims, *size) < 1:
        return None
    factors = (size[0] // dims[1], size[1] // dims[2])
    if (dims[1] * factors[0], dims[2] * factors[1]) != tuple(size):
        return f"its factors are not whole: {_size(dims[1:3])} becomes {size[0]}x{size[1]}"
    if factors == (1, 1):
        return at.inputs[0]
    if factors[0] == factors[1] and at.has_plugin("ResizeNearest_TRT"):
        first = at.transposed(at.inputs[0], _FIRST)
        return at.transposed(at.plugin("ResizeNearest_TRT", first, scale=float(factors[0])), _LAST)
    if 4 * factors[0] * factors[1] * dims[3] ** 2 > LIMIT:
        return TOO_LARGE
    ones = np.broadcast_to(np.eye(dims[3], dtype=np.float32), (*factors, dims[3], dims[3]))
    return _enlarged(at, ones, (dims[0], *size, dims[3]), factors)


def _mirrored(at: Expansion) -> Expanded:
    """Rows and columns at the border are cut out one by one, and joined in the reverse order."""
    dims = at.dims(0)
    amounts = at.value(1)
    if dims is None:
        return SIZES
    if amounts is None:
        return NOT_CONSTANT
    if amounts.shape != (len(dims), 2):
        return None
    if amounts[0].any():
        return BATCH
    if int(amounts.sum()) > _PIECES:
        return f"it adds {int(amounts.sum())} rows and columns, more than {_PIECES}"
    step = 0 if at.attr("mode", b"REFLECT") == b"SYMMETRIC" else 1
    if amounts.min() < 0 or (amounts.max(axis=1) + step > dims).any():
        return "it adds more rows or columns than there are to mirror"
    found = at.inputs[0]
    for axis, (before, after) in enumerate(amounts.tolist()):
        last = dims[axis] - 1
        left = [_place(at, found, len(dims), axis, i + step) for i in range(before - 1, -1, -1)]
        right = [_place(at, found, len(dims), axis, last - step - i) for i in range(after)]
        found = at.joined([*left, found, *right], axis)
    return found


def _padded(at: Expansion) -> Expanded:
    """Pads that the parser lacks: of more than two axes, of other ranks than 4, by other numbers than 0."""
    dims, amounts = at.dims(0), at.value(1)
    filling = at.number(2) if at.kind == "PadV2" else 0.0
    if dims is None or amounts is None or filling is None or amounts.shape != (len(dims), 2):
        return None
    if amounts[0].any() or amounts.min() < 0 or not amounts.any():
        return None
    if filling == 0 and len(dims) == 4 and amounts.any(axis=1).sum() <= 2 and _is_padded_right(at, amounts):
        return None
    if filling == 0 and len(dims) == 3 and not amounts[2].any():
        # Rows of a sequence are padded as those of a picture of height 1.
        picture = at.reshaped(at.inputs[0], (dims[0], 1, *dims[1:]))
        padded = at.op("Pad", picture, at.whole([[0, 0], [0, 0], amounts[1].tolist(), [0, 0]]))
        return at.reshaped(padded, (dims[0], dims[1] + int(amounts[1].sum()), dims[2]))
    if int(amounts.sum()) > _PIECES:
        return None
    found = at.inputs[0]
    for axis, (before, after) in enumerate(amounts.tolist()):
        if before or after:
            border = at.repeated(filling, _place(at, found, len(dims), axis, 0))
            found = at.joined([*[border] * before, found, *[border] * after], axis)
    return found


def _is_padded_right(at: Expansion, amounts: np.ndarray) -> bool:
    """Return whether the parser of 8.5.3.1 pads the axes that are meant.

    It does so next to the input. It turns a picture that was convolved into the graph's order first, and then
    takes the amounts for those of channels first. No Pad is written where all that read it pad themselves.
    """
    if (amounts[:, 0] == amounts[:, 1]).all() and all(
        reader.op in _PADDING and reader.attrs.get("padding") == b"VALID" for reader in at.readers(at.node)
    ):
        return True
    node = at.source(at.inputs[0])
    while node.op in _ALIKE and node.inputs:
        node = at.source(node.inputs[0])
    return node.op in PLACEHOLDERS


def _place(at: Expansion, source: Ref, rank: int, axis: int, index: int) -> Ref:
    return at.cut(source, [(index, index + 1, 1) if i == axis else None for i in range(rank)])


EXPANSIONS = {
    "DepthToSpace": _depth_to_space,
    "MirrorPad": _mirrored,
    **dict.fromkeys(("Pad", "PadV2"), _padded),
    "ResizeNearestNeighbor": _resized_nearest,
    "SpaceToDepth": _space_to_depth,
}
