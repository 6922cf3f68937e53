"""Shapes of GridAnchor_TRT."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from surgeon.graph import TensorSpec


def outputs(fields: Mapping[str, Any], inputs: Sequence[TensorSpec]) -> list[TensorSpec]:
    """Return float32[1, 2, 4P, 1] for each layer.

    P is 3 boxes a cell on the first, one more than the ratios on the rest.
    """
    more = len(fields["aspectRatios"]) + 1
    sides = fields["featureMapShapes"]
    return [
        TensorSpec.of("float32", 1, 2, 4 * side * side * (more if k else 3), 1)
        for k, side in enumerate(sides)
    ]


def check(fields: Mapping[str, Any]) -> list[str]:
    """Return what is wrong between the fields."""
    problems = []
    layers, sides = fields["numLayers"], fields["featureMapShapes"]
    if len(sides) != layers:
        problems.append(
            f"'featureMapShapes' has {len(sides)} sides and 'numLayers' is {layers}; expected one side a "
            "layer"
        )
    if layers == 1:
        problems.append(
            "'numLayers' is 1; the plugin divides by numLayers - 1, so a single layer's boxes are not numbers"
        )
    if fields["minSize"] > fields["maxSize"]:
        problems.append(
            f"'minSize' {fields['minSize']:g} is above 'maxSize' {fields['maxSize']:g}; expected it below"
        )
    return problems
