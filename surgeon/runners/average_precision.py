"""Average precision of detections, by pycocotools."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from types import ModuleType
from typing import Any

import numpy as np

from surgeon.optional import require
from surgeon.runners.detections import Detections

_PURPOSE = "measuring the mean average precision"

NUMBERS = (
    "AP",
    "AP50",
    "AP75",
    "APsmall",
    "APmedium",
    "APlarge",
    "AR1",
    "AR10",
    "AR100",
    "ARsmall",
    "ARmedium",
    "ARlarge",
)
"""COCO's twelve numbers in its order: average precision, then average recall."""

OVERLAPS = tuple(np.linspace(0.5, 0.95, 10).round(2).tolist())
"""Overlaps of a detection and an object, intersection over union, from which on they match."""

RECALLS = np.linspace(0.0, 1.0, 101)
"""Recalls at which precision is taken."""


@dataclass(frozen=True)
class AveragePrecision:
    """``map50`` is the mean average precision at an overlap of 0.5, ``map`` the mean over 0.5 to 0.95; both 0
    to 1.

    ``by_class`` is the average precision at 0.5 of each class that there is.
    """

    map50: float
    map: float
    by_class: dict[int, float]


@dataclass(frozen=True, eq=False)
class Objects:
    """What there is in one picture, as a person annotated it.

    ``boxes`` is float64[n, 4], ymin, xmin, ymax, xmax in pixels; ``classes`` int64[n]; ``areas`` float64[n],
    in pixels, by which objects are small, medium or large. ``crowd`` is bool[n]: boxes that hold many objects
    of the class, in which any number of detections counts neither way. ``difficult`` is bool[n]: objects that
    need not be found, one detection of which counts neither way.
    """

    boxes: np.ndarray
    classes: np.ndarray
    areas: np.ndarray
    crowd: np.ndarray
    difficult: np.ndarray

    def __len__(self) -> int:
        return len(self.classes)

    @classmethod
    def of(
        cls,
        boxes: np.ndarray,
        classes: np.ndarray,
        areas: np.ndarray | None = None,
        crowd: np.ndarray | None = None,
        difficult: np.ndarray | None = None,
    ) -> Objects:
        """Return objects; areas default to those of the boxes, and the marks to none."""
        boxes = np.asarray(boxes, np.float64).reshape(-1, 4)
        sides = boxes[:, 2:] - boxes[:, :2]
        none = np.zeros(len(boxes), np.bool_)
        return cls(
            boxes,
            np.asarray(classes, np.int64),
            sides[:, 1] * sides[:, 0] if areas is None else np.asarray(areas, np.float64),
            none if crowd is None else np.asarray(crowd, np.bool_),
            none if difficult is None else np.asarray(difficult, np.bool_),
        )

    def rows(self, indices: np.ndarray) -> Objects:
        """Return the objects of some rows, int64[m] or bool[n]."""
        return Objects(
            self.boxes[indices],
            self.classes[indices],
            self.areas[indices],
            self.crowd[indices],
            self.difficult[indices],
        )


@dataclass(frozen=True, eq=False)
class Matches:
    """The detections of one class in all pictures, the best first, and which of them match an object.

    ``pictures`` is int64[D], the picture of each; ``scores`` float64[D]. ``hits`` and ``ignored`` are
    bool[T, D] for the :data:`OVERLAPS`; a detection that is ignored counts neither way. ``objects`` is
    int64[I], the objects of the class in each picture that count.
    """

    pictures: np.ndarray
    scores: np.ndarray
    hits: np.ndarray
    ignored: np.ndarray
    objects: np.ndarray


@dataclass(frozen=True, eq=False)
class Judgement:
    """What COCO's measure says of detections.

    ``numbers`` are the twelve :data:`NUMBERS`, 0 to 1, None where no object is of that size. ``precision``
    is float64[T, R, K] by :data:`OVERLAPS`, :data:`RECALLS` and ``classes``; -1 for a class without objects.
    ``matches`` are those of each class.
    """

    classes: tuple[int, ...]
    numbers: Mapping[str, float | None]
    precision: np.ndarray
    matches: Mapping[int, Matches]

    @cached_property
    def by_class(self) -> Mapping[int, tuple[float, float]]:
        """The average precision of each class that has objects, over 0.5 to 0.95 and at 0.5."""
        found = {}
        for index, label in enumerate(self.classes):
            precision = self.precision[:, :, index]
            if precision.size and precision.min() > -1:
                found[label] = float(precision.mean()), float(precision[0].mean())
        return found


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
    objects = [
        Objects.of(boxes_in_pixels(each, size), each.classes) for each, size in zip(truth, sizes, strict=True)
    ]
    judged = judge(objects, found, sizes)
    by_class = {label: at_half for label, (_, at_half) in judged.by_class.items()}
    if not by_class or not any(map(len, found)):
        return AveragePrecision(0.0, 0.0, {})
    return AveragePrecision(judged.numbers["AP50"] or 0.0, judged.numbers["AP"] or 0.0, by_class)


