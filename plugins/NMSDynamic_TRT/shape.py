"""Shapes of NMSDynamic_TRT, whose pictures have anchors of their own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from surgeon.graph import TensorSpec
from surgeon.kernels.detection_output.shapes import check, detection_output
from surgeon.kernels.shapes import common_dim

__all__ = ["check", "outputs"]


def outputs(fields: Mapping[str, Any], inputs: Sequence[TensorSpec]) -> list[TensorSpec]:
    """Return float32[N, 1, keepTopK, 7] and float32[N, 1, 1, 1].

    Raise UnfitInput where the sizes of the inputs are known and do not go together.
    """
    common_dim("pictures", inputs, *((index, 0) for index in fields["inputOrder"]))
    return detection_output(fields, inputs)
