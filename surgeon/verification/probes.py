"""Probes: made-up boxes and scores, each set of which provokes some rules of a detector's post-processing."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np

from surgeon.families import Postprocessing
from surgeon.families.postprocessing import PICTURE
from surgeon.kernels.suppression.probes import SuppressionRules
from surgeon.verification.results import PROBE

MARGIN = 5e-4
"""How far overlaps and scores are from their thresholds, as a share of these.

Decoding in float32 puts an overlap off by some 1e-6.
"""

_LEAST_MARGIN = 2e-5
"""The least distance of an overlap from the threshold."""

_BEST, _LAST_KEPT, _FIRST_LOST, _LEAST = 0.9, 0.5, 0.3, 0.1
"""The range of scores, as shares of what lies above the threshold, with a gap where some are cut off."""

_FAINT = 1e-6
"""A score just above a threshold of 0."""

_FILLED, _CHAINED, _APART = 0.45, 0.35, 1.05
"""Side of a box as a share of its place, where two or three side by side fit, and from where on two boxes do
not touch, as a share of their side.
"""

_LEAST_INSIDE = 0.01
"""The least overlap of a box inside another one; a smaller one would have hardly an area."""


@dataclass(frozen=True, eq=False)
class Probe:
    """What goes into suppression.

    ``boxes`` is float32[P, 4] (ymin, xmin, ymax, xmax relative to the picture), ``scores`` float32[P, C] of
    the classes without the background; a score of 0 is no candidate. ``inherent`` says that it provokes rules
    which some plugins cannot follow, whatever the recipe writes.
    """

    name: str
    boxes: np.ndarray
    scores: np.ndarray
    inherent: bool = False


Corners: TypeAlias = Sequence[float] | np.ndarray


@dataclass(frozen=True)
class _Box:
    """One candidate, its corners relative to a place of its own, or to the picture where ``whole``."""

    box: tuple[float, float, float, float]
    label: int
    whole: bool = False


def probes_of(original: Postprocessing, limits: Collection[int] = ()) -> Iterator[Probe]:
    """Yield the probes for a detector; raise SurgeonError where the graph does not tell its rules.

    They hold overlaps just below and above the threshold, between boxes of one class and of two; boxes
    across the edges and outside the picture; scores just below and above the threshold; more candidates than
    are kept of a class, and in all; all boxes of one class on one another but for the last, and as many as
    each of ``limits``, the most candidates that a plugin looks at; nothing at all. Where scores go in as
    probabilities, one equals the threshold. Where the graph clips to a constant window, that stands for the
    picture.
    """
    top, left, bottom, right = original.clip_window.value or PICTURE
    corner, sides = np.array([top, left], np.float32), np.array([bottom - top, right - left], np.float32)
    rules = SuppressionRules(
        boxes=original.boxes.value,
        classes=original.classes.value - (original.background.value >= 0),
        score_threshold=original.score_threshold.value,
        iou_threshold=original.iou_threshold.value,
        most=original.max_total.value,
        most_of_class=original.max_per_class.value,
    )
    exact = original.score_converter.value == "identity" and original.score_scale.value == 1
    for probe in probes_in_picture(rules, limits, exact=exact):
        yield replace(probe, boxes=probe.boxes * np.tile(sides, 2) + np.tile(corner, 2))


def probes_in_picture(
    rules: SuppressionRules, limits: Collection[int], *, exact: bool = False
) -> Iterator[Probe]:
    """Yield the probes for rules of suppression that clip to the picture, if to anything.

    ``exact`` says that suppression reads scores as they are made, so that one can equal the threshold. There
    are no probes where no box is a candidate, or no class is left beside the background.
    """
    classes = rules.classes
    if min(classes, rules.boxes) < 1:
        return
    maker = _Maker(rules.boxes, classes, max(0.0, rules.score_threshold))
    kept, per_class = rules.most, rules.most_of_class
    overlaps = list(_overlaps(rules.iou_threshold, classes))
    yield from maker.in_places("overlaps", overlaps, max(1, min(kept, per_class) - 2))
    for probe in maker.in_places("window", list(_across_edges(classes)), max(1, kept - 2)):
        yield replace(probe, inherent=True)
    yield from maker.at_the_threshold(kept)
    if exact:
        yield from maker.on_the_threshold()
    yield maker.many("most in all", kept, classes)
    yield maker.many("most of a class", per_class, 1)
    for limit in sorted({limit for limit in limits if kept < limit < maker.count}):
        yield maker.crowded(f"a crowd of {limit}", limit)
    yield maker.crowded("a crowd", maker.count)
    yield Probe(f"{PROBE}nothing", maker.boxes(), maker.scores())


def _overlaps(threshold: float, classes: int) -> Iterator[list[_Box]]:
    """Yield groups of boxes whose overlaps decide which of them stay."""
    side, margin = _FILLED, max(_LEAST_MARGIN, MARGIN * threshold)
    square = (0.0, 0.0, side, side)
    for label, overlap in enumerate((min(1.0, threshold + margin), threshold - margin)):
        label %= classes
        apart = side * ((1 - overlap) / (1 + overlap) if overlap > 0 else _APART)
        yield [_Box(square, label), _Box((0.0, apart, side, side + apart), label)]
        yield [_Box(square, label), _Box((apart, 0.0, side + apart, side), label)]
        if overlap > _LEAST_INSIDE:
            yield [_Box(square, label), _Box((0.0, 0.0, side, side * overlap), label)]
    if classes > 1:
        yield [_Box(square, 0), _Box(square, 1)]
    # The second is dropped for the first, and so does not drop the third.
    side = _CHAINED
    near = side * (1 - threshold) / (1 + threshold)
    yield [_Box((0.0, step, side, side + step), 0) for step in (0.0, 0.75 * near, 1.5 * near)]


def _across_edges(classes: int) -> Iterator[list[_Box]]:
    """Yield boxes over each edge of the picture, two over each other, and some outside of it."""
    last = classes - 1
    for low, high in ((-0.2, 0.2), (0.8, 1.2)):
        yield [_Box((low, 0.4, high, 0.6), 0, True)]
        yield [_Box((0.4, low, 0.6, high), 0, True)]
    yield [_Box((-0.3, -0.3, 0.15, 0.15), last, True), _Box((-0.05, -0.3, 0.15, 0.15), last, True)]
    yield [_Box((1.1, 0.3, 1.3, 0.5), 0, True)]
    yield [_Box((-0.5, -0.5, 1.5, 1.5), last, True)]


class _Maker:
    """Puts boxes and scores into arrays of the detector's sizes."""

    def __init__(self, count: int, classes: int, threshold: float) -> None:
        self.count, self._classes, self._threshold = count, classes, threshold

    def boxes(self) -> np.ndarray:
        """Return float32[P, 4], all the same box."""
        return np.tile(np.array([0.4, 0.4, 0.6, 0.6], np.float32), (self.count, 1))

    def scores(self) -> np.ndarray:
        """Return float32[P, C] without a candidate."""
        return np.zeros((self.count, self._classes), np.float32)

    def _falling(self, count: int) -> np.ndarray:
        """Return so many scores above the threshold, the best first, float64."""
        return self._above(np.linspace(_BEST, _LEAST, count))

    def _above(self, shares: np.ndarray) -> np.ndarray:
        return np.asarray(self._threshold + (1 - self._threshold) * shares)

    def _probe(self, name: str, rows: Sequence[tuple[Corners, int]], values: np.ndarray) -> Probe:
        """Return a probe with a box, a class and a score a row; the best is not the first of the boxes."""
        boxes, scores = self.boxes(), self.scores()
        for at, ((box, label), score) in enumerate(zip(rows, values, strict=True)):
            row = self.count - 1 - at
            boxes[row], scores[row, label] = box, score
        return Probe(PROBE + name, boxes, scores)

    def in_places(self, name: str, groups: Sequence[list[_Box]], most: int) -> Iterator[Probe]:
        """Yield probes that hold groups of boxes, each group in a place of its own.

        No probe has more than ``most`` boxes, unless one group has.
        """
        batches: list[list[list[_Box]]] = [[]]
        for group in groups:
            if batches[-1] and sum(map(len, batches[-1])) + len(group) > min(most, self.count):
                batches.append([])
            batches[-1].append(group[: self.count])
        for number, batch in enumerate(batches):
            side = math.ceil(math.sqrt(len(batch)))
            rows: list[tuple[Corners, int]] = []
            for place, group in enumerate(batch):
                top, left = divmod(place, side)
                offset = np.array([top, left, top, left]) + 0.05
                rows += [(b.box if b.whole else (np.array(b.box) + offset) / side, b.label) for b in group]
            yield self._probe(
                f"{name} {number + 1}" if len(batches) > 1 else name, rows, self._falling(len(rows))
            )

    def at_the_threshold(self, kept: int) -> Iterator[Probe]:
        """Yield a score just above and one just below the threshold, in one picture if two may be kept."""
        above = self._threshold * (1 + MARGIN) or _FAINT
        scores = [score for score in (above, self._threshold * (1 - MARGIN)) if 0 < score < 1]
        name = "scores at the threshold"
        if kept > 1:
            yield self._apart(name, np.array(scores), 1)
        else:
            for number, score in enumerate(scores):
                yield self._apart(f"{name} {number + 1}", np.array([score]), 1)

    def on_the_threshold(self) -> Iterator[Probe]:
        """Yield one score that equals the threshold, unless that is 0: no candidate has such a score."""
        if 0 < self._threshold < 1:
            yield self._apart("a score on the threshold", np.array([self._threshold]), 1)

    def many(self, name: str, kept: int, classes: int) -> Probe:
        """Return more boxes than are kept, all apart; the scores of the kept are much higher."""
        more = min(8, kept)
        shares = np.concatenate(
            [np.linspace(_BEST, _LAST_KEPT, kept), np.linspace(_FIRST_LOST, _LEAST, more)]
        )
        return self._apart(name, self._above(shares), classes)

    def _apart(self, name: str, values: np.ndarray, classes: int) -> Probe:
        values = values[: self.count]
        side = math.ceil(math.sqrt(len(values)))
        rows: list[tuple[Corners, int]] = []
        for at in range(len(values)):
            top, left = divmod(at, side)
            box = np.array([top + 0.2, left + 0.2, top + 0.2 + _FILLED, left + 0.2 + _FILLED]) / side
            rows.append((box, at % classes))
        return self._probe(name, rows, values)

    def crowded(self, name: str, count: int) -> Probe:
        """Return so many boxes of one class in one place, but for the one with the lowest score."""
        rows: list[tuple[Corners, int]] = [((0.2, 0.2, 0.5, 0.5), 0)] * count
        rows[-1] = ((0.6, 0.6, 0.8, 0.8), 0)
        return replace(self._probe(name, rows, self._falling(count)), inherent=True)
