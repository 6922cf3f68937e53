"""Building engines: a file for TensorRT becomes an engine with its manifest, or an old one is reused."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from surgeon.atomic import write_bytes, write_text
from surgeon.catalog.plugin_uses import PluginUse
from surgeon.diagnostics import Diagnostic, SurgeonError, error
from surgeon.engine.layer_report import by_precision, read_layers
from surgeon.engine.manifest import (
    Calibration,
    FileInfo,
    Manifest,
    TensorInfo,
    check_content,
    check_place,
    describe_file,
    key_of,
    manifest_path,
    read_manifest,
)
from surgeon.engine.options import BuildOptions
from surgeon.engine.precision_search import NetworkLayer, layers_from
from surgeon.engine.worker_client import Platform, Watch, Worker
from surgeon.language.recipe import Image
from surgeon.version import __version__

TIMEOUT = 3600.0
"""Seconds that a build may take."""

_FIRST_RUN = 300.0


@dataclass(frozen=True)
class Output:
    """An output as the rewritten graph has it: name, element type, and shape, the batch (None) first."""

    name: str
    dtype: str = "float32"
    shape: tuple[int | None, ...] = ()


@dataclass(frozen=True)
class Source:
    """A file for TensorRT, and what is known of it.

    ``inputs`` have the file's names for bindings. ``marks`` are the names to mark as outputs where the format
    needs them, ``outputs`` what then comes out, in order. ``uses`` are the plugin nodes. ``batch`` is that of
    a file with a fixed one, which the engine then has. The rest goes into the manifest.
    """

    format: Literal["uff", "onnx", "caffe"]
    path: Path
    weights: Path | None = None
    inputs: tuple[TensorInfo, ...] = ()
    marks: tuple[str, ...] = ()
    outputs: tuple[Output, ...] = ()
    uses: tuple[PluginUse, ...] = ()
    model: str = ""
    graph: str = ""
    recipe: str = ""
    recipe_digest: str = ""
    target: str = ""
    detections: Mapping[str, str] = field(default_factory=dict)
    image: Image | None = None
    labels: Mapping[int, str] = field(default_factory=dict)
    classes: int | None = None
    batch: int | None = None


@dataclass(frozen=True)
class CalibrationBatches:
    """Pictures for the INT8 calibrator.

    ``batch`` gives batch i as the network's inputs in the engine's layout, ``batch_size`` pictures each;
    there are ``batches``. ``digest`` is that of the pictures and of how they are prepared. ``cache`` is a
    file to read scales from instead, used as it is.
    """

    pictures: int = 0
    batch_size: int = 1
    batches: int = 0
    digest: str = ""
    batch: Callable[[int], Sequence[np.ndarray]] | None = None
    cache: Path | None = None


@dataclass(frozen=True)
class BuildResult:
    """An engine on disk.

    ``reused`` says that an existing engine was still up to date. ``report`` is what TensorRT's inspector
    tells of the layers, as JSON; '' where the version has none, and for a reused engine without
    ``BuildOptions.report``. ``diagnostics`` are the notes and warnings of the plan, and what may go wrong in
    the target's runtime; there are none of an engine that was built from a file.
    """

    path: Path
    manifest: Manifest
    reused: bool
    report: str = ""
    diagnostics: tuple[Diagnostic, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return plain values, without the report."""
        return {
            "engine": str(self.path),
            "reused": self.reused,
            "layers": by_precision(self.manifest.engine_layers),
            "manifest": self.manifest.model_dump(mode="json"),
            "diagnostics": [each.to_json() for each in self.diagnostics],
        }


@dataclass(frozen=True)
class NetworkDescription:
    """A file as TensorRT reads it, and what its engine would be.

    ``key`` is that of the engine in its manifest. ``constraint`` is the builder flag that makes layers keep a
    precision; '' where the version has none.
    """

    key: str
    platform: Platform
    layers: tuple[NetworkLayer, ...]
    constraint: str


def describe_network(
    source: Source,
    options: BuildOptions,
    libraries: Sequence[Path] = (),
    shapes: Mapping[str, Sequence[Sequence[int]]] | None = None,
    calibration: CalibrationBatches | None = None,
    timeout: float = TIMEOUT,
    watch: Watch | None = None,
) -> NetworkDescription:
    """Return the layers of a file's network, without building an engine.

    Raise SurgeonError as :func:`build` does.
    """
    _check(source, options, calibration)
    used = _calibration_used(options, calibration)
    profiles = {**_profiles(source, options), **(shapes or {})}
    with Worker(libraries, source.uses, str(source.path), watch) as worker:
        answer = worker.order("layers", timeout, source=_parsed(source))
        described = tuple(describe_file(path) for path in libraries)
        key = _key(source, options, worker.platform, described, profiles, used)
        return NetworkDescription(key, worker.platform, layers_from(answer["layers"]), answer["constraint"])


