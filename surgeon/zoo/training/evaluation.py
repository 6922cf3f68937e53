"""Mean average precision of a detector on generated pictures, by pycocotools."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from surgeon.runners.average_precision import average_precision
from surgeon.runners.detections import Detections
from surgeon.zoo.demo.pictures import CLASSES, LabelledPicture, make_picture

Detect = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray, np.ndarray]]
"""From uint8[H, W, 3] to boxes float32[n, 4] (ymin, xmin, ymax, xmax, relative), scores float32[n], labels
int[n].
"""

EVALUATION_SEED = 1_000_003
"""Seed of the pictures that no training sees."""


@dataclass(frozen=True)
class Evaluation:
    """``map50`` is the mean average precision at an overlap of 0.5, ``map`` the mean over 0.5 to 0.95; both 0
    to 1.

    ``by_class`` is the average precision at 0.5 of each class that the pictures show.
    """

    pictures: int
    map50: float
    map: float
    by_class: dict[str, float]

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        return {
            "pictures": self.pictures,
            "mAP@0.5": self.map50,
            "mAP@0.5:0.95": self.map,
            "AP@0.5": self.by_class,
        }


def fresh_pictures(count: int, seed: int = EVALUATION_SEED) -> Iterable[LabelledPicture]:
    """Return pictures 0 to ``count`` of a seed, made one by one."""
    return (make_picture(seed, index) for index in range(count))


def evaluate(detect: Detect, pictures: Iterable[LabelledPicture]) -> Evaluation:
    """Run ``detect`` on every picture and compare with the shapes in it.

    The measure is COCO's, of at most 100 detections a picture. Raise SurgeonError E108 where pycocotools is
    missing.
    """
    truth: list[Detections] = []
    found: list[Detections] = []
    sizes: list[tuple[int, int]] = []
    for picture in pictures:
        sizes.append(picture.pixels.shape[:2])
        truth.append(Detections(picture.boxes, np.ones(len(picture.labels)), picture.labels))
        found.append(Detections(*detect(picture.pixels)))
    judged = average_precision(truth, found, sizes)
    by_class = {CLASSES[label - 1]: value for label, value in judged.by_class.items()}
    return Evaluation(len(sizes), judged.map50, judged.map, by_class)
