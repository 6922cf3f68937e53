"""Mean average precision of detections, by pycocotools."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Sequence
from dataclasses import dataclass
from types import ModuleType

import numpy as np

from surgeon.optional import require
from surgeon.runners.detections import Detections

_PURPOSE = "measuring the mean average precision"


@dataclass(frozen=True)
class AveragePrecision:
    """``map50`` is the mean average precision at an overlap of 0.5, ``map`` the mean over 0.5 to 0.95; both 0
    to 1.

    ``by_class`` is the average precision at 0.5 of each class that there is.
    """

    map50: float
    map: float
    by_class: dict[int, float]


def coco_modules() -> tuple[ModuleType, ModuleType]:
    """Return pycocotools' modules for annotations and for judging; raise SurgeonError E108 without them."""
    return require("pycocotools.coco", _PURPOSE), require("pycocotools.cocoeval", _PURPOSE)


def average_precision(
    truth: Sequence[Detections], found: Sequence[Detections], sizes: Sequence[tuple[int, int]]
) -> AveragePrecision:
    """Judge what is found in pictures by what there is.

    ``truth`` and ``found`` have the detections of each picture, relative to it; the scores of ``truth`` do
    not count. ``sizes`` are the pictures' heights and widths in pixels. The measure is COCO's, of at most 100
    detections a picture. Raise SurgeonError E108 where pycocotools is missing.
    """
    coco, cocoeval = coco_modules()
    images = [
        {"id": number, "height": height, "width": width} for number, (height, width) in enumerate(sizes, 1)
    ]
    objects = [{**row, "id": number, "iscrowd": 0} for number, row in enumerate(_rows(truth, sizes), 1)]
    classes = sorted({int(label) for each in truth for label in each.classes})
    rows = _rows(found, sizes)
    if not rows or not classes:
        return AveragePrecision(0.0, 0.0, {})
    with contextlib.redirect_stdout(io.StringIO()):
        given = coco.COCO()
        given.dataset = {
            "images": images,
            "annotations": objects,
            "categories": [{"id": each, "name": str(each)} for each in classes],
        }
        given.createIndex()
        judged = cocoeval.COCOeval(given, given.loadRes(rows), "bbox")
        judged.evaluate()
        judged.accumulate()
        judged.summarize()
    # precision is [overlap, recall, class, area, detections].
    precision = judged.eval["precision"][0, :, :, 0, -1]
    by_class = {each: float(np.mean(precision[:, i])) for i, each in enumerate(classes)}
    return AveragePrecision(float(judged.stats[1]), float(judged.stats[0]), by_class)


def _rows(detections: Sequence[Detections], sizes: Sequence[tuple[int, int]]) -> list[dict[str, object]]:
    """Return detections as COCO's annotations: boxes are left, top, width and height in pixels."""
    rows: list[dict[str, object]] = []
    for number, (each, (height, width)) in enumerate(zip(detections, sizes, strict=True), 1):
        boxes = each.boxes.astype(np.float64) * (height, width, height, width)
        for (top, left, bottom, right), score, label in zip(boxes, each.scores, each.classes, strict=True):
            box = [float(left), float(top), float(right - left), float(bottom - top)]
            rows.append(
                {
                    "image_id": number,
                    "category_id": int(label),
                    "bbox": box,
                    "area": box[2] * box[3],
                    "score": float(score),
                }
            )
    return rows
