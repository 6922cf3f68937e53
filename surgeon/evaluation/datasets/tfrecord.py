"""TFRecord files of the Object Detection API: one ``tf.train.Example`` for each picture."""

from __future__ import annotations

import glob
import os
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from surgeon.diagnostics import SurgeonError
from surgeon.evaluation.dataset import (
    AnnotatedPicture,
    Dataset,
    DatasetReader,
    check_boxes,
    contradictory,
    damaged,
    no_dataset,
)
from surgeon.optional import no_stderr, quiet, require
from surgeon.runners.average_precision import Objects

_ENCODED, _OBJECT = "image/encoded", "image/object"
_CORNERS = tuple(f"{_OBJECT}/bbox/{corner}" for corner in ("ymin", "xmin", "ymax", "xmax"))
_AREA = f"{_OBJECT}/area"
_NUMBER, _NAME = f"{_OBJECT}/class/label", f"{_OBJECT}/class/text"
_FRAME = 16
"""Bytes of a record beside its content: 8 of length and two checksums of 4."""
_BEFORE = 12
_HELP = "write the record as the Object Detection API does"
_KINDS = {"bytes_list": "texts", "float_list": "floats", "int64_list": "whole numbers"}


def matches(path: Path) -> bool:
    """Return whether a path is a TFRecord file, a folder of such files, or a pattern of their names."""
    return bool(_files(path))


def _files(path: Path) -> list[Path]:
    """Return the TFRecord files that a path stands for, by their names."""
    if os.path.isdir(path):
        return sorted(file for file in path.iterdir() if file.is_file() and _is_named(file))
    if os.path.isfile(path):
        return [path] if _is_named(path) else []
    return [file for file in map(Path, sorted(glob.glob(str(path)))) if file.is_file() and _is_named(file)]


def _is_named(file: Path) -> bool:
    return "record" in file.name.lower()


def read(path: Path, images: Path | None, split: str | None) -> Dataset:
    """Read TFRecord files; boxes are shares of the picture.

    Numbers and names of classes are those of the label map that the files were made with. Pictures stay in
    the files until they are needed. Raise SurgeonError V140 for ``images`` and ``split``, which such files do
    not have, V141 for a damaged file, V142 for a record that lacks something, E108 where TensorFlow is
    missing.
    """
    for option, given in (("folder of pictures", images), ("split", split)):
        if given is not None:
            raise no_dataset(path, f"TFRecord files have no {option} '{given}'", "leave it out")
    tensorflow = _tensorflow()
    pictures: list[AnnotatedPicture] = []
    classes: dict[int, str] = {}
    for file in _files(path):
        for number, (offset, data) in enumerate(_records(tensorflow, file), 1):
            try:
                example = tensorflow.train.Example.FromString(data)
            except Exception:  # protobuf's DecodeError, whose class depends on its implementation
                place = f"record {number}, at byte {offset - _BEFORE}"
                raise damaged(file, f"{place}: it is no tf.train.Example", _HELP) from None
            record = _Record(file, number, example)
            pictures.append(record.picture(classes, partial(_encoded, file, offset, len(data), number)))
    return Dataset(path, "TFRecord", dict(sorted(classes.items())), tuple(pictures))


def _records(tensorflow: ModuleType, file: Path) -> Iterator[tuple[int, bytes]]:
    """Yield where each record's content begins, and the content."""
    with file.open("rb") as handle:
        if handle.read(2) == b"\x1f\x8b":
            raise damaged(file, "it is compressed; expected plain records", "unpack it with 'gunzip'")
    offset = _BEFORE
    number = 0
    try:
        with quiet():
            for data in tensorflow.data.TFRecordDataset(str(file)).as_numpy_iterator():
                number += 1
                yield offset, data
                offset += len(data) + _FRAME
    except tensorflow.errors.OpError as exc:
        reason = " ".join(str(exc.message).split())
        raise damaged(file, f"record {number + 1}, at byte {offset - _BEFORE}: {reason:.160}") from None


def _encoded(file: Path, offset: int, length: int, number: int) -> bytes:
    """Return the picture of a record."""
    with file.open("rb") as handle:
        handle.seek(offset)
        data = handle.read(length)
    record = _Record(file, number, _tensorflow().train.Example.FromString(data))
    return bytes(record.values(_ENCODED, "bytes_list")[0])


def _tensorflow() -> ModuleType:
    with quiet(), no_stderr():
        return require("tensorflow", "reading TFRecord files")


