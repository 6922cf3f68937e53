"""What an engine, or a rewritten graph on the CPU, detects in pictures."""

from __future__ import annotations

import json
import os
import zipfile
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, BinaryIO, Literal

import numpy as np

from surgeon.atomic import make_folder, write_text, writing
from surgeon.catalog import Catalog
from surgeon.diagnostics import SurgeonError, error
from surgeon.engine import Engine
from surgeon.engine.worker_client import Watch
from surgeon.graph import DType, Ref
from surgeon.infer import Inference
from surgeon.language import Image, Recipe
from surgeon.rewrite import Plan
from surgeon.runners.detections import Detections, detections_of_plugin, gives_detections
from surgeon.runners.drawing import corners, draw_detections, ranked
from surgeon.runners.image import MAX_PICTURES, Picture, given_pictures, picture_files, prepare, read_picture
from surgeon.runners.onnx_runtime import OnnxModel
from surgeon.runners.rewritten import RewrittenRunner
from surgeon.training_files.label_map import load_labels

THRESHOLD = 0.3
"""Score that a detection needs to be shown unless another is asked for."""

_LARGEST = 5
"""Values of an output that are shown where a network gives no detections."""

_ENGINES = (".engine", ".plan", ".trt")
_ONNX = ".onnx"
_UFF = ".uff"


class Detector(ABC):
    """A network that pictures can be put through, batch by batch.

    ``name`` is for messages, ``image`` says how a picture becomes the input, ``labels`` names classes by the
    number that the network gives, ``batch`` is the most pictures at once (None: any number), ``ports`` are
    the outputs that hold detections, by the port of the plugin that gives them; empty where none does.
    """

    name: str
    image: Image
    labels: Mapping[int, str]
    batch: int | None
    ports: Mapping[str, str]

    @abstractmethod
    def run(self, tensor: np.ndarray) -> Mapping[str, np.ndarray]:
        """Return the outputs by name, batch first, of float32[N, h, w, C] as :func:`prepare` makes it."""

    @property
    def gives_detections(self) -> bool:
        """Whether the outputs hold detections."""
        return gives_detections(tuple(self.ports))

    def detections(self, outputs: Mapping[str, np.ndarray]) -> list[Detections]:
        """Return the detections of each picture of a batch, relative to the network's input."""
        return detections_of_plugin({port: outputs[name] for port, name in self.ports.items()})

    def detect(self, tensor: np.ndarray) -> list[Detections]:
        """Return what is detected in each picture of float32[N, h, w, C], relative to the network's input."""
        return self.detections(self.run(tensor))


class EngineDetector(Detector):
    """An engine on its GPU; ``image`` goes before the one in its manifest.

    Raise SurgeonError V112 where it is not known how a picture becomes the input, V114 where a picture cannot
    be it.
    """

    def __init__(self, engine: Engine, image: Image | None = None) -> None:
        manifest = engine.manifest
        self._engine = engine
        self.name = str(engine.path)
        self.image = _known(image or manifest.image, self.name, "--image-from RECIPE tells it")
        self.labels, self.batch = manifest.labels, manifest.max_batch
        outputs = {tensor.name for tensor in manifest.outputs}
        self.ports = {port: name for port, name in manifest.detections.items() if name in outputs}
        shapes = {tensor.name: tensor.shape for tensor in manifest.inputs}
        self._input = _picture_input(shapes, self.image, self.name)
        self._dtype = np.dtype(next(tensor.dtype for tensor in manifest.inputs))

    def run(self, tensor: np.ndarray) -> Mapping[str, np.ndarray]:
        """Run the engine; raise SurgeonError as :meth:`surgeon.engine.Engine.run`."""
        return self._engine.run({self._input.name: self._input.arranged(tensor, self._dtype)})


