"""ONNX files in ONNX Runtime, on the CPU."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from surgeon.diagnostics import SurgeonError, error
from surgeon.formats.onnx.metadata import DETECTIONS, DIGEST, RECIPE, OnnxInfo, load_onnx
from surgeon.formats.onnx.native import DOMAIN
from surgeon.graph import DType
from surgeon.language import Image
from surgeon.optional import require

_OPEN_BATCH = 16
"""Pictures at once where the file's batch is open."""

_LAST = {"detections": 7, "boxes": 4}
"""Sizes of the last axis of ports that hold detections."""

_FATAL = 4
_PURPOSE = "running ONNX files"


class OnnxModel:
    """An ONNX file, loaded by ONNX Runtime on the CPU and fed in the model's own layout, the batch first; a
    context manager.

    ``graph`` is the digest of the original graph, ``detections`` maps ports to outputs; both are empty for a
    file of another maker. ``shapes`` are the inputs' in the model's own layout, an open size None. Raise
    SurgeonError X150 and X151 as :func:`load_onnx`, V130 where ONNX Runtime refuses the file, V131 where it
    has plugin nodes of TensorRT, E108 where a package is missing.
    """

    def __init__(self, path: Path) -> None:
        self.path, self.subject = path, str(path)
        model, info = load_onnx(path)
        self._transposed = frozenset(
            name
            for name, layout in info.layout.items()
            if layout == "NCHW" and info.inputs[name].shape.rank == 4
        )
        self._specs = info.inputs
        self.shapes = {name: self._own(name, spec.shape.dims) for name, spec in info.inputs.items()}
        self.inputs: Sequence[str] = tuple(info.inputs)
        self.outputs: Sequence[str] = tuple(info.outputs)
        self.image: Image | None = info.image
        self.labels: Mapping[int, str] = info.labels
        self.detections: Mapping[str, str] = info.detections
        self.graph, self.recipe = info.properties.get(DIGEST, ""), info.properties.get(RECIPE, "")
        # Inputs that do not agree have first axes that are no batch; then nothing is filled up and cut off.
        first = [shape[0] if shape else None for shape in self.shapes.values()]
        self.batch = first[0] or None if len(dict.fromkeys(first)) == 1 else None
        self._check_detections(info)
        runtime = require("onnxruntime", _PURPOSE)
        self.told: Mapping[str, str] = {
            "ONNX file": self.subject,
            "runtime": f"onnxruntime {runtime.__version__}",
        }
        self._check_plugins(model)
        del model  # its weights are not needed beside the session's
        options = runtime.SessionOptions()
        options.log_severity_level = _FATAL
        try:
            self._session = runtime.InferenceSession(
                str(path), options, providers=["CPUExecutionProvider"], enable_fallback=0
            )  # its second try prints on standard output
        except Exception as exc:  # its errors have no common class of their own
            raise self._refused("load", exc) from None

    def __enter__(self) -> OnnxModel:
        return self

    def __exit__(self, *args: object) -> None:
        """Nothing is to be closed."""

    @property
    def max_batch(self) -> int:
        """The most pictures at once."""
        return self.batch or _OPEN_BATCH

    def dtype(self, name: str) -> np.dtype[np.generic]:
        """Return an input's element type."""
        return np.dtype((self._specs[name].dtype or DType.FLOAT32).numpy())

    def run(self, feeds: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Return the outputs of one batch by name; a file with a fixed batch computes zeros beside a smaller
        one.

        Raise SurgeonError V132 for other inputs than the file has, V130 where ONNX Runtime fails.
        """
        if set(feeds) != set(self.inputs):
            raise self._unfit(f"the inputs are {_listed(feeds)}; expected {_listed(self.inputs)}")
        fed = {name: self._fed(name, value) for name, value in feeds.items()}
        batch = max((len(value) for value in feeds.values() if value.ndim), default=0)
        try:
            found = self._session.run(list(self.outputs), fed)
        except Exception as exc:
            raise self._refused("run", exc) from None
        arrays = zip(self.outputs, map(np.asarray, found), strict=True)
        return {
            name: value[:batch] if value.ndim and len(value) == self.batch else value
            for name, value in arrays
        }

    def _fed(self, name: str, value: np.ndarray) -> np.ndarray:
        shape = self.shapes[name]
        if shape is not None:
            wanted = shape if self.batch is None else (None, *shape[1:])
            fits = value.ndim == len(shape) and all(
                s in (None, v) for s, v in zip(wanted, value.shape, strict=True)
            )
            if not fits or (self.batch is not None and not 1 <= len(value) <= self.batch):
                shown = ",".join("N" if s is None else str(s) for s in shape)
                raise self._unfit(
                    f"the input '{name}' is {value.dtype}{list(value.shape)}; expected "
                    f"{self.dtype(name)}[{shown}]"
                )
        lacking = 0 if self.batch is None else self.batch - len(value)
        if lacking:
            value = np.concatenate([value, np.zeros((lacking, *value.shape[1:]), value.dtype)])
        arranged = value.transpose(0, 3, 1, 2) if name in self._transposed else value
        return np.ascontiguousarray(arranged, self.dtype(name))

    def _own(self, name: str, dims: tuple[int | None, ...] | None) -> tuple[int | None, ...] | None:
        """Return an input's shape in the model's own layout."""
        return (dims[0], dims[2], dims[3], dims[1]) if dims is not None and name in self._transposed else dims

    def _check_plugins(self, model: Any) -> None:
        plugins = [node for node in model.graph.node if node.domain == DOMAIN]
        if plugins:
            names = ", ".join(f"'{node.name}' ({node.op_type})" for node in plugins[:4])
            raise error(
                "V131",
                f"'{self.path}' has plugin nodes of TensorRT, which ONNX Runtime cannot run: {names}",
                self.subject,
                help=[
                    "convert it with '--plugins standard', or without a target of TensorRT",
                    "or build an engine from it",
                ],
            )

    def _check_detections(self, info: OnnxInfo) -> None:
        for port, last in _LAST.items():
            spec = info.outputs.get(self.detections.get(port, ""))
            dims = None if spec is None else spec.shape.dims
            if dims is not None and (not dims or dims[-1] not in (None, last)):
                raise error(
                    "X151",
                    f"the property {DETECTIONS} of '{self.path}' takes '{self.detections[port]}' for {port}; "
                    f"expected an output whose last axis is {last}, not {spec}",
                    self.subject,
                    help=["export the file again, or take its properties out"],
                )

    def _refused(self, verb: str, exc: Exception) -> SurgeonError:
        reason = " ".join(str(exc).split()) or type(exc).__name__
        return error(
            "V130",
            f"ONNX Runtime cannot {verb} '{self.path}': {reason:.400}",
            self.subject,
            help=["check the file with 'surgeon inspect'; export it again"],
        )

    def _unfit(self, problem: str) -> SurgeonError:
        return error("V132", problem, self.subject, help=["'surgeon inspect' lists the file's inputs"])


def _listed(names: Mapping[str, object] | Sequence[str]) -> str:
    return ", ".join(f"'{name}'" for name in names) or "none"
