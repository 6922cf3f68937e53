"""Shapes of what is normalized."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from surgeon.graph import DType, TensorSpec
from surgeon.kernels.shapes import check_dim, check_rank


def normalize(fields: Mapping[str, Any], inputs: Sequence[TensorSpec]) -> list[TensorSpec]:
    """Return float32 of the input's shape.

    Raise UnfitInput where weights and channels differ in number.
    """
    if not fields["channelShared"]:
        count = len(fields["weights"])
        check_dim(0, inputs[0], 1, count, why=f"channelShared is 0 and there are {count} weights")
    return [TensorSpec(DType.FLOAT32, inputs[0].shape)]


def check_normalize(fields: Mapping[str, Any]) -> list[str]:
    """Return what is wrong between the fields."""
    count = len(fields["weights"])
    if fields["channelShared"] and count != 1:
        return [f"'weights' has {count} numbers and 'channelShared' is 1; expected one number"]
    return []


def instance_normalization(fields: Mapping[str, Any], inputs: Sequence[TensorSpec]) -> list[TensorSpec]:
    """Return float32 of the input's shape.

    Raise UnfitInput for an input of other than four or five axes, or with channels that have no scale.
    """
    check_rank(0, inputs[0], 4, 5)
    check_dim(0, inputs[0], 1, len(fields["scales"]), why=f"there are {len(fields['scales'])} scales")
    return [TensorSpec(DType.FLOAT32, inputs[0].shape)]


def check_instance_normalization(fields: Mapping[str, Any]) -> list[str]:
    """Return what is wrong between the fields."""
    scales, bias = len(fields["scales"]), len(fields["bias"])
    return (
        [f"'scales' has {scales} numbers and 'bias' has {bias}; expected as many"] if scales != bias else []
    )
