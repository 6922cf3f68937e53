"""Detections of one picture, from an original graph's tensors or from a plugin's outputs, and pairing two
sets of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from surgeon.catalog.detections import CORNERS, COUNT, PIXELS, rows_among
from surgeon.diagnostics import error

NEAR = 0.05
"""Largest distance of two boxes that are taken for one, as a share of the picture."""


@dataclass(frozen=True, eq=False)
class Detections:
    """What is detected in one picture, in the order given.

    ``boxes`` is float32[n, 4], ymin, xmin, ymax, xmax relative to the picture; ``scores`` float32[n];
    ``classes`` int64[n], counted as the plugin counts them, the background included.
    """

    boxes: np.ndarray
    scores: np.ndarray
    classes: np.ndarray

    def __len__(self) -> int:
        return len(self.scores)

    def proper(self, most: int) -> Detections:
        """Return the first ``most`` rows whose boxes have an area."""
        top, left, bottom, right = self.boxes.T
        kept = np.flatnonzero((bottom > top) & (right > left))[:most]
        return Detections(self.boxes[kept], self.scores[kept], self.classes[kept])

    def within(self, window: tuple[float, float]) -> Detections:
        """Return the same relative to a window at the top left, of this share of height and width, and
        clipped to it.
        """
        if window == (1.0, 1.0):
            return self
        share = np.array([*window, *window], np.float32)
        return Detections(
            np.clip(self.boxes / share, np.float32(0), np.float32(1)), self.scores, self.classes
        )


def detections_of_original(
    boxes: np.ndarray, scores: np.ndarray, classes: np.ndarray, count: float, shift: int
) -> Detections:
    """Return the first ``count`` rows of float32[k, 4], float32[k] and float32[k] with a score above 0.

    ``shift`` is added to the classes, so that they count as the plugin's labels do.
    """
    number = min(max(int(count), 0), len(scores))
    kept = np.flatnonzero(scores[:number] > 0)
    labels = np.rint(classes[kept]).astype(np.int64) + shift
    return Detections(boxes[kept].astype(np.float32), scores[kept].astype(np.float32), labels)


def detections_of_plugin(
    outputs: Mapping[str, np.ndarray], size: tuple[int, int] | None = None
) -> list[Detections]:
    """Return the detections of each picture of a batch from a plugin's outputs by part.

    Parts are those of :mod:`surgeon.catalog.detections`. Rows are float32[N, ..., K, columns]; a class below
    0 marks a row without a detection. Of lists, the count is an int [N] or [N, 1], ``boxes`` float32[N, K, 4]
    with ymin first, ``scores`` and ``classes`` [N, K]. ``size`` is the height and width of the network's
    input, by which corners in pixels are divided; they stay pixels without it. Raise SurgeonError V133 for
    rows of another length than the part says.
    """
    rows = rows_among(outputs)
    if rows is not None:
        return [_of_rows(picture, rows[0], size) for picture in rows[1]]
    counts = outputs[COUNT].reshape(-1).astype(np.int64)
    boxes = outputs["boxes"].reshape(len(counts), -1, 4)
    scores, classes = (outputs[name].reshape(len(counts), -1) for name in ("scores", "classes"))
    return [
        Detections(boxes[n, :k], scores[n, :k], np.rint(classes[n, :k]).astype(np.int64))
        for n, k in enumerate(counts)
    ]


def _of_rows(picture: np.ndarray, columns: Sequence[str], size: tuple[int, int] | None) -> Detections:
    if picture.shape[-1] != len(columns):
        raise error(
            "V133",
            f"rows of detections have {picture.shape[-1]} columns; expected {', '.join(columns)}",
            help=["convert the model again, and build the engine again from that file"],
        )
    rows = picture.reshape(-1, len(columns))
    rows = rows[rows[:, columns.index("class")] >= 0]
    pixels = PIXELS[0] in columns
    left, top, right, bottom = (columns.index(name) for name in (PIXELS if pixels else CORNERS))
    boxes = rows[:, [top, left, bottom, right]]
    if pixels and size is not None:
        boxes = boxes / np.array([*size, *size], np.float32)
    return Detections(
        boxes, rows[:, columns.index("score")], np.rint(rows[:, columns.index("class")]).astype(np.int64)
    )


def most_kept(outputs: Mapping[str, np.ndarray]) -> int:
    """Return how many detections of a picture a plugin's outputs by part have room for."""
    rows = rows_among(outputs)
    return int(outputs["scores"].shape[1] if rows is None else rows[1].shape[-2])


@dataclass(frozen=True, eq=False)
class Pairing:
    """Which rows of two sets are one detection: ``a`` and ``b`` are int64[m], by row of the first set.

    ``box_error`` is float32[m], the largest difference of a coordinate; ``score_error`` float32[m].
    ``only_a`` and ``only_b`` are the rows without a partner.
    """

    a: np.ndarray
    b: np.ndarray
    box_error: np.ndarray
    score_error: np.ndarray
    only_a: np.ndarray
    only_b: np.ndarray

    def agreeing(self, box_tolerance: float, score_tolerance: float) -> np.ndarray:
        """Return for each pair whether it is within the tolerances, bool[m]."""
        found: np.ndarray = (self.box_error <= box_tolerance) & (self.score_error <= score_tolerance)
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
    order = np.argsort(first, kind="stable")
    first, second = first[order], second[order]
    return Pairing(
        first,
        second,
        np.abs(a.boxes[first] - b.boxes[second]).max(axis=1, initial=0),
        np.abs(a.scores[first] - b.scores[second]),
        np.setdiff1d(np.arange(len(a)), first),
        np.setdiff1d(np.arange(len(b)), second),
    )


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