def kept_engine(output: Path, key: str, platform: Platform) -> Manifest | None:
    """Return the manifest of an engine that is there, whole and with this key; else None."""
    earlier = _earlier(output)
    whole = earlier is not None and earlier.key == key and _is_whole(earlier, platform, output)
    return earlier if whole else None


def keep_engine(built: BuildResult, output: Path, manifest: Manifest) -> BuildResult:
    """Put an engine in the place of ``output``, with its scales and this manifest beside it."""
    data = built.path.read_bytes()
    engine = FileInfo(name=output.name, sha256=hashlib.sha256(data).hexdigest(), bytes=len(data))
    renamed = manifest.model_copy(update={"engine": engine})
    scales = _read(calibration_path(built.path))
    if scales and manifest.calibration is not None:
        write_bytes(calibration_path(output), scales, follow_links=False)
    write_bytes(output, data)
    write_text(manifest_path(output), renamed.to_json(), follow_links=False)
    return BuildResult(output, renamed, False, built.report)


def build(
    source: Source,
    output: Path,
    options: BuildOptions,
    *,
    libraries: Sequence[Path] = (),
    shapes: Mapping[str, Sequence[Sequence[int]]] | None = None,
    calibration: CalibrationBatches | None = None,
    timing_cache: Path | None = None,
    in_fp32: Sequence[int] = (),
    force: bool = False,
    timeout: float = TIMEOUT,
    watch: Watch | None = None,
) -> BuildResult:
    """Build an engine into ``output``, with its manifest beside it, unless it is there already.

    An engine with the same key in its manifest (:func:`key_of`) is reused, unless ``force`` is set.
    ``shapes`` gives the least, best and largest shape of inputs with open sizes other than the batch, in the
    engine's layout. ``in_fp32`` are numbers of network layers, of :func:`describe_network`, that compute in
    FP32 whatever the precision. The engine is run once before it is written.

    Raise SurgeonError: B101 for a batch that the file does not have, B107 for INT8 without calibration, E105
    for outputs, and what :meth:`Worker.order` raises; nothing is written then.
    """
    _check(source, options, calibration)
    used = _calibration_used(options, calibration)
    libraries_used = tuple(describe_file(path) for path in libraries)
    content = describe_file(source.path)
    profiles = {**_profiles(source, options), **(shapes or {})}
    with Worker(libraries, source.uses, str(source.path), watch, _answering(calibration)) as worker:
        platform = worker.platform
        key = _key(source, options, platform, libraries_used, profiles, used, in_fp32)
        earlier = None if force else _earlier(output)
        if earlier is not None and earlier.key == key and _is_whole(earlier, platform, output):
            return BuildResult(output, earlier, True, _report(worker, output) if options.report else "")
        result = worker.order(
            "build",
            timeout,
            source=_parsed(source),
            options=dict(options.to_json()),
            profiles=profiles,
            in_fp32=list(in_fp32),
            timing_cache=_read(timing_cache) if timing_cache is not None else None,
            calibration=_calibrator(options, calibration, used, earlier, output, content),
        )
        data: bytes = result["engine"]
        bindings = worker.order("load", _FIRST_RUN, data=data, max_batch=options.max_batch)
        inputs, outputs = _tensors(source, result, bindings)
        zeros = {t.binding: np.zeros(_static(_engine_shape(t)), t.dtype) for t in inputs}
        worker.order("run", _FIRST_RUN, feeds=zeros)
    manifest = Manifest(
        surgeon=__version__,
        model=source.model,
        graph=source.graph,
        recipe=source.recipe,
        recipe_digest=source.recipe_digest,
        target=source.target,
        format=source.format,
        source=content,
        engine=FileInfo(name=output.name, sha256=hashlib.sha256(data).hexdigest(), bytes=len(data)),
        tensorrt=platform.tensorrt,
        gpu=platform.gpu,
        compute_capability=platform.capability,
        precision=options.precision,
        tf32=options.tf32,
        workspace=options.workspace,
        max_batch=options.max_batch,
        dla_core=options.dla_core,
        inputs=inputs,
        outputs=outputs,
        detections=source.detections,
        image=source.image,
        labels=source.labels,
        classes=source.classes,
        plugin_libraries=libraries_used,
        calibration=used,
        layers=result["layers"],
        engine_layers=read_layers(result["report"]),
        build_seconds=round(result["seconds"], 2),
        key=key,
    )
    if result["calibration_cache"]:
        write_bytes(calibration_path(output), result["calibration_cache"], follow_links=False)
    if timing_cache is not None and result["timing_cache"]:
        write_bytes(timing_cache, result["timing_cache"])
    write_bytes(output, data)
    write_text(manifest_path(output), manifest.to_json(), follow_links=False)
    return BuildResult(output, manifest, False, result["report"])


