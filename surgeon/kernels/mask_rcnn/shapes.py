"""Shapes of a Mask R-CNN."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from surgeon.display import plural
from surgeon.graph import TensorSpec
from surgeon.kernels.mask_rcnn.numbers import LEVELS, STRIDES, level_anchor_count, proposal_anchor_count
from surgeon.kernels.regions.shapes import BOX
from surgeon.kernels.shapes import check_dim, common_dim, dim


def special_slice(fields: Mapping[str, Any], inputs: Sequence[TensorSpec]) -> list[TensorSpec]:
    """Return float32[N, K, 4]; raise UnfitInput where the input's rows are not of six numbers."""
    (detections,) = inputs
    check_dim(0, detections, 2, 6, why="a row is a box, a class and a score")
    return [TensorSpec.of("float32", dim(detections, 0), dim(detections, 1), 4)]


PROPOSAL_SIZE = (3, 1024, 1024)
"""The picture of versions without the field image_size."""


def proposal_layer(fields: Mapping[str, Any], inputs: Sequence[TensorSpec]) -> list[TensorSpec]:
    """Return float32[N, keep_topk, 4].

    Raise UnfitInput where the inputs do not have a row for each anchor of the picture, or differ in
    the batch.
    """
    anchors = proposal_anchor_count(fields["image_size"])
    for index, width in ((0, 2), (1, 4)):
        check_dim(index, inputs[index], 1, anchors, why=_why(fields["image_size"]))
        check_dim(index, inputs[index], 2, width, why="two scores and four encodings of an anchor")
        check_dim(index, inputs[index], 3, 1, why="two scores and four encodings of an anchor")
    return [TensorSpec.of("float32", common_dim("pictures", inputs, (0, 0), (1, 0)), fields["keep_topk"], 4)]


def check_proposal_layer(fields: Mapping[str, Any]) -> list[str]:
    """Return what is wrong between the fields."""
    problems = []
    image_size = fields.get("image_size", PROPOSAL_SIZE)
    anchors, most = proposal_anchor_count(image_size), fields["prenms_topk"]
    if image_size[0] != 3:
        problems.append(f"'image_size' has {image_size[0]} channels; expected 3, height, width")
    if most > anchors:
        problems.append(
            f"'prenms_topk' is {most} and 'image_size' makes {plural(anchors, 'anchor')}; expected no more "
            "than there "
            "are, "
            "for the plugin reads past them"
        )
    return problems


def _why(image_size: Sequence[int]) -> str:
    strides = ", ".join(map(str, STRIDES))
    return (
        f"a picture of {image_size[1]} x {image_size[2]} has three anchors in each cell of {strides} pixels"
    )


MULTILEVEL_SIZE = (3, 832, 1344)
"""The picture of versions without the field image_size."""


def multilevel_propose_roi(fields: Mapping[str, Any], inputs: Sequence[TensorSpec]) -> list[TensorSpec]:
    """Return float32[N, keep_topk, 4].

    Raise UnfitInput where the inputs do not have a row for each anchor of their level, or differ in
    the batch.
    """
    _, height, width = fields["image_size"]
    for k, level in enumerate(LEVELS):
        anchors = level_anchor_count(level, height, width)
        why = (
            f"a picture of {height} x {width} has three anchors for each middle of a cell of "
            f"{2**level} pixels"
        )
        for index, numbers in ((2 * k, 4), (2 * k + 1, 1)):
            check_dim(index, inputs[index], 1, anchors, why=why)
            check_dim(index, inputs[index], 2, numbers, why="deltas and scores alternate")
            check_dim(index, inputs[index], 3, 1, why="deltas and scores alternate")
    pictures = common_dim("pictures", inputs, *((index, 0) for index in range(len(inputs))))
    return [TensorSpec.of("float32", pictures, fields["keep_topk"], 4)]


def check_multilevel_propose_roi(fields: Mapping[str, Any]) -> list[str]:
    """Return what is wrong between the fields."""
    _, height, width = fields.get("image_size", MULTILEVEL_SIZE)
    if level_anchor_count(LEVELS[-1], height, width):
        return []
    least = 2 ** (LEVELS[-1] - 1)
    return [
        f"'image_size' is {height} x {width}; expected more than {least} each, for level {LEVELS[-1]} has no "
        "anchor otherwise"
    ]


def detection_layer(fields: Mapping[str, Any], inputs: Sequence[TensorSpec]) -> list[TensorSpec]:
    """Return float32[N, keep_topk, 6] of deltas, scores and regions.

    Raise UnfitInput where they do not fit num_classes or one another, and for more regions than
    :data:`MOST_REGIONS`.
    """
    classes, axes = fields["num_classes"], ((0, 1), (1, 1), (2, 1))
    for index, wanted in ((0, 4 * classes), (1, classes)):
        check_dim(index, inputs[index], 2, wanted, why=f"num_classes is {classes}")
        for axis in (3, 4):
            check_dim(index, inputs[index], axis, 1, why="each region has one row of numbers")
    check_dim(2, inputs[2], 2, 4, why=BOX)
    regions = common_dim("regions", inputs, *axes)
    if regions is not None and regions > MOST_REGIONS:
        index = next(index for index, axis in axes if dim(inputs[index], axis) is not None)
        check_dim(
            index,
            inputs[index],
            1,
            MOST_REGIONS,
            why=f"the kernel's arrays hold at most {MOST_REGIONS} regions",
        )
    return [
        TensorSpec.of(
            "float32", common_dim("pictures", inputs, (0, 0), (1, 0), (2, 0)), fields["keep_topk"], 6
        )
    ]


MOST_REGIONS = 1024
"""Regions of a picture that DetectionLayer_TRT and GenerateDetection_TRT have room for.

4 for each of 256 threads.
"""


generate_detection = detection_layer
