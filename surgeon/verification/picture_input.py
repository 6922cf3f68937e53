"""A picture as the original's placeholder takes it."""

from __future__ import annotations

import numpy as np

from surgeon.diagnostics import error
from surgeon.graph import DType, Shape, TensorSpec
from surgeon.graph.op_sets import RESIZES
from surgeon.runners.image import Picture, resize
from surgeon.verification.fed_pair import FedPair


def in_order_of(tensor: np.ndarray, spec: TensorSpec) -> np.ndarray:
    """Return a picture, [1, H, W, C], as a tensor takes it: with channels first where only that fits."""
    dims = spec.shape.dims
    first = np.ascontiguousarray(tensor.transpose(0, 3, 1, 2))
    fits = [Shape(each.shape[1:]).compatible(Shape(dims[1:])) for each in (tensor, first)] if dims else []
    return first if fits == [False, True] else tensor


def pictures_of(array: np.ndarray, name: str) -> list[Picture]:
    """Return an array [N, H, W, C] or [H, W, C] as pictures; none where it is not 1 or 3 channels of whole
    numbers from 0 to 255.
    """
    stack = array if array.ndim == 4 else array[None]
    if stack.ndim != 4 or stack.shape[3] not in (1, 3):
        return []
    with np.errstate(invalid="ignore"):
        whole = np.clip(np.rint(stack), 0, 255).astype(np.uint8)
    if not np.array_equal(whole, stack):
        return []
    pixels = whole if whole.shape[3] == 3 else np.repeat(whole, 3, axis=3)
    names = [name] if len(pixels) == 1 else [f"{name}, picture {i + 1}" for i in range(len(pixels))]
    return list(map(Picture, names, pixels))


def sized(graphs: FedPair, pixels: np.ndarray) -> np.ndarray:
    """Return the picture at the size that the original's placeholder has, where it has a fixed one, or
    at that of the rewritten graph's input, where nothing between the two makes it that size.
    """
    assert graphs.picture_ref is not None
    read = graphs.picture_ref in graphs.inputs.values()
    dims = (graphs.declared if read else graphs.inference.spec)(graphs.picture_ref).shape.dims
    known = dims is not None and len(dims) == 4 and None not in dims[1:3]
    size = dims[1:3] if dims is not None and known else _size_at_input(graphs)
    if None in size or size == pixels.shape[:2]:
        return pixels
    fitted = resize(pixels[None], (int(size[0] or 0), int(size[1] or 0)), "half-pixel-bilinear")[0]
    return np.asarray(np.rint(fitted), np.uint8)


def _size_at_input(graphs: FedPair) -> tuple[int | None, ...]:
    """Return height and width of the input that a picture becomes, where the original does not resize it, or
    keeps its shape.
    """
    kept = graphs.family is not None and graphs.family.keeps_shape
    for ref in graphs.prepared_inputs if graphs.family is None or kept else ():
        origin = graphs.inputs[ref]
        own = graphs.inference.spec(origin).shape.dims
        dims = graphs.runner.inputs[ref.node].shape.dims
        fixed = own is not None and None not in own[1:3]
        if dims is None or fixed:
            continue
        behind = graphs.graph.ancestors([origin.node])
        if kept or not any(graphs.graph[name].op in RESIZES for name in behind):
            return dims[1:3]
    return (None, None)


def channels_of(graphs: FedPair) -> int | None:
    """Return the number of channels that the original's placeholder has, where it is known."""
    dims = graphs.inference.spec(graphs.picture_ref).shape.dims if graphs.picture_ref is not None else None
    return dims[-1] if dims is not None and len(dims) in (3, 4) else None


def as_fed(graphs: FedPair, pixels: np.ndarray) -> np.ndarray:
    """Return uint8[H, W, 3] as the original's placeholder takes it; its first channel where that has
    one.
    """
    assert graphs.picture_ref is not None
    spec = graphs.inference.spec(graphs.picture_ref)
    dtype, channels = spec.dtype or DType.UINT8, channels_of(graphs)
    if dtype.itemsize is None or channels not in (None, 1, 3):
        expected = "numbers" if dtype.itemsize is None else "1 or 3 channels, the last dimension"
        raise error(
            "V110",
            f"no picture can be put into '{graphs.picture_ref}', which is {spec}; expected {expected}",
            graphs.graph.source or None,
            help=["export the graph with a uint8 or float32 input, its channels last"],
        )
    arranged = pixels[..., :1] if channels == 1 else pixels
    fed: np.ndarray = (arranged if spec.shape.rank == 3 else arranged[None]).astype(dtype.numpy())
    return fed if spec.shape.rank == 3 else np.repeat(fed, batch_of(graphs), axis=0)


def batch_of(graphs: FedPair) -> int:
    """Return how often a picture is fed at a time: the batch that the original's placeholder is fixed to,
    else once.
    """
    dims = graphs.inference.spec(graphs.picture_ref).shape.dims if graphs.picture_ref is not None else None
    return dims[0] or 1 if dims is not None and len(dims) == 4 else 1
