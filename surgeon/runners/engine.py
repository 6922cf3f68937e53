"""TensorRT engines on their GPU."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from surgeon.engine import Engine, TensorInfo, read_manifest
from surgeon.graph import DType, Shape, TensorSpec
from surgeon.runners.runner import FileRunner, ModelInfo

if TYPE_CHECKING:
    from typing_extensions import Self


class EngineRunner(FileRunner):
    """An engine that :func:`surgeon.build_engine` built, in a process of its own."""

    suffixes = (".engine", ".plan", ".trt")
    tolerance = 1e-3
    takes_libraries = True

    def __init__(self, engine: Engine) -> None:
        manifest = engine.manifest
        self.engine = engine
        self.name = str(engine.path)
        self.inputs = {tensor.name: _spec(tensor) for tensor in manifest.inputs}
        self.outputs = tuple(tensor.name for tensor in manifest.outputs)
        tf32 = manifest.tf32 and manifest.precision == "fp32"
        self.info = ModelInfo(
            graph=manifest.graph,
            image=manifest.image,
            labels=manifest.labels,
            detections=manifest.detections,
            max_batch=manifest.max_batch,
            runtime={
                "engine": self.name,
                "precision": manifest.precision + (" with TF32" if tf32 else ""),
                "TensorRT": manifest.tensorrt,
                "GPU": manifest.gpu,
            },
        )

    @classmethod
    def open(cls, path: Path, libraries: Sequence[Path] = ()) -> Self:
        """Load an engine; raise SurgeonError as :func:`surgeon.load_engine`."""
        from surgeon.engine import load_engine

        return cls(load_engine(path, plugin_libraries=libraries))

    @classmethod
    def target(cls, path: Path) -> str | None:
        """Return the target that the manifest names."""
        return read_manifest(path).target or None

    def run(self, feeds: Mapping[str, np.ndarray]) -> Mapping[str, np.ndarray]:
        """Run the engine; raise SurgeonError as :meth:`surgeon.engine.Engine.run`."""
        return self.engine.run(feeds)

    def run_each(self, batches: Iterable[Mapping[str, np.ndarray]]) -> Iterator[Mapping[str, np.ndarray]]:
        """Run batches with their copies beside the computation, as :meth:`surgeon.engine.Engine.run_each`."""
        return self.engine.run_each(batches)

    def close(self) -> None:
        """End the engine's process."""
        self.engine.close()


def _spec(tensor: TensorInfo) -> TensorSpec:
    return TensorSpec(DType.of(np.dtype(tensor.dtype)), Shape(tuple(tensor.shape)))
