"""Numbers of MultilevelCropAndResize_TRT, as roiAlignHalfCenter in maskRCNNKernels.cu computes them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from surgeon.kernels.regions.numbers import F32, level_of, pool, weights

FIRST_AREA = F32(224 * 224 / 4)
"""Regions of more square pixels are on level 3 or above."""


def run(
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
            _weights(y1 / cell, y2 / cell, side, rows),
            _weights(x1 / cell, x2 / cell, side, columns),
        )
    return [pooled]


def _weights(start: np.float32, end: np.float32, cells: int, size: int) -> np.ndarray:
    """Return the weights of one sample in the middle of each cell; the kernel adds half a cell in float64."""
    at = np.float64(start) + np.float64((end - start) / F32(cells)) * (np.arange(cells) + 0.5)
    return weights(np.clip(at, 0, size - 1).astype(F32)[:, None], size)
