"""Shape of InstanceNormalization_TRT."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from surgeon.graph import DType, TensorSpec
from surgeon.kernels.shapes import check_dim, check_rank

OP = "InstanceNormalization_TRT"


def outputs(fields: Mapping[str, Any], inputs: Sequence[TensorSpec]) -> list[TensorSpec]:
    """Return float32 of the input's shape.

    Raise SurgeonError C109 for an input of other than four or five axes, or with channels that have no scale.
    """
    check_rank(OP, 0, inputs[0], 4, 5)
    check_dim(OP, 0, inputs[0], 1, len(fields["scales"]), why=f"there are {len(fields['scales'])} scales")
    return [TensorSpec(DType.FLOAT32, inputs[0].shape)]


def check(fields: Mapping[str, Any]) -> list[str]:
    """Return what is wrong between the fields."""
    scales, bias = len(fields["scales"]), len(fields["bias"])
    return (
        [f"'scales' has {scales} numbers and 'bias' has {bias}; expected as many"] if scales != bias else []
    )
