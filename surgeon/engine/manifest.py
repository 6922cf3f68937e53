"""The manifest of an engine, a JSON file: what it was made of, for whom, and how to feed it."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from surgeon.diagnostics import SurgeonError, error
from surgeon.engine.options import BuildOptions, Precision
from surgeon.language.recipe import ClassNumber, Image
from surgeon.version import refuse_newer_json

VERSION: Literal[1] = 1
SUFFIX = ".json"

_LARGEST = 50_000_000
_CHUNK = 1 << 20


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class TensorInfo(_Part):
    """An input or output of an engine.

    ``name`` is the tensor's in the rewritten graph (``NMS:1``), ``binding`` the engine's. ``shape`` is in the
    model's own layout, the batch (None) first. ``axes`` takes the model's layout to the engine's: axis i of
    the engine is axis ``axes[i]`` of the model; empty where they are the same. ``dtype`` is the model's;
    where it is int32 and the engine gives float32, the bits are an integer's. ``engine_dtype`` and
    ``engine_shape`` are the engine's own, '' and None where they are the model's.
    """

    name: str
    binding: str
    dtype: str
    shape: tuple[int | None, ...]
    axes: tuple[int, ...] = ()
    engine_dtype: str = ""
    engine_shape: tuple[int | None, ...] | None = None


class FileInfo(_Part):
    """A file by name and content."""

    name: str
    sha256: str
    bytes: int


class Calibration(_Part):
    """What an INT8 engine was calibrated on.

    ``digest`` is that of the pictures and of how they are prepared.
    """

    pictures: int
    digest: str
    algorithm: str


class EngineLayer(_Part):
    """A layer of an engine, by TensorRT's inspector.

    ``precision`` is that in which it computes, such as INT8; it and ``type`` are '' where TensorRT does not
    tell them. ``outputs`` are the tensors that it gives.
    """

    name: str
    type: str = ""
    precision: str = ""
    outputs: tuple[str, ...] = ()


class PrecisionTrial(_Part):
    """An engine that was tried: ``in_fp32`` layers were kept in FP32.

    ``map`` is as in :class:`Accuracy`; None where there was no engine, ``problem`` then says why.
    """

    in_fp32: int
    map: float | None
    build_seconds: float = 0.0
    problem: str = ""


class Accuracy(_Part):
    """How near an engine's detections are to those of the FP32 engine, on ``pictures`` pictures.

    ``map`` is the mean average precision over overlaps of 0.5 to 0.95, ``map50`` that at 0.5, both 0 to 1,
    where the FP32 engine's detections count as the truth. ``loss`` is 100 (1 - ``map``), in points, and
    ``target`` how much of it was allowed. ``in_fp32`` names the layers of the network that were kept in FP32.
    ``max_builds`` is the most engines to build, ``complete`` whether the search had ended.
    """

    target: float
    loss: float
    map: float
    map50: float
    pictures: int
    max_builds: int
    complete: bool
    in_fp32: tuple[str, ...] = ()
    trials: tuple[PrecisionTrial, ...] = ()

    @property
    def reached(self) -> bool:
        """Whether the engine loses no more than was allowed."""
        return self.loss <= self.target


class Manifest(_Part):
    """What an engine was made of, for whom, and how to feed it.

    ``graph`` is the SHA-256 of the original graph, '' where the engine was built from a bare file.
    ``detections`` maps the parts of detections to the outputs that hold them. ``classes`` is how many classes
    they may have, a background included; None where that is not known. ``layers`` counts those of the
    network, ``engine_layers`` are the engine's. ``accuracy`` is there for an engine whose layers were chosen
    by it. ``key`` is a digest of everything that decides the engine.
    """

    version: Literal[1] = VERSION
    surgeon: str
    model: str
    graph: str
    recipe: str
    recipe_digest: str
    target: str
    format: Literal["uff", "onnx", "caffe"]
    source: FileInfo
    engine: FileInfo
    tensorrt: str
    gpu: str
    compute_capability: str
    precision: Precision
    tf32: bool
    workspace: int
    max_batch: int
    dla_core: int | None
    inputs: tuple[TensorInfo, ...]
    outputs: tuple[TensorInfo, ...]
    detections: Mapping[str, str] = Field(default_factory=dict)
    image: Image | None = None
    labels: Mapping[ClassNumber, str] = Field(default_factory=dict)
    classes: int | None = None
    plugin_libraries: tuple[FileInfo, ...] = ()
    calibration: Calibration | None = None
    layers: int
    engine_layers: tuple[EngineLayer, ...] = ()
    accuracy: Accuracy | None = None
    build_seconds: float
    key: str

    def to_json(self) -> str:
        """Return the file's text."""
        return json.dumps(self.model_dump(mode="json"), indent=1) + "\n"


def manifest_path(engine: Path) -> Path:
    """Return where the manifest of an engine is."""
    return engine.with_name(engine.name + SUFFIX)


