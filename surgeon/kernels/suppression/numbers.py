"""Suppression of boxes that overlap: numpy, float32, vectorised."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from surgeon.kernels.boxes.numbers import RELATIVE, Overlap, iou

BLOCK = 256
"""Candidates that are compared with one another at once; a block's overlaps fit the processor's cache."""


def descending(scores: np.ndarray) -> np.ndarray:
    """Return the order of float32[n] from the best score on, int64[n]; equal scores keep their order."""
    return np.argsort(-scores, kind="stable")


def greedy_nms(
    boxes: np.ndarray,
    threshold: float,
    *,
    limit: int | None = None,
    rule: Overlap = RELATIVE,
    inclusive: bool = False,
) -> np.ndarray:
    """Return which of float32[n, 4], best first, no better kept box suppresses: rising indices, int64[k].

    A box is dropped where its overlap with a kept one is above ``threshold``, or equal to it too where
    ``inclusive``. The search ends with ``limit`` kept boxes. The result is that of comparing each box with
    every better kept one; blocks of candidates only make it fast.
    """
    bound = len(boxes) if limit is None else min(limit, len(boxes))
    above = np.greater_equal if inclusive else np.greater
    level = np.float32(threshold)
    kept = np.empty(bound, np.int64)
    count = 0
    for start in range(0, len(boxes), BLOCK):
        if count == bound:
            break
        block = np.arange(start, min(start + BLOCK, len(boxes)))
        for earlier in _pieces(kept[:count]):
            block = block[~above(iou(boxes[earlier, None], boxes[None, block], rule), level).any(axis=0)]
        if not block.size:
            continue
        drops = above(iou(boxes[block, None], boxes[None, block], rule), level)
        alive = np.ones(len(block), bool)
        for i in range(len(block)):
            if not alive[i]:
                continue
            kept[count] = block[i]
            count += 1
            if count == bound:
                break
            alive &= ~drops[i]
    return kept[:count]


def soft_nms(
    boxes: np.ndarray, scores: np.ndarray, *, threshold: float, sigma: float, limit: int, least: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return which of float32[n, 4] are kept, int64[k], and their lowered scores, float32[k], best first.

    Each kept box multiplies the score of every other by exp(-overlap^2 / (2 ``sigma``)), or by 0 where their
    overlap is above ``threshold``; with 1, as NonMaxSuppressionV5 of TensorFlow does it, whatever threshold
    it is given. A score that is lowered must stay above ``least``. Boxes whose score is -inf are no
    candidates. Among equal scores the lower box comes first. The search ends with ``limit`` kept boxes.
    """
    left = scores.astype(np.float32)
    kept: list[int] = []
    found: list[np.float32] = []
    while len(kept) < limit and len(left):
        best = int(np.argmax(left))
        if left[best] == -np.inf:
            break
        kept.append(best)
        found.append(left[best])
        share = iou(boxes[best, None], boxes)
        weight = np.where(
            share > np.float32(threshold),
            np.float32(0),
            np.exp(np.float32(-0.5 / np.float32(sigma)) * share * share),
        )
        with np.errstate(invalid="ignore"):
            lowered = left * weight
        left = np.where((lowered != left) & ~(lowered > np.float32(least)), np.float32(-np.inf), lowered)
        left[best] = -np.inf
    return np.array(kept, np.int64), np.array(found, np.float32)


def _pieces(indices: np.ndarray) -> Iterator[np.ndarray]:
    return (indices[i : i + BLOCK] for i in range(0, len(indices), BLOCK))


@dataclass(frozen=True, eq=False)
class Selection:
    """What suppression leaves of a picture, best first.

    Candidates and labels are int64[k], scores float32[k].
    """

    candidate: np.ndarray
    label: np.ndarray
    score: np.ndarray


