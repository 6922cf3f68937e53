"""Annotated pictures, whatever kind of files they come from."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import ModuleType

import numpy as np

from surgeon.diagnostics import SurgeonError, error
from surgeon.discovery import discover
from surgeon.display import plural
from surgeon.optional import require
from surgeon.runners.average_precision import Objects
from surgeon.runners.image import Picture, picture_of, pixels_by_pillow


@dataclass(frozen=True, eq=False)
class AnnotatedPicture:
    """A picture and the objects in it, whose classes are the dataset's numbers.

    ``size`` is the height and width that the dataset states, None where it states none. ``encoded`` returns
    the bytes of the picture's file; it raises OSError where they cannot be read.
    """

    name: str
    size: tuple[int, int] | None
    objects: Objects
    encoded: Callable[[], bytes]

    def read(self) -> Picture:
        """Return the picture.

        Raise SurgeonError V143 where it cannot be read, or has another size than the dataset states, by
        which its boxes would be misplaced, and E108 where Pillow is missing.
        """
        pillow, turning = (require(f"PIL.{name}", "reading a picture") for name in ("Image", "ImageOps"))
        data = self.data()
        try:
            picture = picture_of(Path(self.name), lambda: pixels_by_pillow(pillow, turning, io.BytesIO(data)))
        except SurgeonError as exc:
            raise unusable_picture(self.name, exc.diagnostics[0].message.partition(": ")[2]) from None
        self.check_size(picture.pixels.shape[:2])
        return Picture(self.name, picture.pixels)

    def check_size(self, size: tuple[int, int]) -> None:
        """Raise SurgeonError V143 where the dataset states another height and width than the picture has."""
        if self.size not in (None, size):
            assert self.size is not None
            raise unusable_picture(
                self.name,
                f"it is {size[1]} x {size[0]} pixels, and the dataset says {self.size[1]} x {self.size[0]}, "
                "by which its boxes are placed",
                "correct the size in the dataset; a picture that its EXIF orientation turns has the sides "
                "swapped: save it turned",
            )

    def data(self) -> bytes:
        """Return the bytes of the picture's file; raise SurgeonError V143 where they cannot be read."""
        try:
            return self.encoded()
        except OSError as exc:
            raise unusable_picture(self.name, exc.strerror or str(exc)) from None


@dataclass(frozen=True, eq=False)
class Dataset:
    """Annotated pictures.

    ``kind`` names the format. ``classes`` are the names of the classes by the dataset's number, empty where
    it names none.
    """

    path: Path
    kind: str
    classes: Mapping[int, str]
    pictures: tuple[AnnotatedPicture, ...]

    @property
    def counts(self) -> Mapping[int, int]:
        """The number of objects of each class that has some, in the order of the numbers."""
        labels = [each.objects.classes for each in self.pictures]
        numbers, counts = np.unique(np.concatenate([np.empty(0, np.int64), *labels]), return_counts=True)
        return dict(zip(numbers.tolist(), counts.tolist(), strict=True))

    def first(self, count: int | None) -> Dataset:
        """Return the dataset with its first pictures only, all where ``count`` is None."""
        return Dataset(self.path, self.kind, self.classes, self.pictures[:count])


@dataclass(frozen=True)
class DatasetReader:
    """A kind of dataset: ``matches`` says whether a path holds one, ``read`` reads it.

    ``read`` is given the path, the folder of the pictures (None: where the format has them), and the name of
    a part of the dataset (None: all of it). It raises SurgeonError V140 to V143.
    """

    name: str
    noun: str
    matches: Callable[[Path], bool]
    read: Callable[[Path, Path | None, str | None], Dataset]


@cache
def dataset_readers() -> Mapping[str, DatasetReader]:
    """Return the readers by the names of their kinds; raise SurgeonError E112 for a name of two readers."""
    return discover("surgeon.evaluation.datasets", "kinds of datasets named", _readers_in)


