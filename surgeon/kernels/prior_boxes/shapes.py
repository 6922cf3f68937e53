"""The shape of prior boxes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from surgeon.catalog.fields import float32
from surgeon.graph import TensorSpec
from surgeon.kernels.shapes import dim

CLOSE = 1e-6
"""Ratios that differ by less are one."""


def prior_boxes(fields: Mapping[str, Any], inputs: Sequence[TensorSpec]) -> list[TensorSpec]:
    """Return float32[1, 2, 4P, 1]; that axis is None while the size of the feature map is unknown.

    P counts the boxes of all cells of the feature map.
    """
    height, width = dim(inputs[0], 2), dim(inputs[0], 3)
    larger = 1 if fields["maxSize"] else 0
    boxes = len(fields["minSize"]) * (_ratios(fields["aspectRatios"], bool(fields["flip"])) + larger)
    length = None if height is None or width is None else 4 * height * width * boxes
    return [TensorSpec.of("float32", 1, 2, length, 1)]


def check_prior_boxes(fields: Mapping[str, Any]) -> list[str]:
    """Return what is wrong between the fields."""
    least, most = fields["minSize"], fields["maxSize"]
    if most and len(most) != len(least):
        return [
            f"'maxSize' has {len(most)} numbers and 'minSize' has {len(least)}; expected as many, or none"
        ]
    return [
        f"'maxSize' {high:g} is not above 'minSize' {low:g}, item {i}; expected it above"
        for i, (low, high) in enumerate(zip(least, most, strict=False))
        if high <= low
    ][:1]


def _ratios(given: Sequence[float], flip: bool) -> int:
    """Return the number of ratios of a cell: 1, each new one, and its inverse where ``flip`` holds.

    Inverses are computed in float32.
    """
    found = [1.0]
    for ratio in given:
        if all(abs(ratio - other) >= CLOSE for other in found):
            found += [ratio, float32(1 / ratio) or 0.0] if flip else [ratio]
    return len(found)
