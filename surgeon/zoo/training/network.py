"""The generated detector's network with variables in place of constants, named as the frozen graph names
them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from surgeon.optional import require
from surgeon.zoo.extractor import EPSILON, STRIDE_TWO
from surgeon.zoo.options import LAYERS, SsdOptions
from surgeon.zoo.ssd import build_ssd

MOMENTUM = 0.99
_BIAS_OF_RARE = -4.0  # scores start near what a class of few objects has


@dataclass(frozen=True)
class _Layer:
    """A convolution with batch norm and Relu6.

    The name of its kernel, its stride, and whether it is depthwise.
    """

    kernel: str
    stride: int
    depthwise: bool

    @property
    def norm(self) -> str:
        return self.kernel.rpartition("/")[0] + "/BatchNorm/"


class TrainableNetwork:
    """Box encodings and class scores of pictures; ``variables`` are the frozen graph's constants by name."""

    def __init__(self, options: SsdOptions, seed: int) -> None:
        self._tf: Any = require("tensorflow", "training a detector")
        self.options = options
        self.variables: dict[str, Any] = {}
        random = np.random.default_rng([seed, 0])
        self._layers: list[_Layer] = []
        for name, shape in shapes(options).items():
            self._add(name, shape, random)

    def _add(self, name: str, shape: tuple[int, ...], random: np.random.Generator) -> None:
        last = name.rpartition("/")[2]
        if last.endswith("weights"):
            depthwise = last == "depthwise_weights"
            if name.startswith("FeatureExtractor"):
                stride = 2 if _strided(name) else 1
                self._layers.append(_Layer(name, stride, depthwise))
            spread = (
                0.01 if "Predictor" in name else np.sqrt(2 / np.prod(shape[:2] if depthwise else shape[:3]))
            )
            value = spread * random.standard_normal(shape)
        elif last in ("gamma", "moving_variance"):
            value = np.ones(shape)
        else:
            value = np.full(shape, _BIAS_OF_RARE if "ClassPredictor" in name else 0.0)
        trainable = not last.startswith("moving")
        self.variables[name] = self._tf.Variable(
            value.astype(np.float32), trainable=trainable, name=name.replace("/", "_")
        )

    @property
    def trainable(self) -> list[Any]:
        """The variables that gradients change."""
        return [variable for variable in self.variables.values() if variable.trainable]

    def values(self, name: str, shape: tuple[int, ...]) -> np.ndarray:
        """Return a constant's value, as ``build_ssd`` asks for it."""
        found: np.ndarray = self.variables[name].numpy()
        return found

    def __call__(self, pictures: Any, training: bool) -> tuple[Any, Any]:
        """Return encodings float32[N, P, 4] and scores float32[N, P, C + 1] of pictures, 0 to 255, [N, 300,
        300, 3].
        """
        tf = self._tf
        node = tf.cast(pictures, tf.float32) * (2 / 255) - 1
        features = []
        for layer in self._layers:
            node = self._convolved(layer, node, training)
            if (
                "/Conv2d_11_pointwise/" in layer.kernel
                or "/Conv2d_13_pointwise/" in layer.kernel
                or "_3x3_s2_" in layer.kernel
            ):
                features.append(node)
        encodings = [self._head(i, "BoxEncodingPredictor", feature, 4) for i, feature in enumerate(features)]
        scores = [
            self._head(i, "ClassPredictor", feature, self.options.classes + 1)
            for i, feature in enumerate(features)
        ]
        assert len(features) == LAYERS
        return tf.concat(encodings, 1), tf.concat(scores, 1)

    def _convolved(self, layer: _Layer, node: Any, training: bool) -> Any:
        tf, kernel = self._tf, self.variables[layer.kernel]
        if layer.depthwise:
            node = tf.nn.depthwise_conv2d(node, kernel, [1, layer.stride, layer.stride, 1], "SAME")
        else:
            node = tf.nn.conv2d(node, kernel, layer.stride, "SAME")
        gamma, beta, mean, variance = (
            self.variables[layer.norm + part] for part in ("gamma", "beta", "moving_mean", "moving_variance")
        )
        norm = tf.compat.v1.nn.fused_batch_norm
        if training:
            node, batch_mean, batch_variance = norm(node, gamma, beta, epsilon=EPSILON, is_training=True)
            mean.assign_sub((1 - MOMENTUM) * (mean - batch_mean))
            variance.assign_sub((1 - MOMENTUM) * (variance - batch_variance))
        else:
            node, _, _ = norm(node, gamma, beta, mean, variance, epsilon=EPSILON, is_training=False)
        return tf.nn.relu6(node)

    def _head(self, index: int, name: str, feature: Any, last: int) -> Any:
        tf, scope = self._tf, f"BoxPredictor_{index}/{name}"
        result = (
            tf.nn.conv2d(feature, self.variables[f"{scope}/weights"], 1, "SAME")
            + self.variables[f"{scope}/biases"]
        )
        return tf.reshape(result, [tf.shape(result)[0], -1, last])


def shapes(options: SsdOptions) -> dict[str, tuple[int, ...]]:
    """Return the constants that the generator asks weights for, in its order, with their shapes."""
    found: dict[str, tuple[int, ...]] = {}

    def ask(name: str, shape: tuple[int, ...]) -> np.ndarray:
        found[name] = shape
        return np.zeros(shape, np.float32)

    build_ssd(options, ask)
    return found


def _strided(name: str) -> bool:
    layer = name.split("/")[-2]
    return (
        layer == "Conv2d_0" or "_3x3_s2_" in layer or layer in {f"Conv2d_{i}_depthwise" for i in STRIDE_TWO}
    )