def read_manifest(engine: Path) -> Manifest:
    """Return an engine's manifest.

    Raise SurgeonError B102 where there is none, E121 where a newer release wrote it, B103 where it is wrong.
    """
    path = manifest_path(engine)
    try:
        if path.stat().st_size > _LARGEST:
            raise _no_manifest(path, "it is far too large")
        text = path.read_bytes()
        return Manifest.model_validate_json(text)
    except FileNotFoundError:
        raise error(
            "B102",
            f"the engine '{engine}' has no manifest; expected '{path.name}' beside it",
            str(engine),
            help=["keep the two together, or build the engine again with 'surgeon build'"],
        ) from None
    except OSError as exc:
        raise error(
            "B102",
            f"the manifest '{path}' cannot be read: {exc.strerror or exc}",
            str(path),
            help=["check the path"],
        ) from None
    except ValidationError as exc:
        refuse_newer_json(text, VERSION, "the manifest", path, "surgeon build RECIPE MODEL -o ENGINE")
        first = exc.errors(include_url=False, include_input=False)[0]
        place = ".".join(map(str, first["loc"])) or "the file"
        raise _no_manifest(path, f"{place}: {first['msg']}") from None


def _no_manifest(path: Path, reason: str) -> SurgeonError:
    return error(
        "B103",
        f"'{path}' is not a manifest of an engine: {reason}",
        str(path),
        help=["build the engine again with 'surgeon build'"],
    )


def check_place(manifest: Manifest, tensorrt: str, gpu: str, capability: str, engine: Path) -> None:
    """Raise SurgeonError B104 for every way in which this place is not the one the engine was built for."""
    here = {
        "TensorRT": (manifest.tensorrt, tensorrt),
        "GPU": (manifest.gpu, gpu),
        "compute capability": (manifest.compute_capability, capability),
    }
    other = [
        f"{what}: built for {built}, here is {found}"
        for what, (built, found) in here.items()
        if built != found
    ]
    if other:
        raise error(
            "B104",
            f"the engine '{engine}' was built for another place; an engine runs where it was built",
            str(engine),
            other,
            ["build it here: 'surgeon build' with the same recipe and model"],
        )


def check_libraries_of(manifest: Manifest, libraries: Iterable[Path], engine: Path) -> None:
    """Raise SurgeonError B105 for a plugin library of the engine that is not given, or is another."""
    given = {describe_file(path).sha256: path for path in libraries}
    lacking = [one for one in manifest.plugin_libraries if one.sha256 not in given]
    if lacking:
        names = {path.name for path in given.values()}
        notes = [
            f"{one.name} (SHA-256 "
            f"{one.sha256[:16]}...){': another file of that name is given' if one.name in names else ''}"
            for one in lacking
        ]
        raise error(
            "B105",
            f"the engine '{engine}' needs plugin libraries that it was built with",
            str(engine),
            notes,
            ["give each with --plugin-library, or build the engine again"],
        )


def check_content(manifest: Manifest, data: bytes, engine: Path) -> None:
    """Raise SurgeonError B106 where the engine's bytes are not those that the manifest describes."""
    if hashlib.sha256(data).hexdigest() != manifest.engine.sha256:
        sizes = f"it has {len(data)} bytes of {manifest.engine.bytes}"
        raise error(
            "B106",
            f"the engine '{engine}' is not the one that its manifest describes; {sizes}",
            str(engine),
            ["it was damaged, cut off, or overwritten"],
            ["build it again with 'surgeon build'"],
        )


def describe_file(path: Path, name: str = "") -> FileInfo:
    """Return a file's name, digest and size; raise SurgeonError E101 where it cannot be read."""
    digest = hashlib.sha256()
    size = 0
    try:
        with open(path, "rb") as handle:
            for chunk in iter(lambda: handle.read(_CHUNK), b""):
                digest.update(chunk)
                size += len(chunk)
    except OSError as exc:
        raise error(
            "E101", f"'{os.fspath(path)}' cannot be read: {exc.strerror or exc}", help=["check the path"]
        ) from None
    return FileInfo(name=name or path.name, sha256=digest.hexdigest(), bytes=size)


def key_of(
    source: str,
    options: BuildOptions,
    tensorrt: str,
    gpu: str,
    libraries: Iterable[FileInfo],
    profiles: Any,
    calibration: str,
    in_fp32: Sequence[int] = (),
) -> str:
    """Return a digest of everything that decides an engine.

    That is the file's digest, the options, the place, the libraries, the shapes, the calibration, and the
    layers that are kept in FP32.
    """
    parts = [
        VERSION,
        source,
        dict(options.to_json()),
        tensorrt,
        gpu,
        sorted(one.sha256 for one in libraries),
        profiles,
        calibration,
        *([list(in_fp32)] if in_fp32 else []),
    ]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
