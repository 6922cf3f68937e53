"""The fields of an anchor plugin that make the anchors that a graph computes.

A fit, with what it leaves over.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from surgeon.catalog import Catalog
from surgeon.families.family import Family

RESIDUAL_BOUND = 1e-6
"""Largest difference of a coordinate, relative to the picture, up to which a plugin's anchors are the
graph's.
"""

FITTED = ("minSize", "maxSize", "aspectRatios")
"""Fields of anchor plugins that are fitted to anchors."""

_SLACK = 3e-8
"""By how much a number of fewer digits may add to the residual; half of what float32 tells near 1."""


@dataclass(frozen=True)
class GridFit:
    """Fields that make a graph's anchors, and ``residual``: the largest difference of a coordinate that is
    left.

    Where the plugin has no such grid, ``reason`` says why, and there are no fields.
    """

    fields: Mapping[str, Any]
    residual: float
    reason: str = ""

    @property
    def expresses(self) -> bool:
        """Whether the plugin makes the graph's anchors."""
        return self.residual <= RESIDUAL_BOUND


def fit_grid(family: Family, catalog: Catalog, op: str) -> GridFit:
    """Fit ``minSize``, ``maxSize`` and ``aspectRatios`` of a grid anchor plugin to the anchors of a graph.

    The ratios are the means over all layers but the first; the sizes a straight line, by least squares,
    through the layers' scales. Where the plugin makes the anchors, each is then the number of fewest digits
    that leaves the same residual, which the plugin's own reference computes. Raise what the
    findings raise.
    """
    sizes, counts = family.finding("feature_maps").value, family.finding("boxes_per_location").value
    reason = _misfit(op, sizes, counts)
    if reason:
        return GridFit({}, float("inf"), reason)
    anchors = family.finding("anchors").value
    square = op == "GridAnchor_TRT"
    maps = [h for h, _ in sizes] if square else [n for pair in sizes for n in pair]
    fixed = {
        "numLayers": len(sizes),
        "featureMapShapes": maps,
        "variance": list(family.finding("coder").value),
    }
    scales, ratios = _shapes(anchors, sizes, counts)
    smallest, largest = _line(scales)
    fit = _Residual(catalog, op, fixed, anchors)
    values = [smallest, largest, *map(float, ratios)]
    if fit.of(values) <= RESIDUAL_BOUND:
        values = _short(fit, values)
    return GridFit({**fixed, **_named(values)}, fit.of(values))


def _misfit(op: str, sizes: Sequence[tuple[int, int]], counts: Sequence[int]) -> str:
    if len(sizes) < 2:
        return f"it has {len(sizes)} feature map; {op} needs two or more"
    if op == "GridAnchor_TRT" and any(h != w for h, w in sizes):
        h, w = next(size for size in sizes if size[0] != size[1])
        return f"it has a feature map of {h} x {w}; {op} takes square ones"
    if counts[0] != 3:
        return f"its first feature map has {counts[0]} boxes a cell; {op} puts 3 there"
    if len(set(counts[1:])) != 1 or counts[1] < 4:
        return (
            f"its feature maps have {', '.join(map(str, counts[1:]))} boxes a cell after the first; "
            f"{op} puts the same number, 4 or more"
        )
    return ""


def _shapes(
    anchors: np.ndarray, sizes: Sequence[tuple[int, int]], counts: Sequence[int]
) -> tuple[np.ndarray, np.ndarray]:
    """Return float64[layers], the scale of each layer, and float64[ratios], width to height."""
    wide = anchors.astype(np.float64)
    scales: list[float] = []
    logs: list[np.ndarray] = []
    at = 0
    for (height, width), count in zip(sizes, counts, strict=True):
        layer = wide[at : at + height * width * count].reshape(-1, count, 4)
        at += height * width * count
        h, w = (np.maximum(layer[:, :, i + 2] - layer[:, :, i], 1e-12).mean(axis=0) for i in (0, 1))
        # The first layer's first box has a size of its own, the other layers' last box lies between two
        # sizes.
        used = slice(1, None) if not scales else slice(None, -1)
        scales.append(float(np.exp(np.log(h * w)[used].mean() / 2)))
        if len(scales) > 1:
            logs.append(np.log(w / h)[:-1])
    return np.array(scales), np.exp(np.mean(logs, axis=0))


def _line(scales: np.ndarray) -> tuple[float, float]:
    """Return the ends of the straight line through equally spaced values that leaves the least squares."""
    share = np.linspace(0, 1, len(scales))
    ends, *_ = np.linalg.lstsq(np.stack([1 - share, share], axis=1), scales, rcond=None)
    return float(ends[0]), float(ends[1])


class _Residual:
    """The largest difference between the anchors that a plugin's reference makes and a graph's."""

    def __init__(self, catalog: Catalog, op: str, fixed: Mapping[str, Any], anchors: np.ndarray) -> None:
        reference = catalog.reference(op)
        assert reference is not None, f"{op} has no reference"
        self.reference, self.fixed = reference, fixed
        self.corners = anchors[:, [1, 0, 3, 2]]

    def of(self, values: Sequence[float]) -> float:
        named = _named(values)
        if not 0 < named["minSize"] <= named["maxSize"]:
            return float("inf")
        layers = self.reference.run({**self.fixed, **named}, [])
        made = np.concatenate([layer[0, 0].reshape(-1, 4) for layer in layers])
        if made.shape != self.corners.shape:
            return float("inf")
        worst = np.abs(made - self.corners).max()
        return float(worst) if np.isfinite(worst) else float("inf")


def _named(values: Sequence[float]) -> dict[str, Any]:
    return {"minSize": values[0], "maxSize": values[1], "aspectRatios": list(values[2:])}


def _short(fit: _Residual, values: list[float]) -> list[float]:
    """Return the numbers with the fewest digits that leave the same residual."""
    limit = fit.of(values) + _SLACK
    for digits in range(1, 9):
        short = [float(f"{value:.{digits}g}") for value in values]
        if fit.of(short) <= limit:
            values = short
            break
    for position, value in enumerate(values):
        for digits in range(1, 9):
            rounded = float(f"{value:.{digits}g}")
            tried = [*values[:position], rounded, *values[position + 1 :]]
            if rounded == value or fit.of(tried) <= limit:
                values = tried
                break
    return values