class OnnxDetector(Detector):
    """An ONNX file in ONNX Runtime, on the CPU; ``image`` goes before the one in its metadata.

    Raise SurgeonError V112 where it is not known how a picture becomes the input, V114 where a picture cannot
    be it.
    """

    def __init__(self, model: OnnxModel, image: Image | None = None) -> None:
        self._model = model
        self.name = model.subject
        self.image = _known(image or model.image, self.name, "--image-from RECIPE tells it")
        self.labels, self.batch = model.labels, model.max_batch
        self.ports = {port: name for port, name in model.detections.items() if name in model.outputs}
        self._input = _picture_input(model.shapes, self.image, self.name)

    def run(self, tensor: np.ndarray) -> Mapping[str, np.ndarray]:
        """Run the file; raise SurgeonError as :meth:`OnnxModel.run`."""
        return self._model.run(
            {self._input.name: self._input.arranged(tensor, self._model.dtype(self._input.name))}
        )


class ReferenceDetector(Detector):
    """A plan's rewritten graph on the CPU: TensorFlow runs ordinary operations, references run the plugins.

    Raise SurgeonError V112 where the recipe has no ``image``, V114 where a picture cannot be the graph's
    input, and as :class:`RewrittenRunner`.
    """

    batch = None

    def __init__(self, plan: Plan, recipe: Recipe, catalog: Catalog) -> None:
        assert plan.result is not None
        self.name = recipe.name
        self.image = _known(
            plan.image, self.name, "give the recipe an 'image'; 'image: auto' derives it from the model"
        )
        self.labels = recipe.labels
        self._runner = RewrittenRunner(plan.result, catalog)
        inference = Inference(plan.result)
        specs = {node.name: inference.spec(Ref(node.name)) for node in self._runner.inputs}
        self._input = _picture_input(
            {name: spec.shape.dims for name, spec in specs.items()}, self.image, self.name
        )
        self._dtype = (specs[self._input.name].dtype or DType.FLOAT32).numpy()
        giving = self._runner.detecting
        names = self._runner.ports(giving) if giving is not None else ()
        self.ports = (
            {port: str(Ref(giving.name, slot)) for slot, port in enumerate(names)}
            if giving is not None
            else {}
        )

    def run(self, tensor: np.ndarray) -> Mapping[str, np.ndarray]:
        """Run the graph; raise SurgeonError as :meth:`RewrittenRunner.run`."""
        execution = self._runner.run({Ref(self._input.name): self._input.arranged(tensor, self._dtype)})
        wanted = dict.fromkeys([*map(str, self._runner.outputs), *self.ports.values()])
        return {name: execution[Ref.parse(name)] for name in wanted}


def check_what(
    what: Any, model: object, image_from: object, *, tensors: bool = False, libraries: bool = False
) -> Literal["engine", "onnx", "recipe"]:
    """Return what is run, by the file's suffix.

    ``tensors`` says that tensors are wanted and no folder is given for them, ``libraries`` that plugin
    libraries are given.

    Raise SurgeonError E101 for an engine that is not there, V113 for things that do not go together, V115 for
    a kind of file that is not run.
    """
    path = Path(what) if isinstance(what, str | os.PathLike) else None
    suffix = path.suffix.lower() if path is not None else ""
    if tensors:
        raise _apart(
            "the network's outputs are wanted without a folder for them",
            "'-o DIR' says where they are written",
        )
    if libraries and suffix not in _ENGINES:
        raise _apart(
            "a plugin library is given, and no engine to load it for",
            "leave it out; on the CPU the plugins' references run",
        )
    if suffix not in (*_ENGINES, _ONNX, _UFF):
        if model is None:
            raise _apart(
                f"'{getattr(what, 'name', what)}' is a recipe; expected a model beside it",
                "surgeon run RECIPE MODEL PICTURE..., or surgeon run ENGINE PICTURE... with a .engine file",
            )
        if image_from is not None:
            raise _apart(
                "'--image-from' goes with an engine; expected none beside a recipe, which says it itself",
                "leave it out",
            )
        return "recipe"
    if path is not None and not path.is_file():
        raise error(
            "E101", f"the file '{path}' cannot be read: there is no such file", help=["check the path"]
        )
    if suffix == _UFF:
        raise error(
            "V115",
            f"'{path}' is a UFF file, which is not run; expected an engine, an ONNX file, or a recipe and "
            "its model",
            str(path),
            help=["build an engine from it: surgeon build", "or run the recipe and the model on the CPU"],
        )
    if model is not None and image_from is None:
        raise _apart(
            "a model is given beside a file to run; expected the file alone",
            "a model goes with '--image-from RECIPE'",
        )
    return "onnx" if suffix == _ONNX else "engine"


