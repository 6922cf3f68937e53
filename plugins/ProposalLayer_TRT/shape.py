"""Shape of ProposalLayer_TRT."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from surgeon.graph import TensorSpec
from surgeon.kernels.mask_rcnn.numbers import STRIDES, proposal_anchor_count
from surgeon.kernels.shapes import check_dim, common_dim

OP = "ProposalLayer_TRT"
FIXED_SIZE = (3, 1024, 1024)
"""The picture of versions without the field image_size."""


def outputs(fields: Mapping[str, Any], inputs: Sequence[TensorSpec]) -> list[TensorSpec]:
    """Return float32[N, keep_topk, 4].

    Raise SurgeonError C109 where the inputs do not have a row for each anchor of the picture, or differ in
    the batch.
    """
    anchors = proposal_anchor_count(fields["image_size"])
    for index, width in ((0, 2), (1, 4)):
        check_dim(OP, index, inputs[index], 1, anchors, why=_why(fields["image_size"]))
        check_dim(OP, index, inputs[index], 2, width, why="two scores and four encodings of an anchor")
        check_dim(OP, index, inputs[index], 3, 1, why="two scores and four encodings of an anchor")
    return [
        TensorSpec.of("float32", common_dim(OP, "pictures", inputs, (0, 0), (1, 0)), fields["keep_topk"], 4)
    ]


def check(fields: Mapping[str, Any]) -> list[str]:
    """Return what is wrong between the fields."""
    problems = []
    image_size = fields.get("image_size", FIXED_SIZE)
    anchors, most = proposal_anchor_count(image_size), fields["prenms_topk"]
    if image_size[0] != 3:
        problems.append(f"'image_size' has {image_size[0]} channels; expected 3, height, width")
    if most > anchors:
        problems.append(
            f"'prenms_topk' is {most} and 'image_size' makes {anchors} anchors; expected no more than there "
            "are, "
            "for the plugin reads past them"
        )
    return problems


def _why(image_size: Sequence[int]) -> str:
    strides = ", ".join(map(str, STRIDES))
    return (
        f"a picture of {image_size[1]} x {image_size[2]} has three anchors in each cell of {strides} pixels"
    )
