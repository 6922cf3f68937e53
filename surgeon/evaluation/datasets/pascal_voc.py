"""Folders as Pascal VOC has them: an XML file of annotations for each picture."""

from __future__ import annotations

import math
import os
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import numpy as np

from surgeon.evaluation.dataset import (
    AnnotatedPicture,
    Dataset,
    DatasetReader,
    check_boxes,
    check_files,
    check_unique,
    contradictory,
    damaged,
    no_dataset,
)
from surgeon.runners.average_precision import Objects

_ANNOTATIONS, _PICTURES, _SETS = "Annotations", "JPEGImages", Path("ImageSets/Main")
_CORNERS = ("ymin", "xmin", "ymax", "xmax")


def matches(path: Path) -> bool:
    """Return whether a path is a folder with XML files, or with the folder 'Annotations'."""
    return os.path.isdir(path) and ((path / _ANNOTATIONS).is_dir() or any(path.glob("*.xml")))


def read(path: Path, images: Path | None, split: str | None) -> Dataset:
    """Read a folder of Pascal VOC; ``split`` names a list of 'ImageSets/Main', such as 'val'.

    Pictures stand in the folder ``images``, by default 'JPEGImages', or beside the XML files where that is
    not there. Pixels count from 1, and a box holds its last column and row, so that one from ``xmin`` to
    ``xmax`` reaches from ``xmin - 1`` to ``xmax``. Classes are numbered from 1 by name. Raise SurgeonError
    V140 for a folder or split without annotations, V141 and V142 for a file, V143 for pictures that are not
    there.
    """
    folder = path / _ANNOTATIONS if (path / _ANNOTATIONS).is_dir() else path
    files = sorted(folder.glob("*.xml")) if split is None else _of_split(path, folder, split)
    if not files:
        raise no_dataset(path, f"the folder '{folder}' holds no XML file")
    if images is None:
        images = path / _PICTURES if (path / _PICTURES).is_dir() else folder
    entries = [_entry(file, images) for file in files]
    names = sorted({name for _, _, labels, _, _ in entries for name in labels})
    numbers = {name: number for number, name in enumerate(names, 1)}
    pictures = []
    for picture, size, labels, boxes, difficult in entries:
        classes = np.array([numbers[name] for name in labels], np.int64)
        objects = Objects.of(boxes, classes, difficult=difficult)
        pictures.append(AnnotatedPicture(str(picture), size, objects, picture.read_bytes))
    check_unique(path, (each.name for each in pictures), "keep one XML file for each picture")
    check_files(path, [entry[0] for entry in entries], "say where the pictures are with --images")
    return Dataset(path, "Pascal VOC", {number: name for name, number in numbers.items()}, tuple(pictures))


def _of_split(path: Path, folder: Path, split: str) -> list[Path]:
    listing = path / _SETS / f"{split}.txt"
    try:
        lines = listing.read_text(encoding="utf-8").splitlines()
    except OSError as exc:
        raise no_dataset(
            path,
            f"the split '{split}' cannot be read: '{listing}': {exc.strerror or exc}",
            "give the name of a file in 'ImageSets/Main' without '.txt'",
        ) from None
    except UnicodeDecodeError as exc:
        raise damaged(listing, f"it is no text: {exc.reason}") from None
    files = [folder / f"{line.split()[0]}.xml" for line in lines if line.strip()]
    lost = [file for file in files if not file.is_file()]
    if lost:
        raise contradictory(
            listing, f"'{lost[0].stem}'", f"has no annotations '{lost[0]}'", "add the file, or drop the line"
        )
    return files


def _entry(
    file: Path, images: Path
) -> tuple[Path, tuple[int, int] | None, list[str], np.ndarray, np.ndarray]:
    """Return the picture, its size, and the objects' classes, boxes and marks of a file."""
    try:
        root = ElementTree.parse(file).getroot()
    except ElementTree.ParseError as exc:
        line, column = exc.position
        raise damaged(file, f"line {line}, column {column + 1}: {exc.msg.partition(':')[0]}") from None
    except (OSError, ValueError, LookupError) as exc:
        raise damaged(file, str(exc)) from None
    name = _text(file, root, "filename", "annotation")
    size = None
    if root.find("size") is not None:
        height, width = (_number(file, root, f"size/{side}", "annotation") for side in ("height", "width"))
        if not math.isfinite(height * width):
            raise contradictory(
                file, "annotation/size", f"is {width:g} x {height:g}; expected pixels", "correct it"
            )
        size = (int(height), int(width)) if height and width else None
    labels, boxes, difficult = [], [], []
    for index, entry in enumerate(root.findall("object"), 1):
        key = f"annotation/object[{index}]"
        labels.append(_text(file, entry, "name", key))
        corners = [_number(file, entry, f"bndbox/{corner}", key) for corner in _CORNERS]
        boxes.append([corners[0] - 1, corners[1] - 1, corners[2], corners[3]])
        given = entry.findtext("difficult")
        difficult.append(given is not None and _number(file, entry, "difficult", key) != 0)
    array = np.array(boxes, np.float64).reshape(-1, 4)
    check_boxes(file, "annotation", array)
    return images / name, size, labels, array, np.array(difficult, np.bool_)


def _text(file: Path, entry: ElementTree.Element, name: str, key: str) -> str:
    text = (entry.findtext(name) or "").strip()
    if not text:
        raise contradictory(file, key, f"has no '{name}'", "write it as Pascal VOC does")
    return text


def _number(file: Path, entry: ElementTree.Element, name: str, key: str) -> float:
    text = _text(file, entry, name, key)
    try:
        return float(text)
    except ValueError:
        raise contradictory(
            file, f"{key}/{name}", f"is '{text:.40}'; expected a number", "correct it"
        ) from None


READER = DatasetReader("pascal-voc", "a folder as Pascal VOC has it", matches, read)