def _apart(problem: str, help: str) -> SurgeonError:
    return error("V113", problem, help=[help])


def labels_of(labels: str | os.PathLike[str] | Mapping[int, str] | None) -> Mapping[int, str] | None:
    """Return the names of classes by number; None for none.

    Raise SurgeonError as :func:`load_labels` for a file.
    """
    return load_labels(Path(labels)) if isinstance(labels, str | os.PathLike) else labels


def image_of(recipe: Recipe, plan: Plan | None) -> Image:
    """Return how a recipe says a picture becomes the input; ``plan`` is needed for one that is derived.

    Raise SurgeonError V118 where the recipe says nothing, or leaves it to a model that is not there.
    """
    image = recipe.image if plan is None else plan.image
    if isinstance(image, Image):
        return image
    if image is None:
        raise error(
            "V118",
            f"the recipe '{recipe.name}' has no 'image'; expected one that says how a picture becomes the "
            "input",
            recipe.name,
            help=["give the recipe an 'image', or give another"],
        )
    raise error(
        "V118",
        f"the recipe '{recipe.name}' derives its 'image' from a model; expected the model, or sizes and "
        "steps",
        recipe.span("image"),
        help=["give the model with --model"],
    )


def _known(image: Image | None, name: str, help: str) -> Image:
    if image is None:
        raise error(
            "V112",
            f"it is not known how a picture becomes the input of '{name}'; expected an 'image'",
            name,
            help=[help],
        )
    return image


# --- the input
# ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Input:
    """The input that a picture becomes, and whether its channels come before height and width."""

    name: str
    channels_first: bool

    def arranged(self, tensor: np.ndarray, dtype: np.dtype[Any]) -> np.ndarray:
        """Return float32[N, h, w, C] as the input takes it."""
        if dtype.kind in "iu":
            limits = np.iinfo(dtype)
            tensor = np.clip(np.rint(tensor), limits.min, limits.max)
        return np.ascontiguousarray(tensor.transpose(0, 3, 1, 2) if self.channels_first else tensor).astype(
            dtype, copy=False
        )


def _picture_input(shapes: Mapping[str, Sequence[int | None] | None], image: Image, name: str) -> _Input:
    """Return the input that takes what ``image`` makes.

    Raise SurgeonError V114 where there is not exactly one.
    """
    height, width, channels = *image.size, 1 if image.color == "GRAY" else 3
    if len(shapes) != 1:
        listed = ", ".join(f"'{key}'" for key in shapes) or "none"
        raise error(
            "V114",
            f"the network has {len(shapes)} inputs ({listed}); expected one, which a picture becomes",
            name,
            help=["run it from Python; 'surgeon explain V114' shows how"],
        )
    ((input_name, shape),) = shapes.items()
    for channels_first, sizes in ((False, (height, width, channels)), (True, (channels, height, width))):
        if shape is None or (
            len(shape) == 4 and all(s in (None, size) for s, size in zip(shape[1:], sizes, strict=True))
        ):
            return _Input(input_name, channels_first)
    shown = ", ".join("?" if size is None else str(size) for size in shape or ())
    raise error(
        "V114",
        f"the input '{input_name}' is [{shown}]; expected [?, {height}, {width}, {channels}], which 'image' "
        "makes",
        name,
        help=["give the recipe's 'image' the size and the colours that the network reads"],
    )


