"""What an original computes of each picture, live or kept in a file.

With a file an engine can be verified where TensorFlow is not.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict

from surgeon.atomic import writing
from surgeon.catalog import load_catalog
from surgeon.catalog.reference import UNCHANGED, Counterfactual
from surgeon.diagnostics import SurgeonError, error
from surgeon.graph import Ref
from surgeon.language.recipe import ClassNumber, Image
from surgeon.runners.detections import Detections, Window
from surgeon.runners.image import Picture, Prepared
from surgeon.verification.counterfactuals import KEEP_ALL, Rerun, counterfactuals_of
from surgeon.verification.results import AddedPart, Outcome, TensorComparison
from surgeon.version import refuse_newer

VERSION = 2
"""The version of a file with masks, an added part, inputs that the recipe fixes, boxes that are relative to
the network's input, or a picture that is fitted in a way of its own or lies in the middle; one without these
has version 1, which older releases read.
"""

_AGAIN = "surgeon verify RECIPE MODEL --store FILE.npz"

_LATER_OF_IMAGE = ("fill", "padding", "rounding")
"""Keys of an image that version 1 does not have."""

_META = "meta"
_MOST_BYTES = 8 << 30
_MOST_PICTURES = 10_000
_BEYOND = 1000
"""Detections beyond the original's that are kept of a rerun that gives all.

Those at the cut are among them.
"""

_PARTS = {"boxes": np.float32, "scores": np.float32, "classes": np.int64}
_MASKS = "masks"


@dataclass(frozen=True, eq=False)
class RunRecord:
    """What the original computes of one picture, and what the rewritten graph's references would, with rules
    changed.

    ``pixels`` is uint8[H, W, 3] as the original saw it, None where numbers were made up; ``window`` the part
    of the network's input that the picture fills. ``inputs`` holds the original's own values of the rewritten
    graph's inputs, batch of one first. ``detections`` counts classes as the plugin does; None where the graph
    gives none. ``tensors`` holds what its other outputs must be, None where nothing in the original stands
    for one. ``counterfactuals`` are the rules, in the order of trial, that ``cut`` (from ``inputs``) and
    ``end`` (from the pixels) can change.

    ``all_rules`` says whether rules that no recipe can avoid may explain a difference, too. ``faults`` are
    comparisons that need no rewritten graph: of inputs that the recipe fixes.

    A live record also has the ``picture`` as it was given, as ``prepared`` by the recipe's ``image``, and the
    ``values`` of the original's tensors.
    """

    name: str
    pixels: np.ndarray | None
    window: Window
    inputs: Mapping[str, np.ndarray]
    detections: Detections | None
    tensors: Mapping[str, np.ndarray | None] = field(default_factory=dict)
    counterfactuals: tuple[Counterfactual, ...] = ()
    cut: Rerun | None = None
    end: Rerun | None = None
    picture: Picture | None = None
    prepared: Prepared | None = None
    values: Mapping[Ref, np.ndarray] = field(default_factory=dict)
    all_rules: bool = True
    faults: tuple[TensorComparison, ...] = ()


class RunInfo(BaseModel):
    """What all records of a verification have in common; ``graph`` is the digest of the original."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: int = 1
    graph: str
    recipe: str
    target: str
    made: bool
    labels: Mapping[ClassNumber, str] = {}
    image: Image | None = None
    prepared: tuple[str, ...] = ()
    """The inputs that a picture becomes."""
    computed: tuple[str, ...] = ()
    """The original's tensors, and no placeholders, that other inputs stand for."""
    added: AddedPart | None = None
    """What the recipe adds that detects, where the original does not."""
    given: Mapping[str, Any] = {}
    """What steps of the recipe say of inputs, by ``step.option``; both graphs are fed by it."""
    boxes_in_input: bool = False
    """Whether the original's boxes are relative to its network's input, and clipped to no picture in that."""


