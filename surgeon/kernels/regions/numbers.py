"""Regions of feature maps, cut out and resized: numpy, float32.

Interpolation, averaging, and clearing what lies outside work on rows and columns each by themselves. So a
cell of the result is a sum of rows times a sum of columns, and the weights of both are all there is to know.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

F32 = np.float32


def weights(at: np.ndarray, size: int, inside: np.ndarray | None = None) -> np.ndarray:
    """Return how much of each of ``size`` rows is in each cell, float32[cells, size].

    ``at`` is float32[cells, samples], where samples are taken, 0 to size - 1 counted in rows; a cell is their
    mean, and a sample lies between two rows. Samples that are not ``inside``, bool[cells, samples], are 0.
    """
    cells, samples = at.shape
    lower = np.floor(at).astype(np.int64)
    upper = np.minimum(lower + 1, size - 1)
    fraction = at - lower.astype(F32)
    there = np.ones_like(at) if inside is None else inside.astype(F32)
    found = np.zeros((cells, size), F32)
    cell = np.arange(cells)[:, None]
    np.add.at(found, (cell, lower), there * (F32(1) - fraction))
    np.add.at(found, (cell, upper), there * fraction)
    return found / F32(samples)


def pool(features: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Return float32[C, h, w] of a map, float32[C, H, W], by weights of its rows and columns.

    The weights are float32[h, H] and float32[w, W].
    """
    y, x = _used(rows), _used(columns)
    pooled: np.ndarray = np.matmul(np.matmul(rows[:, y], features[:, y, x]), columns[:, x].T)
    return pooled


def _used(found: np.ndarray) -> slice:
    """Return from the first to the last row of a map that counts in any cell."""
    counting = np.flatnonzero(found.any(axis=0))
    return slice(int(counting[0]), int(counting[-1]) + 1) if counting.size else slice(0, 0)


def crop_and_resize(
    fields: Mapping[str, Any], inputs: Sequence[np.ndarray], changes: frozenset[str] = frozenset()
) -> list[np.ndarray]:
    """Return float32[N, R, C, crop_height, crop_width] of a map and regions.

    The map is float32[N, C, H, W], the regions float32[N, R, 4, 1]: y1, x1, y2, x2, where 0 and 1 are the
    centres of the outermost cells. What lies outside of the map is 0. Source: cropAndResizeKernel.cu of
    TensorRT 8.5.
    """
    (features, rois), height, width = inputs, fields["crop_height"], fields["crop_width"]
    pictures, channels, rows, columns = features.shape
    crops = np.zeros((pictures, rois.shape[1], channels, height, width), F32)
    for n, region in np.ndindex(rois.shape[:2]):
        y1, x1, y2, x2 = rois[n, region, :, 0]
        crops[n, region] = pool(
            features[n], _crop_weights(y1, y2, height, rows), _crop_weights(x1, x2, width, columns)
        )
    return [crops]


def _crop_weights(low: np.float32, high: np.float32, cells: int, size: int) -> np.ndarray:
    last = F32(size - 1)
    if cells > 1:
        at = low * last + np.arange(cells, dtype=F32) * ((high - low) * last / F32(cells - 1))
    else:
        at = np.full(1, F32(0.5) * (low + high) * last)
    inside = (at >= 0) & (at <= last)
    return weights(np.where(inside, at, F32(0))[:, None], size, inside[:, None])


def level_of(area: np.float32, first: np.float32, levels: int) -> int:
    """Return the number of the map from which a region is cut.

    It is 0 up to the area ``first``, and grows by one each time that the area passes four times as much.
    """
    bounds = first * F32(4) ** np.arange(levels - 1, dtype=F32)
    return int(np.count_nonzero(area > bounds))