# --- the pictures
# ---------------------------------------------------------------------------------------------------------


def listed(images: Any) -> list[Any]:
    """Return picture files, those of folders by name, or arrays, as they are; each file once.

    Raise SurgeonError V102 for a path that is not there, a folder without pictures, and for over 10,000
    pictures.
    """
    given = [images] if isinstance(images, str | os.PathLike) else list(images)
    found: dict[Any, Any] = {}
    for number, one in enumerate(given):
        if isinstance(one, str | os.PathLike):
            found.update({path: path for path in picture_files(Path(one))})
        else:
            found[number] = one
    if not 0 < len(found) <= MAX_PICTURES:
        raise error(
            "V102",
            f"there are {len(found)} pictures; expected 1 to {MAX_PICTURES}",
            help=["give some of them at a time"],
        )
    return list(found.values())


def opened(pictures: Sequence[Any], refused: Callable[[SurgeonError], None]) -> Iterator[Picture]:
    """Yield the pictures of :func:`listed`, each read when it is its turn.

    ``refused`` is called with what is wrong with a file that cannot be read (V101), which is passed over.
    Raise SurgeonError V111 for an array that is no picture, E108 where Pillow is missing.
    """
    if not all(isinstance(one, Path) for one in pictures):
        yield from given_pictures(pictures)
        return
    for one in pictures:
        try:
            picture = read_picture(one)
        except SurgeonError as exc:
            if exc.diagnostics[0].code != "V101":
                raise
            refused(exc)
            continue
        yield picture


# --- what is found
# --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Found:
    """What a network gives for one picture.

    ``picture`` is its name and ``size`` its height and width in pixels. ``detections`` are relative to the
    picture, the best first; None where the network gives none. ``outputs`` holds the network's outputs for
    this picture, without the batch, where it gives no detections or they were asked for. ``drawn`` and
    ``tensors`` are files that were written.
    """

    picture: str
    file: Path | None
    size: tuple[int, int]
    detections: Detections | None
    labels: Mapping[int, str] = field(default_factory=dict)
    outputs: Mapping[str, np.ndarray] = field(default_factory=dict)
    drawn: Path | None = None
    tensors: Path | None = None

    def to_json(self) -> dict[str, Any]:
        """Return plain values; a number that is not finite is None."""
        found: dict[str, Any] = {
            "picture": self.picture,
            "file": None if self.file is None else str(self.file),
            "size": {"height": self.size[0], "width": self.size[1]},
        }
        if self.detections is not None:
            found["detections"] = self.rows()
        else:
            found["outputs"] = {
                name: {"shape": list(value.shape), "dtype": str(value.dtype), "largest": self.largest(name)}
                for name, value in self.outputs.items()
            }
        written = {"drawn": self.drawn, "tensors": self.tensors}
        return found | {key: str(path) for key, path in written.items() if path is not None}

    def rows(self) -> list[dict[str, Any]]:
        """Return the detections: class, label, score, box (ymin, xmin, ymax, xmax), pixels (left, top, right,
        bottom).
        """
        if self.detections is None:
            return []
        found = self.detections
        pixels = corners(found.boxes, self.size[1], self.size[0]).tolist()
        columns = zip(
            found.classes.tolist(), found.scores.tolist(), found.boxes.tolist(), pixels, strict=True
        )
        return [
            {
                "class": number,
                "label": self.labels.get(number),
                "score": score,
                "box": list(map(_finite, box)),
                "pixels": place,
            }
            for number, score, box, place in columns
        ]

    def largest(self, name: str) -> list[dict[str, Any]]:
        """Return the largest values of an output, with their places and, along a single axis, the labels of
        these.
        """
        value = np.asarray(self.outputs[name])
        if value.dtype.kind not in "iuf" or not value.size:
            return []
        flat = (
            np.where(np.isnan(value), -np.inf, value).reshape(-1)
            if value.dtype.kind == "f"
            else value.reshape(-1).astype(np.float64)
        )
        count = min(_LARGEST, flat.size)
        best = np.argpartition(-flat, count - 1)[:count]
        best = best[np.lexsort((best, -flat[best]))]
        single = value.size == max(value.shape, default=1)
        places = [[int(i) for i in np.unravel_index(at, value.shape)] for at in best.tolist()]
        return [
            {
                "index": place,
                "label": self.labels.get(at) if single else None,
                "value": _finite(float(value.reshape(-1)[at])),
            }
            for place, at in zip(places, best.tolist(), strict=True)
        ]


