"""The protocol of runners: what computes a model's outputs, and which runner a file is for."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from surgeon.discovery import classes_in, discover
from surgeon.graph import TensorSpec
from surgeon.language import Image

if TYPE_CHECKING:
    from typing_extensions import Self

GROUP = "surgeon.runners"
"""Entry points of this group name modules with further runners of files."""


@dataclass(frozen=True)
class ModelInfo:
    """What is known of the model that runs, each part empty or None where it is not known.

    ``graph`` is the digest of the original graph. ``image`` says how a picture becomes the input, ``labels``
    names classes by the number that the model gives, ``detections`` are the outputs that hold detections, by
    part (see :mod:`surgeon.catalog.detections`). ``max_batch`` is the most pictures at once (None: any
    number). ``runtime`` tells a reader what runs: file, precision, versions, the GPU.
    """

    graph: str = ""
    image: Image | None = None
    labels: Mapping[int, str] = field(default_factory=dict)
    detections: Mapping[str, str] = field(default_factory=dict)
    max_batch: int | None = None
    runtime: Mapping[str, str] = field(default_factory=dict)


class Runner(ABC):
    """What computes a model's outputs, one batch at a time; a context manager.

    ``name`` is for messages: the file, or the recipe. ``inputs`` are the tensors to feed, in the model's own
    layout, the batch first, an open size None. ``outputs`` are the names of what :meth:`run` returns.
    """

    image_help: ClassVar[str] = "--image-from RECIPE tells it"
    """What to do where ``info`` does not say how a picture becomes the input."""

    no_image: ClassVar[str] = "'{name}' does not say how a picture becomes the input"
    """What a verification then says; ``{name}`` stands for the runner's name."""

    name: str
    info: ModelInfo
    inputs: Mapping[str, TensorSpec]
    outputs: Sequence[str]

    @abstractmethod
    def run(self, feeds: Mapping[str, np.ndarray]) -> Mapping[str, np.ndarray]:
        """Return the outputs of one batch by name; raise SurgeonError for feeds that do not fit."""

    def run_each(self, batches: Iterable[Mapping[str, np.ndarray]]) -> Iterator[Mapping[str, np.ndarray]]:
        """Yield the outputs of each batch, in order, as :meth:`run` returns them.

        A runner may take a batch before the outputs of the one before it are asked for.
        """
        return map(self.run, batches)

    def run_otherwise(self, feeds: Mapping[str, np.ndarray]) -> Mapping[str, np.ndarray] | None:
        """Return the outputs of one batch computed with operations in another order, to measure rounding.

        None where the runner has no other way, as by default.
        """
        return None

    def close(self) -> None:  # noqa: B027
        """Free what the runner holds; by default nothing."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *args: object) -> None:
        self.close()


class FileRunner(Runner):
    """A runner of files, found by their suffixes.

    It stands in a module of this package, or in one that an entry point of the group ``surgeon.runners``
    names.
    """

    suffixes: ClassVar[tuple[str, ...]]
    """Suffixes of the files that it runs, in lower case."""

    tolerance: ClassVar[float | None] = None
    """How far its numbers may be from the original's, where that is more than usual; None for the usual."""

    takes_libraries: ClassVar[bool] = False
    """Whether plugin libraries are loaded for it."""

    beside: tuple[Path, ...] = ()
    """Other files that the weights stand in."""

    @classmethod
    @abstractmethod
    def open(cls, path: Path, libraries: Sequence[Path] = ()) -> Self:
        """Return a runner of a file, with plugin libraries; raise SurgeonError where it cannot run."""

    @classmethod
    def target(cls, path: Path) -> str | None:
        """Return the target that a file was made for; None where it does not say."""
        return None


@cache
def file_runners() -> Mapping[str, type[FileRunner]]:
    """Return the runners of files by suffix.

    Raise SurgeonError E112 for a suffix that two runners claim, E113 for an entry point that names no module.
    """
    return discover("surgeon.runners", "runners of files that end in", _runners_in, group=GROUP)


def runner_of(path: Path) -> type[FileRunner] | None:
    """Return the runner for a file by its suffix; None where there is none."""
    return file_runners().get(path.suffix.lower())


def _runners_in(module: ModuleType) -> Iterator[tuple[str, type[FileRunner]]]:
    for value in classes_in(module, FileRunner):  # type: ignore[type-abstract]
        yield from ((suffix, value) for suffix in vars(value).get("suffixes", ()))
