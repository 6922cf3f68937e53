"""A served model as a runner: pictures go through it as through a file."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import numpy as np

from surgeon.packaging.client.kserve import InferenceServer
from surgeon.packaging.description import Description, OutputInfo
from surgeon.packaging.triton.served import (
    PICTURE,
    fixed_batch,
    input_specs,
    largest_batch,
    pictures_name,
    served_name,
    served_outputs,
)
from surgeon.runners.detection_runner import DetectionRunner, arranged
from surgeon.runners.image import Picture, window_of
from surgeon.runners.image_result import THRESHOLD, ImageResult, check_threshold
from surgeon.runners.runner import ModelInfo, Runner


class ServedRunner(Runner):
    """The model of a folder on a server that has loaded it.

    Raise SurgeonError B156 as :class:`InferenceServer`.
    """

    image_help = "package the model again, with a recipe that has an 'image'"

    def __init__(self, described: Description, server: InferenceServer, pictures: bool = False) -> None:
        self.described, self.server = described, server
        self.model = served_name(described)
        self.name = f"{server.url} {self.model}"
        self.inputs = input_specs(described)
        self.outputs = tuple(each.name for each in described.outputs)
        self._fixed = fixed_batch(described)
        self.info = ModelInfo(
            graph=described.graph,
            image=described.image,
            labels=described.labels,
            detections=described.detections,
            max_batch=self._fixed or largest_batch(described) or None,
        )
        server.check_ready(pictures_name(self.model) if pictures else self.model)

    def run(self, feeds: Mapping[str, np.ndarray]) -> Mapping[str, np.ndarray]:
        """Return the outputs of one batch by name; a smaller batch than a fixed one is filled with zeros."""
        inputs = {}
        for each in self.described.inputs:
            value = feeds[each.name]
            axes = each.axes or tuple(range(value.ndim))
            inputs[each.binding] = arranged(value, np.dtype(each.engine_dtype or each.dtype), axes)
        return self._outputs(self.model, inputs, len(next(iter(feeds.values()))))

    def run_pictures(self, pixels: np.ndarray) -> Mapping[str, np.ndarray]:
        """Return the outputs for pictures of one size, uint8[N, H, W, 3], which the server prepares."""
        return self._outputs(pictures_name(self.model), {PICTURE: pixels}, len(pixels))

    def _outputs(self, model: str, inputs: Mapping[str, np.ndarray], batch: int) -> dict[str, np.ndarray]:
        whole = {name: _filled(value, self._fixed or batch) for name, value in inputs.items()}
        bindings = [each.name for each in served_outputs(self.described)]
        found = self.server.infer(model, whole, bindings)
        own = zip(self.described.outputs, bindings, strict=True)
        outputs = {each.name: _as_model(found[binding], each) for each, binding in own}
        return {
            name: value[:batch] if self._fixed and value.ndim and len(value) == self._fixed else value
            for name, value in outputs.items()
        }

    def close(self) -> None:
        """Close the connection."""
        self.server.close()


class PicturesToServer(DetectionRunner):
    """Detects in pictures that the server prepares, one at a time: a request has pictures of one size."""

    def __init__(self, runner: ServedRunner) -> None:
        DetectionRunner.__init__(self, runner)
        self._served = runner

    def detect(
        self,
        pictures: Iterable[Picture],
        batch: int | None = None,
        *,
        threshold: float = THRESHOLD,
        labels: Mapping[int, str] | None = None,
        keep_outputs: bool = False,
    ) -> Iterator[tuple[Picture, ImageResult]]:
        """Yield each picture with what is found in it, as :meth:`DetectionRunner.detect`."""
        least = check_threshold(threshold)
        names = dict(self.labels if labels is None else labels)
        for picture in pictures:
            outputs = self._served.run_pictures(picture.pixels[None])
            window = window_of(self.image, *picture.pixels.shape[:2])
            yield from self._results([(picture, window)], outputs, least, names, keep_outputs)


def _filled(value: np.ndarray, batch: int) -> np.ndarray:
    rest = np.zeros((batch - len(value), *value.shape[1:]), value.dtype)
    return np.concatenate([value, rest]) if len(rest) else value


def _as_model(value: np.ndarray, output: OutputInfo) -> np.ndarray:
    """Return an output as the model has it.

    An int32 that was written into a float tensor becomes an int32 again.
    """
    if output.dtype == "int32" and value.dtype == np.float32:
        value = value.view(np.int32)
    sizes = output.shape[1:]
    if None in sizes or not output.shape or not value.ndim:
        return value
    return value.reshape(len(value), *(int(size or 0) for size in sizes))
