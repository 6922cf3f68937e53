"""Regions of a feature pyramid, as maskRCNNKernels.cu of TensorRT 8.4.1 and later computes them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from surgeon.kernels.regions.numbers import F32, level_of, pool, weights

ALIGNED = -1


LEGACY = {
    "roi_coords_absolute": 0,
    "roi_coords_swap": 1,
    "roi_coords_plusone": 0,
    "roi_coords_transform": ALIGNED,
    "sampling_ratio": 1,
}


LEGACY_AREA = F32(2 * 224 * 224 / 1024**2 / 16)


INPUT_OFFSET = {ALIGNED: F32(0), 0: F32(0), 1: F32(0), 2: F32(0.5)}


SAMPLING_OFFSET = {ALIGNED: F32(0), 0: F32(0), 1: F32(0.5), 2: F32(0.5)}
"""By roi_coords_transform: what is taken off coordinates of the map, and where in its part of a cell a sample
is.
"""


def pyramid_roi_align(
    fields: Mapping[str, Any], inputs: Sequence[np.ndarray], changes: frozenset[str] = frozenset()
) -> list[np.ndarray]:
    """Return float32[N, R, C, pooled_size, pooled_size]."""
    rois, *maps = inputs
    rules = {**fields, **LEGACY} if fields["legacy"] else fields
    size, first = np.asarray(fields["image_size"], F32), _first_area(fields)
    boxes = _relative(rules, rois, size)
    side = fields["pooled_size"]
    pooled = np.zeros((*rois.shape[:2], maps[0].shape[1], side, side), F32)
    for n, region in np.ndindex(rois.shape[:2]):
        low, high = boxes[n, region]
        extent = high - low + F32(rules["roi_coords_plusone"]) / size
        features = maps[level_of(extent[0] * extent[1], first, len(maps))][n]
        rows, columns = (_weights(rules, low[axis], high[axis], features.shape[1 + axis]) for axis in (0, 1))
        pooled[n, region] = pool(features, rows, columns)
    return [pooled]


def _first_area(fields: Mapping[str, Any]) -> np.float32:
    """Return the area, relative to the picture, above which a region is on level 3 or higher."""
    if fields["legacy"]:
        return LEGACY_AREA
    height, width = fields["image_size"]
    side = np.sqrt(F32(fields["fpn_scale"]) ** 2 / F32(height * width))
    return F32(side * side / F32(4))


def _relative(rules: Mapping[str, Any], rois: np.ndarray, size: np.ndarray) -> np.ndarray:
    """Return the lower and the upper corner of each region, float32[N, R, 2, 2].

    A corner is y, x relative to the picture.
    """
    corners = rois.reshape(*rois.shape[:2], 2, 2)
    corners = corners if rules["roi_coords_swap"] else corners[..., ::-1]
    # As the GPU's, these pass over what is not a number.
    lower, upper = np.fmin.reduce(corners, axis=2), np.fmax.reduce(corners, axis=2)
    scale = size if rules["roi_coords_absolute"] else np.ones(2, F32)
    found: np.ndarray = np.fmax(F32(0), np.fmin(scale, np.stack([lower, upper], axis=2))) / scale
    return found


def _weights(rules: Mapping[str, Any], low: np.float32, high: np.float32, size: int) -> np.ndarray:
    """Return the weights of the cells of a result along one axis of a map; samples are clamped to it."""
    cells, transform = rules["pooled_size"], rules["roi_coords_transform"]
    scale = F32(size - 1 if transform == ALIGNED else size)
    start, end = (edge * scale - INPUT_OFFSET[transform] for edge in (low, high))
    step = (end - start) / F32(cells - 1 if transform == ALIGNED else cells)
    samples = rules["sampling_ratio"] or max(1, int(np.ceil((end - start) / F32(cells))))
    inner = step * (np.arange(samples, dtype=F32) + SAMPLING_OFFSET[transform]) / F32(samples)
    at = start + step * np.arange(cells, dtype=F32)[:, None] + inner
    return weights(np.clip(at, F32(0), F32(size - 1)), size)


FIRST_AREA = F32(224 * 224 / 4)
"""Regions of more square pixels are on level 3 or above."""


def multilevel_crop_and_resize(
    fields: Mapping[str, Any], inputs: Sequence[np.ndarray], changes: frozenset[str] = frozenset()
) -> list[np.ndarray]:
    """Return float32[N, R, C, pooled_size, pooled_size].

    What the plugin leaves unwritten, of regions without area or outside of the picture, is 0 here.
    """
    rois, *maps = inputs
    _, height, width = fields["image_size"]
    side, most = fields["pooled_size"], np.array([height, width, height, width], F32)
    pooled = np.zeros((*rois.shape[:2], maps[0].shape[1], side, side), F32)
    for n, region in np.ndindex(rois.shape[:2]):
        box = rois[n, region]
        y1, x1, y2, x2 = box
        if not (np.all((box >= 0) & (box <= most)) and y1 < y2 and x1 < x2):
            continue
        level = level_of((y2 - y1) * (x2 - x1), FIRST_AREA, len(maps))
        features, cell = maps[level][n], F32(4 * 2**level)
        rows, columns = features.shape[1:]
        pooled[n, region] = pool(
            features,
            _middle_weights(y1 / cell, y2 / cell, side, rows),
            _middle_weights(x1 / cell, x2 / cell, side, columns),
        )
    return [pooled]


def _middle_weights(start: np.float32, end: np.float32, cells: int, size: int) -> np.ndarray:
    """Return the weights of one sample in the middle of each cell; the kernel adds half a cell in float64."""
    at = np.float64(start) + np.float64((end - start) / F32(cells)) * (np.arange(cells) + 0.5)
    return weights(np.clip(at, 0, size - 1).astype(F32)[:, None], size)
