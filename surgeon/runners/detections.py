"""Detections of one picture, from an original graph's tensors or from a plugin's outputs, and pairing two
sets of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from surgeon.catalog.detections import CLASS_SCORES, CORNERS, COUNT, PIXELS, masks_among, rows_among
from surgeon.diagnostics import SurgeonError, error
from surgeon.runners.masks import clipped_masks

NEAR = 0.05
"""Largest distance of two boxes that are taken for one, as a share of the picture."""


class Window(NamedTuple):
    """The share of height and width of a network's input that a picture fills, and where it begins."""

    height: float
    width: float
    top: float = 0.0
    left: float = 0.0


WHOLE = Window(1.0, 1.0)
"""The window of a picture that fills the input."""


@dataclass(frozen=True, eq=False)
class Detections:
    """What is detected in one picture, in the order given.

    ``boxes`` is float32[n, 4], ymin, xmin, ymax, xmax relative to the picture; ``scores`` float32[n];
    ``classes`` int64[n], counted as the plugin counts them, the background included. ``masks`` is
    float32[n, h, w] from 0 to 1, its corners on those of the box; None where the network gives none.
    """

    boxes: np.ndarray
    scores: np.ndarray
    classes: np.ndarray
    masks: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.scores)

    def rows(self, indices: np.ndarray) -> Detections:
        """Return the detections of some rows, int64[m], in this order."""
        masks = None if self.masks is None else self.masks[indices]
        return Detections(self.boxes[indices], self.scores[indices], self.classes[indices], masks)

    @property
    def without_masks(self) -> Detections:
        """The same detections, but for their masks."""
        return replace(self, masks=None)

    def proper(self, most: int) -> Detections:
        """Return the first ``most`` rows whose boxes have an area."""
        top, left, bottom, right = self.boxes.T
        return self.rows(np.flatnonzero((bottom > top) & (right > left))[:most])

    def relative_to(self, window: Window) -> Detections:
        """Return the same relative to a window; what lies beside it stays there."""
        if window == WHOLE:
            return self
        share = np.array([window.height, window.width] * 2, np.float32)
        corner = np.array([window.top, window.left] * 2, np.float32)
        return replace(self, boxes=(self.boxes - corner) / share)

    def within(self, window: Window) -> Detections:
        """Return the same relative to a window, and clipped to it."""
        if window == WHOLE:
            return self
        whole = self.relative_to(window).boxes
        clipped = np.clip(whole, np.float32(0), np.float32(1))
        masks = None if self.masks is None else clipped_masks(self.masks, whole, clipped)
        return replace(self, boxes=clipped, masks=masks)


def detections_of_original(
    boxes: np.ndarray,
    scores: np.ndarray,
    classes: np.ndarray,
    count: float,
    shift: int,
    masks: np.ndarray | None = None,
) -> Detections:
    """Return the first ``count`` rows of float32[k, 4], float32[k] and float32[k] with a score above 0.

    ``shift`` is added to the classes, so that they count as the plugin's labels do. ``masks`` are
    float32[k, h, w].
    """
    number = min(max(int(count), 0), len(scores))
    kept = np.flatnonzero(scores[:number] > 0)
    labels = np.rint(classes[kept]).astype(np.int64) + shift
    own = None if masks is None else masks[kept].astype(np.float32)
    return Detections(boxes[kept].astype(np.float32), scores[kept].astype(np.float32), labels, own)


def detections_of_plugin(
    outputs: Mapping[str, np.ndarray], size: tuple[int, int] | None = None
) -> list[Detections]:
    """Return the detections of each picture of a batch from a network's outputs by part.

    Parts are those of :mod:`surgeon.catalog.detections`. Rows are float32[N, ..., K, columns]; a class below
    0 marks a row without a detection. Of lists, the count is an int [N] or [N, 1], and without one the rows
    with a score above 0 are detections; ``boxes`` are float32[N, K, 4] with ymin first, ``scores`` and
    ``classes`` [N, K], or ``class_scores`` [N, K, C], of which the background is no detection. Masks are
    float32[N, K, h, w], or [N * K, h, w], and where there is one for each class [N, K, h, w, C] or
    [N, K, C, h, w]. ``size`` is the height and width of the network's input, by which corners in pixels are
    divided; they stay pixels without it. Raise SurgeonError V133 for rows or masks of another form than the
    part says.
    """
    rows = rows_among(outputs)
    if rows is not None:
        found = [_of_rows(picture, rows[0], size) for picture in rows[1]]
        places = int(np.prod(rows[1].shape[1:-1]))
    else:
        found, places = _of_lists(outputs), outputs["boxes"].shape[-2]
    masks = masks_among(outputs)
    if masks is None:
        return [detections for detections, _ in found]
    axes, value = masks
    stack = _stacked(axes, value, len(found), places)
    return [
        replace(detections, masks=_of_class(axes, stack[n, kept], detections.classes))
        for n, (detections, kept) in enumerate(found)
    ]


