"""Shapes of BatchedNMS."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from surgeon.graph import TensorSpec
from surgeon.kernels.shapes import check_dim
from surgeon.kernels.suppression.shapes import candidates, check_kept, kept_rows


def batched_nms(fields: Mapping[str, Any], inputs: Sequence[TensorSpec]) -> list[TensorSpec]:
    """Return int32[N, 1], float32[N, keepTopK, 4], float32[N, keepTopK] and float32[N, keepTopK].

    Raise UnfitInput where the sizes of the inputs are known and do not go together.
    """
    pictures, rows = _kept(fields, inputs)
    return [TensorSpec.of("int32", pictures, 1), *rows]


def batched_nms_implicit(fields: Mapping[str, Any], inputs: Sequence[TensorSpec]) -> list[TensorSpec]:
    """Return the same with the number of detections as int32[N]."""
    pictures, rows = _kept(fields, inputs)
    return [TensorSpec.of("int32", pictures), *rows]


def check(fields: Mapping[str, Any]) -> list[str]:
    """Return what is wrong between the fields."""
    return check_kept(fields)


def _kept(fields: Mapping[str, Any], inputs: Sequence[TensorSpec]) -> tuple[int | None, list[TensorSpec]]:
    """Return the number of pictures, and the boxes, scores and classes that BatchedNMS_TRT keeps.

    They have keepTopK rows. Raise UnfitInput where the inputs do not fit one another, numClasses or
    shareLocation.
    """
    sizes = candidates(inputs, shared_axis=False)
    classes = fields["numClasses"]
    check_dim(1, inputs[1], 2, classes, why=f"numClasses is {classes}")
    owners = 1 if fields["shareLocation"] else classes
    check_dim(
        0,
        inputs[0],
        2,
        owners,
        why=f"shareLocation is {fields['shareLocation']} and numClasses is {classes}",
    )
    return sizes.pictures, kept_rows(sizes.pictures, fields["keepTopK"], "float32")
