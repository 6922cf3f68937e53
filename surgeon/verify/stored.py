"""What an original computes, kept in a file, so that an engine can be verified where TensorFlow is not."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict, ValidationError

from surgeon.atomic import writing
from surgeon.diagnostics import SurgeonError, error
from surgeon.language.recipe import ClassNumber, Image
from surgeon.verify.detections import Detections

VERSION = 1

_META = "meta"
_MOST_BYTES = 8 << 30
_MOST_PICTURES = 10_000
_PARTS = ("boxes", "scores", "classes")

Reruns = Callable[[str], Detections]
"""Returns what the rewritten graph's references detect with a rule changed."""


@dataclass(frozen=True, eq=False)
class Original:
    """What the original computes of one picture, and what the rewritten graph's references would, with rules changed.

    ``pixels`` is uint8[H, W, 3] as the original saw it, None where numbers were made up. ``inputs`` holds the original's own
    values of the rewritten graph's inputs, batch of one first. ``detections`` counts classes as the plugin does; None where
    the graph gives none, and then ``tensors`` holds what its outputs must be. ``changes`` are the rules that ``cut`` (from
    ``inputs``) and ``end`` (from the pixels) know.
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
        row: dict[str, Any] = {"name": original.name, "window": list(original.window), "changes": list(original.changes)}
        row |= {"inputs": list(original.inputs), "tensors": list(original.tensors), "detections": original.detections is not None}
        for group, arrays in (("input", original.inputs), ("tensor", original.tensors)):
            self._arrays |= {f"{at}/{group}/{i}": array for i, array in enumerate(arrays.values())}
        if original.pixels is not None:
            self._arrays[f"{at}/pixels"] = original.pixels
        if original.detections is not None:
            self._put(f"{at}/original", original.detections)
        for name, rerun in (("cut", original.cut), ("end", original.end)):
            row[name] = rerun is not None
            for change in original.changes if rerun is not None else ():
                assert rerun is not None
                self._put(f"{at}/{name}/{change}", rerun(change))
        self._pictures.append(row)

    def write(self, path: Path) -> None:
        """Write the file whole or not at all; raise SurgeonError E105."""
        told = {"facts": self._facts.model_dump(mode="json"), "pictures": self._pictures}
        meta = np.frombuffer(json.dumps(told).encode(), np.uint8)
        with writing(path) as handle:
            np.savez_compressed(handle, allow_pickle=False, **{_META: meta, **self._arrays})

    def _put(self, name: str, found: Detections) -> None:
        self._arrays |= {f"{name}/{part}": getattr(found, part) for part in _PARTS}


def read_originals(path: Path) -> tuple[Facts, Sequence[Original]]:
    """Read what :class:`Keeper` wrote; the pictures are read when they are asked for.

    Raise SurgeonError V123 for a file that cannot be read, or is none of this kind and version.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            if sum(entry.file_size for entry in archive.infolist()) > _MOST_BYTES:
                raise _wrong(path, "it is far too large")
        content = np.load(path, allow_pickle=False)
        told = json.loads(content[_META].tobytes())
        facts = Facts.model_validate(told["facts"])
        rows = told["pictures"]
        if facts.version != VERSION:
            raise _wrong(path, f"it is of version {facts.version}; this is version {VERSION}")
        if not isinstance(rows, list) or not 0 < len(rows) <= _MOST_PICTURES:
            raise _wrong(path, "it holds no pictures")
    except FileNotFoundError:
        raise error("V123", f"the stored originals '{path}' cannot be read: no such file", str(path), help=["check the path"]) from None
    except (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile, ValidationError) as exc:
        raise _wrong(path, f"{type(exc).__name__}: {' '.join(str(exc).split()):.120}") from None
    return facts, _Rows(path, content, rows)


class _Rows(Sequence[Original]):
    """The pictures of a file, each read when it is its turn."""

    def __init__(self, path: Path, content: Any, rows: Sequence[Mapping[str, Any]]) -> None:
        self._path, self._content, self._rows = path, content, rows

    def __len__(self) -> int:
        return len(self._rows)

    def __iter__(self) -> Iterator[Original]:
        return (self[i] for i in range(len(self)))

    def __getitem__(self, index: Any) -> Any:
        try:
            return self._original(str(index), self._rows[index])
        except SurgeonError:
            raise
        except (KeyError, ValueError, TypeError, IndexError, OSError, zipfile.BadZipFile) as exc:
            raise _wrong(self._path, f"picture {index}: {type(exc).__name__}: {' '.join(str(exc).split()):.120}") from None

    def _original(self, at: str, row: Mapping[str, Any]) -> Original:
        changes = tuple(map(str, row["changes"]))

        def group(name: str, keys: Sequence[str]) -> dict[str, np.ndarray]:
            return {str(key): self._content[f"{at}/{name}/{i}"] for i, key in enumerate(keys)}

        def reruns(name: str) -> Reruns | None:
            return (lambda change: self._detections(f"{at}/{name}/{change}")) if row[name] else None

        pixels = self._content.get(f"{at}/pixels")
        if pixels is not None and (pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3):
            raise ValueError(f"pixels are {pixels.dtype}{list(pixels.shape)}")
        return Original(
            str(row["name"]), pixels, (float(row["window"][0]), float(row["window"][1])), group("input", row["inputs"]),
            self._detections(f"{at}/original") if row["detections"] else None, group("tensor", row["tensors"]),
            changes, reruns("cut"), reruns("end"),
        )  # fmt: skip

    def _detections(self, name: str) -> Detections:
        boxes, scores, classes = (self._content[f"{name}/{part}"] for part in _PARTS)
        if boxes.shape != (len(scores), 4) or classes.shape != scores.shape or scores.ndim != 1 or classes.dtype != np.int64:
            raise ValueError(f"'{name}' is {boxes.dtype}{list(boxes.shape)}, {scores.dtype}{list(scores.shape)}")
        return Detections(boxes, scores, classes)


def _wrong(path: Path, reason: str) -> SurgeonError:
    return error("V123", f"'{path}' holds no stored originals: {reason}", str(path),
                 help=["make the file with 'surgeon verify RECIPE MODEL --store FILE.npz'"])  # fmt: skip
