"""Shapes of the EfficientNMS plugins."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from surgeon.graph import TensorSpec
from surgeon.kernels.shapes import check_dim, common_dim
from surgeon.kernels.suppression.shapes import candidates, kept_rows


def efficient_nms(fields: Mapping[str, Any], inputs: Sequence[TensorSpec]) -> list[TensorSpec]:
    """Return int32[N, 1], float32[N, K, 4], float32[N, K] and int32[N, K], K being max_output_boxes.

    Raise UnfitInput where the sizes of the inputs are known and do not go together.
    """
    pictures = candidates(inputs).pictures
    if len(inputs) == 3:
        check_dim(
            2, inputs[2], 0, 1, pictures, why="anchors are for all pictures, or each picture has its own"
        )
        check_dim(2, inputs[2], 2, 4, why="an anchor is four coordinates")
        common_dim("boxes", inputs, (0, 1), (1, 1), (2, 1))
    return [TensorSpec.of("int32", pictures, 1), *kept_rows(pictures, fields["max_output_boxes"], "int32")]


def efficient_nms_indices(fields: Mapping[str, Any], inputs: Sequence[TensorSpec]) -> list[TensorSpec]:
    """Return int32[N K, 3], K being max_output_boxes_per_class; None while the number of pictures is unknown.

    Raise UnfitInput where the sizes of the inputs are known and do not go together.
    """
    pictures = candidates(inputs).pictures
    most = fields["max_output_boxes_per_class"]
    return [TensorSpec.of("int32", None if pictures is None else pictures * most, 3)]


def combined_nms(fields: Mapping[str, Any], inputs: Sequence[TensorSpec]) -> list[TensorSpec]:
    """Return int32[N, 1], float32[N, K, 4], float32[N, K] and int32[N, K].

    K is max_total_size, or with pad_per_class the rows of all classes together, where these are fewer. Raise
    UnfitInput where the sizes of the inputs are known and do not go together.
    """
    pictures, rows = _combined(fields, inputs)
    return [TensorSpec.of("int32", pictures, 1), *rows]


def combined_nms_implicit(fields: Mapping[str, Any], inputs: Sequence[TensorSpec]) -> list[TensorSpec]:
    """Return the same with the number of detections as int32[N]."""
    pictures, rows = _combined(fields, inputs)
    return [TensorSpec.of("int32", pictures), *rows]


def _combined(fields: Mapping[str, Any], inputs: Sequence[TensorSpec]) -> tuple[int | None, list[TensorSpec]]:
    """Return the number of pictures, and the boxes, scores and classes of a CombinedNonMaxSuppression.

    There are max_total_size rows, or with pad_per_class the rows that all classes together may have, where
    these are fewer. Raise UnfitInput where the inputs do not fit one another.
    """
    sizes = candidates(inputs)
    most: int | None = fields["max_total_size"]
    of_class = fields["max_output_size_per_class"]
    if fields["pad_per_class"] and of_class > 0:
        most = None if sizes.classes is None else min(fields["max_total_size"], of_class * sizes.classes)
    return sizes.pictures, kept_rows(sizes.pictures, most, "int32")
