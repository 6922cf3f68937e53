"""Shape of LReLU_TRT."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from surgeon.graph import DType, TensorSpec


def outputs(fields: Mapping[str, Any], inputs: Sequence[TensorSpec]) -> list[TensorSpec]:
    """Return float32 of the input's shape."""
    return [TensorSpec(DType.FLOAT32, inputs[0].shape)]
