"""Shape of BatchTilePlugin_TRT."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from surgeon.graph import TensorSpec
from surgeon.kernels.shapes import check_dim, dim


def outputs(fields: Mapping[str, Any], inputs: Sequence[TensorSpec]) -> list[TensorSpec]:
    """Return float32[N, C, H, W], N from the first input.

    Raise SurgeonError C109 where the second has several pictures.
    """
    batch, x = inputs
    check_dim("BatchTilePlugin_TRT", 1, x, 0, 1, why="one picture is repeated")
    return [TensorSpec.of("float32", dim(batch, 0), dim(x, 1), dim(x, 2), dim(x, 3))]
