"""How outputs hold detections: rows with named columns, or a list for each property; and their masks.

A mapping of *parts* says it. Rows are one part, which is called by its columns, such as
``ymin,xmin,ymax,xmax,class,score``; the columns :data:`COLUMNS` are called :data:`ROWS`. Lists are the parts
:data:`LISTS`; :data:`CLASS_SCORES` may stand in the place of ``scores`` and ``classes``, and without a count
the rows with a score above 0 are detections. Masks are one part beside either, which is called
:data:`MASKS`, or by the axes of a mask where there is one for each class, such as
``masks:height,width,class``.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Literal, TypeAlias, TypeVar

from pydantic import BaseModel, ConfigDict, Field, model_validator

T = TypeVar("T")

ROWS = "detections"
CORNERS = ("xmin", "ymin", "xmax", "ymax")
PIXELS = tuple(f"{corner}_pixels" for corner in CORNERS)
"""Columns of corners relative to the picture, and of corners in pixels of the network's input."""

COLUMNS = ("image", "class", "score", *CORNERS)
"""The columns of rows that are called :data:`ROWS`: what NMS_TRT gives."""

COUNT = "num_detections"
LISTS = (COUNT, "boxes", "scores", "classes")
"""Parts of detections in lists; boxes are ymin, xmin, ymax, xmax."""

CLASS_SCORES = "class_scores"
"""The scores of each box by class, [N, K, C], the background first: the best one is the box's class."""

MASKS = "masks"
"""A mask for each detection, [N, K, height, width] from 0 to 1, relative to its box."""

MaskAxis: TypeAlias = Literal["height", "width", "class"]
MASK_AXES: tuple[MaskAxis, ...] = ("height", "width")
CLASS_MASK_AXES: tuple[tuple[MaskAxis, ...], ...] = (
    ("height", "width", "class"),
    ("class", "height", "width"),
)
"""The axes of a detection's mask, and those of its masks by class, of which that of its class counts."""


def are_detections(columns: Collection[str]) -> bool:
    """Return whether rows with these columns are detections; a class below 0 marks a row that holds none."""
    return any({"class", "score", *corners} <= set(columns) for corners in (CORNERS, PIXELS))


def part_of_rows(columns: Sequence[str]) -> str:
    """Return what rows of these columns are called as a part."""
    return ROWS if tuple(columns) == COLUMNS else ",".join(columns)


def rows_among(parts: Mapping[str, T]) -> tuple[tuple[str, ...], T] | None:
    """Return the columns of the part that is rows, with its value; None where no part is rows."""
    for part, value in parts.items():
        columns = COLUMNS if part == ROWS else tuple(part.split(","))
        if are_detections(columns):
            return columns, value
    return None


def part_of_masks(axes: Sequence[str]) -> str:
    """Return what masks with these axes behind batch and detection are called as a part."""
    return MASKS if tuple(axes) == MASK_AXES else f"{MASKS}:{','.join(axes)}"


def masks_among(parts: Mapping[str, T]) -> tuple[tuple[str, ...], T] | None:
    """Return the axes of the part that is masks, with its value; None where no part is masks."""
    for axes in (MASK_AXES, *CLASS_MASK_AXES):
        if part_of_masks(axes) in parts:
            return axes, parts[part_of_masks(axes)]
    return None


def without_masks(parts: Mapping[str, T]) -> dict[str, T]:
    """Return the parts but for masks."""
    masks = {part_of_masks(axes) for axes in (MASK_AXES, *CLASS_MASK_AXES)}
    return {part: value for part, value in parts.items() if part not in masks}


def gives_detections(parts: Collection[str]) -> bool:
    """Return whether outputs that hold these parts are detections."""
    lists = ({"boxes", "scores", "classes"}, {"boxes", CLASS_SCORES})
    return rows_among(dict.fromkeys(parts)) is not None or any(each <= set(parts) for each in lists)


def with_stated(parts: Mapping[str, T], stated: Mapping[str, T]) -> dict[str, T]:
    """Return the parts of a plugin with those that a recipe states.

    These take the place of the plugin's where they are detections by themselves.
    """
    return dict(stated) if gives_detections(stated) else {**parts, **stated}


class DetectionOutputs(BaseModel):
    """The outputs that hold detections: ``rows`` with their ``columns``, or a list for each property."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    rows: str | None = Field(None, description="Output with a row for each detection.")
    columns: tuple[str, ...] = Field(
        COLUMNS, description="Columns of 'rows', such as [ymin, xmin, ymax, xmax, class, score]."
    )
    count: str | None = Field(
        None,
        description="Output that counts the detections; without it, rows with a score above 0 are "
        "detections.",
    )
    boxes: str | None = Field(
        None, description="Output with boxes, [N, K, 4]: ymin, xmin, ymax, xmax relative to the picture."
    )
    scores: str | None = Field(None, description="Output with the score of each box, [N, K].")
    classes: str | None = Field(None, description="Output with the class of each box, [N, K].")
    class_scores: str | None = Field(
        None,
        description="In the place of 'scores' and 'classes': output with the scores of each box by class, "
        "[N, K, C], the background first.",
    )
    masks: str | None = Field(
        None, description="Output with a mask for each detection, [N, K, height, width], relative to its box."
    )
    mask_axes: tuple[MaskAxis, ...] = Field(
        MASK_AXES,
        description="Axes of 'masks' behind batch and detection; [height, width, class] and [class, height, "
        "width] where each detection has a mask for each class.",
    )

    @model_validator(mode="after")
    def _fit(self) -> DetectionOutputs:
        single, by_class = (self.scores, self.classes), (self.class_scores,)
        lists = (self.boxes, *single, *by_class)
        complete = self.boxes is not None and (
            (all(single) and not any(by_class)) or (all(by_class) and not any(single))
        )
        if (self.rows is not None and any(lists)) or (any(lists) and not complete):
            raise ValueError("expected 'rows', or all of 'boxes', 'scores' and 'classes'")
        if self.count is not None and self.rows is None and not complete:
            raise ValueError("'count' counts nothing; expected 'rows' or 'boxes' beside it")
        unknown = [name for name in self.columns if name not in (*COLUMNS, *PIXELS)]
        if unknown or len(set(self.columns)) < len(self.columns) or not are_detections(self.columns):
            raise ValueError(
                f"the columns are {', '.join(self.columns)}; expected class, score and four corners, "
                f"each once, and none but {', '.join((*COLUMNS, *PIXELS))}"
            )
        if self.mask_axes not in (MASK_AXES, *CLASS_MASK_AXES):
            raise ValueError(
                f"the axes of a mask are {', '.join(self.mask_axes)}; expected height, width, and class "
                "before or behind them where there is a mask for each class"
            )
        return self

    def parts(self) -> dict[str, str]:
        """Return the outputs' names by the part of detections that they hold."""
        rows = {} if self.rows is None else {part_of_rows(self.columns): self.rows}
        named = {
            "count" if rows else COUNT: self.count,
            "boxes": self.boxes,
            "scores": self.scores,
            "classes": self.classes,
            CLASS_SCORES: self.class_scores,
            part_of_masks(self.mask_axes): self.masks,
        }
        return rows | {part: name for part, name in named.items() if name is not None}
