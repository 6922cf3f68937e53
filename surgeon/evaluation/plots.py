"""Curves as SVG: precision over recall, and how often a score is right."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from surgeon.runners.average_precision import RECALLS, Judgement
from surgeon.viewer.markup import Markup, element, escape

BINS = 10
"""Ranges of scores, of equal width, in which detections are counted."""

_SIDE, _MARGIN = 300, 44
_COLOURS = ("--grey", "--blue", "--warn", "--violet", "--teal", "--rose", "--good", "--bad")
_DASHES = ("", "7 4", "2 3", "9 3 2 3")


@dataclass(frozen=True, eq=False)
class Calibration:
    """What the scores of a side are worth.

    Of each range of scores that has detections: their mean score, float64[b], the share of them that is right
    at an overlap of 0.5, float64[b], and their number, int64[b].
    """

    scores: np.ndarray
    shares: np.ndarray
    counts: np.ndarray

    @property
    def error(self) -> float:
        """The mean distance of share and score, weighted by the detections (expected calibration error)."""
        if not self.counts.size:
            return 0.0
        return float(np.average(np.abs(self.scores - self.shares), weights=self.counts))


def calibration(judgement: Judgement) -> Calibration:
    """Return what the scores of all classes are worth; detections that count neither way are left out."""
    scores, hits = [np.empty(0)], [np.empty(0, np.bool_)]
    for matches in judgement.matches.values():
        counted = ~matches.ignored[0]
        scores.append(matches.scores[counted])
        hits.append(matches.hits[0][counted])
    score, hit = np.concatenate(scores), np.concatenate(hits)
    places = np.clip((score * BINS).astype(np.int64), 0, BINS - 1)
    counts = np.bincount(places, minlength=BINS)
    held = counts > 0
    means, shares = (
        np.bincount(places, weights=values, minlength=BINS)[held] / counts[held] for values in (score, hit)
    )
    return Calibration(means, shares, counts[held])


def precision_curves(judgements: Mapping[str, Judgement], label: int | None = None) -> Markup:
    """Return precision over recall at an overlap of 0.5, of one class, or the mean of all."""
    lines = {}
    for name, judgement in judgements.items():
        precision = judgement.precision[0]
        chosen = [
            index
            for index, each in enumerate(judgement.classes)
            if each in judgement.by_class and label in (None, each)
        ]
        lines[name] = list(zip(RECALLS.tolist(), precision[:, chosen].mean(axis=1).tolist(), strict=True))
    return _plot("recall", "precision", lines)


def calibration_curves(calibrations: Mapping[str, Calibration]) -> Markup:
    """Return the share of detections that are right over their score; on the diagonal, scores are shares."""
    lines = {
        name: list(zip(each.scores.tolist(), each.shares.tolist(), strict=True))
        for name, each in calibrations.items()
    }
    return _plot("score", "share that is right", lines, diagonal=True, dots=True)


def legend(names: Iterable[str]) -> Markup:
    """Return the names of the sides beside pieces of their lines."""
    entries = []
    for index, name in enumerate(names):
        line = _element("line", x1=0, y1=6, x2=26, y2=6, **_stroke(index))
        drawing = _element("svg", line, width=26, height=12, viewBox="0 0 26 12", aria_hidden="true")
        entries.append(element("span", drawing, " ", element("code", name), class_="field"))
    return element("p", *entries)


def _plot(
    across: str,
    up: str,
    lines: Mapping[str, Sequence[tuple[float, float]]],
    *,
    diagonal: bool = False,
    dots: bool = False,
) -> Markup:
    """Return lines of points from 0 to 1 in a square with its axes."""
    size = _SIDE + 2 * _MARGIN
    text = {"fill": "currentColor", "font_size": 12}
    parts = []
    for tick in (0.0, 0.25, 0.5, 0.75, 1.0):
        x, y = _place(tick, tick)
        grid = {"stroke": "var(--line)", "stroke_width": 1}
        parts.append(_element("line", x1=x, y1=_MARGIN, x2=x, y2=_MARGIN + _SIDE, **grid))
        parts.append(_element("line", x1=_MARGIN, y1=y, x2=_MARGIN + _SIDE, y2=y, **grid))
        label = f"{tick:g}"
        parts.append(_element("text", label, x=x, y=_MARGIN + _SIDE + 16, text_anchor="middle", **text))
        parts.append(_element("text", label, x=_MARGIN - 6, y=y + 4, text_anchor="end", **text))
    middle = size / 2
    parts.append(_element("text", across, x=middle, y=size - 8, text_anchor="middle", **text))
    turned = f"rotate(-90 12 {middle:g})"
    parts.append(_element("text", up, x=12, y=middle, text_anchor="middle", transform=turned, **text))
    if diagonal:
        (x1, y1), (x2, y2) = _place(0, 0), _place(1, 1)
        parts.append(_element("line", x1=x1, y1=y1, x2=x2, y2=y2, stroke="var(--line)", stroke_width=2))
    for index, points in enumerate(lines.values()):
        places = [_place(*point) for point in points]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
        parts.append(_element("polyline", points=path, fill="none", **_stroke(index)))
        for x, y in places if dots else ():
            parts.append(_element("circle", cx=f"{x:.1f}", cy=f"{y:.1f}", r=3, **_fill(index)))
    title = f"{up} over {across}: {', '.join(lines)}"
    return _element(
        "svg", *parts, viewBox=f"0 0 {size} {size}", width=size, height=size, role="img", aria_label=title
    )


def _place(x: float, y: float) -> tuple[float, float]:
    return _MARGIN + _SIDE * x, _MARGIN + _SIDE * (1 - y)


def _stroke(index: int) -> dict[str, object]:
    """Return how the line of a side is drawn: later ones narrower, so that equal lines are all seen."""
    colour, dashes = _COLOURS[index % len(_COLOURS)], _DASHES[index % len(_DASHES)]
    width = max(1.5, 5.5 - 1.5 * index)
    return {"stroke": f"var({colour})", "stroke_width": width, "stroke_dasharray": dashes or None}


def _fill(index: int) -> dict[str, object]:
    return {"fill": f"var({_COLOURS[index % len(_COLOURS)]})"}


def _element(name: str, *children: object, **attributes: object) -> Markup:
    """Return an element of SVG, whose attributes' case is kept."""
    return element(name, *map(escape, children), **attributes)
