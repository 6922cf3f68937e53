"""Sizes that renderings need: those of a sample, and the numbers of the pictures of a batch."""

from __future__ import annotations

from typing import Any

import numpy as np

from surgeon.diagnostics import error
from surgeon.formats.onnx.lowering import PluginNode


def sample_dims(at: PluginNode, index: int) -> tuple[int, ...]:
    """Return the sizes of input ``index`` after the batch; raise SurgeonError X160 where one is unknown."""
    dims = at.specs[index].shape.dims
    sizes = () if dims is None else tuple(size for size in dims[1:] if size is not None)
    if dims is None or len(sizes) != len(dims) - 1:
        raise error(
            "X160",
            f"input {index} of {at.spec.op} is {at.specs[index]}; expected all sizes but the batch to be "
            "known, to "
            "write it in standard operators",
            None,
            help=[
                "give the input node its 'shape:' in the recipe, such as [1, 300, 300, 3]",
                "or write the plugin node itself (--plugins native)",
            ],
        )
    return sizes


def batch_size(at: PluginNode, index: int) -> int | None:
    """Return the number of pictures that input ``index`` has, None where it is open."""
    dims = at.specs[index].shape.dims
    return dims[0] if dims else None


def picture_numbers(at: PluginNode, index: int, rank: int, dtype: Any) -> str:
    """Return the numbers of the pictures of input ``index``, from 0 on.

    They are ``dtype[N, 1, ...]`` with ``rank`` axes.
    """
    emit, count = at.emit, batch_size(at, index)
    if count is not None:
        return emit.constant(np.arange(count).reshape(-1, *[1] * (rank - 1)), dtype)
    size = emit.op("Gather", emit.op("Shape", at.inputs[index]), emit.constant(0, np.int64), axis=0)
    numbers = emit.op("Range", emit.constant(0, np.int64), size, emit.constant(1, np.int64))
    return emit.op("Cast", emit.op("Reshape", numbers, emit.ints(-1, *[1] * (rank - 1))), to=onnx_type(dtype))


def onnx_type(dtype: Any) -> int:
    """Return the number that ONNX has for an element type."""
    return {np.dtype(np.float32): 1, np.dtype(np.int32): 6, np.dtype(np.int64): 7, np.dtype(np.bool_): 9}[
        np.dtype(dtype)
    ]
