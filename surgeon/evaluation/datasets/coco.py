"""COCO's JSON: one file with images, annotations and categories."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from surgeon.evaluation.dataset import (
    AnnotatedPicture,
    Dataset,
    DatasetReader,
    check_files,
    check_unique,
    contradictory,
    damaged,
    no_dataset,
)
from surgeon.runners.average_precision import Objects

_TYPES: dict[str, tuple[type, ...]] = {
    "a whole number": (int,),
    "a number": (int, float),
    "a text": (str,),
    "a list": (list,),
}


def matches(path: Path) -> bool:
    """Return whether a path is a JSON file, by its name or its first letter."""
    if not os.path.isfile(path):
        return False
    if path.suffix.lower() == ".json":
        return True
    try:
        with path.open("rb") as handle:
            return handle.read(64).lstrip().startswith(b"{")
    except OSError:
        return False


def read(path: Path, images: Path | None, split: str | None) -> Dataset:
    """Read COCO's JSON; pictures stand in the folder ``images``, by default that of the file.

    Boxes are left, top, width and height in pixels, the upper left corner of the picture being 0, 0. Raise
    SurgeonError V140 for a ``split``, V141 and V142 for the file, V143 for pictures that are not there.
    """
    if split is not None:
        raise no_dataset(path, f"a JSON file has no split '{split}'", "give the JSON file of that split")
    content = _content(path)
    classes = _classes(path, content["categories"])
    rows = _rows_by_image(path, content["annotations"], content["images"], classes)
    folder = path.parent if images is None else images
    found, files = [], []
    for index, image in enumerate(content["images"]):
        key = f"images[{index}]"
        file = folder / _value(path, key, image, "file_name", "a text")
        size = None
        if "height" in image or "width" in image:
            height, width = (_value(path, key, image, name, "a whole number") for name in ("height", "width"))
            size = (height, width)
        files.append(file)
        found.append(AnnotatedPicture(str(file), size, _objects(rows[image["id"]]), file.read_bytes))
    check_unique(path, map(str, files), "keep one entry of 'images'")
    check_files(path, files, "say where the pictures are with --images")
    return Dataset(path, "COCO JSON", classes, tuple(found))


def _content(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_bytes())
    except OSError as exc:
        raise damaged(path, exc.strerror or str(exc), "check the path and its permissions") from None
    except json.JSONDecodeError as exc:
        raise damaged(path, f"line {exc.lineno}, column {exc.colno}: {exc.msg}") from None
    except (ValueError, RecursionError) as exc:
        raise damaged(path, f"it is no JSON text: {exc!s:.120}") from None
    if not isinstance(content, dict):
        raise damaged(path, "its JSON is no object with 'images', 'annotations' and 'categories'")
    for name in ("images", "annotations", "categories"):
        for index, entry in enumerate(_value(path, "the file", content, name, "a list")):
            if not isinstance(entry, dict):
                raise contradictory(path, f"{name}[{index}]", "is no object", "write it as COCO does")
    return content


def _classes(path: Path, categories: list[dict[str, Any]]) -> dict[int, str]:
    found: dict[int, str] = {}
    for index, entry in enumerate(categories):
        key = f"categories[{index}]"
        number = _value(path, key, entry, "id", "a whole number")
        name = _value(path, key, entry, "name", "a text")
        if number in found or name in found.values():
            problem = f"repeats the id {number}" if number in found else f"repeats the name '{name}'"
            raise contradictory(path, key, problem, "give each class one id and one name")
        found[number] = name
    return found


def _rows_by_image(
    path: Path, annotations: list[dict[str, Any]], images: list[dict[str, Any]], classes: Mapping[int, str]
) -> dict[Any, list[tuple[Any, ...]]]:
    """Return box, class, area and whether it is a crowd, of each annotation by the picture's id."""
    rows: dict[Any, list[tuple[Any, ...]]] = {}
    for index, image in enumerate(images):
        number = image.get("id")
        if not isinstance(number, int | str):
            raise contradictory(path, f"images[{index}]", "has no 'id'", "give each picture an id")
        if number in rows:
            raise contradictory(path, f"images[{index}]", f"repeats the id {number}", "number pictures apart")
        rows[number] = []
    for index, entry in enumerate(annotations):
        key = f"annotations[{index}]"
        picture, label = entry.get("image_id"), entry.get("category_id")
        if not isinstance(picture, int | str) or picture not in rows:
            raise contradictory(
                path,
                f"{key}.image_id",
                f"is {picture!r}, which no picture has",
                "add the picture, or drop it",
            )
        if not isinstance(label, int) or label not in classes:
            raise contradictory(
                path, f"{key}.category_id", f"is {label!r}, which no category has", "add the category"
            )
        left, top, width, height = _box(path, key, entry)
        area = _value(path, key, entry, "area", "a number") if "area" in entry else width * height
        if area < 0:
            raise contradictory(
                path,
                f"{key}.area",
                f"is {area:g}; expected square pixels, 0 or more",
                "correct it, or leave 'area' out, which then is that of the box",
            )
        crowd = entry.get("iscrowd", 0)
        if crowd not in (0, 1):
            raise contradictory(path, f"{key}.iscrowd", f"is {crowd!r}; expected 0 or 1", "correct it")
        rows[picture].append(((top, left, top + height, left + width), label, area, bool(crowd)))
    return rows


def _box(path: Path, key: str, entry: Mapping[str, Any]) -> tuple[float, float, float, float]:
    box = entry.get("bbox")
    numbers = box if isinstance(box, list) and len(box) == 4 else []
    fits = all(isinstance(value, int | float) and _fits(value) for value in numbers)
    if not numbers or not fits or min(numbers[2:]) < 0:
        raise contradictory(
            path,
            f"{key}.bbox",
            f"is {box!s:.80}; expected left, top, width and height in pixels",
            "give the annotation a box, or take it out",
        )
    left, top, width, height = map(float, numbers)
    return left, top, width, height


def _objects(rows: list[tuple[Any, ...]]) -> Objects:
    if not rows:
        return Objects.of(np.empty((0, 4)), np.empty(0))
    boxes, labels, areas, crowd = (np.array(column) for column in zip(*rows, strict=True))
    return Objects.of(boxes, labels, areas, crowd)


def _value(path: Path, key: str, entry: Mapping[str, Any], name: str, kind: str) -> Any:
    """Return a value of an entry; raise SurgeonError V142 where it is missing or of another kind."""
    value = entry.get(name)
    known = isinstance(value, _TYPES[kind])
    if not known or (isinstance(value, int | float) and not _fits(value)):
        shown = f"has the '{name}' {value!s:.80}" if name in entry else f"has no '{name}'"
        raise contradictory(path, key, f"{shown}; expected {kind}", "write it as COCO does")
    return value


def _fits(value: float) -> bool:
    """Return whether a number, true and false being none, is finite and not beyond 64 bits."""
    most = sys.float_info.max if isinstance(value, float) else np.iinfo(np.int64).max
    return not isinstance(value, bool) and abs(value) <= most


READER = DatasetReader("coco", "a JSON file as COCO writes it", matches, read)
