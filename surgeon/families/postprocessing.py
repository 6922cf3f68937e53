"""What a detector computes between its heads and its detections, in terms of no plugin."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, TypeVar

from surgeon.catalog.plugin import Lack
from surgeon.diagnostics import SurgeonError
from surgeon.families.finding import Finding

T = TypeVar("T")

Coding: TypeAlias = Literal["centre-size", "centre-size-xy", "corners-by-size", "none"]
"""How boxes are encoded.

``centre-size``: (ty, tx, th, tw) against an anchor's centre and size; ``centre-size-xy``: the same in the
order (tx, ty, tw, th); ``corners-by-size``: what is added to xmin, ymin, xmax and ymax of an anchor, as
shares of its width and height; ``none``: heads give corners.
"""

DECODED_IN_FRONT: frozenset[Coding] = frozenset({"centre-size-xy", "corners-by-size"})
"""Codings that SurgeonDetection does not know: operations in front of it decode boxes."""

Converter: TypeAlias = Literal["sigmoid", "softmax", "identity"]
Sense: TypeAlias = Literal["above", "at least"]
Clipping: TypeAlias = Literal["before", "after", "none"]
Window: TypeAlias = tuple[float, float, float, float]

PICTURE: Window = (0.0, 0.0, 1.0, 1.0)
"""The window (ymin, xmin, ymax, xmax) that the whole of the network's input is."""


def lies_inside(window: Window) -> bool:
    """Return whether a window has an area and lies inside the picture."""
    top, left, bottom, right = window
    return 0 <= top < bottom <= 1 and 0 <= left < right <= 1


_NONE: Finding[bool] = Finding(False, ())
_ALL: Finding[bool] = Finding(True, ())
_WHOLE: Finding[Window | None] = Finding(PICTURE, ())


@dataclass(frozen=True)
class Postprocessing:
    """What a detector computes between its heads and its detections, each value with its evidence.

    Code that renders it, for example as the fields of a plugin, reads it here and states what it cannot
    express. Where the graph does not tell a value, the finding's ``value`` raises the reason
    (:class:`LazyFinding`).
    """

    boxes: Finding[int]
    """Number of boxes of a picture, or of a class of it, before any is dropped."""

    coding: Finding[Coding]

    variances: Finding[tuple[float, float, float, float]]
    """Factors of the encodings: for x, y, width and height, or for the four corners in the order of these."""

    classes: Finding[int]
    """Number of scores of a box; the background's is one of them, unless ``background`` is -1."""

    background: Finding[int]
    """The column of the scores that belongs to the background and is dropped, -1 where all are kept."""

    score_scale: Finding[float]
    """Factor of the scores before they are converted."""

    score_converter: Finding[Converter]

    score_threshold: Finding[float]
    """The score that a box must be ``score_sense`` (above, or at least); 0 where nothing is compared."""

    score_sense: Finding[Sense]

    iou_threshold: Finding[float]
    """Overlap (intersection over union) above which a box is dropped for a better one."""

    soft_sigma: Finding[float]
    """Sigma of soft suppression, which lowers scores of overlapping boxes; 0 where it drops them."""

    class_agnostic: Finding[bool]
    """Whether boxes of different classes suppress each other."""

    max_per_class: Finding[int]
    """The most boxes of a class that suppression keeps."""

    max_total: Finding[int]
    """The most detections of a picture."""

    clip: Finding[Clipping]
    """Whether boxes are clipped to the picture before suppression, after it, or not at all."""

    drops_empty: Finding[bool]
    """Whether boxes without an area are dropped before suppression."""

    drops_empty_after: Finding[bool] = _NONE
    """Whether boxes without an area are dropped after suppression, so that others take their rows."""

    shares_boxes: Finding[bool] = _ALL
    """Whether all classes share a box, and none has its own."""

    clip_window: Finding[Window | None] = _WHOLE
    """To what boxes are clipped: ymin, xmin, ymax, xmax as shares of the network's input.

    None where it is the part that the picture fills, which differs from picture to picture.
    """


_DIFFERENCES: Mapping[Lack, str] = {
    "soft_sigma": "the graph lowers the scores of overlapping boxes (soft suppression)",
    "class_agnostic": "boxes of different classes suppress each other in the graph",
}


def differences(original: Postprocessing, lacks: Iterable[Lack]) -> Iterator[tuple[Lack, str, Finding[Any]]]:
    """Yield what a graph does that a plugin ``lacks``, in words, with the finding that shows it.

    What the graph does not tell is passed over.
    """
    for lack in lacks:
        with suppress(SurgeonError):
            finding: Finding[Any] = getattr(original, lack)
            if finding.value:
                yield lack, _DIFFERENCES[lack], finding


class LazyFinding(Finding[T]):
    """A finding that is looked for when its value or its evidence is asked for.

    Both raise the reason where the graph does not tell it.
    """

    def __init__(self, find: Callable[[], Finding[T]]) -> None:
        object.__setattr__(self, "_find", find)

    _find: Callable[[], Finding[T]]

    def __getattr__(self, name: str) -> Any:
        if name in ("value", "evidence"):
            return getattr(self._find(), name)
        raise AttributeError(name)

    def __repr__(self) -> str:
        try:
            return repr(self._find())
        except SurgeonError as exc:
            return f"<untold: {exc.diagnostics[0].code}>"
