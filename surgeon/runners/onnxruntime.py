"""ONNX files in ONNX Runtime, on the CPU."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from surgeon.catalog.detections import masks_among, rows_among
from surgeon.diagnostics import SurgeonError, error
from surgeon.formats.onnx.format import OnnxFormat
from surgeon.formats.onnx.metadata import (
    DETECTIONS,
    DIGEST,
    TARGET,
    OnnxInfo,
    files_beside,
    load_onnx,
    read_onnx_metadata,
)
from surgeon.formats.onnx.native import DOMAIN
from surgeon.graph import DType, Shape, TensorSpec
from surgeon.optional import require
from surgeon.runners.runner import FileRunner, ModelInfo

if TYPE_CHECKING:
    from typing_extensions import Self

_OPEN_BATCH = 16
"""Pictures at once where the file's batch is open."""

_FATAL = 4
_PURPOSE = "running ONNX files"


class OnnxRuntimeRunner(FileRunner):
    """An ONNX file, loaded by ONNX Runtime on the CPU.

    Of a file of another maker neither the original graph nor the detections are known. Raise SurgeonError
    X150 and X151 as :func:`load_onnx`, V130 where ONNX Runtime refuses the file, V131 where it has plugin
    nodes of TensorRT, E108 where a package is missing.
    """

    suffixes = OnnxFormat.suffixes

    def __init__(self, path: Path) -> None:
        self.path, self.name = path, str(path)
        model, onnx = load_onnx(path)
        self._transposed = frozenset(
            name
            for name, layout in onnx.layout.items()
            if layout == "NCHW" and onnx.inputs[name].shape.rank == 4
        )
        self.inputs = {name: self._own(name, spec) for name, spec in onnx.inputs.items()}
        self.outputs = tuple(onnx.outputs)
        # Inputs that do not agree have first axes that are no batch; then nothing is filled up and cut off.
        first = [(spec.shape.dims or (None,))[0] for spec in self.inputs.values()]
        self._batch = first[0] or None if len(dict.fromkeys(first)) == 1 else None
        self._check_detections(onnx)
        runtime = require("onnxruntime", _PURPOSE)
        self.info = ModelInfo(
            graph=onnx.properties.get(DIGEST, ""),
            image=onnx.image,
            labels=onnx.labels,
            detections=onnx.detections,
            max_batch=self._batch or _OPEN_BATCH,
            runtime={"ONNX file": self.name, "runtime": f"onnxruntime {runtime.__version__}"},
        )
        self._check_plugins(model)
        self.beside = files_beside(model, path)
        del model  # its weights are not needed beside the session's
        self._session = self._load(optimised=True)

    @classmethod
    def open(cls, path: Path, libraries: Sequence[Path] = ()) -> Self:
        """Load an ONNX file; raise SurgeonError as the class does."""
        return cls(path)

    @classmethod
    def target(cls, path: Path) -> str | None:
        """Return the target that the file's metadata name."""
        return read_onnx_metadata(path).properties.get(TARGET)

    def run(self, feeds: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Return the outputs of one batch by name; a file with a fixed batch computes zeros beside a smaller
        one.

        Raise SurgeonError V132 for other inputs than the file has, V130 where ONNX Runtime fails.
        """
        return self._outputs(self._session, feeds)

    def _outputs(self, session: Any, feeds: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        if set(feeds) != set(self.inputs):
            raise self._unfit(f"the inputs are {_listed(feeds)}; expected {_listed(self.inputs)}")
        fed = {name: self._fed(name, value) for name, value in feeds.items()}
        batch = max((len(value) for value in feeds.values() if value.ndim), default=0)
        try:
            found = session.run(list(self.outputs), fed)
        except Exception as exc:
            raise self._refused("run", exc) from None
        arrays = zip(self.outputs, map(np.asarray, found), strict=True)
        return {
            name: value[:batch] if value.ndim and len(value) == self._batch else value
            for name, value in arrays
        }

    def run_otherwise(self, feeds: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Return the outputs computed without ONNX Runtime's fusions, on one thread."""
        return self._outputs(self._plain_session, feeds)

    @cached_property
    def _plain_session(self) -> Any:
        return self._load(optimised=False)

    def _load(self, *, optimised: bool) -> Any:
        runtime = require("onnxruntime", _PURPOSE)
        options = runtime.SessionOptions()
        options.log_severity_level = _FATAL
        if not optimised:
            options.graph_optimization_level = runtime.GraphOptimizationLevel.ORT_DISABLE_ALL
            options.intra_op_num_threads = 1
        try:
            return runtime.InferenceSession(
                str(self.path), options, providers=["CPUExecutionProvider"], enable_fallback=0
            )  # its second try prints on standard output
        except Exception as exc:  # its errors have no common class of their own
            raise self._refused("load", exc) from None

    def _fed(self, name: str, value: np.ndarray) -> np.ndarray:
        shape = self.inputs[name].shape.dims
        if shape is not None:
            wanted = shape if self._batch is None else (None, *shape[1:])
            fits = value.ndim == len(shape) and all(
                s in (None, v) for s, v in zip(wanted, value.shape, strict=True)
            )
            if not fits or (self._batch is not None and not 1 <= len(value) <= self._batch):
                shown = ",".join("N" if s is None else str(s) for s in shape)
                raise self._unfit(
                    f"the input '{name}' is {value.dtype}{list(value.shape)}; expected "
                    f"{self._dtype(name)}[{shown}]"
                )
        lacking = 0 if self._batch is None else self._batch - len(value)
        if lacking:
            value = np.concatenate([value, np.zeros((lacking, *value.shape[1:]), value.dtype)])
        arranged = value.transpose(0, 3, 1, 2) if name in self._transposed else value
        return np.ascontiguousarray(arranged, self._dtype(name))

    def _dtype(self, name: str) -> np.dtype[np.generic]:
        return np.dtype((self.inputs[name].dtype or DType.FLOAT32).numpy())

    def _own(self, name: str, spec: TensorSpec) -> TensorSpec:
        """Return an input in the model's own layout."""
        dims = spec.shape.dims
        if dims is None or name not in self._transposed:
            return spec
        return TensorSpec(spec.dtype, Shape((dims[0], dims[2], dims[3], dims[1])))

    def _check_plugins(self, model: Any) -> None:
        plugins = [node for node in model.graph.node if node.domain == DOMAIN]
        if plugins:
            names = ", ".join(f"'{node.name}' ({node.op_type})" for node in plugins[:4])
            raise error(
                "V131",
                f"'{self.path}' has plugin nodes of TensorRT, which ONNX Runtime cannot run: {names}",
                self.name,
                help=[
                    "convert it with '--plugins standard', or without a target of TensorRT",
                    "or build an engine from it",
                ],
            )

    def _check_detections(self, onnx: OnnxInfo) -> None:
        rows = rows_among(onnx.detections)
        boxes = onnx.detections.get("boxes")
        expected = ([] if boxes is None else [(boxes, "boxes", 4)]) + (
            [] if rows is None else [(rows[1], "detections", len(rows[0]))]
        )
        masks = masks_among(onnx.detections)
        if masks is not None:
            self._check_masks(onnx, *masks)
        for name, part, last in expected:
            spec = onnx.outputs.get(name)
            dims = None if spec is None else spec.shape.dims
            if dims is not None and (not dims or dims[-1] not in (None, last)):
                raise error(
                    "X151",
                    f"the property {DETECTIONS} of '{self.path}' takes '{name}' for {part}; "
                    f"expected an output whose last axis is {last}, not {spec}",
                    self.name,
                    help=["export the file again, or take its properties out"],
                )

    def _check_masks(self, onnx: OnnxInfo, axes: Sequence[str], name: str) -> None:
        spec = onnx.outputs.get(name)
        rank = None if spec is None else spec.shape.rank
        if rank is not None and rank not in (len(axes) + 1, len(axes) + 2):
            raise error(
                "X151",
                f"the property {DETECTIONS} of '{self.path}' takes '{name}' for masks; expected an output "
                f"[N, K, {', '.join(axes)}], not {spec}",
                self.name,
                help=["export the file again, or take its properties out"],
            )

    def _refused(self, verb: str, exc: Exception) -> SurgeonError:
        reason = " ".join(str(exc).split()) or type(exc).__name__
        return error(
            "V130",
            f"ONNX Runtime cannot {verb} '{self.path}': {reason:.400}",
            self.name,
            help=["check the file with 'surgeon inspect'; export it again"],
        )

    def _unfit(self, problem: str) -> SurgeonError:
        return error("V132", problem, self.name, help=["'surgeon inspect' lists the file's inputs"])


def _listed(names: Mapping[str, object] | Sequence[str]) -> str:
    return ", ".join(f"'{name}'" for name in names) or "none"