def _of_rows(
    picture: np.ndarray, columns: Sequence[str], size: tuple[int, int] | None
) -> tuple[Detections, np.ndarray]:
    """Return the detections of a picture's rows, and which rows hold them."""
    if picture.shape[-1] != len(columns):
        raise _unfit(
            f"rows of detections have {picture.shape[-1]} columns; expected {', '.join(columns)}",
        )
    rows = picture.reshape(-1, len(columns))
    kept = np.flatnonzero(rows[:, columns.index("class")] >= 0)
    rows = rows[kept]
    pixels = PIXELS[0] in columns
    left, top, right, bottom = (columns.index(name) for name in (PIXELS if pixels else CORNERS))
    boxes = rows[:, [top, left, bottom, right]]
    if pixels and size is not None:
        boxes = boxes / np.array([*size, *size], np.float32)
    classes = np.rint(rows[:, columns.index("class")]).astype(np.int64)
    return Detections(boxes, rows[:, columns.index("score")], classes), kept


def _of_lists(outputs: Mapping[str, np.ndarray]) -> list[tuple[Detections, np.ndarray]]:
    """Return the detections of each picture's lists, and which rows hold them."""
    boxes = outputs["boxes"]
    if boxes.ndim < 3 or boxes.shape[-1] != 4:
        raise _unfit(f"boxes are {list(boxes.shape)}; expected [N, K, 4]")
    boxes = boxes.reshape(-1, *boxes.shape[-2:])
    number = len(boxes)
    places = boxes.shape[1]
    for part in ("scores", "classes", CLASS_SCORES):
        size = outputs[part].size if part in outputs else number * places
        by_class = part == CLASS_SCORES and number * places > 0
        if size % (number * places) if by_class else size != number * places:
            form = f"[{number}, {places}, C]" if by_class else f"[{number}, {places}]"
            raise _unfit(f"{part} are {list(outputs[part].shape)}; expected {form}, as there are boxes")
    if CLASS_SCORES in outputs:
        each_class = outputs[CLASS_SCORES].reshape(number, places, -1)
        scores, classes = each_class.max(axis=2), each_class.argmax(axis=2)
        held = classes > 0
    else:
        scores, classes = (outputs[name].reshape(number, -1) for name in ("scores", "classes"))
        held = np.ones(scores.shape, np.bool_)
    counted = COUNT in outputs
    held &= np.arange(held.shape[1]) < outputs[COUNT].reshape(-1, 1) if counted else scores > 0
    found = []
    for n in range(number):
        kept = np.flatnonzero(held[n])
        labels = np.rint(classes[n, kept]).astype(np.int64)
        found.append((Detections(boxes[n, kept], scores[n, kept], labels), kept))
    return found


def _stacked(axes: Sequence[str], masks: np.ndarray, pictures: int, places: int) -> np.ndarray:
    """Return masks as [N, K, ...]."""
    own = masks.shape[-len(axes) :]
    if masks.ndim <= len(axes) or masks.size != pictures * places * int(np.prod(own)):
        raise _unfit(
            f"masks are {list(masks.shape)}; expected [{pictures}, {places}, {', '.join(axes)}], a mask for "
            "each detection"
        )
    return masks.reshape(pictures, places, *own)


