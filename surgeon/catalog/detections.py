"""How outputs hold detections: rows with named columns, or a list for each property.

A mapping of *parts* says it. Rows are one part, which is called by its columns, such as
``ymin,xmin,ymax,xmax,class,score``; the columns :data:`COLUMNS` are called :data:`ROWS`. Lists are the parts
:data:`LISTS`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TypeVar

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


def gives_detections(parts: Collection[str]) -> bool:
    """Return whether outputs that hold these parts are detections."""
    return rows_among(dict.fromkeys(parts)) is not None or set(LISTS) <= set(parts)
