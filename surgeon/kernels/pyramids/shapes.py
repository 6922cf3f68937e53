"""Shapes of regions of a feature pyramid."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from surgeon.graph import TensorSpec
from surgeon.kernels.regions.shapes import BOX
from surgeon.kernels.shapes import check_dim, common_dim, dim


def check_pyramid_roi_align(fields: Mapping[str, Any]) -> list[str]:
    """Return what is wrong between the fields."""
    # Versions before these fields compute as legacy does.
    aligned = fields.get("legacy", 1) or fields.get("roi_coords_transform") == -1
    if fields["pooled_size"] > 1 or not aligned:
        return []
    return [
        "'pooled_size' is 1; with 'legacy' 1 or 'roi_coords_transform' -1 the plugin divides by pooled_size "
        "- 1; expected 2 or more"
    ]


def multilevel_crop_and_resize(fields: Mapping[str, Any], inputs: Sequence[TensorSpec]) -> list[TensorSpec]:
    """Return float32[N, R, C, pooled_size, pooled_size] of regions and the maps of a feature pyramid.

    Raise UnfitInput where the inputs do not go together.
    """
    rois = inputs[0]
    check_dim(0, rois, 2, 4, why=BOX)
    levels = range(1, len(inputs))
    pictures = common_dim("pictures", inputs, (0, 0), *((level, 0) for level in levels))
    channels = common_dim("channels", inputs, *((level, 1) for level in levels))
    return [
        TensorSpec.of(
            "float32", pictures, dim(rois, 1), channels, fields["pooled_size"], fields["pooled_size"]
        )
    ]


pyramid_roi_align = multilevel_crop_and_resize
