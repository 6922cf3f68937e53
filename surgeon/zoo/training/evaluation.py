"""Mean average precision of a detector on generated pictures, by pycocotools."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from surgeon.optional import require
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
    coco = require("pycocotools.coco", "evaluating a detector")
    cocoeval = require("pycocotools.cocoeval", "evaluating a detector")
    images: list[dict[str, int]] = []
    truths: list[dict[str, Any]] = []
    found: list[dict[str, Any]] = []
    for number, picture in enumerate(pictures, 1):
        height, width = picture.pixels.shape[:2]
        images.append({"id": number, "height": height, "width": width})
        for box, label in zip(picture.boxes, picture.labels, strict=True):
            x, y, w, h = _corner_and_size(box, height, width)
            truths.append(
                {
                    "id": len(truths) + 1,
                    "image_id": number,
                    "category_id": int(label),
                    "bbox": [x, y, w, h],
                    "area": w * h,
                    "iscrowd": 0,
                }
            )
        for box, score, label in zip(*detect(picture.pixels), strict=True):
            found.append(
                {
                    "image_id": number,
                    "category_id": int(label),
                    "bbox": _corner_and_size(box, height, width),
                    "score": float(score),
                }
            )
    with contextlib.redirect_stdout(io.StringIO()):
        truth = coco.COCO()
        truth.dataset = {
            "images": images,
            "annotations": truths,
            "categories": [{"id": i, "name": name} for i, name in enumerate(CLASSES, 1)],
        }
        truth.createIndex()
        if not found:
            return Evaluation(len(images), 0.0, 0.0, {})
        judged = cocoeval.COCOeval(truth, truth.loadRes(found), "bbox")
        judged.evaluate()
        judged.accumulate()
        judged.summarize()
    # precision is [overlap, recall, class, area, detections]; -1 where a class has no objects.
    precision = judged.eval["precision"][0, :, :, 0, -1]
    by_class = {
        name: float(np.mean(precision[:, i])) for i, name in enumerate(CLASSES) if precision[0, i] >= 0
    }
    return Evaluation(len(images), float(judged.stats[1]), float(judged.stats[0]), by_class)


def _corner_and_size(box: np.ndarray, height: int, width: int) -> list[float]:
    top, left, bottom, right = (float(v) for v in box)
    return [left * width, top * height, (right - left) * width, (bottom - top) * height]
