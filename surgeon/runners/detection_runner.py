"""Pictures through a runner, batch by batch, and what it detects in them."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from types import MappingProxyType
from typing import Any, TypeAlias

import numpy as np

from surgeon.catalog.detections import gives_detections
from surgeon.diagnostics import error
from surgeon.display import plural
from surgeon.graph import DType, TensorSpec
from surgeon.language import Image
from surgeon.runners.ahead import ahead
from surgeon.runners.detections import Detections, Window, detections_of_plugin
from surgeon.runners.drawing import ranked
from surgeon.runners.image import Picture, prepare
from surgeon.runners.image_result import THRESHOLD, ImageResult, check_threshold
from surgeon.runners.runner import Runner

_Batch: TypeAlias = list[tuple[Picture, Window]]
"""Pictures that are run together, each with the part of the input that it fills."""


class DetectionRunner:
    """A runner that pictures can be put through.

    ``image``, which says how a picture becomes the input, goes before the model's own. ``parts`` are the
    outputs that hold detections, by part; empty where none does. ``batch`` is the most pictures at once
    (None: any number). Raise SurgeonError V112 where it is not known how a picture becomes the input, V114
    where a picture cannot be it.
    """

    def __init__(self, runner: Runner, image: Image | None = None) -> None:
        self.runner, self.name, info = runner, runner.name, runner.info
        known = image or info.image
        if known is None:
            raise error(
                "V112",
                f"it is not known how a picture becomes the input of '{self.name}'; expected an 'image'",
                self.name,
                help=[runner.image_help],
            )
        self.image, self.labels, self.batch = known, info.labels, info.max_batch
        self.parts = {part: name for part, name in info.detections.items() if name in runner.outputs}
        self._input = picture_input(runner.inputs, known, self.name)

    def run(self, tensor: np.ndarray) -> Mapping[str, np.ndarray]:
        """Return the outputs by name, batch first, of float32[N, h, w, C] as :func:`prepare` makes it.

        Raise SurgeonError as :meth:`Runner.run`.
        """
        return self.runner.run({self._input.name: self._input.arranged(tensor)})

    def detections(self, outputs: Mapping[str, np.ndarray]) -> list[Detections] | None:
        """Return the detections of each picture of a batch, relative to the network's input.

        None where the outputs hold none.
        """
        if not gives_detections(self.parts):
            return None
        parts = {part: outputs[name] for part, name in self.parts.items()}
        return detections_of_plugin(parts, self.image.size)

    def check_batch(self, batch: int | None) -> int:
        """Return how many pictures go in at once; raise SurgeonError V116 for a number that is not taken."""
        if batch is not None and (batch < 1 or (self.batch is not None and batch > self.batch)):
            most = f" to {self.batch}" if self.batch is not None else " or more"
            raise error(
                "V116",
                f"the batch is {batch}; expected 1{most}",
                self.name,
                help=[
                    "leave --batch out, or make the file again: 'surgeon build --batch' or 'surgeon convert "
                    "--batch'"
                ],
            )
        return batch or self.batch or 1

    def detect(
        self,
        pictures: Iterable[Picture],
        batch: int | None = None,
        *,
        threshold: float = THRESHOLD,
        labels: Mapping[int, str] | None = None,
        keep_outputs: bool = False,
    ) -> Iterator[tuple[Picture, ImageResult]]:
        """Yield each picture with what is found in it, ``batch`` of them at a time; the last batch may be
        smaller. Pictures are prepared ahead, on threads.

        Detections with a score of ``threshold`` or more are kept. ``labels`` go before the model's own.
        ``keep_outputs`` keeps the outputs beside detections. Raise SurgeonError V104 for the ``image``, V116
        for a batch that is not taken, V119 for a threshold that is none, and as :meth:`Runner.run`.
        """
        most, least = self.check_batch(batch), check_threshold(threshold)
        names = MappingProxyType(dict(self.labels if labels is None else labels))
        started: deque[_Batch] = deque()

        def feeds() -> Iterator[dict[str, np.ndarray]]:
            prepared = ahead(lambda picture: (picture, prepare(self.image, picture.pixels)), pictures)
            for batch in iter(lambda: list(islice(prepared, most)), []):
                tensor = np.concatenate([each.tensor for _, each in batch])
                started.append([(picture, each.window) for picture, each in batch])
                yield {self._input.name: self._input.arranged(tensor)}

        for outputs in self.runner.run_each(feeds()):
            yield from self._results(started.popleft(), outputs, least, names, keep_outputs)

    def _results(
        self,
        pictures: _Batch,
        outputs: Mapping[str, np.ndarray],
        threshold: float,
        labels: Mapping[int, str],
        keep_outputs: bool,
    ) -> Iterator[tuple[Picture, ImageResult]]:
        detections = self.detections(outputs)
        for index, (picture, window) in enumerate(pictures):
            kept = None if detections is None else ranked(detections[index].within(window), threshold)
            shown = outputs if keep_outputs or detections is None else {}
            own = {name: _of_picture(value, index, len(pictures)) for name, value in shown.items()}
            height, width = picture.pixels.shape[:2]
            yield picture, ImageResult(picture.name, picture.file, (height, width), kept, labels, own)


def _of_picture(value: np.ndarray, index: int, batch: int) -> np.ndarray:
    """Return a picture's part of an output; one without a batch belongs to every picture."""
    return value[index] if value.ndim and len(value) == batch else value


