"""The axes of a matrix."""

from __future__ import annotations

from typing import Literal, get_args

Axis = Literal[
    "model",
    "recipe",
    "target",
    "precision",
    "gpu",
    "tensorrt",
    "dataset",
    "parameters",
    "anchors",
    "decode",
    "suppression",
    "inputs",
    "constants",
]

AXES: tuple[str, ...] = get_args(Axis)
"""The axes, in the order of a cell's name."""

TEXT_AXES = AXES[: AXES.index("dataset") + 1]
"""Axes whose values stand in a cell's name as they are."""