def _readers_in(module: ModuleType) -> Iterator[tuple[str, DatasetReader]]:
    reader = getattr(module, "READER", None)
    if isinstance(reader, DatasetReader):
        yield reader.name, reader


def read_dataset(path: Path, images: Path | None = None, split: str | None = None) -> Dataset:
    """Return the dataset at a path: a file, a folder, or a pattern of file names.

    Raise SurgeonError V140 where it is none that can be read, V141 for a damaged file, V142 for what is
    missing or contradictory in it, V143 for pictures that are not there.
    """
    for reader in dataset_readers().values():
        if reader.matches(path):
            dataset = reader.read(path, images, split)
            check_objects(dataset)
            return dataset
    nouns = "; ".join(reader.noun for reader in dataset_readers().values())
    problem = "it is none of these" if os.path.exists(path) else "there is no such file or folder"
    raise no_dataset(path, problem, f"expected {nouns}")


def no_dataset(path: Path, problem: str, *help: str) -> SurgeonError:
    """Return the error V140 of a dataset that is none."""
    return error(
        "V140",
        f"the dataset '{path}' cannot be used: {problem}; expected annotated pictures",
        str(path),
        help=help or ("give another file or folder",),
    )


def damaged(path: Path, problem: str, help: str = "write the file again") -> SurgeonError:
    """Return the error V141 of a file that is not what its format says."""
    return error("V141", f"'{path}' cannot be read: {problem}", str(path), help=[help])


def contradictory(path: Path, key: str, problem: str, help: str) -> SurgeonError:
    """Return the error V142 of a value of a dataset that is missing or cannot be."""
    return error("V142", f"{key} {problem}", str(path), help=[help])


def unusable_picture(
    name: str, problem: str, help: str = "repair the picture, or take it out of the dataset"
) -> SurgeonError:
    """Return the error V143 of a picture of a dataset."""
    return error("V143", f"the picture '{name}' of the dataset cannot be used: {problem}", name, help=[help])


def check_objects(dataset: Dataset) -> None:
    """Raise SurgeonError V140 where no picture of a dataset shows an object."""
    if not dataset.counts:
        count = len(dataset.pictures)
        raise no_dataset(
            dataset.path,
            f"its {plural(count, 'picture')} show{'s' * (count == 1)} no object",
            "give another dataset, or more of its pictures",
        )


def check_files(path: Path, files: Sequence[Path], help: str) -> None:
    """Raise SurgeonError V143 where pictures of a dataset are not there."""
    lost = [file for file in files if not os.path.isfile(file)]
    if lost:
        raise error(
            "V143",
            f"{plural(len(lost), 'picture')} of the {len(files)} of the dataset '{path}' "
            f"{'is' if len(lost) == 1 else 'are'} not there, the first being '{lost[0]}'",
            str(path),
            help=[help],
        )


def check_unique(path: Path, names: Iterable[str], help: str) -> None:
    """Raise SurgeonError V142 where a dataset has a picture twice."""
    known: set[str] = set()
    for name in names:
        if name in known:
            raise contradictory(path, f"the picture '{name}'", "stands in the dataset twice", help)
        known.add(name)


def check_boxes(path: Path, key: str, boxes: np.ndarray) -> None:
    """Raise SurgeonError V142 for boxes float64[n, 4] that are not finite, or end before they begin."""
    wrong = ~np.isfinite(boxes).all(axis=1) | (boxes[:, 2:] < boxes[:, :2]).any(axis=1)
    for number in np.flatnonzero(wrong)[:1].tolist():
        top, left, bottom, right = boxes[number].tolist()
        raise contradictory(
            path,
            f"{key}, object {number + 1}:",
            f"the box from {left:g}, {top:g} to {right:g}, {bottom:g} is none; expected finite numbers, its "
            "right and lower edge after the left and upper one",
            "correct the box, or take the object out",
        )
