"""Anchors as GridAnchor_TRT and GridAnchorRect_TRT compute them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any

import numpy as np

from surgeon.catalog.reference import Counterfactual

COUNTERFACTUALS = (
    Counterfactual(
        "exact-ratios",
        "an aspect ratio such as 0.33 stands for 1/3; 'anchors: constant' or an exact ratio avoids it",
        avoidable=True,
        order=10,
    ),
)
"""In what both plugins differ from a graph.

With ``exact-ratios`` an aspect ratio within 0.01 of a fraction with terms up to 10 is that fraction.
"""

CLOSE = 0.01
LARGEST_TERM = 10


def grid_anchors(
    fields: Mapping[str, Any], inputs: Sequence[np.ndarray], changes: frozenset[str] = frozenset()
) -> list[np.ndarray]:
    """Return :func:`anchors_of` square feature maps; the inputs are ignored."""
    return anchors_of(
        fields, [(side, side) for side in fields["featureMapShapes"]], "exact-ratios" in changes
    )


def grid_anchors_rect(
    fields: Mapping[str, Any], inputs: Sequence[np.ndarray], changes: frozenset[str] = frozenset()
) -> list[np.ndarray]:
    """Return :func:`anchors_of` feature maps of any height and width; the inputs are ignored.

    TensorRT 8.5.1 and later compute them so; earlier releases use the height in place of the width.
    """
    sizes = fields["featureMapShapes"]
    return anchors_of(fields, list(zip(sizes[::2], sizes[1::2], strict=True)), "exact-ratios" in changes)


def anchors_of(
    fields: Mapping[str, Any], maps: Sequence[tuple[int, int]], exact_ratios: bool = False
) -> list[np.ndarray]:
    """Return float32[1, 2, 4P, 1] for each feature map of ``maps`` (height, width).

    The first channel holds xmin, ymin, xmax, ymax of each anchor relative to the picture, in the order row,
    column, box; the second the variances of each. Where the plugin computes in float32 or float64, so does
    this, with the multiply-add of the GPU rounded once. Sources: gridAnchorPlugin.cpp and gridAnchorLayer.cu
    of TensorRT 8.5.
    """
    variance = np.asarray(fields["variance"], np.float32)
    layers = []
    for k, (height, width) in enumerate(maps):
        sizes = _sizes(fields, k, len(maps), exact_ratios)
        boxes = _boxes(height, width, sizes)
        layers.append(np.stack([boxes.ravel(), np.tile(variance, len(boxes))]).reshape(1, 2, -1, 1))
    return layers


def exact_ratio(ratio: float) -> float:
    """Return the nearest fraction with terms of at most 10 where it is within 0.01, else the ratio."""
    below = Fraction(min(ratio, 1 / ratio)).limit_denominator(LARGEST_TERM)
    if below == 0:
        return ratio
    fraction = float(below if ratio <= 1 else 1 / below)
    return fraction if abs(fraction - ratio) <= CLOSE else ratio


def _sizes(fields: Mapping[str, Any], layer: int, layers: int, exact_ratios: bool) -> np.ndarray:
    """Return width and height of a cell's boxes, float32[P, 2]."""
    given = (
        [exact_ratio(ratio) for ratio in fields["aspectRatios"]] if exact_ratios else fields["aspectRatios"]
    )
    ratios = np.asarray(given, np.float32)
    scale = _scale(fields, layer, layers)
    if layer == 0:
        ratios, scales = ratios[:3], np.array([0.1, scale, scale], np.float32)
    else:
        following = np.float64(1.0) if layer == layers - 1 else np.float64(_scale(fields, layer + 1, layers))
        between = np.float32(np.sqrt(np.float64(scale) * following))
        scales = np.array([*[scale] * len(ratios), between], np.float32)
        ratios = np.append(ratios, np.float32(1))
    root = np.sqrt(ratios)
    return np.stack([scales * root, scales / root], axis=1)


def _scale(fields: Mapping[str, Any], layer: int, layers: int) -> np.float32:
    low, high = np.float32(fields["minSize"]), np.float32(fields["maxSize"])
    return low + (high - low) * np.float32(layer) / np.float32(layers - 1)


def _boxes(height: int, width: int, sizes: np.ndarray) -> np.ndarray:
    """Return the boxes of all cells, float32[height * width * P, 4]."""
    y, x = np.meshgrid(_centers(height), _centers(width), indexing="ij")
    centers = np.stack([x, y], axis=-1).reshape(-1, 1, 2).astype(np.float64)
    half = 0.5 * sizes.astype(np.float64)
    return np.concatenate([centers - half, centers + half], axis=-1).astype(np.float32).reshape(-1, 4)


def _centers(cells: int) -> np.ndarray:
    """Return where the middle of each cell is, relative to the picture, float32[cells]."""
    stride = np.float64(np.float32(1) / np.float32(cells))
    return (np.arange(cells) * stride + 0.5 * stride).astype(np.float32)
