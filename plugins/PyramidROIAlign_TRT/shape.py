"""Shape of PyramidROIAlign_TRT."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from surgeon.graph import TensorSpec
from surgeon.kernels.regions.shapes import pyramid


def outputs(fields: Mapping[str, Any], inputs: Sequence[TensorSpec]) -> list[TensorSpec]:
    """Return float32[N, R, C, pooled_size, pooled_size].

    Raise SurgeonError C109 where the inputs do not go together.
    """
    return pyramid("PyramidROIAlign_TRT", fields, inputs)


def check(fields: Mapping[str, Any]) -> list[str]:
    """Return what is wrong between the fields."""
    # Versions before these fields compute as legacy does.
    aligned = fields.get("legacy", 1) or fields.get("roi_coords_transform") == -1
    if fields["pooled_size"] > 1 or not aligned:
        return []
    return [
        "'pooled_size' is 1; with 'legacy' 1 or 'roi_coords_transform' -1 the plugin divides by pooled_size "
        "- 1; expected 2 or more"
    ]