def _key(
    source: Source,
    options: BuildOptions,
    platform: Platform,
    libraries: Sequence[FileInfo],
    profiles: Mapping[str, Any],
    calibration: Calibration | None,
    in_fp32: Sequence[int] = (),
) -> str:
    weights = describe_file(source.weights).sha256 if source.weights is not None else ""
    return key_of(
        describe_file(source.path).sha256 + weights,
        # What the inspector tells is kept with every engine; whether a caller wants it decides nothing.
        replace(options, report=False),
        platform.tensorrt,
        f"{platform.gpu} {platform.capability}",
        libraries,
        profiles,
        calibration.digest if calibration else "",
        in_fp32,
    )


def inspect_engine(engine: Path, libraries: Sequence[Path] = ()) -> str:
    """Return what TensorRT's inspector tells of the layers of an engine, as JSON; '' where it has none.

    Raise SurgeonError as :func:`build` does.
    """
    with Worker(libraries, (), str(engine)) as worker:
        return _report(worker, engine)


def _report(worker: Worker, engine: Path) -> str:
    """Return what the inspector tells of the layers of an engine that is there."""
    found: str = worker.order("inspect", _FIRST_RUN, data=engine.read_bytes())
    return found


def check_batch(source: Source, max_batch: int) -> None:
    """Raise SurgeonError B101 for a file with another fixed batch than the engine is to have."""
    if source.batch not in (None, max_batch):
        raise error(
            "B101",
            f"the largest batch is {max_batch}; '{source.path.name}' has a fixed batch of {source.batch}",
            str(source.path),
            help=["convert with '--batch dynamic', or with the batch that the engine is to have"],
        )


def _check(source: Source, options: BuildOptions, calibration: CalibrationBatches | None) -> None:
    if options.precision == "int8" and calibration is None:
        raise error(
            "B107",
            "an INT8 engine needs calibration; expected a folder of pictures, or a calibration cache",
            help=[
                "give --calibration DIR with some hundred pictures like those it will see, or "
                "--calibration-cache"
            ],
        )
    check_batch(source, options.max_batch)


def _parsed(source: Source) -> dict[str, Any]:
    """Return what the child's parser is told of a source."""
    return {
        "format": source.format,
        "path": str(source.path),
        "weights": str(source.weights or ""),
        "inputs": [(t.binding, _engine_shape(t)[1:]) for t in source.inputs],
        "outputs": list(source.marks),
    }


def calibration_path(engine: Path) -> Path:
    """Return where the calibration cache of an engine is kept."""
    return engine.with_name(engine.name + ".calibration")


def _answering(calibration: CalibrationBatches | None) -> Callable[[str, int], Any] | None:
    """Return what answers the child's calibrator, which asks for batch after batch."""
    if calibration is None or calibration.batch is None:
        return None
    batch = calibration.batch
    return lambda what, number: list(batch(number))


def _calibration_used(options: BuildOptions, calibration: CalibrationBatches | None) -> Calibration | None:
    """Return what the manifest says of the calibration, None for an engine without."""
    if options.precision != "int8" or calibration is None:
        return None
    digest = calibration.digest
    if calibration.cache is not None:
        scales = describe_file(calibration.cache)
        if not scales.bytes:
            raise error(
                "B107",
                f"the calibration cache '{calibration.cache}' is empty; expected scales",
                str(calibration.cache),
                help=["give the file that an INT8 build left beside its engine"],
            )
        digest = scales.sha256
    return Calibration(pictures=calibration.pictures, digest=digest, algorithm=options.algorithm)


