"""A folder of results: drawn pictures and tensors."""

from __future__ import annotations

import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from surgeon.atomic import make_folder, writing
from surgeon.diagnostics import error
from surgeon.runners.drawing import draw_detections
from surgeon.runners.image import MAX_PICTURES, Picture
from surgeon.runners.image_result import ImageResult


class ResultFolder:
    """A folder that files are written to, one or two for each picture; names that are taken get a number.

    Without ``drawing`` nothing is drawn. Raise SurgeonError V117 where it is a folder that pictures are read
    from, E105 where it cannot be made.
    """

    def __init__(self, path: Path, pictures: Iterable[Any], *, drawing: bool = True) -> None:
        sources = {one.parent.resolve() for one in pictures if isinstance(one, Path)}
        if path.resolve() in sources:
            raise error(
                "V117",
                f"the output '{path}' is a folder that pictures are read from; expected another",
                str(path),
                help=["give a folder of its own: what is drawn would be read as a picture next time"],
            )
        self.path = make_folder(path)
        self._drawing = drawing
        self._taken: set[str] = set()

    def free(self, name: str) -> str:
        """Return the name, or the first with a number behind it, that was not asked for before."""
        for number in range(1, MAX_PICTURES + 2):
            chosen = name if number == 1 else f"{name}-{number}"
            if chosen.lower() not in self._taken:
                self._taken.add(chosen.lower())
                return chosen
        raise AssertionError("more names than pictures")

    def write(self, picture: Picture, result: ImageResult, *, tensors: bool) -> ImageResult:
        """Draw the detections, and with ``tensors`` write the outputs; return the result with these
        files.

        Raise SurgeonError E105 where a file cannot be written, E108 where Pillow is missing.
        """
        name = self.free(picture.file.name if picture.file is not None else picture.name)
        if result.detections is not None and self._drawing:
            result = replace(
                result,
                drawn=draw_detections(picture, result.detections, self.path / f"{name}.png", result.labels),
            )
        if tensors:
            place = self.path / f"{name}.npz"
            with writing(place, follow_links=False) as handle:
                _save_arrays(handle, result.outputs)
            result = replace(result, tensors=place)
        return result


def _save_arrays(handle: BinaryIO, arrays: Mapping[str, np.ndarray]) -> None:
    """Write arrays as an ``.npz`` file.

    Unlike ``numpy.savez``, of any names, and the same bytes each time.
    """
    with zipfile.ZipFile(handle, "w") as archive:
        for name, value in arrays.items():
            with archive.open(zipfile.ZipInfo(f"{name}.npy"), "w", force_zip64=True) as entry:
                np.lib.format.write_array(entry, np.asarray(value), allow_pickle=False)
