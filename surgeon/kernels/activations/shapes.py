"""Shapes of activation functions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from surgeon.graph import DType, TensorSpec


def clip(fields: Mapping[str, Any], inputs: Sequence[TensorSpec]) -> list[TensorSpec]:
    """Return float32 of the input's shape."""
    return [TensorSpec(DType.FLOAT32, inputs[0].shape)]


def check_clip(fields: Mapping[str, Any]) -> list[str]:
    """Return what is wrong between the fields."""
    low, high = fields["clipMin"], fields["clipMax"]
    return [f"'clipMin' {low:g} is above 'clipMax' {high:g}; expected it below"] if low > high else []


def leaky_relu(fields: Mapping[str, Any], inputs: Sequence[TensorSpec]) -> list[TensorSpec]:
    """Return float32 of the input's shape."""
    return [TensorSpec(DType.FLOAT32, inputs[0].shape)]


def activation(fields: Mapping[str, Any], inputs: Sequence[TensorSpec]) -> list[TensorSpec]:
    """Return float32 of the input's shape."""
    return [TensorSpec(DType.FLOAT32, inputs[0].shape)]


def check_activation(fields: Mapping[str, Any]) -> list[str]:
    """Return what is wrong between the fields."""
    missing = fields["type"] == 0 and "alpha" not in fields
    return ["'alpha' is missing; expected it where 'type' is 0, leakyRelu"] if missing else []
