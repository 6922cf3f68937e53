"""Ops that move blocks of a picture into its batch or its channels, and back."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from surgeon.graph import Node, Shape, TensorSpec
from surgeon.infer.dims import add, product
from surgeon.infer.ops.layout import listed, pairs_of
from surgeon.infer.rule import Array, Context, Mismatch, Rule, attr_text


def _blocks(ctx: Context) -> tuple[tuple[int | None, ...], tuple[int | None, ...]] | None:
    blocks, pairs = ctx.ints(1), ctx.ints(2)
    if blocks is None or pairs is None:
        return None
    if len(pairs) != 2 * len(blocks):
        raise Mismatch(
            f"{len(blocks)} block sizes come with {len(pairs) // 2} pairs; expected one per block size"
        )
    if any(b is not None and b < 1 for b in blocks) or any(p is not None and p < 0 for p in pairs):
        raise Mismatch(
            f"block sizes {listed(blocks)} with pairs {listed(pairs)}; expected sizes of 1 and pairs of 0 at "
            "least"
        )
    return blocks, pairs


def space_to_batch(ctx: Context) -> Sequence[TensorSpec]:
    dims, found = ctx.dims(0), _blocks(ctx)
    if dims is None or found is None:
        return [TensorSpec(ctx.dtype(), Shape(None if dims is None else (None,) * len(dims)))]
    blocks, pads = found
    out = list(dims)
    for i, block in enumerate(blocks[: len(dims) - 1], 1):
        padded = add(add(dims[i], pads[2 * i - 2]), pads[2 * i - 1])
        if padded is not None and block is not None and padded % block:
            raise Mismatch(
                f"axis {i} has {padded} elements with padding; expected a multiple of the block size {block}"
            )
        out[i] = None if padded is None or block is None else padded // block
    out[0] = product((dims[0], *blocks)) if dims else None
    return [TensorSpec(ctx.dtype(), Shape(tuple(out)))]


def batch_to_space(ctx: Context) -> Sequence[TensorSpec]:
    dims, found = ctx.dims(0), _blocks(ctx)
    if dims is None or found is None:
        return [TensorSpec(ctx.dtype(), Shape(None if dims is None else (None,) * len(dims)))]
    blocks, crops = found
    out = list(dims)
    for i, block in enumerate(blocks[: len(dims) - 1], 1):
        whole, front, back = product((dims[i], block)), crops[2 * i - 2], crops[2 * i - 1]
        out[i] = None if whole is None or front is None or back is None else whole - front - back
        if (left := out[i]) is not None and left < 0:
            raise Mismatch(
                f"axis {i} of {whole} elements is cropped by {front} and {back}; expected no more than it has"
            )
    total = product(blocks)
    if dims and dims[0] is not None and total and dims[0] % total:
        raise Mismatch(f"the batch of {dims[0]} is split into blocks of {total}; expected a multiple")
    out[0] = dims[0] // total if dims and dims[0] is not None and total else None
    return [TensorSpec(ctx.dtype(), Shape(tuple(out)))]


def _space_axes(node: Node) -> tuple[int, int, int]:
    if attr_text(node, "data_format", "NHWC") == "NCHW":
        return 2, 3, 1
    return 1, 2, 3


def space_to_depth(ctx: Context) -> Sequence[TensorSpec]:
    return [TensorSpec(ctx.dtype(), _rescaled(ctx, shrink=True))]


def depth_to_space(ctx: Context) -> Sequence[TensorSpec]:
    return [TensorSpec(ctx.dtype(), _rescaled(ctx, shrink=False))]


def _rescaled(ctx: Context, shrink: bool) -> Shape:
    block = ctx.node.attrs.get("block_size")
    dims = ctx.dims(0)
    if (
        not isinstance(block, int)
        or block < 1
        or attr_text(ctx.node, "data_format", "NHWC") not in ("NHWC", "NCHW")
    ):
        return Shape()
    if dims is None:
        return Shape((None,) * 4)
    if len(dims) != 4:
        raise Mismatch(f"the input has shape {Shape(dims)}; expected 4 axes")
    out = list(dims)
    height, width, depth = _space_axes(ctx.node)
    for axis, factor in ((height, block), (width, block), (depth, block * block)):
        dim = dims[axis]
        divide = shrink == (axis != depth)
        if divide and dim is not None and dim % factor:
            raise Mismatch(f"axis {axis} of {Shape(dims)} is divided by {factor}; expected a multiple")
        out[axis] = None if dim is None else dim // factor if divide else dim * factor
    return Shape(tuple(out))


def _space_to_batch(node: Node, arrays: list[Array]) -> Sequence[Array]:
    x, blocks, pads = arrays[0], [int(b) for b in arrays[1].ravel()], pairs_of(arrays[2])
    count = len(blocks)
    rest = x.ndim - 1 - count
    x = np.pad(x, [(0, 0), *pads, *[(0, 0)] * rest])
    split: list[int] = [x.shape[0]]
    for length, block in zip(x.shape[1 : 1 + count], blocks, strict=True):
        split += [length // block, block]
    split += x.shape[1 + count :]
    order = [2 * i + 2 for i in range(count)] + [0] + [2 * i + 1 for i in range(count)]
    order += range(1 + 2 * count, 1 + 2 * count + rest)
    moved = x.reshape(split).transpose(order)
    return [
        moved.reshape((-1, *moved.shape[count + 1 :]))
        if moved.size
        else moved.reshape((int(np.prod(moved.shape[: count + 1])), *moved.shape[count + 1 :]))
    ]


def _batch_to_space(node: Node, arrays: list[Array]) -> Sequence[Array]:
    x, blocks, crops = arrays[0], [int(b) for b in arrays[1].ravel()], pairs_of(arrays[2])
    count = len(blocks)
    batch = x.shape[0] // int(np.prod(blocks))
    split = x.reshape([*blocks, batch, *x.shape[1:]])
    order = [count]
    for i in range(count):
        order += [count + 1 + i, i]
    order += range(2 * count + 1, split.ndim)
    lengths = [length * block for length, block in zip(x.shape[1 : 1 + count], blocks, strict=True)]
    whole = split.transpose(order).reshape([batch, *lengths, *x.shape[1 + count :]])
    cut = tuple(slice(front, length - back) for (front, back), length in zip(crops, lengths, strict=True))
    return [whole[(slice(None), *cut)]]


def _nhwc(node: Node, x: Array) -> Array:
    return x.transpose(0, 2, 3, 1) if attr_text(node, "data_format", "NHWC") == "NCHW" else x


def _back(node: Node, x: Array) -> Array:
    return x.transpose(0, 3, 1, 2) if attr_text(node, "data_format", "NHWC") == "NCHW" else x


def _block(node: Node) -> int:
    block = node.attrs.get("block_size")
    if not isinstance(block, int) or block < 1:
        raise ValueError(f"the block size is {block!r}; expected 1 at least")
    return block


def _space_to_depth(node: Node, arrays: list[Array]) -> Sequence[Array]:
    block, x = _block(node), _nhwc(node, arrays[0])
    n, h, w, c = x.shape
    split = x.reshape(n, h // block, block, w // block, block, c).transpose(0, 1, 3, 2, 4, 5)
    return [_back(node, split.reshape(n, h // block, w // block, block * block * c))]


def _depth_to_space(node: Node, arrays: list[Array]) -> Sequence[Array]:
    block, x = _block(node), _nhwc(node, arrays[0])
    n, h, w, c = x.shape
    depth = c // (block * block)
    split = x.reshape(n, h, w, block, block, depth).transpose(0, 1, 3, 2, 4, 5)
    return [_back(node, split.reshape(n, h * block, w * block, depth))]


RULES = (
    Rule("SpaceToBatchND", space_to_batch, _space_to_batch),
    Rule("BatchToSpaceND", batch_to_space, _batch_to_space),
    Rule("SpaceToDepth", space_to_depth, _space_to_depth),
    Rule("DepthToSpace", depth_to_space, _depth_to_space),
)
