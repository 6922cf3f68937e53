"""What is evaluated side by side: the original, the rewritten graph, and files made from it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from surgeon.catalog import Catalog
from surgeon.diagnostics import SurgeonError, error
from surgeon.engine.manifest import describe_file
from surgeon.evaluation.kept_detections import Found
from surgeon.families import Family, recognise_detector
from surgeon.language import Image, Recipe
from surgeon.rewrite import Plan
from surgeon.runners.detection_runner import DetectionRunner
from surgeon.runners.detections import WHOLE
from surgeon.runners.image import Picture
from surgeon.runners.runner import FileRunner
from surgeon.verification import GraphPair
from surgeon.verification.correspondence import Correspondence
from surgeon.version import __version__

ORIGINAL, REWRITTEN = "original", "rewritten"


class Side(ABC):
    """One of those that are compared: ``name`` is for people, ``runtime`` says what runs.

    ``depends_on`` is what its detections depend on besides the picture, as JSON values.
    """

    name: str
    runtime: Mapping[str, str]
    depends_on: Mapping[str, Any]
    labels: Mapping[int, str]

    @abstractmethod
    def detect(self, pictures: Iterable[Picture], batch: int | None) -> Iterator[Found]:
        """Yield what is detected in each picture, all scores, ``batch`` pictures at a time where it takes as
        many; None stands for its own choice.
        """

    def close(self) -> None:  # noqa: B027
        """Free what the side holds; by default nothing."""


class Graphs:
    """A plan's two graphs, loaded into TensorFlow when they are first run."""

    def __init__(self, plan: Plan, recipe: Recipe, catalog: Catalog) -> None:
        self.plan, self.recipe, self.catalog = plan, recipe, catalog

    @cached_property
    def pair(self) -> GraphPair:
        """Both graphs ready to run.

        Raise SurgeonError as :class:`GraphPair`, and V146 where they detect nothing, or read no picture.
        """
        pair = GraphPair(self.plan, self.recipe, self.catalog)
        if not pair.detects:
            raise no_detector(self.recipe.name, "the network gives no detections")
        if not pair.reads_picture:
            raise no_detector(self.recipe.name, "no picture can be put into the original")
        return pair

    @cached_property
    def key(self) -> Mapping[str, Any]:
        """What the detections of the rewritten graph depend on."""
        assert self.plan.result is not None
        image = self.plan.image
        return {
            "surgeon": __version__,
            "graph": self.plan.digest,
            "result": self.plan.result.digest(),
            "image": image.model_dump(mode="json") if isinstance(image, Image) else None,
        }

    @cached_property
    def original_key(self) -> Mapping[str, Any]:
        """What the detections of the original depend on.

        Where it reads pictures as they are and detects by itself, another recipe leaves them as they were.
        """
        assert self.plan.source is not None
        found = recognise_detector(self.plan.source)
        if (
            not isinstance(found, Family)
            or not found.suppresses
            or found.takes_prepared_pictures
            or Correspondence(self.plan, self.recipe).fixed
        ):
            return self.key
        image = self.plan.image
        return {
            "surgeon": __version__,
            "graph": self.plan.digest,
            "outputs": {part: str(ref) for part, ref in found.outputs.value.items()},
            "shift": found.class_shift,
            "size": image.size if isinstance(image, Image) else None,
        }


class OriginalSide(Side):
    """The original in TensorFlow, a picture at a time, as pictures differ in size."""

    def __init__(self, graphs: Graphs) -> None:
        self.name, self._graphs = ORIGINAL, graphs
        self.runtime = {"runtime": "TensorFlow"}
        self.depends_on = {"side": self.name, **graphs.original_key}
        self.labels = graphs.recipe.labels

    def detect(self, pictures: Iterable[Picture], batch: int | None) -> Iterator[Found]:
        """Yield what the original detects, its classes counted as the rewritten graph counts them."""
        pair = self._graphs.pair
        for picture in pictures:
            record = pair.record(picture, 0)
            assert record.detections is not None
            found = record.detections.without_masks
            if pair.picture_ref is None and record.window != WHOLE:
                # Whoever puts the picture into the input takes what lies beside it away again.
                found = replace(found, boxes=np.clip(found.boxes, np.float32(0), np.float32(1)))
            yield Found(found, picture.pixels.shape[:2])


class _RunnerSide(Side):
    """What a runner detects."""

    def _runner(self) -> DetectionRunner:
        raise NotImplementedError

    def detect(self, pictures: Iterable[Picture], batch: int | None) -> Iterator[Found]:
        """Yield what the runner detects."""
        runner = self._runner()
        if batch is not None and runner.batch is not None:
            batch = min(batch, runner.batch)
        for _, result in runner.detect(pictures, batch, threshold=0.0):
            if result.detections is None:
                raise no_detector(self.name, "it gives no detections")
            yield Found(result.detections.without_masks, result.size)


class RewrittenSide(_RunnerSide):
    """The rewritten graph on the CPU: TensorFlow runs ordinary operations, references the plugins."""

    def __init__(self, graphs: Graphs) -> None:
        self.name, self._graphs = REWRITTEN, graphs
        self.runtime = {"runtime": "TensorFlow, references for plugins"}
        self.depends_on = {"side": self.name, **graphs.key}
        self.labels = graphs.recipe.labels

    def _runner(self) -> DetectionRunner:
        return DetectionRunner(self._graphs.pair.runner)


class FileSide(_RunnerSide):
    """An ONNX file or an engine.

    ``image`` says how a picture becomes the input where the file does not. Raise SurgeonError V124 where it
    was made from another graph, V146 where it gives no detections, and as :meth:`FileRunner.open` and
    :class:`DetectionRunner`.
    """

    def __init__(
        self, kind: type[FileRunner], path: Path, libraries: Sequence[Path], graph: str, image: Image | None
    ) -> None:
        self.name = str(path)
        self._file = kind.open(path, libraries)
        info = self._file.info
        if info.graph and info.graph != graph:
            self._file.close()
            raise error(
                "V124",
                f"'{path}' was made from another graph than the original",
                str(path),
                [f"its graph:    {info.graph}", f"the original: {graph}"],
                ["make it from this model, or give the model it was made from"],
            )
        try:
            self._detecting = DetectionRunner(self._file, None if info.image is not None else image)
        except SurgeonError:
            self._file.close()
            raise
        self.runtime, self.labels = dict(info.runtime), info.labels
        self.depends_on = {
            "side": "file",
            "surgeon": __version__,
            "content": [describe_file(each).sha256 for each in (path, *self._file.beside)],
            "libraries": [describe_file(library).sha256 for library in libraries if kind.takes_libraries],
            "image": self._detecting.image.model_dump(mode="json"),
            "runtime": {name: value for name, value in self.runtime.items() if value != self.name},
        }

    def _runner(self) -> DetectionRunner:
        return self._detecting

    def close(self) -> None:
        """End what runs the file."""
        self._file.close()


def no_detector(name: str, problem: str) -> SurgeonError:
    """Return the error V146 of what cannot be evaluated."""
    return error(
        "V146",
        f"'{name}' cannot be evaluated: {problem}; expected a detector that pictures are put into",
        name,
        help=["'surgeon verify' compares the outputs of other networks"],
    )
