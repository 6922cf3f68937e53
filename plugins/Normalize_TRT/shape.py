"""Shape of Normalize_TRT."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from surgeon.graph import DType, TensorSpec
from surgeon.kernels.shapes import check_dim


def outputs(fields: Mapping[str, Any], inputs: Sequence[TensorSpec]) -> list[TensorSpec]:
    """Return float32 of the input's shape.

    Raise SurgeonError C109 where weights and channels differ in number.
    """
    if not fields["channelShared"]:
        count = len(fields["weights"])
        check_dim(
            "Normalize_TRT", 0, inputs[0], 1, count, why=f"channelShared is 0 and there are {count} weights"
        )
    return [TensorSpec(DType.FLOAT32, inputs[0].shape)]


def check(fields: Mapping[str, Any]) -> list[str]:
    """Return what is wrong between the fields."""
    count = len(fields["weights"])
    if fields["channelShared"] and count != 1:
        return [f"'weights' has {count} numbers and 'channelShared' is 1; expected one number"]
    return []