def _finite(value: float) -> float | None:
    return value if np.isfinite(value) else None


def check_threshold(threshold: float) -> float:
    """Return the threshold; raise SurgeonError V119 where it is none."""
    if not 0 <= threshold <= 1:
        raise error(
            "V119",
            f"the threshold is {threshold}; expected 0 to 1, the score that a detection needs",
            help=[f"leave it out for {THRESHOLD:g}"],
        )
    return threshold


def check_batch(detector: Detector, batch: int | None) -> int:
    """Return how many pictures go in at once.

    Raise SurgeonError V116 where the detector does not take as many.
    """
    if batch is not None and (batch < 1 or (detector.batch is not None and batch > detector.batch)):
        most = f" to {detector.batch}" if detector.batch is not None else " or more"
        raise error(
            "V116",
            f"the batch is {batch}; expected 1{most}",
            detector.name,
            help=[
                "leave --batch out, or make the file anew: 'surgeon build --batch' or 'surgeon convert "
                "--batch'"
            ],
        )
    return batch or detector.batch or 1


def detect_pictures(
    detector: Detector,
    pictures: Iterable[Picture],
    batch: int | None = None,
    *,
    threshold: float = THRESHOLD,
    labels: Mapping[int, str] | None = None,
    keep_outputs: bool = False,
) -> Iterator[tuple[Picture, Found]]:
    """Yield each picture with what a detector finds in it, ``batch`` of them at a time; the last batch may be
    smaller.

    Detections with a score of ``threshold`` or more are kept. ``labels`` go before the detector's own.
    ``keep_outputs`` keeps the outputs beside detections. Raise SurgeonError V104 for the detector's
    ``image``, V116 for a batch that the detector does not take, V119 for a threshold that is none, and as
    :meth:`Detector.run`.
    """
    most, least = check_batch(detector, batch), check_threshold(threshold)
    names = MappingProxyType(dict(detector.labels if labels is None else labels))
    keep = keep_outputs or not detector.gives_detections
    waiting: list[Picture] = []
    for picture in pictures:
        waiting.append(picture)
        if len(waiting) == most:
            yield from _detected(detector, waiting, least, names, keep)
            waiting = []
    if waiting:
        yield from _detected(detector, waiting, least, names, keep)


def _detected(
    detector: Detector, pictures: Sequence[Picture], threshold: float, labels: Mapping[int, str], keep: bool
) -> Iterator[tuple[Picture, Found]]:
    prepared = [prepare(detector.image, picture.pixels) for picture in pictures]
    outputs = detector.run(np.concatenate([one.tensor for one in prepared]))
    found = detector.detections(outputs) if detector.gives_detections else [None] * len(pictures)
    for number, (picture, ready, detections) in enumerate(zip(pictures, prepared, found, strict=True)):
        placed = None if detections is None else ranked(detections.within(ready.window), threshold)
        kept = (
            {name: _of_picture(value, number, len(pictures)) for name, value in outputs.items()}
            if keep
            else {}
        )
        height, width = picture.pixels.shape[:2]
        yield picture, Found(picture.name, picture.file, (height, width), placed, labels, kept)


