"""How far an average precision, and the difference of two, may be chance: pictures drawn again and again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from surgeon.runners.average_precision import OVERLAPS, RECALLS, Matches

CONFIDENCE = 0.95
_CELLS = 4_000_000
"""Numbers that are held at once: resamples times detections."""


def resampled_precision(matches: Mapping[int, Matches], weights: np.ndarray) -> np.ndarray:
    """Return the mean average precision over 0.5 to 0.95 of each resample, float64[B].

    ``weights`` is an integer array [B, I]: how often a resample holds each picture. The result is what
    pycocotools computes for a dataset with the pictures so often; a resample without objects gives NaN.
    """
    by_class = np.stack([_of_class(each, weights) for each in matches.values()])
    counted = ~np.isnan(by_class)
    total = np.where(counted, by_class, 0.0).sum(axis=0)
    found: np.ndarray = np.divide(
        total, counted.sum(axis=0), out=np.full(len(weights), np.nan), where=counted.any(axis=0)
    )
    return found


def drawn_weights(pictures: int, resamples: int, seed: int) -> np.ndarray:
    """Return how often each picture is in each resample, int16[B, I]; a row's sum is ``pictures``."""
    random = np.random.default_rng(seed)
    shares = np.full(pictures, 1 / pictures)
    weights = np.empty((resamples, pictures), np.int16)
    for row in weights:
        row[:] = random.multinomial(pictures, shares)
    return weights


def interval(values: np.ndarray) -> tuple[float | None, float | None]:
    """Return the middle :data:`CONFIDENCE` of values that are not NaN; None where there are none."""
    known = values[~np.isnan(values)]
    if not known.size:
        return None, None
    low, high = np.quantile(known, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return float(low), float(high)


def _of_class(matches: Matches, weights: np.ndarray) -> np.ndarray:
    """Return the average precision of a class in each resample, float64[B]; NaN without objects."""
    last = np.flatnonzero(matches.hits.any(axis=0))
    rows = int(last[-1]) + 1 if last.size else 0  # those behind the last hit change nothing
    found = [np.empty(0)]
    size = max(1, _CELLS // max(rows, 1))
    for start in range(0, len(weights), size):
        part = weights[start : start + size]
        objects = np.asarray(part @ matches.objects, np.int64)
        mean = np.mean(list(_at_overlaps(matches, rows, part, objects)), axis=0)
        found.append(np.where(objects > 0, mean, np.nan))
    return np.concatenate(found)


def _at_overlaps(
    matches: Matches, rows: int, weights: np.ndarray, objects: np.ndarray
) -> Iterator[np.ndarray]:
    """Yield the average precision of each resample, float64[B], overlap by overlap."""
    counts = weights[:, matches.pictures[:rows]]
    needed = _needed(objects)
    totals: dict[bytes, np.ndarray] = {}
    for overlap in range(len(OVERLAPS)):
        hits, ignored = matches.hits[overlap, :rows], matches.ignored[overlap, :rows]
        key = ignored.tobytes()
        if key not in totals:
            totals[key] = np.cumsum(np.where(ignored, 0, counts), axis=1)
        places = np.flatnonzero(hits)
        if not places.size:
            yield np.zeros(len(weights))
            continue
        right = np.cumsum(counts[:, places], axis=1)
        precision = right / (totals[key][:, places] + np.spacing(1))
        envelope = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
        at_recall = np.concatenate([envelope, np.zeros((len(weights), 1))], axis=1)
        # Rows of growing counts, each above the one before it, are searched as one.
        step = int(right[:, -1].max()) + int(needed.max()) + 1
        offsets = np.arange(len(weights))[:, None] * step
        index = np.searchsorted((right + offsets).ravel(), (needed + offsets).ravel(), side="left")
        index = index.reshape(needed.shape) - np.arange(len(weights))[:, None] * places.size
        yield np.take_along_axis(at_recall, np.clip(index, 0, places.size), axis=1).mean(axis=1)


def _needed(objects: np.ndarray) -> np.ndarray:
    """Return how many objects must be found to reach each recall, int64[B, R]."""
    most = np.maximum(objects, 1)[:, None]
    count = np.ceil(RECALLS * most).astype(np.int64)
    # As pycocotools compares: the quotient with the recall.
    count -= (count > 0) & ((count - 1) / most >= RECALLS)
    count += count / most < RECALLS
    needed: np.ndarray = count
    return needed
