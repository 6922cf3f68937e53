"""Activation functions, in numpy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np


def clip(
    fields: Mapping[str, Any], inputs: Sequence[np.ndarray], changes: frozenset[str] = frozenset()
) -> list[np.ndarray]:
    """Return the input, of any shape, with each element clipped to the range."""
    return [np.clip(inputs[0], np.float32(fields["clipMin"]), np.float32(fields["clipMax"]))]


def leaky_relu(
    fields: Mapping[str, Any], inputs: Sequence[np.ndarray], changes: frozenset[str] = frozenset()
) -> list[np.ndarray]:
    """Return the input, float32 of any shape, with what is not above 0 multiplied by the slope."""
    x = inputs[0]
    return [np.where(x > 0, x, x * np.float32(fields["negSlope"]))]


LEAKY_RELU, HARD_SWISH = 0, 1


def activation(
    fields: Mapping[str, Any], inputs: Sequence[np.ndarray], changes: frozenset[str] = frozenset()
) -> list[np.ndarray]:
    """Return the input, float32 of any shape, each element through the activation function."""
    x = inputs[0]
    if fields["type"] == LEAKY_RELU:
        return [np.where(x > 0, x, x * np.float32(fields["alpha"]))]
    bounded = np.clip(x + np.float32(3), np.float32(0), np.float32(6))
    product = x * bounded if fields["type"] == HARD_SWISH else bounded
    return [product * (np.float32(1) / np.float32(6))]