def _of_picture(value: np.ndarray, number: int, batch: int) -> np.ndarray:
    """Return a picture's part of an output; one without a batch belongs to every picture."""
    return value[number] if value.ndim and len(value) == batch else value


class Folder:
    """A folder that files are written to, one or two for each picture; names that are taken get a number.

    Raise SurgeonError V117 where it is a folder that pictures are read from, E105 where it cannot be made.
    """

    def __init__(self, path: Path, pictures: Iterable[Any]) -> None:
        sources = {one.parent.resolve() for one in pictures if isinstance(one, Path)}
        if path.resolve() in sources:
            raise error(
                "V117",
                f"the output '{path}' is a folder that pictures are read from; expected another",
                str(path),
                help=["give a folder of its own: what is drawn would be read as a picture next time"],
            )
        self.path = make_folder(path)
        self._taken: set[str] = set()

    def free(self, name: str) -> str:
        """Return the name, or the first with a number behind it, that was not asked for before."""
        for number in range(1, MAX_PICTURES + 2):
            chosen = name if number == 1 else f"{name}-{number}"
            if chosen.lower() not in self._taken:
                self._taken.add(chosen.lower())
                return chosen
        raise AssertionError("more names than pictures")

    def write(self, picture: Picture, found: Found, *, tensors: bool) -> Found:
        """Draw the detections, and with ``tensors`` write the outputs; return what was found with these
        files.

        Raise SurgeonError E105 where a file cannot be written, E108 where Pillow is missing.
        """
        name = self.free(picture.file.name if picture.file is not None else picture.name)
        if found.detections is not None:
            found = replace(
                found,
                drawn=draw_detections(picture, found.detections, self.path / f"{name}.png", found.labels),
            )
        if tensors:
            place = self.path / f"{name}.npz"
            with writing(place) as handle:
                _save_arrays(handle, found.outputs)
            found = replace(found, tensors=place)
        return found


def run_all(
    detector: Detector,
    pictures: Sequence[Any],
    batch: int | None,
    *,
    threshold: float,
    labels: Mapping[int, str] | None,
    folder: Folder | None,
    tensors: bool,
    refused: Callable[[SurgeonError], None] | None,
    watch: Watch | None,
) -> tuple[Found, ...]:
    """Return what is found in the pictures of :func:`listed`, written into ``folder``.

    The other arguments are ``detect``'s.
    """
    unread: list[SurgeonError] = []

    def refuse(exc: SurgeonError) -> None:
        if refused is None:
            raise exc
        unread.append(exc)
        refused(exc)

    found: list[Found] = []
    read = opened(pictures, refuse)
    for picture, one in detect_pictures(
        detector, read, batch, threshold=threshold, labels=labels, keep_outputs=tensors
    ):
        found.append(one if folder is None else folder.write(picture, one, tensors=tensors))
        if watch is not None:
            watch("run", "picture", len(found) + len(unread), len(pictures))
    if folder is not None:
        text = json.dumps(report(found, threshold, unread), indent=2, allow_nan=False)
        write_text(folder.path / "detections.json", text + "\n")
    return tuple(found)


def _save_arrays(handle: BinaryIO, arrays: Mapping[str, np.ndarray]) -> None:
    """Write arrays as an ``.npz`` file.

    Unlike ``numpy.savez``, of any names, and the same bytes each time.
    """
    with zipfile.ZipFile(handle, "w") as archive:
        for name, value in arrays.items():
            with archive.open(zipfile.ZipInfo(f"{name}.npy"), "w", force_zip64=True) as entry:
                np.lib.format.write_array(entry, np.asarray(value), allow_pickle=False)


def report(found: Iterable[Found], threshold: float, refused: Iterable[SurgeonError] = ()) -> dict[str, Any]:
    """Return plain values of what was found in some pictures, and of what could not be read."""
    return {
        "threshold": threshold,
        "pictures": [one.to_json() for one in found],
        "diagnostics": [d.to_json() for exc in refused for d in exc.diagnostics],
    }
