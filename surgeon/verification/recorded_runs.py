"""What an original computes, kept in a file, so that an engine can be verified where TensorFlow is not."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict

from surgeon.atomic import writing
from surgeon.diagnostics import SurgeonError, error
from surgeon.language.recipe import ClassNumber, Image
from surgeon.runners.detections import Detections
from surgeon.verification.comparison import KEEP_ALL

VERSION = 1

_META = "meta"
_MOST_BYTES = 8 << 30
_MOST_PICTURES = 10_000
_BEYOND = 1000
"""Detections beyond the original's that are kept of a rerun that gives all.

Those at the cut are among them.
"""

_PARTS = {"boxes": np.float32, "scores": np.float32, "classes": np.int64}

Reruns = Callable[[str], Detections]
"""Returns what the rewritten graph's references detect with a rule changed.

With none where its name is empty.
"""

_UNCHANGED = "unchanged"


@dataclass(frozen=True, eq=False)
class Original:
    """What the original computes of one picture, and what the rewritten graph's references would, with rules
    changed.

    ``pixels`` is uint8[H, W, 3] as the original saw it, None where numbers were made up. ``inputs`` holds the
    original's own values of the rewritten graph's inputs, batch of one first. ``detections`` counts classes
    as the plugin does; None where the graph gives none, and then ``tensors`` holds what its outputs must be.
    ``changes`` are the rules that ``cut`` (from ``inputs``) and ``end`` (from the pixels) know.
    """

    name: str
    pixels: np.ndarray | None
    window: tuple[float, float]
    inputs: Mapping[str, np.ndarray]
    detections: Detections | None
    tensors: Mapping[str, np.ndarray] = field(default_factory=dict)
    changes: tuple[str, ...] = ()
    cut: Reruns | None = None
    end: Reruns | None = None


class Facts(BaseModel):
    """What all pictures of a file have in common; ``graph`` is the digest of the original."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: int = VERSION
    graph: str
    recipe: str
    target: str
    made: bool
    labels: Mapping[ClassNumber, str] = {}
    image: Image | None = None
    prepared: tuple[str, ...] = ()
    """The inputs that a picture becomes."""


class Keeper:
    """Collects originals, and writes them into one ``.npz`` file."""

    def __init__(self, facts: Facts) -> None:
        self._facts = facts
        self._arrays: dict[str, np.ndarray] = {}
        self._pictures: list[dict[str, Any]] = []

    def add(self, original: Original) -> None:
        """Take one picture."""
        at = f"{len(self._pictures)}"
        row: dict[str, Any] = {
            "name": original.name,
            "window": list(original.window),
            "changes": list(original.changes),
        }
        row |= {
            "inputs": list(original.inputs),
            "tensors": list(original.tensors),
            "detections": original.detections is not None,
        }
        for group, arrays in (("input", original.inputs), ("tensor", original.tensors)):
            self._arrays |= {f"{at}/{group}/{i}": array for i, array in enumerate(arrays.values())}
        if original.pixels is not None:
            self._arrays[f"{at}/pixels"] = original.pixels
        if original.detections is not None:
            self._put(f"{at}/original", original.detections)
        for name, rerun in (("cut", original.cut), ("end", original.end)):
            row[name] = rerun is not None
            for change in ("", *original.changes) if rerun is not None else ():
                assert rerun is not None
                most = _BEYOND + len(original.detections or ())
                self._put(
                    f"{at}/{name}/{change or _UNCHANGED}",
                    _best(rerun(change), most) if change == KEEP_ALL else rerun(change),
                )
        self._pictures.append(row)

    def write(self, path: Path) -> None:
        """Write the file whole or not at all; raise SurgeonError E105."""
        told = {"facts": self._facts.model_dump(mode="json"), "pictures": self._pictures}
        meta = np.frombuffer(json.dumps(told).encode(), np.uint8)
        with writing(path) as handle:
            np.savez_compressed(handle, allow_pickle=False, **{_META: meta, **self._arrays})

    def _put(self, name: str, found: Detections) -> None:
        self._arrays |= {f"{name}/{part}": getattr(found, part) for part in _PARTS}


def _best(found: Detections, most: int) -> Detections:
    kept = np.sort(np.argsort(-found.scores, kind="stable")[:most])
    return Detections(found.boxes[kept], found.scores[kept], found.classes[kept])