def _of_class(axes: Sequence[str], masks: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """Return the mask of its class for each detection, of [n, ...] with these axes."""
    if "class" in axes:
        masks = np.moveaxis(masks, 1 + axes.index("class"), 1)
        if classes.size and not 0 <= classes.min() <= classes.max() < masks.shape[1]:
            raise _unfit(
                f"a detection has the class {int(classes.max())}, and there are masks of {masks.shape[1]} "
                "classes; expected a mask for each class, the background included"
            )
        masks = masks[np.arange(len(masks)), classes]
    return masks.astype(np.float32, copy=False)


def _unfit(problem: str) -> SurgeonError:
    return error("V133", problem, help=["convert the model again, and build the engine again from that file"])


def most_kept(outputs: Mapping[str, np.ndarray]) -> int:
    """Return how many detections of a picture a plugin's outputs by part have room for."""
    rows = rows_among(outputs)
    return int(outputs["boxes"].shape[-2] if rows is None else rows[1].shape[-2])


@dataclass(frozen=True, eq=False)
class Pairing:
    """Which rows of two sets are one detection: ``a`` and ``b`` are int64[m], by row of the first set.

    ``box_error`` is float32[m], the largest difference of a coordinate; ``score_error`` float32[m];
    ``mask_error`` float32[m], the largest difference of a value of the masks, 0 where not both sets have
    masks. ``only_a`` and ``only_b`` are the rows without a partner.
    """

    a: np.ndarray
    b: np.ndarray
    box_error: np.ndarray
    score_error: np.ndarray
    mask_error: np.ndarray
    only_a: np.ndarray
    only_b: np.ndarray

    def agreeing(
        self, box_tolerance: float, score_tolerance: float, mask_tolerance: float = np.inf
    ) -> np.ndarray:
        """Return for each pair whether it is within the tolerances, bool[m]."""
        found: np.ndarray = (
            (self.box_error <= box_tolerance)
            & (self.score_error <= score_tolerance)
            & (self.mask_error <= mask_tolerance)
        )
        return found


def pair(a: Detections, b: Detections, box_tolerance: float) -> Pairing:
    """Pair detections one to one by class and nearest box, the nearest pair first.

    Boxes that are equal within ``box_tolerance`` count as equally near, and among them the nearest score
    decides; then the order of the rows. Boxes farther apart than :data:`NEAR` are no pair.
    """
    firsts: list[np.ndarray] = [np.empty(0, np.int64)]
    seconds: list[np.ndarray] = [np.empty(0, np.int64)]
    for label in np.intersect1d(a.classes, b.classes):
        mine, other = np.flatnonzero(a.classes == label), np.flatnonzero(b.classes == label)
        i, j = _mutual(_distances(a, b, mine, other, box_tolerance))
        firsts.append(mine[i])
        seconds.append(other[j])
    first, second = np.concatenate(firsts), np.concatenate(seconds)
    order = np.argsort(first, kind="mergesort")
    first, second = first[order], second[order]
    return Pairing(
        first,
        second,
        np.abs(a.boxes[first] - b.boxes[second]).max(axis=1),
        np.abs(a.scores[first] - b.scores[second]),
        _mask_errors(a.masks, b.masks, first, second),
        np.setdiff1d(np.arange(len(a)), first),
        np.setdiff1d(np.arange(len(b)), second),
    )


def _mask_errors(
    a: np.ndarray | None, b: np.ndarray | None, first: np.ndarray, second: np.ndarray
) -> np.ndarray:
    """Return how far the masks of pairs are apart, float32[m]; inf where they have other sizes."""
    if a is None or b is None:
        return np.zeros(len(first), np.float32)
    if a.shape[1:] != b.shape[1:]:
        return np.full(len(first), np.inf, np.float32)
    if 0 in a.shape[1:]:
        return np.zeros(len(first), np.float32)
    apart: np.ndarray = np.abs(a[first] - b[second]).max(axis=(1, 2))
    return apart


def _distances(
    a: Detections, b: Detections, mine: np.ndarray, other: np.ndarray, tolerance: float
) -> np.ndarray:
    """Return how far the boxes are apart, float64[m, k]; inf for no pair."""
    apart = np.abs(a.boxes[mine][:, None] - b.boxes[other][None]).max(axis=2).astype(np.float64)
    scores = np.abs(a.scores[mine][:, None] - b.scores[other][None])
    # Several boxes may be one and the same after clipping; their scores then tell them apart.
    apart = np.where(apart <= tolerance, tolerance * np.minimum(scores, 1), apart)
    found: np.ndarray = np.where(apart <= max(NEAR, tolerance), apart, np.inf)
    return found


def _mutual(distances: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return rows and columns of a one-to-one choice that always takes the smallest distance left, lower
    indices first.
    """
    distances = distances.copy()
    rows: list[np.ndarray] = [np.empty(0, np.int64)]
    columns: list[np.ndarray] = [np.empty(0, np.int64)]
    # Whoever are nearest to each other are a pair of the greedy choice; each round finds at least one.
    for _ in range(min(distances.shape)):
        best_column = distances.argmin(axis=1)
        best_row = distances.argmin(axis=0)
        here = np.flatnonzero(best_row[best_column] == np.arange(len(distances)))
        here = here[np.isfinite(distances[here, best_column[here]])]
        if not here.size:
            break
        rows.append(here)
        columns.append(best_column[here])
        distances[here, :] = np.inf
        distances[:, best_column[here]] = np.inf
    return np.concatenate(rows), np.concatenate(columns)
