"""Resized feature maps, of sizes and at places as TensorFlow computes them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from surgeon.formats.onnx.layout import TO_NCHW, TO_NHWC
from surgeon.formats.onnx.operation import Operation

_TABLE = 1024
"""Steps between two pixels for which TensorFlow has weights of the cubic."""

Axis = tuple[int, int]
"""The size of an axis before and after."""


def _resized(at: Operation, resize: Callable[[Operation, str, tuple[Axis, Axis]], str]) -> None:
    shape, wanted = at.shape(0), at.value(1)
    height, width = (None, None) if shape is None or len(shape) != 4 else shape[1:3]
    keeps_type = at.kind == "ResizeNearestNeighbor" or at.dtype(0) == np.float32
    image = at.inputs[0] if keeps_type else at.cast(at.inputs[0], np.float32)
    if height is None or width is None or wanted is None:
        if at.kind != "ResizeBilinear":
            if at.kind != "ResizeNearestNeighbor":
                raise at.refused("a size before or after it is not known; expected constants")
            at.stays()
            return
        moved = _to_sizes(at, at.op("Transpose", image, perm=list(TO_NCHW)), _computed_sizes(at, image))
    else:
        axes = ((height, int(wanted[0])), (width, int(wanted[1])))
        moved = resize(at, at.op("Transpose", image, perm=list(TO_NCHW)), axes)
    at.becomes(at.op("Transpose", moved, perm=list(TO_NHWC)))


def _bilinear(at: Operation, image: str, axes: tuple[Axis, Axis]) -> str:
    scales = [_scale(*axis) for axis in axes]
    shape = at.shape(0) or ()
    exact = all(before * float(scale) == after for (before, after), scale in zip(axes, scales, strict=True))
    if exact or None in (shape[0], shape[3]):
        factors = at.constant([1.0, 1.0, *scales], np.float32)
        return at.op("Resize", image, "", factors, mode="linear", coordinate_transformation_mode=_places(at))
    sizes = (shape[0], shape[3], *(after for _, after in axes))
    return _to_sizes(at, image, at.constant(sizes, np.int64))


def _to_sizes(at: Operation, image: str, sizes: str) -> str:
    """Return the image resized to int64[4]; a factor is rounded, and a runtime may round the size down."""
    return at.op("Resize", image, "", "", sizes, mode="linear", coordinate_transformation_mode=_places(at))


def _computed_sizes(at: Operation, image: str) -> str:
    """Return batch, channels, and the height and width that are asked for, int64[4]."""
    kept = at.op("Gather", at.op("Shape", image), at.constant([0, 3], np.int64), axis=0)
    return at.op("Concat", kept, at.cast(at.inputs[1], np.int64), axis=0)


def _places(at: Operation) -> str:
    if at.attr("align_corners", False):
        return "align_corners"
    return "half_pixel" if at.attr("half_pixel_centers", False) else "asymmetric"


def _scale(before: int, after: int) -> np.float32:
    """Return the factor that makes one size the other when the product is rounded down."""
    scale = np.float32(after / before)
    while np.floor(np.float32(before) * scale) < after or before * float(scale) < after:
        scale = np.nextafter(scale, np.float32(np.inf))
    return scale


def _nearest(at: Operation, image: str, axes: tuple[Axis, Axis]) -> str:
    """Take the pixels that TensorFlow takes; runtimes round places of their own."""
    aligned = bool(at.attr("align_corners", False))
    factors = [after // before for before, after in axes]
    doubled = all(
        after == before * factor and factor & (factor - 1) == 0
        for (before, after), factor in zip(axes, factors, strict=True)
    )
    if doubled and not aligned:
        # Every runtime divides by these factors without rounding.
        rule = {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
        return at.op("Resize", image, "", at.constant([1, 1, *factors], np.float32), **rule)
    for axis, (before, after) in enumerate(axes, start=2):
        places = np.arange(after, dtype=np.float32)
        if at.attr("half_pixel_centers", False):
            places += np.float32(0.5)
        places *= _step(before, after, aligned)
        rounded = np.floor(places + np.float32(0.5)) if aligned else np.floor(places)
        taken = np.clip(rounded, 0, before - 1).astype(np.int64)
        image = at.op("Gather", image, at.constant(taken), axis=axis)
    return image


def _step(before: int, after: int, aligned: bool) -> np.float32:
    """Return the distance between two pixels of the result, in those of the original."""
    if aligned and after > 1:
        return np.float32(before - 1) / np.float32(after - 1)
    return np.float32(before) / np.float32(after)


def _by_weights(
    weights: Callable[[Operation, Axis], np.ndarray],
) -> Callable[[Operation, str, tuple[Axis, Axis]], str]:
    """Return what resizes one axis after the other: each pixel is a weighted sum of those of the original."""

    def resize(at: Operation, image: str, axes: tuple[Axis, Axis]) -> str:
        rows, columns = (weights(at, axis).astype(np.float32) for axis in axes)
        return at.op("MatMul", at.constant(rows), at.op("MatMul", image, at.constant(columns.T)))

    return resize


def _cubic_weights(at: Operation, axis: Axis) -> np.ndarray:
    """Return float64[after, before], as TensorFlow's table of the cubic gives them.

    With half_pixel_centers it is the cubic of Keys (a = -0.5), and pixels outside count for nothing; without
    them a is -0.75, and the outermost pixels go on outside.
    """
    before, after = axis
    half = bool(at.attr("half_pixel_centers", False))
    scale = _step(before, after, bool(at.attr("align_corners", False)))
    found = np.zeros((after, before))
    for place in range(after):
        exact = np.float32(place) * scale
        if half:
            exact = (np.float32(place) + np.float32(0.5)) * scale - np.float32(0.5)
        first = int(np.floor(exact))
        offset = int(np.rint((exact - np.float32(first)) * np.float32(_TABLE)))
        weights = [_cubic(abs(offset / _TABLE - tap), -0.5 if half else -0.75) for tap in range(-1, 3)]
        taps = [(first + tap, weight) for tap, weight in zip(range(-1, 3), weights, strict=True)]
        if half:
            inside = [(pixel, weight) for pixel, weight in taps if 0 <= pixel < before]
            total = sum(weight for _, weight in inside)
            taps = [(pixel, weight / total) for pixel, weight in inside]
        for pixel, weight in taps:
            found[place, min(max(pixel, 0), before - 1)] += weight
    return found


def _cubic(distance: float, a: float) -> float:
    """Return the weight of a pixel at a distance: the cubic convolution kernel of Keys (1981)."""
    if distance <= 1:
        return ((a + 2) * distance - (a + 3)) * distance**2 + 1
    return ((a * distance - 5 * a) * distance + 8 * a) * distance - 4 * a


def _area_weights(at: Operation, axis: Axis) -> np.ndarray:
    """Return float64[after, before]: how much of each original pixel lies under one of the result."""
    before, after = axis
    scale = float(_step(before, after, bool(at.attr("align_corners", False))))
    found = np.zeros((after, before))
    for place in range(after):
        start, end = place * scale, (place + 1) * scale
        for pixel in range(int(np.floor(start)), int(np.ceil(end))):
            found[place, min(pixel, before - 1)] += (min(pixel + 1, end) - max(pixel, start)) / scale
    return found


CONVERTERS = {
    "ResizeBilinear": lambda at: _resized(at, _bilinear),
    "ResizeNearestNeighbor": lambda at: _resized(at, _nearest),
    "ResizeBicubic": lambda at: _resized(at, _by_weights(_cubic_weights)),
    "ResizeArea": lambda at: _resized(at, _by_weights(_area_weights)),
}
