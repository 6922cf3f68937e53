"""Shape of SurgeonActivation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from surgeon.graph import DType, TensorSpec


def outputs(fields: Mapping[str, Any], inputs: Sequence[TensorSpec]) -> list[TensorSpec]:
    """Return float32 of the input's shape."""
    return [TensorSpec(DType.FLOAT32, inputs[0].shape)]


def check(fields: Mapping[str, Any]) -> list[str]:
    """Return what is wrong between the fields."""
    missing = fields["type"] == 0 and "alpha" not in fields
    return ["'alpha' is missing; expected it where 'type' is 0, leakyRelu"] if missing else []
