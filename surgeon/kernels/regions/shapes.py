"""Shape rules that plugins of regions of interest share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from surgeon.graph import TensorSpec
from surgeon.kernels.shapes import check_dim, common_dim, dim

BOX = "a region is four coordinates"


def crop_and_resize(op: str, fields: Mapping[str, Any], inputs: Sequence[TensorSpec]) -> list[TensorSpec]:
    """Return float32[N, R, C, crop_height, crop_width].

    Raise SurgeonError C109 where the inputs do not go together.
    """
    features, rois = inputs
    check_dim(op, 1, rois, 2, 4, why=BOX)
    check_dim(op, 1, rois, 3, 1, why=BOX)
    pictures = common_dim(op, "pictures", inputs, (0, 0), (1, 0))
    return [
        TensorSpec.of(
            "float32", pictures, dim(rois, 1), dim(features, 1), fields["crop_height"], fields["crop_width"]
        )
    ]


def pyramid(op: str, fields: Mapping[str, Any], inputs: Sequence[TensorSpec]) -> list[TensorSpec]:
    """Return float32[N, R, C, pooled_size, pooled_size] of regions and the maps of a feature pyramid.

    Raise SurgeonError C109 where the inputs do not go together.
    """
    rois = inputs[0]
    check_dim(op, 0, rois, 2, 4, why=BOX)
    levels = range(1, len(inputs))
    pictures = common_dim(op, "pictures", inputs, (0, 0), *((level, 0) for level in levels))
    channels = common_dim(op, "channels", inputs, *((level, 1) for level in levels))
    return [
        TensorSpec.of(
            "float32", pictures, dim(rois, 1), channels, fields["pooled_size"], fields["pooled_size"]
        )
    ]


def proposal(op: str, fields: Mapping[str, Any], inputs: Sequence[TensorSpec]) -> list[TensorSpec]:
    """Return float32[N, post_nms_top_n, 4, 1].

    Raise SurgeonError C109 where the inputs do not fit the anchors or one another.
    """
    sizes, ratios = len(fields["anchor_sizes"]), len(fields["anchor_ratios"])
    anchors, why = (
        sizes * ratios,
        f"{sizes} anchor_sizes x {ratios} anchor_ratios are {sizes * ratios} anchors of a cell",
    )
    check_dim(op, 0, inputs[0], 1, anchors, why=why)
    check_dim(op, 1, inputs[1], 1, 4 * anchors, why=why)
    for axis, what in ((2, "rows"), (3, "columns")):
        common_dim(op, what, inputs, (0, axis), (1, axis))
    return [
        TensorSpec.of(
            "float32", common_dim(op, "pictures", inputs, (0, 0), (1, 0)), fields["post_nms_top_n"], 4, 1
        )
    ]


def detections(op: str, fields: Mapping[str, Any], inputs: Sequence[TensorSpec]) -> list[TensorSpec]:
    """Return float32[N, keep_topk, 6] of deltas, scores and regions.

    Raise SurgeonError C109 where they do not fit num_classes or one another, and for more regions than
    :data:`MOST_REGIONS`.
    """
    classes, axes = fields["num_classes"], ((0, 1), (1, 1), (2, 1))
    for index, wanted in ((0, 4 * classes), (1, classes)):
        check_dim(op, index, inputs[index], 2, wanted, why=f"num_classes is {classes}")
        for axis in (3, 4):
            check_dim(op, index, inputs[index], axis, 1, why="each region has one row of numbers")
    check_dim(op, 2, inputs[2], 2, 4, why=BOX)
    regions = common_dim(op, "regions", inputs, *axes)
    if regions is not None and regions > MOST_REGIONS:
        index = next(index for index, axis in axes if dim(inputs[index], axis) is not None)
        check_dim(
            op,
            index,
            inputs[index],
            1,
            MOST_REGIONS,
            why=f"the kernel's arrays hold at most {MOST_REGIONS} regions",
        )
    return [
        TensorSpec.of(
            "float32", common_dim(op, "pictures", inputs, (0, 0), (1, 0), (2, 0)), fields["keep_topk"], 6
        )
    ]


MOST_REGIONS = 1024
"""Regions of a picture that DetectionLayer_TRT and GenerateDetection_TRT have room for.

4 for each of 256 threads.
"""
