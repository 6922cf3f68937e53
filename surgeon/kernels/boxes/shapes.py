"""Shape rules that plugins of non-maximum suppression share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from surgeon.graph import TensorSpec
from surgeon.kernels.shapes import check_dim, check_rank, common_dim, dim


class Candidates(NamedTuple):
    """Sizes of what goes into suppression, None where unknown."""

    pictures: int | None
    boxes: int | None
    classes: int | None


def candidates(op: str, inputs: Sequence[TensorSpec], shared_axis: bool = True) -> Candidates:
    """Return the sizes of boxes, [N, P, 4] or [N, P, L, 4] with L 1 or C, and scores, [N, P, C] or [N, P, C,
    1].

    Without ``shared_axis`` boxes have the axis L always. Raise SurgeonError C109 where inputs contradict
    this.
    """
    boxes, scores = inputs[:2]
    check_rank(op, 0, boxes, *((3, 4) if shared_axis else (4,)))
    check_rank(op, 1, scores, 3, 4)
    check_dim(op, 0, boxes, -1, 4, why="a box is four coordinates")
    if scores.shape.rank == 4:
        check_dim(op, 1, scores, 3, 1, why="scores are [N, P, C] or [N, P, C, 1]")
    classes = dim(scores, 2)
    if boxes.shape.rank == 4:
        check_dim(op, 0, boxes, 2, 1, classes, why="a box is for all classes, or each class has its own")
    return Candidates(
        common_dim(op, "pictures", inputs, (0, 0), (1, 0)),
        common_dim(op, "boxes", inputs, (0, 1), (1, 1)),
        classes,
    )


def kept_rows(pictures: int | None, most: int | None, label_type: str) -> list[TensorSpec]:
    """Return the boxes, float32[N, K, 4], scores, float32[N, K], and classes of the K rows that each picture
    has.
    """
    return [
        TensorSpec.of("float32", pictures, most, 4),
        TensorSpec.of("float32", pictures, most),
        TensorSpec.of(label_type, pictures, most),
    ]


def batched_nms(
    op: str, fields: Mapping[str, Any], inputs: Sequence[TensorSpec]
) -> tuple[int | None, list[TensorSpec]]:
    """Return the number of pictures, and boxes, scores and classes as BatchedNMS_TRT keeps them, of keepTopK
    rows.

    Raise SurgeonError C109 where the inputs do not fit one another, numClasses or shareLocation.
    """
    sizes = candidates(op, inputs, shared_axis=False)
    classes = fields["numClasses"]
    check_dim(op, 1, inputs[1], 2, classes, why=f"numClasses is {classes}")
    owners = 1 if fields["shareLocation"] else classes
    check_dim(
        op,
        0,
        inputs[0],
        2,
        owners,
        why=f"shareLocation is {fields['shareLocation']} and numClasses is {classes}",
    )
    return sizes.pictures, kept_rows(sizes.pictures, fields["keepTopK"], "float32")


def combined_nms(
    op: str, fields: Mapping[str, Any], inputs: Sequence[TensorSpec]
) -> tuple[int | None, list[TensorSpec]]:
    """Return the number of pictures, and boxes, scores and classes as TensorFlow's CombinedNonMaxSuppression
    keeps them.

    There are max_total_size rows, or with pad_per_class the rows that all classes together may have, where
    these are fewer. Raise SurgeonError C109 where the inputs do not fit one another.
    """
    sizes = candidates(op, inputs)
    most: int | None = fields["max_total_size"]
    of_class = fields["max_output_size_per_class"]
    if fields["pad_per_class"] and of_class > 0:
        most = None if sizes.classes is None else min(fields["max_total_size"], of_class * sizes.classes)
    return sizes.pictures, kept_rows(sizes.pictures, most, "int32")


def check_kept(fields: Mapping[str, Any]) -> list[str]:
    """Return what is wrong between topK, keepTopK, numClasses and backgroundLabelId."""
    problems = []
    if fields["keepTopK"] > fields["topK"]:
        problems.append(
            f"'keepTopK' is {fields['keepTopK']} and 'topK' is {fields['topK']}; expected keepTopK to be at "
            "most topK, "
            "for the plugin writes nothing otherwise"
        )
    if fields["backgroundLabelId"] >= fields["numClasses"]:
        problems.append(
            f"'backgroundLabelId' is {fields['backgroundLabelId']} and 'numClasses' is "
            f"{fields['numClasses']}; "
            "expected a class below numClasses, or -1 for none"
        )
    return problems
