"""Pictures resized as TensorFlow resizes them, in numpy."""

from __future__ import annotations

import numpy as np


def resize_bilinear(
    pictures: np.ndarray, size: tuple[int, int], *, corners: bool = False, half_pixel: bool = False
) -> np.ndarray:
    """Return [N, H, W, C] resized to ``size`` (height, width), float32[N, h, w, C], as ResizeBilinear does.

    ``corners`` and ``half_pixel`` are its ``align_corners`` and ``half_pixel_centers``. Raise ValueError for
    pictures without pixels.
    """
    _check(pictures)
    (top, bottom, down), (left, right, across) = (
        _neighbours(_positions(length, out, corners, half_pixel), length)
        for length, out in zip(pictures.shape[1:3], size, strict=True)
    )
    # Each row that is needed is interpolated once, though several output rows may lie beside it.
    used, places = np.unique(np.concatenate([top, bottom]), return_inverse=True)
    pictures = pictures[:, used]
    rows = _between(
        pictures.take(left, 2).astype(np.float32),
        pictures.take(right, 2).astype(np.float32),
        across[None, None, :, None],
    )
    height = size[0]
    return _between(rows[:, places[:height]], rows[:, places[height:]], down[None, :, None, None])


def resize_nearest(
    pictures: np.ndarray, size: tuple[int, int], *, corners: bool = False, half_pixel: bool = False
) -> np.ndarray:
    """Return [N, H, W, C] resized to ``size``, of the same type, as ResizeNearestNeighbor does.

    Raise ValueError for pictures without pixels.
    """
    _check(pictures)
    rows, columns = (
        _closest(length, out, corners, half_pixel)
        for length, out in zip(pictures.shape[1:3], size, strict=True)
    )
    return pictures[:, rows][:, :, columns]


def _check(pictures: np.ndarray) -> None:
    if not pictures.shape[1] or not pictures.shape[2]:
        raise ValueError("the picture has no elements; expected height and width of 1 at least")


def _positions(length: int, out: int, corners: bool, half_pixel: bool) -> np.ndarray:
    """Return where each output element samples the input axis, in input elements (float32)."""
    scale = (
        np.float32(length - 1) / np.float32(out - 1)
        if corners and out > 1
        else np.float32(length) / np.float32(out)
    )
    steps = np.arange(out, dtype=np.float32)
    if half_pixel:
        steps = (steps + np.float32(0.5)) * scale - np.float32(0.5)
    else:
        steps = steps * scale
    return np.asarray(steps, np.float32)


def _between(first: np.ndarray, second: np.ndarray, share: np.ndarray) -> np.ndarray:
    """Return ``first + (second - first) * share``, in the memory of ``second``."""
    second -= first
    second *= share
    second += first
    return second


def _neighbours(positions: np.ndarray, length: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    floor = np.floor(positions)
    low = np.maximum(floor, 0).astype(np.int64)
    high = np.minimum(np.ceil(positions), length - 1).astype(np.int64)
    return np.minimum(low, length - 1), high, (positions - floor).astype(np.float32)


def _closest(length: int, out: int, corners: bool, half_pixel: bool) -> np.ndarray:
    if half_pixel:
        scale = np.float32(length) / np.float32(out)
        positions = np.floor((np.arange(out, dtype=np.float32) + np.float32(0.5)) * scale)
    else:
        positions = _positions(length, out, corners, half_pixel)
        positions = np.floor(positions + np.float32(0.5)) if corners else np.floor(positions)
    return np.asarray(np.clip(positions, 0, length - 1), np.int64)
