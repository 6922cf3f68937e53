"""Shapes of what goes into suppression and of what is kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from surgeon.graph import TensorSpec
from surgeon.kernels.shapes import check_dim, check_rank, common_dim, dim


class CandidateSizes(NamedTuple):
    """Sizes of what goes into suppression, None where unknown."""

    pictures: int | None
    boxes: int | None
    classes: int | None


def candidates(inputs: Sequence[TensorSpec], shared_axis: bool = True) -> CandidateSizes:
    """Return the sizes of boxes and scores.

    Boxes are [N, P, 4] or [N, P, L, 4] with L 1 or C, scores [N, P, C] or [N, P, C, 1]. Without
    ``shared_axis`` boxes always have the axis L. Raise UnfitInput where inputs contradict this.
    """
    boxes, scores = inputs[:2]
    check_rank(0, boxes, *((3, 4) if shared_axis else (4,)))
    check_rank(1, scores, 3, 4)
    check_dim(0, boxes, -1, 4, why="a box is four coordinates")
    if scores.shape.rank == 4:
        check_dim(1, scores, 3, 1, why="scores are [N, P, C] or [N, P, C, 1]")
    classes = dim(scores, 2)
    if boxes.shape.rank == 4:
        check_dim(0, boxes, 2, 1, classes, why="a box is for all classes, or each class has its own")
    return CandidateSizes(
        common_dim("pictures", inputs, (0, 0), (1, 0)),
        common_dim("boxes", inputs, (0, 1), (1, 1)),
        classes,
    )


def kept_rows(pictures: int | None, most: int | None, label_type: str) -> list[TensorSpec]:
    """Return the boxes, scores and classes of the K rows that each picture has.

    Boxes are float32[N, K, 4], scores float32[N, K].
    """
    return [
        TensorSpec.of("float32", pictures, most, 4),
        TensorSpec.of("float32", pictures, most),
        TensorSpec.of(label_type, pictures, most),
    ]


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