@dataclass(frozen=True)
class PictureInput:
    """The input that a picture becomes, and whether its channels come before height and width."""

    name: str
    dtype: np.dtype[Any]
    channels_first: bool

    def arranged(self, tensor: np.ndarray) -> np.ndarray:
        """Return float32[N, h, w, C] as the input takes it."""
        return arranged(tensor, self.dtype, (0, 3, 1, 2) if self.channels_first else (0, 1, 2, 3))


def arranged(tensor: np.ndarray, dtype: np.dtype[Any], axes: tuple[int, ...]) -> np.ndarray:
    """Return a tensor with its axes in this order and elements of this type; integers are rounded and
    clipped.
    """
    if dtype.kind in "iu":
        limits = np.iinfo(dtype)
        tensor = np.clip(np.rint(tensor), limits.min, limits.max)
    return np.ascontiguousarray(tensor.transpose(axes)).astype(dtype, copy=False)


def picture_input(inputs: Mapping[str, TensorSpec], image: Image, name: str) -> PictureInput:
    """Return the input that takes what ``image`` makes.

    Raise SurgeonError V114 where there is not exactly one.
    """
    height, width, channels = *image.size, 1 if image.color == "GRAY" else 3
    if len(inputs) != 1:
        listed = ", ".join(f"'{key}'" for key in inputs) or "none"
        raise error(
            "V114",
            f"the network has {plural(len(inputs), 'input')} ({listed}); expected one, which a picture "
            "becomes",
            name,
            help=["run it from Python; 'surgeon explain V114' shows how"],
        )
    ((input_name, spec),) = inputs.items()
    dims = spec.shape.dims
    for channels_first, sizes in ((False, (height, width, channels)), (True, (channels, height, width))):
        if dims is None or (
            len(dims) == 4 and all(s in (None, size) for s, size in zip(dims[1:], sizes, strict=True))
        ):
            return PictureInput(input_name, np.dtype((spec.dtype or DType.FLOAT32).numpy()), channels_first)
    shown = ", ".join("?" if size is None else str(size) for size in dims or ())
    raise error(
        "V114",
        f"the input '{input_name}' is [{shown}]; expected [?, {height}, {width}, {channels}], which 'image' "
        "makes",
        name,
        help=["give the recipe's 'image' the size and the colours that the network reads"],
    )
