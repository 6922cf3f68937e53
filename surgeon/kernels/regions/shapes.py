"""Shape rules that plugins of regions of interest share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from surgeon.graph import TensorSpec
from surgeon.kernels.shapes import check_dim, common_dim, dim

BOX = "a region is four coordinates"


def crop_and_resize(fields: Mapping[str, Any], inputs: Sequence[TensorSpec]) -> list[TensorSpec]:
    """Return float32[N, R, C, crop_height, crop_width].

    Raise UnfitInput where the inputs do not go together.
    """
    features, rois = inputs
    check_dim(1, rois, 2, 4, why=BOX)
    check_dim(1, rois, 3, 1, why=BOX)
    pictures = common_dim("pictures", inputs, (0, 0), (1, 0))
    return [
        TensorSpec.of(
            "float32", pictures, dim(rois, 1), dim(features, 1), fields["crop_height"], fields["crop_width"]
        )
    ]