class RunRecorder:
    """Collects records, and writes them into one ``.npz`` file."""

    def __init__(self, info: RunInfo) -> None:
        self.info = info
        self._arrays: dict[str, np.ndarray] = {}
        self._pictures: list[dict[str, Any]] = []

    def taking(self, records: Iterable[RunRecord]) -> Iterator[RunRecord]:
        """Yield the records, each added before."""
        for record in records:
            self.add(record)
            yield record

    def add(self, record: RunRecord) -> None:
        """Take one picture."""
        at = f"{len(self._pictures)}"
        tensors = {name: value for name, value in record.tensors.items() if value is not None}
        row: dict[str, Any] = {
            "name": record.name,
            "window": list(record.window[: 4 if any(record.window[2:]) else 2]),
            "changes": [each.name for each in record.counterfactuals],
            "counterfactuals": {
                each.name: {"text": each.text, "avoidable": each.avoidable} for each in record.counterfactuals
            },
            "inputs": list(record.inputs),
            "tensors": list(tensors),
            "detections": record.detections is not None,
            "faults": [
                {"subject": fault.subject, "outcome": fault.outcome, "reason": fault.reason}
                for fault in record.faults
            ],
        }
        for group, arrays in (("input", record.inputs), ("tensor", tensors)):
            self._arrays |= {f"{at}/{group}/{i}": _plain(array) for i, array in enumerate(arrays.values())}
        if record.pixels is not None:
            self._arrays[f"{at}/pixels"] = record.pixels
        if record.detections is not None:
            self._put(f"{at}/original", record.detections)
        for name, rerun in (("cut", record.cut), ("end", record.end)):
            row[name] = rerun is not None
            if rerun is not None:
                self._put_reruns(f"{at}/{name}", rerun, record)
        self._pictures.append(row)

    def write(self, path: Path) -> None:
        """Write the file whole or not at all; raise SurgeonError E105."""
        content = {"facts": self._facts(), "pictures": self._pictures}
        meta = np.frombuffer(json.dumps(content).encode(), np.uint8)
        with writing(path) as handle:
            np.savez_compressed(handle, allow_pickle=False, **{_META: meta, **self._arrays})

    def _facts(self) -> dict[str, Any]:
        """Return the info as version 1 has it, or with what that lacks as version 2."""
        facts = self.info.model_dump(mode="json")
        image = facts["image"] or {}
        for holder, key in ((facts, "added"), *((image, key) for key in _LATER_OF_IMAGE)):
            if key in holder and holder[key] is None:
                del holder[key]
        for key in ("given", "boxes_in_input"):
            if not facts[key]:
                del facts[key]
        later = not facts.keys().isdisjoint(
            ("added", "given", "boxes_in_input")
        ) or not image.keys().isdisjoint(_LATER_OF_IMAGE)
        centred = image.get("resize") == "letterbox" or any(len(row["window"]) > 2 for row in self._pictures)
        if later or centred:
            facts["version"] = VERSION
        return facts

    def _put_reruns(self, place: str, rerun: Rerun, record: RunRecord) -> None:
        most = _BEYOND + len(record.detections or ())
        for name in ("", *(each.name for each in record.counterfactuals)):
            detections = rerun(name)
            self._put(
                f"{place}/{name or UNCHANGED}", _best(detections, most) if name == KEEP_ALL else detections
            )

    def _put(self, name: str, detections: Detections) -> None:
        self._arrays |= {f"{name}/{part}": getattr(detections, part) for part in _PARTS}
        if detections.masks is not None:
            self._arrays[f"{name}/{_MASKS}"] = detections.masks
            self.info = self.info.model_copy(update={"version": VERSION})


def _plain(array: np.ndarray) -> np.ndarray:
    """Return an array as a file can hold it: texts that TensorFlow gives as objects become bytes, and
    numbers of types that numpy does not know, such as bfloat16, float32.
    """
    if array.dtype.kind == "O":
        return array.astype(np.bytes_)
    if array.dtype.kind == "V" and np.can_cast(array.dtype, np.float32):
        return array.astype(np.float32)
    return array


def _best(detections: Detections, most: int) -> Detections:
    kept = np.sort(np.argsort(-detections.scores, kind="stable")[:most])
    return detections.rows(kept)


