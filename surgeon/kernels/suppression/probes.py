"""What the fields of a plugin that suppresses boxes say, and the scores it reads: probes are made of that."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

_LOWEST, _HIGHEST = 1e-30, 1 - 2**-24


@dataclass(frozen=True)
class SuppressionRules:
    """By what rules a plugin chooses among boxes.

    ``boxes`` counts the candidates of a picture, ``classes`` those without the background. ``most`` and
    ``most_of_class`` bound what is kept of a picture and of a class.
    """

    boxes: int
    classes: int
    score_threshold: float
    iou_threshold: float
    most: int
    most_of_class: int


def with_background(scores: np.ndarray, background: int) -> np.ndarray:
    """Return float32[P, C + 1] with what is left to 1 in the column of the background, of float32[P, C].

    The scores stay as they are where ``background`` is below 0.
    """
    if background < 0:
        return scores
    rest = np.clip(1 - scores.sum(axis=1), 0, 1)
    return np.insert(scores, background, rest, axis=1)


def logits(scores: np.ndarray) -> np.ndarray:
    """Return float32 numbers whose logistic function gives the scores."""
    wide = np.clip(scores.astype(np.float64), _LOWEST, _HIGHEST)
    return np.asarray(np.log(wide / (1 - wide)), np.float32)


def in_shape(array: np.ndarray, like: np.ndarray) -> np.ndarray:
    """Return an array of one picture in the shape of another one, the same for each picture of its batch.

    Where the other one holds several times as many numbers, each row is for several classes.
    """
    sets = like[0].size // array.size
    whole = np.repeat(array[:, None], sets, axis=1) if sets > 1 else array
    one = whole.astype(np.float32).reshape(1, *like.shape[1:])
    return np.ascontiguousarray(np.broadcast_to(one, like.shape))