def read_originals(path: Path) -> tuple[Facts, Sequence[Original]]:
    """Read what :class:`Keeper` wrote; the pictures are read when they are asked for.

    Raise SurgeonError V123 for a file that cannot be read, or is none of this kind and version.
    """
    with _reading(path):
        with zipfile.ZipFile(path) as archive:
            if sum(entry.file_size for entry in archive.infolist()) > _MOST_BYTES:
                raise _wrong(path, "it is far too large")
        content = np.load(path, allow_pickle=False)
        told = json.loads(content[_META].tobytes())
        rows, version = told["pictures"], told["facts"]["version"]
        if version != VERSION:
            raise _wrong(path, f"it is of version {version}; expected {VERSION}")
        facts = Facts.model_validate(told["facts"])
        if not isinstance(rows, list) or not 0 < len(rows) <= _MOST_PICTURES:
            raise _wrong(path, "it holds no pictures")
        return facts, _Rows(path, content, rows)


@contextmanager
def _reading(path: Path, what: str = "") -> Iterator[None]:
    """Raise SurgeonError V123 for whatever goes wrong with the file, or with a part of it, while the block
    reads.
    """
    try:
        yield
    except FileNotFoundError:
        raise error(
            "V123",
            f"the stored originals '{path}' cannot be read: no such file",
            str(path),
            help=["check the path"],
        ) from None
    except SurgeonError:
        raise
    except Exception as exc:  # damaged archives make zipfile, zlib and numpy raise nearly anything
        reason = " ".join(str(exc).split()) or type(exc).__name__
        raise _wrong(path, f"{what}{reason:.120}") from None


class _Rows(Sequence[Original]):
    """The pictures of a file, each read when it is its turn."""

    def __init__(self, path: Path, content: Any, rows: Sequence[Mapping[str, Any]]) -> None:
        self._path, self._content, self._rows = path, content, rows

    def __len__(self) -> int:
        return len(self._rows)

    def __iter__(self) -> Iterator[Original]:
        return (self[i] for i in range(len(self)))

    def __getitem__(self, index: Any) -> Any:
        with _reading(self._path, f"picture {index}: "):
            return self._original(str(index), self._rows[index])

    def _original(self, at: str, row: Mapping[str, Any]) -> Original:
        changes = tuple(map(str, row["changes"]))

        def group(name: str, keys: Sequence[str]) -> dict[str, np.ndarray]:
            return {str(key): self._content[f"{at}/{name}/{i}"] for i, key in enumerate(keys)}

        def reruns(name: str) -> Reruns | None:
            return (
                (lambda change: self._detections(f"{at}/{name}/{change or _UNCHANGED}"))
                if row[name]
                else None
            )

        pixels = self._content.get(f"{at}/pixels")
        if pixels is not None and (pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3):
            raise ValueError(f"its pixels are {pixels.dtype}{list(pixels.shape)}; expected uint8[H, W, 3]")
        height, width = (float(share) for share in row["window"])
        if not (0 < height <= 1 and 0 < width <= 1):
            raise ValueError(f"its window is {height} x {width}; expected shares above 0, up to 1")
        return Original(
            str(row["name"]),
            pixels,
            (height, width),
            group("input", row["inputs"]),
            self._detections(f"{at}/original") if row["detections"] else None,
            group("tensor", row["tensors"]),
            changes,
            reruns("cut"),
            reruns("end"),
        )

    def _detections(self, name: str) -> Detections:
        with _reading(self._path):
            boxes, scores, classes = (self._content[f"{name}/{part}"] for part in _PARTS)
            shapes = ((scores.size, 4), (scores.size,), (scores.size,))
            for (part, dtype), array, shape in zip(
                _PARTS.items(), (boxes, scores, classes), shapes, strict=True
            ):
                if array.dtype != dtype or array.shape != shape:
                    raise ValueError(
                        f"'{name}/{part}' is {array.dtype}{list(array.shape)}; expected "
                        f"{np.dtype(dtype)}{list(shape)}"
                    )
            return Detections(boxes, scores, classes)


def _wrong(path: Path, reason: str) -> SurgeonError:
    return error(
        "V123",
        f"'{path}' holds no stored originals: {reason}",
        str(path),
        help=["make the file with 'surgeon verify RECIPE MODEL --store FILE.npz'"],
    )
