"""What a detector computes between its heads and its detections, whatever computes it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, NoReturn, TypeAlias, TypeVar

from surgeon.diagnostics import SurgeonError
from surgeon.families.finding import Finding

T = TypeVar("T")

Coding: TypeAlias = Literal["centre-size", "none"]
"""How boxes are encoded.

``centre-size``: (ty, tx, th, tw) against an anchor's centre and size; ``none``: heads give corners.
"""

Converter: TypeAlias = Literal["sigmoid", "softmax", "identity"]
Sense: TypeAlias = Literal["above", "at least"]
Clipping: TypeAlias = Literal["before", "after", "none"]


@dataclass(frozen=True)
class Postprocessing:
    """What a detector computes between its heads and its detections, each value with its evidence.

    Whatever renders it, such as the fields of a plugin, reads it here, and states what it cannot follow. The
    ``value`` of what the graph does not tell raises the reason (:class:`Untold`).
    """

    boxes: Finding[int]
    """Boxes that a picture has before any is dropped; all classes share them."""

    coding: Finding[Coding]

    variances: Finding[tuple[float, float, float, float]]
    """By what encodings are multiplied, for x, y, width and height."""

    classes: Finding[int]
    """Scores of a box; the background's is one of them, unless ``background`` is -1."""

    background: Finding[int]
    """The column of the scores that is dropped as that of the background, -1 where all are kept."""

    score_scale: Finding[float]
    """By what scores are multiplied before they are converted."""

    score_converter: Finding[Converter]

    score_threshold: Finding[float]
    """What the score of a box must reach, in the sense of ``score_sense``; 0 where nothing is compared."""

    score_sense: Finding[Sense]

    iou_threshold: Finding[float]
    """Overlap (intersection over union) above which a box is dropped for a better one."""

    soft_sigma: Finding[float]
    """Sigma of soft suppression, by which overlapping boxes lose score; 0 where they are dropped."""

    class_agnostic: Finding[bool]
    """Whether boxes of different classes suppress each other."""

    max_per_class: Finding[int]
    """Boxes of a class that suppression keeps at most."""

    max_total: Finding[int]
    """Detections of a picture at most."""

    clip: Finding[Clipping]
    """Whether boxes are clipped to the picture before suppression, after it, or not at all."""

    drops_empty: Finding[bool]
    """Whether boxes without an area are dropped before suppression."""


class Untold(Finding[Any]):
    """A finding that the graph does not tell: its value and evidence raise the reason."""

    def __init__(self, reason: SurgeonError) -> None:
        object.__setattr__(self, "reason", reason)

    reason: SurgeonError

    def __getattr__(self, name: str) -> NoReturn:
        if name in ("value", "evidence"):
            raise SurgeonError(*self.reason.diagnostics)
        raise AttributeError(name)

    def __repr__(self) -> str:
        return f"Untold({self.reason.diagnostics[0].code})"


def told(find: Callable[[], Finding[T]]) -> Finding[T]:
    """Return a finding, or one that raises the reason where the graph does not tell it."""
    try:
        return find()
    except SurgeonError as exc:
        return Untold(exc)
