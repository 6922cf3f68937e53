"""Frozen YOLO detectors of a few layers, in the forms in which projects for TensorFlow export them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import Any, Literal

import numpy as np

from surgeon.graph import DType
from surgeon.zoo.networks import NetworkWriter

EPSILON = 1e-3

_SAME: Mapping[str, Any] = {"padding": b"SAME", "data_format": b"NHWC", "dilations": (1, 1, 1, 1)}
_MASKS = ("begin_mask", "end_mask", "ellipsis_mask", "new_axis_mask", "shrink_axis_mask")
_DEPTHS = (6, 8, 8, 12, 12)


@dataclass(frozen=True)
class YoloOptions:
    """What a generated detector is like.

    ``heads`` is 2 for the tiny network and 3 for the one of version 3; the number of classes and the size of
    the input (None where the graph leaves it open) are free. ``activation`` is 'LeakyRelu', or 'Maximum' as
    Keras wrote it until 2018. ``per_cell`` is the number of anchors of a head.
    """

    heads: Literal[2, 3] = 2
    classes: int = 3
    size: tuple[int | None, int | None] = (96, 128)
    activation: Literal["LeakyRelu", "Maximum"] = "Maximum"
    per_cell: int = 3
    seed: int = 0


def build_yolo(options: YoloOptions = YoloOptions()) -> bytes:
    """Return a serialized frozen GraphDef of a Keras YOLO v3 that ends with its heads.

    Its input is ``input_1``, float32[N, height, width, 3] of shares of 255. Its outputs are the results of
    the head convolutions, float32[N, H, W, 3 (5 + classes)], of 32, 16 (and 8) pixels a cell.
    """
    g = _YoloWriter(options)
    g.heads(g.placeholder("input_1", DType.FLOAT32, None, *options.size, 3))
    return g.serialized()


class _YoloWriter(NetworkWriter):
    """Writes layers under the names that Keras numbers."""

    def __init__(self, options: YoloOptions) -> None:
        super().__init__(options.seed)
        self.options = options
        self._numbers: dict[str, int] = {}

    def numbered(self, name: str) -> str:
        self._numbers[name] = self._numbers.get(name, 0) + 1
        return f"{name}_{self._numbers[name]}"

    def heads(self, node: str) -> list[str]:
        """Write the network and return its heads, the one of the largest cells first."""
        routes = []
        channels = 3
        for depth in _DEPTHS:
            node = self.pooled(self.layer(node, channels, depth))
            channels = depth
            routes.append(node)
        node = self.layer(routes[-1], channels, channels)
        found = [self.head(node, channels)]
        for route, depth in zip(routes[-2 : -1 - self.options.heads : -1], _DEPTHS[-2::-1], strict=False):
            smaller = self.layer(node, channels, 4, kernel=1)
            joined = self.joined(self.enlarged(smaller), route)
            channels = 8
            node = self.layer(joined, 4 + depth, channels)
            found.append(self.head(node, channels))
        return found

    def layer(self, source: str, inner: int, outer: int, kernel: int = 3) -> str:
        """Write a convolution with batch normalization and the leaky activation."""
        scope = self.numbered("conv2d")
        weights = self.variable(f"{scope}/kernel", kernel, kernel, inner, outer)
        node = self.op(f"{scope}/convolution", "Conv2D", source, weights, strides=(1, 1, 1, 1), **_SAME)
        return self.activated(self.normalized(node, outer))

    def normalized(self, source: str, channels: int) -> str:
        scope = self.numbered("batch_normalization")
        names = ("gamma", "beta", "moving_mean", "moving_variance")
        gamma, beta, mean, variance = (self.variable(f"{scope}/{name}", channels) for name in names)
        inner = f"{scope}/batchnorm"
        epsilon = self.const(f"{inner}/add/y", EPSILON)
        root = self.op(f"{inner}/Rsqrt", "Rsqrt", self.op(f"{inner}/add", "Add", variance, epsilon))
        factor = self.op(f"{inner}/mul", "Mul", root, gamma)
        scaled = self.op(f"{inner}/mul_1", "Mul", source, factor)
        shift = self.op(f"{inner}/sub", "Sub", beta, self.op(f"{inner}/mul_2", "Mul", mean, factor))
        return self.op(f"{inner}/add_1", "Add", scaled, shift)

    def activated(self, source: str) -> str:
        scope = self.numbered("leaky_re_lu")
        if self.options.activation == "LeakyRelu":
            return self.op(f"{scope}/LeakyRelu", "LeakyRelu", source, alpha=0.1)
        alpha = self.const(f"{scope}/LeakyRelu/alpha", 0.1)
        product = self.op(f"{scope}/LeakyRelu/mul", "Mul", alpha, source)
        return self.op(f"{scope}/LeakyRelu/Maximum", "Maximum", product, source)

    def pooled(self, source: str) -> str:
        return self.pool(f"{self.numbered('max_pooling2d')}/MaxPool", "MaxPool", source, 2, b"SAME")

    def enlarged(self, source: str) -> str:
        scope = self.numbered("up_sampling2d")
        shape = self.shape(f"{scope}/Shape", source)
        bounds = [
            self.const(f"{scope}/strided_slice/{name}", [value])
            for name, value in (("stack", 1), ("stack_1", 3), ("stack_2", 1))
        ]
        attrs: dict[str, Any] = dict.fromkeys(_MASKS, 0) | {"T": DType.INT32, "Index": DType.INT32}
        sides = self.node(f"{scope}/strided_slice", "StridedSlice", shape, *bounds, **attrs)
        doubled = self.node(f"{scope}/mul", "Mul", sides, self.const(f"{scope}/Const", [2, 2]), T=DType.INT32)
        return self.op(
            f"{scope}/ResizeNearestNeighbor",
            "ResizeNearestNeighbor",
            source,
            doubled,
            align_corners=False,
        )

    def joined(self, *sources: str) -> str:
        name = f"{self.numbered('concatenate')}/concat"
        axis = self.const(f"{name}/axis", 3)
        return self.op(name, "ConcatV2", *sources, axis, N=len(sources), Tidx=DType.INT32)

    def head(self, source: str, channels: int) -> str:
        """Write a head whose numbers are spread so that many scores are near a threshold."""
        scope = self.numbered("conv2d")
        outer = self.options.per_cell * (5 + self.options.classes)
        kernel = self.weights(f"{scope}/kernel", (1, 1, channels, outer)) * np.float32(4)
        self.const(f"{scope}/kernel", kernel)
        weights = self.op(f"{scope}/kernel/read", "Identity", f"{scope}/kernel")
        bias = self.variable(f"{scope}/bias", outer)
        node = self.op(f"{scope}/convolution", "Conv2D", source, weights, strides=(1, 1, 1, 1), **_SAME)
        return self.op(f"{scope}/BiasAdd", "BiasAdd", node, bias, data_format=b"NHWC")


SAMPLES: Mapping[str, Callable[[], bytes]] = MappingProxyType(
    {
        "keras_tiny_yolo_v3": build_yolo,
        "keras_yolo_v3": partial(build_yolo, YoloOptions(heads=3, activation="LeakyRelu")),
    }
)
"""Detectors for the table of families, by name."""
