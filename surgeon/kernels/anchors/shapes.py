"""Shapes of anchors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from surgeon.graph import TensorSpec


def grid_anchors(fields: Mapping[str, Any], inputs: Sequence[TensorSpec]) -> list[TensorSpec]:
    """Return float32[1, 2, 4P, 1] for each square feature map.

    P counts the boxes of all cells: 3 a cell on the first map, one more than the ratios on the others.
    """
    return _anchors(fields, [side * side for side in fields["featureMapShapes"]])


def grid_anchors_rect(fields: Mapping[str, Any], inputs: Sequence[TensorSpec]) -> list[TensorSpec]:
    """Return the same for feature maps of any height and width."""
    sizes = fields["featureMapShapes"]
    return _anchors(fields, [height * width for height, width in zip(sizes[::2], sizes[1::2], strict=True)])


def check_grid_anchors(fields: Mapping[str, Any]) -> list[str]:
    """Return what is wrong between the fields."""
    layers, sides = fields["numLayers"], len(fields["featureMapShapes"])
    wrong = f"'featureMapShapes' has {sides} sides and 'numLayers' is {layers}; expected one side a layer"
    return _check_grid(fields, "" if sides == layers else wrong)


def check_grid_anchors_rect(fields: Mapping[str, Any]) -> list[str]:
    """Return what is wrong between the fields."""
    layers, numbers = fields["numLayers"], len(fields["featureMapShapes"])
    wrong = (
        f"'featureMapShapes' has {numbers} numbers and 'numLayers' is {layers}; expected a height and a "
        "width a layer"
    )
    return _check_grid(fields, "" if numbers == 2 * layers else wrong)


def _anchors(fields: Mapping[str, Any], cells: Sequence[int]) -> list[TensorSpec]:
    more = len(fields["aspectRatios"]) + 1
    return [
        TensorSpec.of("float32", 1, 2, 4 * count * (more if k else 3), 1) for k, count in enumerate(cells)
    ]


def _check_grid(fields: Mapping[str, Any], problem: str) -> list[str]:
    problems = [problem] if problem else []
    if fields["numLayers"] == 1:
        problems.append(
            "'numLayers' is 1; the plugin divides by numLayers - 1, so a single layer's boxes are not numbers"
        )
    if fields["minSize"] > fields["maxSize"]:
        problems.append(
            f"'minSize' {fields['minSize']:g} is above 'maxSize' {fields['maxSize']:g}; expected it below"
        )
    return problems