def _calibrator(
    options: BuildOptions,
    calibration: CalibrationBatches | None,
    used: Calibration | None,
    earlier: Manifest | None,
    output: Path,
    content: FileInfo,
) -> dict[str, Any] | None:
    """Return what the child's calibrator gets: an earlier cache where it is of the same pictures and file."""
    if calibration is None or used is None:
        return None
    cache = b""
    if calibration.cache is not None:
        cache = _read(calibration.cache)
    elif earlier is not None and earlier.calibration == used and earlier.source.sha256 == content.sha256:
        cache = _read(calibration_path(output))
    return {
        "batches": calibration.batches,
        "batch_size": calibration.batch_size,
        "cache": cache,
        "algorithm": options.algorithm,
    }


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return b""
    except OSError as exc:
        raise error(
            "E101", f"'{path}' cannot be read: {exc.strerror or exc}", help=["check the path"]
        ) from None


def _earlier(output: Path) -> Manifest | None:
    """Return the manifest of the engine that is there; None where there is none that can be read."""
    try:
        return read_manifest(output)
    except SurgeonError:
        return None


def _is_whole(manifest: Manifest, platform: Platform, output: Path) -> bool:
    try:
        check_place(manifest, platform.tensorrt, platform.gpu, platform.capability, output)
        check_content(manifest, output.read_bytes(), output)
    except (SurgeonError, OSError):
        return False
    return True


def _profiles(source: Source, options: BuildOptions) -> dict[str, Any]:
    """Return least, best and largest shape of each input with an open batch."""
    best = options.best_batch or options.max_batch
    profiles = {}
    for tensor in source.inputs:
        shape = _engine_shape(tensor)
        if source.format == "onnx" and shape and shape[0] is None and None not in shape[1:]:
            profiles[tensor.binding] = [[batch, *shape[1:]] for batch in (1, best, options.max_batch)]
    return profiles


def _engine_shape(tensor: TensorInfo) -> tuple[int | None, ...]:
    return tuple(tensor.shape[axis] for axis in tensor.axes) if tensor.axes else tensor.shape


def _static(shape: Sequence[int | None]) -> tuple[int, ...]:
    return tuple(1 if size is None else size for size in shape)


def _tensors(
    source: Source, result: Mapping[str, Any], bindings: Sequence[Mapping[str, Any]]
) -> tuple[tuple[TensorInfo, ...], ...]:
    """Return the engine's inputs and outputs.

    Those that the source does not name have the engine's names and shapes.
    """
    by_name = {b["name"]: b for b in bindings}
    known = {t.binding: t for t in source.inputs}
    implicit = source.format != "onnx"

    def bare(tensor: Mapping[str, Any]) -> TensorInfo:
        binding = by_name.get(tensor["name"], {"shape": tensor["shape"], "dtype": "float32"})
        sizes = [None if size == -1 else size for size in binding["shape"]]
        shape = (None, *sizes) if implicit else (source.batch, *sizes[1:]) if sizes else ()
        return TensorInfo(name=tensor["name"], binding=tensor["name"], dtype=binding["dtype"], shape=shape)

    def fed(tensor: Mapping[str, Any]) -> TensorInfo:
        own, stated = bare(tensor), known.get(tensor["name"])
        return own if stated is None else _with_engine_dtype(stated, own.dtype)

    inputs = tuple(fed(t) for t in result["inputs"])
    outputs = [bare(t) for t in result["outputs"]]
    if len(outputs) == len(source.outputs):
        outputs = [_named(t, o) for t, o in zip(outputs, source.outputs, strict=True)]
    return inputs, tuple(outputs)


def _count(sizes: Sequence[int | None]) -> int:
    return int(np.prod([int(size or 0) for size in sizes], dtype=np.int64))


def _named(tensor: TensorInfo, output: Output) -> TensorInfo:
    """Return an engine's output as the model has it; UFF's parser gives vectors axes of one."""
    known: dict[str, Any] = {"name": output.name, "dtype": output.dtype}
    sizes, own = output.shape[1:], tensor.shape[1:]
    if output.shape and None not in sizes + own and _count(sizes) == _count(own) and sizes != own:
        known.update(shape=(tensor.shape[0], *sizes), engine_shape=tensor.shape)
    return _with_engine_dtype(tensor.model_copy(update=known), tensor.dtype)


def _with_engine_dtype(tensor: TensorInfo, dtype: str) -> TensorInfo:
    return tensor if dtype == tensor.dtype else tensor.model_copy(update={"engine_dtype": dtype})