class _Record:
    """One record, whose features are read by name and kind."""

    def __init__(self, file: Path, number: int, example: Any) -> None:
        self.file, self.number = file, number
        self._features = example.features.feature
        self.key = f"record {number}"

    def values(self, name: str, kind: str) -> list[Any]:
        """Return the values of a feature, none where it is not there."""
        if name not in self._features:
            return []
        feature = self._features[name]
        found = feature.WhichOneof("kind")
        if found is None or not getattr(feature, found).value:
            return []
        if found != kind:
            raise contradictory(
                self.file, f"{self.key}: '{name}'", f"holds {_KINDS[found]}; expected {_KINDS[kind]}", _HELP
            )
        return list(getattr(feature, kind).value)

    def picture(self, names: dict[int, str], encoded: Callable[[], bytes]) -> AnnotatedPicture:
        """Return the picture, and add to ``names`` the classes of its objects by number."""
        if len(self.values(_ENCODED, "bytes_list")) != 1:
            raise self._wrong(f"has no '{_ENCODED}'; expected the bytes of a picture")
        name = self._texts("image/filename") or self._texts("image/source_id")
        sides = [self.values(f"image/{side}", "int64_list") for side in ("height", "width")]
        if any(len(side) != 1 or side[0] < 1 for side in sides):
            raise self._wrong(
                "has no 'image/height' and 'image/width'; expected the picture's size in pixels"
            )
        height, width = (int(side[0]) for side in sides)
        columns = [self.values(corner, "float_list") for corner in _CORNERS]
        count = len(columns[0])
        for corner, column in zip(_CORNERS, columns, strict=True):
            self._check_count(corner, len(column), count)
        boxes = np.array(columns, np.float64).reshape(4, count).T * (height, width, height, width)
        check_boxes(self.file, self.key, boxes)
        areas = self.values(_AREA, "float_list")
        if areas:
            self._check_count(_AREA, len(areas), count)
            for area in areas:
                if not 0 <= area < np.inf:
                    raise self._wrong(f"has the '{_AREA}' {area:g}; expected square pixels, 0 or more")
        objects = Objects.of(
            boxes,
            np.array(self._classes(names, count), np.int64),
            np.array(areas) if areas else None,
            self._marks("is_crowd", count) | self._marks("group_of", count),
            self._marks("difficult", count),
        )
        shown = f"{self.file}, {self.key}" + (f" ({name[0]})" if name else "")
        return AnnotatedPicture(shown, (height, width), objects, encoded)

    def _classes(self, names: dict[int, str], count: int) -> list[int]:
        """Return the number of each object's class; those with a name alone are numbered as they come."""
        numbers, texts = self.values(_NUMBER, "int64_list"), self._texts(_NAME)
        if texts:
            self._check_count(_NAME, len(texts), count)
        if not numbers and texts:
            return [self._number_of(names, text) for text in texts]
        self._check_count(_NUMBER, len(numbers), count)
        for number, text in zip(numbers, texts or [""] * count, strict=True):
            known = names.setdefault(number, text)
            others = [other for other, name in names.items() if text and name == text and other != number]
            if (known and text and known != text) or others:
                problem = (
                    f"is called '{text}' and '{known}'" if not others else f"and {others[0]} are '{text}'"
                )
                raise self._wrong(f"does not fit those before it: the class {number} {problem}")
            names[number] = known or text
        return numbers

    def _number_of(self, names: dict[int, str], text: str) -> int:
        known = {name: number for number, name in names.items()}
        number = known.get(text, len(names) + 1)
        names[number] = text
        return number

    def _marks(self, name: str, count: int) -> np.ndarray:
        """Return a mark of each object, bool[n]; none where the feature is not there."""
        values = self.values(f"{_OBJECT}/{name}", "int64_list") or [0] * count
        self._check_count(f"{_OBJECT}/{name}", len(values), count)
        return np.array(values, np.bool_)

    def _texts(self, name: str) -> list[str]:
        return [value.decode("utf-8", "replace") for value in self.values(name, "bytes_list")]

    def _check_count(self, name: str, count: int, expected: int) -> None:
        if count != expected:
            raise self._wrong(f"has {count} values of '{name}'; expected {expected}, one for each box")

    def _wrong(self, problem: str) -> SurgeonError:
        return contradictory(self.file, self.key, problem, _HELP)


READER = DatasetReader(
    "tfrecord", "TFRecord files of the Object Detection API, with 'record' in their names", matches, read
)
