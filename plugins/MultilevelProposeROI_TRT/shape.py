"""Shape of MultilevelProposeROI_TRT."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from surgeon.graph import TensorSpec
from surgeon.kernels.mask_rcnn.numbers import LEVELS, level_anchor_count
from surgeon.kernels.shapes import check_dim, common_dim

OP = "MultilevelProposeROI_TRT"
FIXED_SIZE = (3, 832, 1344)
"""The picture of versions without the field image_size."""


def outputs(fields: Mapping[str, Any], inputs: Sequence[TensorSpec]) -> list[TensorSpec]:
    """Return float32[N, keep_topk, 4].

    Raise SurgeonError C109 where the inputs do not have a row for each anchor of their level, or differ in
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
            check_dim(OP, index, inputs[index], 1, anchors, why=why)
            check_dim(OP, index, inputs[index], 2, numbers, why="deltas and scores alternate")
            check_dim(OP, index, inputs[index], 3, 1, why="deltas and scores alternate")
    pictures = common_dim(OP, "pictures", inputs, *((index, 0) for index in range(len(inputs))))
    return [TensorSpec.of("float32", pictures, fields["keep_topk"], 4)]


def check(fields: Mapping[str, Any]) -> list[str]:
    """Return what is wrong between the fields."""
    _, height, width = fields.get("image_size", FIXED_SIZE)
    if level_anchor_count(LEVELS[-1], height, width):
        return []
    least = 2 ** (LEVELS[-1] - 1)
    return [
        f"'image_size' is {height} x {width}; expected more than {least} each, for level {LEVELS[-1]} has no "
        "anchor otherwise"
    ]
