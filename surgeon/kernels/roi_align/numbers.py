"""RoiAlign, as roiAlignKernel.cu of TensorRT computes it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from surgeon.graph import TensorSpec
from surgeon.kernels.regions.numbers import F32, pool, weights
from surgeon.kernels.shapes import unfit

MOST_SAMPLES = 1 << 22
"""Bound on the samples of one region."""


def roi_align(
    fields: Mapping[str, Any], inputs: Sequence[np.ndarray], changes: frozenset[str] = frozenset()
) -> list[np.ndarray]:
    """Return float32[R, C, output_height, output_width].

    A region of no size is not a number where half a cell is taken off and sampling_ratio is 0, for no sample
    is taken. Raise UnfitInput for a region of no picture, and for one that takes too many samples.
    """
    features, rois, pictures = inputs
    _check_pictures(features, pictures)
    cells = np.array([fields["output_height"], fields["output_width"]])
    start, step, samples = _grid(fields, rois, cells)
    _check_samples(rois, samples, cells)
    pooled = np.zeros((len(rois), features.shape[1], *cells), F32)
    for region, picture in enumerate(pictures):
        count = samples[region]
        if (count <= 0).any():
            pooled[region] = F32(np.nan) if fields["mode"] and (count == 0).any() else F32(0)
            continue
        at, inside = zip(
            *(
                _samples(
                    start[region, axis],
                    step[region, axis],
                    cells[axis],
                    count[axis],
                    features.shape[2 + axis],
                )
                for axis in (0, 1)
            ),
            strict=True,
        )
        combine = _average if fields["mode"] else _largest
        pooled[region] = combine(features[picture], at, inside)
    return [pooled]


def _grid(
    fields: Mapping[str, Any], rois: np.ndarray, cells: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return where each region starts, the size of its cells, and the number of samples in a cell.

    Each is y before x: float32[R, 2], float32[R, 2] and int64[R, 2].
    """
    half_pixel = fields["coordinate_transformation_mode"] == 1
    corners = (rois * F32(fields["spatial_scale"]) - F32(0.5 if half_pixel else 0))[:, [1, 0, 3, 2]]
    extent = corners[:, 2:] - corners[:, :2]
    step = (extent if half_pixel else np.maximum(extent, F32(1))) / cells.astype(F32)
    ratio = (
        np.full(step.shape, fields["sampling_ratio"])
        if fields["sampling_ratio"]
        else np.ceil(np.nan_to_num(step, posinf=2**31))
    )
    return corners[:, :2], step, np.clip(ratio, -1, 1 << 31).astype(np.int64)


def _samples(
    start: np.float32, step: np.float32, cells: int, count: int, size: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return where samples are taken along one axis, and which of them count.

    The places are float32[cells, count], clamped to the map. A sample counts, bool[cells, count], unless it
    is more than a cell outside of the map.
    """
    at = (
        start
        + step * np.arange(cells, dtype=F32)[:, None]
        + (np.arange(count, dtype=F32) + F32(0.5)) * (step / F32(count))
    )
    return np.clip(np.nan_to_num(at), F32(0), F32(size - 1)), (at >= -1) & (at <= size)


def _average(features: np.ndarray, at: Sequence[np.ndarray], inside: Sequence[np.ndarray]) -> np.ndarray:
    rows, columns = (weights(at[axis], features.shape[1 + axis], inside[axis]) for axis in (0, 1))
    return pool(features, rows, columns)


def _largest(features: np.ndarray, at: Sequence[np.ndarray], inside: Sequence[np.ndarray]) -> np.ndarray:
    """Return the largest of the weighted neighbours of all samples of each cell.

    A sample beside the map is 0.
    """
    lower = [np.floor(axis).astype(np.int64).ravel() for axis in at]
    fraction = [axis.ravel() - low.astype(F32) for axis, low in zip(at, lower, strict=True)]
    there = np.logical_and.outer(inside[0].ravel(), inside[1].ravel())
    last = features.shape[1] - 1, features.shape[2] - 1
    found = np.full((len(features), *there.shape), -np.inf, F32)
    for up, right in np.ndindex(2, 2):
        y, x = np.minimum(lower[0] + up, last[0]), np.minimum(lower[1] + right, last[1])
        share = np.multiply.outer(
            *(part if more else F32(1) - part for part, more in zip(fraction, (up, right), strict=True))
        )
        np.maximum(found, features[:, y[:, None], x] * share, out=found)
    found[:, ~there] = 0
    largest: np.ndarray = found.reshape(len(features), *at[0].shape, *at[1].shape).max(axis=(2, 4))
    return largest


def _check_pictures(features: np.ndarray, pictures: np.ndarray) -> None:
    wrong = pictures[(pictures < 0) | (pictures >= len(features))]
    if wrong.size:
        raise unfit(
            2,
            TensorSpec.of("int32", len(pictures)),
            f"pictures from 0 to {len(features) - 1}",
            f"a region is of picture {wrong[0]}",
        )


def _check_samples(rois: np.ndarray, samples: np.ndarray, cells: np.ndarray) -> None:
    taken = np.prod((samples * cells).astype(np.float64), axis=1)
    if (taken > MOST_SAMPLES).any():
        raise unfit(
            1,
            TensorSpec.of("float32", *rois.shape),
            f"regions that take at most {MOST_SAMPLES} samples",
            f"region {int(np.argmax(taken))} takes {taken.max():g}; sampling_ratio bounds them",
        )
