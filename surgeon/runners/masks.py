"""Masks of detections: pasted into their picture, clipped with their boxes, and written as COCO writes them.

A mask is float32[h, w] from 0 to 1 and lies on its box with its outermost values on the box's edges: that is
how networks with masks cut a region out (``CropAndResize``), and how the tools of the Object Detection API
paste one (``reframe_box_masks_to_image_masks``).
"""

from __future__ import annotations

from typing import Any

import numpy as np

INSIDE = 0.5
"""A pixel belongs to a detection where the mask is above this."""


def clipped_masks(masks: np.ndarray, boxes: np.ndarray, clipped: np.ndarray) -> np.ndarray:
    """Return float32[n, h, w] on the boxes float32[n, 4] as it is on what is left of the boxes.

    A box of which nothing is left keeps its mask.
    """
    extent = boxes[:, 2:] - boxes[:, :2]
    cut = (boxes != clipped).any(axis=1) & (extent > 0).all(axis=1)
    cut &= (clipped[:, 2:] > clipped[:, :2]).all(axis=1)
    found = masks.copy()
    height, width = masks.shape[1:]
    for row in np.flatnonzero(cut):
        first, last = (clipped[row].reshape(2, 2) - boxes[row, :2]) / extent[row]
        ys = np.linspace(first[0], last[0], height) * (height - 1)
        xs = np.linspace(first[1], last[1], width) * (width - 1)
        found[row] = _sampled(masks[row], ys, xs)
    return found


def pasted(mask: np.ndarray, box: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Return which pixels of a picture a detection covers, bool[H, W].

    ``mask`` is float32[h, w], ``box`` float32[4], ymin, xmin, ymax, xmax relative to the picture, ``size``
    its height and width in pixels. A box without an area, or that is not finite, covers nothing.
    """
    covered = np.zeros(size, np.bool_)
    top, left, bottom, right = np.asarray(box, np.float64)
    if not np.isfinite(box).all() or not (bottom > top and right > left):
        return covered
    rows, ys = _positions(top, bottom, size[0], mask.shape[0])
    columns, xs = _positions(left, right, size[1], mask.shape[1])
    covered[np.ix_(rows, columns)] = _sampled(np.nan_to_num(mask), ys, xs) > INSIDE
    return covered


def run_lengths(covered: np.ndarray) -> dict[str, Any]:
    """Return bool[H, W] as COCO's compressed run-length encoding: ``size`` and ``counts``.

    The runs go down the columns and begin with pixels that are not covered; ``counts`` is the text that
    ``pycocotools.mask`` decodes.
    """
    flat = covered.ravel(order="F")
    edges = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    counts = np.diff(np.concatenate(([0], edges, [flat.size]))).tolist()
    if flat.size and flat[0]:
        counts = [0, *counts]
    return {"size": list(covered.shape), "counts": _compressed(counts)}


def _compressed(counts: list[int]) -> str:
    """Return counts as COCO's text: each from the fourth on less the one two before it, in groups of five
    bits, the lowest first, the sixth bit of a letter telling that more follow.
    """
    letters: list[str] = []
    for index, count in enumerate(counts):
        rest = count - counts[index - 2] if index > 2 else count
        for _ in range(13):  # 64 bits
            group, rest = rest & 31, rest >> 5
            last = rest == (-1 if group & 16 else 0)
            letters.append(chr(48 + (group if last else group | 32)))
            if last:
                break
    return "".join(letters)


def _positions(first: float, last: float, pixels: int, cells: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the pixels along an axis that lie on a box, int64[m], and where they lie on its mask, float64[m]
    in cells.
    """
    places = np.arange(pixels) / (pixels - 1) if pixels > 1 else np.array([0.5])
    on_box = (places - first) / (last - first)
    inside = np.flatnonzero((on_box >= 0) & (on_box <= 1))
    return inside, on_box[inside] * (cells - 1)


def _sampled(mask: np.ndarray, ys: np.ndarray, xs: np.ndarray) -> np.ndarray:
    """Return the mask between its values, bilinear, float32[len(ys), len(xs)]."""
    (top, bottom, down), (left, right, across) = _around(ys, mask.shape[0]), _around(xs, mask.shape[1])
    rows = mask[top] * (1 - down)[:, None] + mask[bottom] * down[:, None]
    found: np.ndarray = rows[:, left] * (1 - across) + rows[:, right] * across
    return found.astype(np.float32)


def _around(places: np.ndarray, cells: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the cells before and behind each place, and how far it lies from the first to the second."""
    first = np.clip(np.floor(places), 0, cells - 1).astype(np.int64)
    second = np.minimum(first + 1, cells - 1)
    return first, second, np.clip(places - first, 0, 1)
