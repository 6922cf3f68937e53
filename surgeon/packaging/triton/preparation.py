"""The model of Triton's Python backend that prepares pictures.

It travels as one file, so it keeps to what ``closure.py`` can carry.
"""

from __future__ import annotations

import importlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from surgeon.language.recipe import Image
from surgeon.packaging.client.kserve import DATA_TYPES
from surgeon.packaging.triton.served import PICTURE, PREPARED
from surgeon.runners.detection_runner import arranged
from surgeon.runners.image import prepare


class TritonPythonModel:
    """Turns pictures into what the network reads, as the parameters of the model's configuration say.

    Triton makes it, and calls its methods.
    """

    def initialize(self, args: Mapping[str, str]) -> None:
        """Read the configuration, ``model_config``, which is JSON."""
        self._backend: Any = importlib.import_module("triton_python_backend_utils")
        config = json.loads(args["model_config"])
        told = {name: json.loads(value["string_value"]) for name, value in config["parameters"].items()}
        names = {f"TYPE_{value}": key for key, value in DATA_TYPES.items()}
        self._image: Image = Image.model_validate(told["image"])
        self._axes = tuple(told["axes"])
        self._dtype = np.dtype(names[config["output"][0]["data_type"]])

    def execute(self, requests: Sequence[Any]) -> list[Any]:
        """Return a response for each request, whose pictures are uint8[N, H, W, 3], red first."""
        return [self._response(self._pictures(request)) for request in requests]

    def _pictures(self, request: Any) -> np.ndarray:
        pictures: np.ndarray = self._backend.get_input_tensor_by_name(request, PICTURE).as_numpy()
        return pictures

    def _response(self, pictures: np.ndarray) -> Any:
        if pictures.dtype != np.uint8 or pictures.ndim != 4 or pictures.shape[3] != 3 or not pictures.size:
            found = f"{pictures.dtype}{list(pictures.shape)}"
            reason = f"the input '{PICTURE}' is {found}; expected uint8[N, H, W, 3], red first"
            return self._backend.InferenceResponse(output_tensors=[], error=self._backend.TritonError(reason))
        tensor = np.concatenate([prepare(self._image, pixels).tensor for pixels in pictures])
        output = self._backend.Tensor(PREPARED, arranged(tensor, self._dtype, self._axes))
        return self._backend.InferenceResponse(output_tensors=[output])