def judge(
    truth: Sequence[Objects], found: Sequence[Detections], sizes: Sequence[tuple[int, int]]
) -> Judgement:
    """Judge what is found in pictures by the objects in them, by COCO's measure.

    ``found`` has the detections of each picture, relative to it, ``sizes`` the pictures' heights and widths
    in pixels. Judged are the classes that have objects; of each at most 100 detections a picture count. One
    whose box is not finite is wrong, and one whose score is not a number is none.
    Raise SurgeonError E108 where pycocotools is missing.
    """
    coco, cocoeval = coco_modules()
    classes = tuple(sorted({int(label) for each in truth for label in each.classes}))
    sides = zip(sizes, truth, found, strict=True)
    images, objects, detections = [], [], []
    for number, ((height, width), real, each) in enumerate(sides, 1):
        images.append({"id": number, "height": height, "width": width})
        objects += _object_rows(number, real)
        detections += _detection_rows(number, each.rows(_scored(each, classes)), (height, width))
    with contextlib.redirect_stdout(io.StringIO()):
        given, result = (_indexed(coco, images, rows, classes) for rows in (objects, detections))
        judged = cocoeval.COCOeval(given, result, "bbox")
        prepare = judged._prepare

        def prepare_difficult() -> None:
            # pycocotools knows only crowds as what counts neither way.
            prepare()
            for rows in judged._gts.values():
                for row in rows:
                    row["ignore"] = row["ignore"] or row["difficult"]

        judged._prepare = prepare_difficult
        judged.evaluate()
        judged.accumulate()
        judged.summarize()
    stats = [float(value) for value in judged.stats]
    numbers = {name: value if value > -1 else None for name, value in zip(NUMBERS, stats, strict=True)}
    # precision is [overlap, recall, class, area, detections].
    matches = {label: _matches(judged, index, len(images)) for index, label in enumerate(classes)}
    return Judgement(classes, numbers, judged.eval["precision"][:, :, :, 0, -1], matches)


def boxes_in_pixels(found: Detections, size: tuple[int, int]) -> np.ndarray:
    """Return the boxes of detections in pixels of a picture of this height and width, float64[n, 4].

    One that is not finite is empty: pycocotools would match it with any object.
    """
    boxes: np.ndarray = found.boxes.astype(np.float64).reshape(-1, 4) * (*size, *size)
    boxes[~np.isfinite(boxes).all(axis=1)] = 0.0
    return boxes


def _scored(found: Detections, classes: Sequence[int]) -> np.ndarray:
    """Return which detections are of these classes and have a score, bool[n]."""
    scored: np.ndarray = np.isin(found.classes, classes) & ~np.isnan(found.scores)
    return scored


def _indexed(
    coco: ModuleType, images: list[dict[str, int]], rows: list[dict[str, Any]], classes: Sequence[int]
) -> Any:
    """Return rows as pycocotools' annotations."""
    found = coco.COCO()
    found.dataset = {
        "images": images,
        "annotations": [{**row, "id": number} for number, row in enumerate(rows, 1)],
        "categories": [{"id": each, "name": str(each)} for each in classes],
    }
    found.createIndex()
    return found


def _object_rows(number: int, objects: Objects) -> list[dict[str, Any]]:
    return [
        {
            "image_id": number,
            "category_id": int(label),
            "bbox": _left_top_width_height(box),
            "area": float(area),
            "iscrowd": int(crowd),
            "difficult": int(difficult),
        }
        for box, label, area, crowd, difficult in zip(
            objects.boxes, objects.classes, objects.areas, objects.crowd, objects.difficult, strict=True
        )
    ]


def _detection_rows(number: int, found: Detections, size: tuple[int, int]) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for box, score, label in zip(boxes_in_pixels(found, size), found.scores, found.classes, strict=True):
        place = _left_top_width_height(box)
        rows.append(
            {
                "image_id": number,
                "category_id": int(label),
                "bbox": place,
                "area": place[2] * place[3],
                "iscrowd": 0,
                "score": float(score),
            }
        )
    return rows


def _left_top_width_height(box: np.ndarray) -> list[float]:
    top, left, bottom, right = map(float, box)
    return [left, top, right - left, bottom - top]


def _matches(judged: Any, index: int, pictures: int) -> Matches:
    """Return the matches of the class at ``index``, of objects of any size."""
    first = index * len(judged.params.areaRng) * pictures
    cells = judged.evalImgs[first : first + pictures]
    objects = np.zeros(pictures, np.int64)
    scores: list[np.ndarray] = [np.empty(0)]
    places: list[np.ndarray] = [np.empty(0, np.int64)]
    hits: list[np.ndarray] = [np.empty((len(OVERLAPS), 0), np.bool_)]
    ignored: list[np.ndarray] = [np.empty((len(OVERLAPS), 0), np.bool_)]
    for picture, cell in enumerate(cells):
        if cell is None:
            continue
        objects[picture] = int(np.sum(np.asarray(cell["gtIgnore"]) == 0))
        count = len(cell["dtScores"])
        scores.append(np.asarray(cell["dtScores"], np.float64))
        places.append(np.full(count, picture, np.int64))
        ignored.append(np.asarray(cell["dtIgnore"], np.bool_).reshape(len(OVERLAPS), count))
        hits.append(np.asarray(cell["dtMatches"]).reshape(len(OVERLAPS), count) != 0)
    score = np.concatenate(scores)
    order = np.argsort(-score, kind="mergesort")
    ignore = np.concatenate(ignored, axis=1)[:, order]
    hit = np.concatenate(hits, axis=1)[:, order] & ~ignore
    return Matches(np.concatenate(places)[order], score[order], hit, ignore, objects)