def nms_by_class(
    boxes: np.ndarray,
    scores: np.ndarray,
    *,
    threshold: float,
    candidates: int | None,
    keep: int | None,
    per_class: int | None = None,
    rule: Overlap = RELATIVE,
    hidden: np.ndarray | None = None,
) -> Selection:
    """Suppress overlapping boxes class by class, and keep the best over all classes.

    ``boxes`` is float32[P, 4], or float32[P, C, 4] where each class has its own; ``scores`` is float32[P, C],
    -inf if a box is not a candidate for a class. The ``candidates`` best of a class go into suppression,
    all for None; ``keep`` boxes of the picture are returned, all for None, and of a class no more than
    ``per_class`` survive, ``keep`` where it is None. Boxes that ``hidden``, bool[P] or bool[P, C], marks
    suppress others and are not returned. Among equal scores the lower class comes first, then the lower box.
    """
    most = keep if per_class is None else per_class
    by_class = np.ascontiguousarray(scores.T)
    if candidates is not None and candidates < len(scores):
        by_class = _best_of_each(by_class, candidates)
    total = int(np.count_nonzero(by_class > -np.inf))
    # No box depends on a worse one, so the best `keep` are final as soon as enough survive among the best
    # candidates.
    taken = total if keep is None else min(total, max(1024, 8 * keep))
    while True:
        label, candidate = _best_overall(by_class, taken)
        found = _survivors(boxes, label, candidate, threshold, most, rule)
        if hidden is not None:
            found = found[~_of(hidden, candidate, label, 1)[found]]
        if taken >= total or (keep is not None and len(found) >= keep):
            break
        taken = min(total, 8 * taken)
    chosen = found if keep is None else found[:keep]
    label, candidate = label[chosen], candidate[chosen]
    return Selection(candidate, label, scores[candidate, label])


def _best_of_each(by_class: np.ndarray, count: int) -> np.ndarray:
    """Return float32[C, P] with all but the best ``count`` of each row at -inf."""
    full = np.flatnonzero(np.count_nonzero(by_class > -np.inf, axis=1) > count)
    order = np.argsort(-by_class[full], axis=1, kind="stable")[:, :count]
    best = np.full((len(full), by_class.shape[1]), -np.inf, by_class.dtype)
    np.put_along_axis(best, order, np.take_along_axis(by_class[full], order, axis=1), axis=1)
    kept = by_class.copy()
    kept[full] = best
    return kept


def _best_overall(by_class: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Return class and box, int64 each, of the ``count`` best of float32[C, P].

    All that equal the last of these are returned, too.
    """
    flat = by_class.ravel()
    if count == 0:
        return np.empty(0, np.int64), np.empty(0, np.int64)
    index = np.flatnonzero(flat > -np.inf)
    scores = flat[index]
    if count < index.size:
        least = np.partition(scores, index.size - count)[index.size - count]
        index = index[scores >= least]
    index = index[descending(flat[index])]
    label, candidate = np.divmod(index, by_class.shape[1])
    return label, candidate


def _survivors(
    boxes: np.ndarray,
    label: np.ndarray,
    candidate: np.ndarray,
    threshold: float,
    most: int | None,
    rule: Overlap,
) -> np.ndarray:
    """Return the rising positions, int64[k], of the candidates that survive among those of their class.

    The candidates come best first; ``most`` of a class survive, all for None.
    """
    order = np.argsort(label, kind="stable")
    starts = np.flatnonzero(np.diff(label[order], prepend=-1))
    found = []
    for group in np.split(order, starts[1:]):
        own = _of(boxes, candidate[group], label[group], 2)
        found.append(group[greedy_nms(own, threshold, limit=most, rule=rule)])
    return np.sort(np.concatenate(found)) if found else order


def _of(values: np.ndarray, candidate: np.ndarray, label: np.ndarray, shared_rank: int) -> np.ndarray:
    """Return the values of candidates.

    All classes share values of ``shared_rank`` axes; with an axis more, each class has its own.
    """
    found: np.ndarray = values[candidate] if values.ndim == shared_rank else values[candidate, label]
    return found