def read_records(path: Path) -> tuple[RunInfo, Sequence[RunRecord]]:
    """Read what :class:`RunRecorder` wrote; the pictures are read when they are asked for.

    Raise SurgeonError E121 for a file of a newer release, and V123 for one that cannot be read or is none of
    this kind.
    """
    with _reading(path):
        with zipfile.ZipFile(path) as archive:
            if sum(entry.file_size for entry in archive.infolist()) > _MOST_BYTES:
                raise _wrong(path, "it is far too large")
        arrays = np.load(path, allow_pickle=False)
        content = json.loads(arrays[_META].tobytes())
        rows, version = content["pictures"], content["facts"]["version"]
        refuse_newer(version, VERSION, "the file of stored originals", path, _AGAIN)
        if version not in (1, VERSION):
            raise _wrong(path, f"it is of version {version}; expected 1 or {VERSION}")
        info = RunInfo.model_validate(content["facts"])
        if not isinstance(rows, list) or not 0 < len(rows) <= _MOST_PICTURES:
            raise _wrong(path, "it holds no pictures")
        return info, _StoredRecords(path, arrays, rows)


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


class _StoredRecords(Sequence[RunRecord]):
    """The pictures of a file, each read when it is its turn."""

    def __init__(self, path: Path, content: Any, rows: Sequence[Mapping[str, Any]]) -> None:
        self._path, self._content, self._rows = path, content, rows

    def __len__(self) -> int:
        return len(self._rows)

    def __iter__(self) -> Iterator[RunRecord]:
        return (self[i] for i in range(len(self)))

    def __getitem__(self, index: Any) -> Any:
        with _reading(self._path, f"picture {index}: "):
            return self._record(str(index), self._rows[index])

    def _record(self, at: str, row: Mapping[str, Any]) -> RunRecord:
        def group(name: str, keys: Sequence[str]) -> dict[str, np.ndarray]:
            return {str(key): self._content[f"{at}/{name}/{i}"] for i, key in enumerate(keys)}

        def reruns(name: str) -> Rerun | None:
            return (
                (lambda change: self._detections(f"{at}/{name}/{change or UNCHANGED}")) if row[name] else None
            )

        pixels = self._array(f"{at}/pixels")
        if pixels is not None and (pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3):
            raise ValueError(f"its pixels are {pixels.dtype}{list(pixels.shape)}; expected uint8[H, W, 3]")
        window = Window(*map(float, row["window"]))
        if not (0 < min(window[:2]) <= max(window[:2]) <= 1 and 0 <= min(window[2:]) <= max(window[2:]) < 1):
            raise ValueError(f"its window is {list(window)}; expected shares above 0, up to 1")
        return RunRecord(
            str(row["name"]),
            pixels,
            window,
            group("input", row["inputs"]),
            self._detections(f"{at}/original") if row["detections"] else None,
            group("tensor", row["tensors"]),
            _counterfactuals(row),
            reruns("cut"),
            reruns("end"),
            faults=tuple(
                TensorComparison(
                    str(fault["subject"]), str(row["name"]), Outcome(fault["outcome"]), str(fault["reason"])
                )
                for fault in row.get("faults", ())
            ),
        )

    def _array(self, name: str) -> np.ndarray | None:
        """Return an array of the file, None where it has none; archives of old NumPys have no ``get``."""
        return self._content[name] if name in self._content.files else None

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
            masks = self._array(f"{name}/{_MASKS}")
            if masks is not None and (
                masks.dtype != np.float32 or masks.ndim != 3 or len(masks) != scores.size
            ):
                raise ValueError(
                    f"'{name}/{_MASKS}' is {masks.dtype}{list(masks.shape)}; expected "
                    f"float32[{scores.size}, height, width]"
                )
            return Detections(boxes, scores, classes, masks)


def _counterfactuals(row: Mapping[str, Any]) -> tuple[Counterfactual, ...]:
    """Return what a row says of its counterfactuals, or the catalog of those whose names alone it holds."""
    names = [str(name) for name in row["changes"]]
    rules = row.get("counterfactuals")
    if rules is None:
        return tuple(_shipped().get(name, Counterfactual(name, "")) for name in names)
    return tuple(
        Counterfactual(name, str(rules[name]["text"]), bool(rules[name]["avoidable"])) for name in names
    )


@cache
def _shipped() -> Mapping[str, Counterfactual]:
    catalog = load_catalog()
    references = (catalog.reference(op) for op in catalog)
    return {each.name: each for each in counterfactuals_of(filter(None, references))}


def _wrong(path: Path, reason: str) -> SurgeonError:
    return error(
        "V123",
        f"'{path}' holds no stored originals: {reason}",
        str(path),
        help=[f"make the file with '{_AGAIN}'"],
    )
