"""Boxes cut out of a feature map and resized."""

from __future__ import annotations

import numpy as np

from surgeon.formats.onnx.crops import crop_samples
from surgeon.formats.onnx.operation import Operation


def _crop_and_resize(at: Operation) -> None:
    """Sample a grid in each box, at the places that TensorFlow computes, in its order of operations.

    Resize of ONNX has a mode for it, but its places differ in the last bit, and those on the border of the
    map then count as outside.
    """
    shape, size = at.shape(0), at.value(3)
    if shape is None or None in shape[1:] or size is None:
        raise at.refused("the size of its image or of its crops is not known; expected constants")
    _, height, width, channels = (size or 0 for size in shape)
    bounds = at.op_many("Split", [at.inputs[1]], 4, axis=1)
    rows, inside_rows = crop_samples(at, bounds[0], bounds[2], height, int(size[0]))
    columns, inside_columns = crop_samples(at, bounds[1], bounds[3], width, int(size[1]))
    rows, columns = at.op("Unsqueeze", rows, _ints(at, 2)), at.op("Unsqueeze", columns, _ints(at, 1))
    inside = at.op(
        "And",
        at.op("Unsqueeze", inside_rows, _ints(at, 2)),
        at.op("Unsqueeze", inside_columns, _ints(at, 1)),
    )
    picture = at.op("Reshape", at.cast(at.inputs[2], np.int64), at.constant([-1, 1, 1], np.int64))
    image = at.inputs[0] if at.dtype(0) == np.float32 else at.cast(at.inputs[0], np.float32)
    pixels = at.op("Reshape", image, at.constant([-1, channels], np.int64))

    def pixel(row: str, column: str) -> str:
        line = at.op("Add", at.op("Mul", picture, at.constant(height, np.int64)), at.cast(row, np.int64))
        place = at.op("Add", at.op("Mul", line, at.constant(width, np.int64)), at.cast(column, np.int64))
        return at.op("Gather", pixels, place, axis=0)

    if at.attr("method", b"bilinear") == b"nearest":
        found = pixel(_rounded(at, rows), _rounded(at, columns))
    else:
        top, left = at.op("Floor", rows), at.op("Floor", columns)
        bottom, right = at.op("Ceil", rows), at.op("Ceil", columns)
        down = at.op("Unsqueeze", at.op("Sub", rows, top), _ints(at, 3))
        across = at.op("Unsqueeze", at.op("Sub", columns, left), _ints(at, 3))
        above = _between(at, pixel(top, left), pixel(top, right), across)
        below = _between(at, pixel(bottom, left), pixel(bottom, right), across)
        found = _between(at, above, below, down)
    outside = at.constant(at.attr("extrapolation_value", 0.0), np.float32)
    at.becomes(at.op("Where", at.op("Unsqueeze", inside, _ints(at, 3)), found, outside))


def _rounded(at: Operation, places: str) -> str:
    """Return the nearest whole numbers, the upper one of two."""
    lower = at.op("Floor", places)
    upper = at.op("GreaterOrEqual", at.op("Sub", places, lower), at.constant(0.5, np.float32))
    return at.op("Add", lower, at.cast(upper, np.float32))


def _between(at: Operation, first: str, last: str, part: str) -> str:
    return at.op("Add", first, at.op("Mul", at.op("Sub", last, first), part))


def _ints(at: Operation, *values: int) -> str:
    return at.constant(values, np.int64)


CONVERTERS = {"CropAndResize": _crop_and_resize}
