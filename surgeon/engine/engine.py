"""Engines that are there: loading, running and measuring them."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from surgeon.diagnostics import error
from surgeon.engine.layer_report import suppressing
from surgeon.engine.libraries import check_libraries
from surgeon.engine.manifest import (
    EngineLayer,
    Manifest,
    TensorInfo,
    check_content,
    check_libraries_of,
    check_place,
    read_manifest,
)
from surgeon.engine.worker_client import Platform, Worker
from surgeon.stages import tell_stage

_LOADING = 300.0
_RUNNING = 120.0
_UNDER_WAY = 2
"""Batches that are on their way through the GPU at once."""

PERCENTILES = (50, 90, 95, 99)


class Engine:
    """An engine in its own process, ready to run; a context manager.

    Where ``cuda_graphs`` is set, batches of a size that was run before go as CUDA graphs if the engine can be
    captured and the graph gives the same results.

    Raise SurgeonError B102 to B106 if it does not match its manifest or was built for another place, and
    as :meth:`Worker.order` if TensorRT refuses it or crashes.
    """

    def __init__(self, path: Path, libraries: Sequence[Path] = (), cuda_graphs: bool = True) -> None:
        self.path = path
        data = _read(path)
        self.manifest = read_manifest(path)
        check_content(self.manifest, data, path)
        plugin_libraries = check_libraries(libraries)
        check_libraries_of(self.manifest, plugin_libraries, path)
        self._worker = Worker(plugin_libraries, (), str(path))
        self._worker.__enter__()
        try:
            platform = self._worker.platform
            check_place(self.manifest, platform.tensorrt, platform.gpu, platform.capability, path)
            self._worker.order(
                "load", _LOADING, data=data, max_batch=self.manifest.max_batch, graphs=cuda_graphs
            )
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Engine:
        return self

    def __exit__(self, *args: object) -> None:
        self.close()

    def close(self) -> None:
        """End the engine's process."""
        self._worker.close()

    @property
    def platform(self) -> Platform:
        """Where the engine runs."""
        return self._worker.platform

    def run(self, feeds: Mapping[str, np.ndarray], timeout: float = _RUNNING) -> dict[str, np.ndarray]:
        """Return the outputs of one batch, by name; arrays are in the model's own layout, the batch first.

        An engine with a fixed batch computes zeros beside a smaller one. Raise SurgeonError B108 for inputs
        that the engine does not take, and as :meth:`Worker.order`.
        """
        arrays = self._in_engine_layout(feeds)
        outputs = self._worker.order("run", timeout, feeds=arrays)
        return self._as_model(outputs, len(next(iter(feeds.values()))))

    def run_each(
        self, batches: Iterable[Mapping[str, np.ndarray]], timeout: float = _RUNNING
    ) -> Iterator[dict[str, np.ndarray]]:
        """Yield the outputs of each batch, in order, as :meth:`run` returns them.

        While one batch is computed, the next one is taken from ``batches`` and copied to the GPU. What goes
        wrong with a batch, in ``batches`` too, is raised after the batches before it.
        """
        sizes: deque[int] = deque()
        failure: Exception | None = None
        coming = iter(batches)
        try:
            while failure is None:
                try:
                    feeds = next(coming)
                    arrays = self._in_engine_layout(feeds)
                except StopIteration:
                    break
                except Exception as exc:
                    failure = exc
                    break
                self._worker.order("start", timeout, feeds=arrays)
                sizes.append(len(next(iter(feeds.values()))))
                if len(sizes) == _UNDER_WAY:
                    yield self._finished(sizes, timeout)
            while sizes:
                yield self._finished(sizes, timeout)
        finally:
            while sizes:  # the caller wants no more of them
                self._finished(sizes, timeout)
        if failure is not None:
            raise failure

    def _finished(self, sizes: deque[int], timeout: float) -> dict[str, np.ndarray]:
        """Return the outputs of the batch that was started first, whose size comes first."""
        size = sizes.popleft()
        return self._as_model(self._worker.order("finish", timeout), size)

    def _as_model(self, outputs: Mapping[str, np.ndarray], batch: int) -> dict[str, np.ndarray]:
        return {t.name: _as_model(outputs[t.binding][:batch], t) for t in self.manifest.outputs}

    def bench(
        self,
        feeds: Mapping[str, np.ndarray] | None = None,
        *,
        batch: int | None = None,
        warm_up: float = 0.5,
        rounds: int = 200,
    ) -> Bench:
        """Measure ``rounds`` runs of one batch after ``warm_up`` seconds.

        Without ``feeds`` the batch is of random numbers. Raise SurgeonError B108 for a batch or inputs that
        the engine does not take.
        """
        size = batch or self.manifest.max_batch
        random = np.random.RandomState(0)
        inputs = feeds or {
            t.name: random.random_sample([size, *(1 if s is None else s for s in t.shape[1:])]).astype(
                t.dtype
            )
            for t in self.manifest.inputs
        }
        arrays = self._in_engine_layout(inputs)
        tell_stage("measuring", f"{rounds} rounds")
        times = self._worker.order(
            "bench", _RUNNING + warm_up + rounds, feeds=arrays, warm_up=warm_up, rounds=rounds
        )
        pictures = len(next(iter(inputs.values())))
        return Bench(
            pictures,
            rounds,
            _summary(times["gpu"]),
            _summary(times["whole"]),
            rounds * pictures / times["in_a_row"],
            _summary(times["graph"]) if times["graph"] else None,
            times["graph_problem"],
            self._parts(times),
            times["layers"],
            times["profile_problem"],
        )

    def _parts(self, times: Mapping[str, Any]) -> dict[str, float]:
        """Return where the time of a batch goes, in milliseconds; see :class:`Bench`."""
        medians = {name: float(np.median(times[name])) for name in ("copy_in", "copy_out", "enqueue")}
        layers: Mapping[str, float] = times["layers"]
        if not layers:
            return medians
        shown = set(_bindings_of(self.manifest.detections.values(), self.manifest.outputs))
        known = {layer.name: layer for layer in self.manifest.engine_layers}
        names = suppressing((known.get(name) or EngineLayer(name=name) for name in layers), shown)
        suppression = sum(layers[name] for name in names)
        medians["network"] = sum(layers.values()) - suppression
        if names:
            medians["suppression"] = suppression
            medians["without_suppression"] = max(0.0, float(np.median(times["gpu"])) - suppression)
        return medians

    def _in_engine_layout(self, feeds: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        self._check(feeds)
        arrays = {}
        for tensor in self.manifest.inputs:
            value = feeds[tensor.name]
            arranged = value.transpose(tensor.axes) if tensor.axes else value
            lacking = 0 if tensor.shape[0] is None else tensor.shape[0] - len(value)
            if lacking:
                arranged = np.concatenate([arranged, np.zeros((lacking, *arranged.shape[1:]), value.dtype)])
            arrays[tensor.binding] = np.ascontiguousarray(arranged)
        return arrays

    def _check(self, feeds: Mapping[str, np.ndarray]) -> None:
        tensors = {tensor.name: tensor for tensor in self.manifest.inputs}
        if set(feeds) != set(tensors):
            raise _unfit(f"the inputs are {_names(feeds)}; expected {_names(tensors)}", self.path)
        for name, value in feeds.items():
            tensor = tensors[name]
            if value.ndim != len(tensor.shape) or any(
                size not in (None, given)
                for size, given in zip(tensor.shape[1:], value.shape[1:], strict=True)
            ):
                shape = ",".join("N" if size is None else str(size) for size in tensor.shape)
                raise _unfit(
                    f"the input '{name}' is {value.dtype}{list(value.shape)}; expected "
                    f"{tensor.dtype}[{shape}]",
                    self.path,
                )
            if not 1 <= len(value) <= self.manifest.max_batch:
                raise _unfit(f"the batch is {len(value)}; expected 1 to {self.manifest.max_batch}", self.path)


def load_engine(
    path: str | os.PathLike[str],
    *,
    plugin_libraries: Iterable[str | os.PathLike[str]] = (),
    cuda_graphs: bool = True,
) -> Engine:
    """Return an engine that :func:`surgeon.build_engine` built, in its own process.

    Close it after use. Without ``cuda_graphs`` every batch is run by calls.
    """
    return Engine(Path(path), [Path(library) for library in plugin_libraries], cuda_graphs)


@dataclass(frozen=True)
class Bench:
    """Times of an engine.

    ``gpu`` and ``whole`` are milliseconds of one batch: min, mean, max and percentiles, on the GPU alone and
    with the copies of input and output. ``throughput`` is pictures in a second where batches follow each
    other without copies. ``graph`` is as ``gpu`` for a CUDA graph; None for the reason ``graph_problem``.

    ``parts`` says where the time of a batch goes, in milliseconds, each a median: ``copy_in``, ``copy_out``,
    ``enqueue`` (the host starts the execution), and of the profile, where TensorRT gives one, ``network`` and
    ``suppression``; ``without_suppression`` is ``gpu`` less the suppression, the floor of a suppression that
    costs nothing. ``layers`` is the profile: each layer's median; it is empty for the reason
    ``profile_problem``.
    """

    batch: int
    rounds: int
    gpu: Mapping[str, float]
    whole: Mapping[str, float]
    throughput: float
    graph: Mapping[str, float] | None = None
    graph_problem: str = ""
    parts: Mapping[str, float] = field(default_factory=dict)
    layers: Mapping[str, float] = field(default_factory=dict)
    profile_problem: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        return {
            "batch": self.batch,
            "rounds": self.rounds,
            "gpu_ms": dict(self.gpu),
            "whole_ms": dict(self.whole),
            "pictures_per_second": round(self.throughput, 1),
            "graph_ms": None if self.graph is None else dict(self.graph),
            "graph_problem": self.graph_problem,
            "parts_ms": {name: round(value, 4) for name, value in self.parts.items()},
            "layers_ms": {name: round(value, 4) for name, value in self.layers.items()},
            "profile_problem": self.profile_problem,
        }


def bench_json(path: Path, manifest: Manifest, found: Bench, preprocessing: float | None) -> dict[str, Any]:
    """Return a measurement as plain values, with the engine that was measured.

    ``preprocessing`` is the time to prepare a batch of pictures in milliseconds, None where it is not known
    how a picture becomes the input.
    """
    product = found.to_json()
    if preprocessing is not None:
        product["parts_ms"] = {"preprocessing": round(preprocessing, 4), **product["parts_ms"]}
    return {
        "engine": str(path),
        "tensorrt": manifest.tensorrt,
        "gpu": manifest.gpu,
        "precision": manifest.precision,
        "tf32": manifest.tf32,
        **product,
    }


def _summary(times: Sequence[float]) -> dict[str, float]:
    array = np.asarray(times)
    summary = {"min": array.min(), "mean": array.mean(), "max": array.max()}
    summary.update({f"p{p}": np.percentile(array, p) for p in PERCENTILES})
    return {name: round(float(value), 4) for name, value in summary.items()}


def _bindings_of(names: Iterable[str], outputs: Iterable[TensorInfo]) -> Iterator[str]:
    """Yield the bindings of outputs by name."""
    wanted = set(names)
    yield from (tensor.binding for tensor in outputs if tensor.name in wanted)


def _as_model(value: np.ndarray, tensor: TensorInfo) -> np.ndarray:
    """Return an output as the model has it.

    An int32 that was written into a float tensor becomes an int32 again.
    """
    if tensor.dtype == "int32" and value.dtype == np.float32:
        value = value.view(np.int32)
    value = value.transpose(np.argsort(tensor.axes)) if tensor.axes else value
    sizes = tensor.shape[1:]
    return (
        value
        if None in sizes or not tensor.shape
        else value.reshape(len(value), *(int(size or 0) for size in sizes))
    )


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as exc:
        raise error(
            "E101", f"the engine '{path}' cannot be read: {exc.strerror or exc}", help=["check the path"]
        ) from None


def _names(items: Mapping[str, object]) -> str:
    return ", ".join(f"'{name}'" for name in items) or "none"


def _unfit(problem: str, path: Path) -> Exception:
    return error("B108", problem, str(path), help=["the manifest beside the engine lists its inputs"])
