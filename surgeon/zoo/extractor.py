"""The namespace FeatureExtractor: MobileNet v1 and four further feature maps."""

from __future__ import annotations

from typing import Any

import numpy as np

from surgeon.zoo.nodes import NodeWriter, Ref
from surgeon.zoo.options import SsdOptions, WeightSource
from surgeon.zoo.weights import convolve, probe_pictures, statistics, values_of, write_variable

_POINTWISE_DEPTHS = [64, 128, 128, 256, 256, 512, 512, 512, 512, 512, 512, 1024, 1024]
STRIDE_TWO = (2, 4, 6, 12)
_EXTRA_DEPTHS = [512, 256, 256, 128]
EPSILON = 0.001
_VARIABLES = "FeatureExtractor/MobilenetV1/"


def write_features(
    g: NodeWriter,
    options: SsdOptions,
    image: Ref,
    weights: WeightSource,
    fit: bool,
) -> list[Ref]:
    """Write the extractor and return the six feature maps, largest first.

    ``image`` is [N, height, width, 3] in -1..1. ``fit`` takes batch-norm statistics from random pictures.
    """
    with g.scope("FeatureExtractor"):
        check = _check_size(g, image) if g.date == "2017" else None
        backbone = _Backbone(g, weights, probe_pictures(options.seed) if fit else None, check)
        maps = [backbone.mobilenet(image, options)]
        maps += backbone.extra_maps(maps[0][1], options)
        features = [maps[0][0], *(feature for _, feature in maps)]
        if options.large_weights:
            features[-1] = _large(g, features[-1], depth(_EXTRA_DEPTHS[-1], options), options)
    return features


def depth(channels: int, options: SsdOptions) -> int:
    """Return a layer's channels after the depth multiplier, 16 at least."""
    return max(int(channels * options.depth_multiplier), 16)


def _check_size(g: NodeWriter, image: Ref) -> Ref:
    large = [g.binary("GreaterEqual", g.element(g.shape(image), axis), 33) for axis in (1, 2)]
    both = g.emit("LogicalAnd", *large)
    return g.assertion(both, [b"image size must at least be 33 in both height and width."])


class _Backbone:
    """Writes convolution layers; where it has probe pictures, it fits batch-norm statistics to them.

    The first layer gets a control input from ``control``.
    """

    def __init__(
        self,
        g: NodeWriter,
        weights: WeightSource,
        probe: np.ndarray | None,
        control: Ref | None,
    ) -> None:
        self.g, self.weights, self.probe, self.control = g, weights, probe, control

    def mobilenet(self, image: Ref, options: SsdOptions) -> tuple[Ref, Ref]:
        """Write MobileNet v1 and return the feature maps of strides 16 and 32."""
        inner = _VARIABLES + "MobilenetV1/"
        node = self.layer(image, "Conv2d_0", inner, (3, 3, 3, depth(32, options)), 2)
        middle = node
        channels = depth(32, options)
        for number, full_depth in enumerate(_POINTWISE_DEPTHS, 1):
            stride = 2 if number in STRIDE_TWO else 1
            node = self.layer(node, f"Conv2d_{number}_depthwise", inner, (3, 3, channels, 1), stride)
            shape = (1, 1, channels, depth(full_depth, options))
            node = self.layer(node, f"Conv2d_{number}_pointwise", inner, shape, 1)
            channels = shape[3]
            if number == 11:
                middle = node
        return middle, node

    def extra_maps(self, source: Ref, options: SsdOptions) -> list[tuple[Ref, Ref]]:
        """Write the feature maps of strides 64 to 512, each with the one it is made from."""
        channels = depth(_POINTWISE_DEPTHS[-1], options)
        maps = []
        for number, full_depth in enumerate(_EXTRA_DEPTHS, 2):
            narrow, wide = depth(full_depth // 2, options), depth(full_depth, options)
            name = f"Conv2d_13_pointwise_1_Conv2d_{number}_1x1_{narrow}"
            squeezed = self.layer(source, name, _VARIABLES, (1, 1, channels, narrow), 1)
            name = f"Conv2d_13_pointwise_2_Conv2d_{number}_3x3_s2_{wide}"
            feature = self.layer(squeezed, name, _VARIABLES, (3, 3, narrow, wide), 2)
            maps.append((source, feature))
            source, channels = feature, wide
        return maps

    def layer(self, source: Ref, name: str, scope: str, shape: tuple[int, int, int, int], stride: int) -> Ref:
        """Write convolution, batch norm and Relu6 of one layer; return its output."""
        depthwise = name.endswith("_depthwise")
        kernel_name = f"{_VARIABLES}{name}/{'depthwise_weights' if depthwise else 'weights'}"
        kernel = values_of(self.weights, kernel_name, shape)
        inputs = [source, write_variable(self.g, kernel_name, kernel)]
        if self.control:
            inputs.append(f"^{self.control}")
            self.control = None
        attrs = convolution_attrs(self.g.date, stride, depthwise)
        op, suffix = ("DepthwiseConv2dNative", "depthwise") if depthwise else ("Conv2D", "Conv2D")
        convolved = self.g.node(op, f"{scope}{name}/{suffix}", inputs, **attrs)
        parameters = self._batch_norm(name, kernel, stride)
        if self.g.date == "2019":
            norm = self.g.node(
                "FusedBatchNormV3",
                f"{scope}{name}/BatchNorm/FusedBatchNormV3",
                [convolved, *parameters],
                data_format="NHWC",
                epsilon=EPSILON,
                is_training=False,
            )
        else:
            norm = self._spelled_out(f"{scope}{name}/BatchNorm/batchnorm/", convolved, parameters)
        return self.g.node("Relu6", f"{scope}{name}/Relu6", [norm])

    def _batch_norm(self, name: str, kernel: np.ndarray, stride: int) -> list[Ref]:
        """Write gamma, beta, moving mean and moving variance and return their reads."""
        names = ["gamma", "beta", "moving_mean", "moving_variance"]
        channels = (kernel.shape[2] if name.endswith("_depthwise") else kernel.shape[3],)
        full = {key: f"{_VARIABLES}{name}/BatchNorm/{key}" for key in names}
        values = {key: values_of(self.weights, full[key], channels) for key in names}
        if self.probe is not None:
            convolved = convolve(self.probe, kernel, stride)
            mean, variance = values["moving_mean"], values["moving_variance"] = statistics(convolved)
            scale = values["gamma"] / np.sqrt(variance + EPSILON)
            self.probe = np.clip((convolved - mean) * scale + values["beta"], 0, 6)
        return [write_variable(self.g, full[key], values[key]) for key in names]

    def _spelled_out(self, scope: str, source: Ref, parameters: list[Ref]) -> Ref:
        """Write batch norm as the operations that older exporters left in the graph."""
        g = self.g
        gamma, beta, mean, variance = parameters
        shifted = g.node("Add", f"{scope}add", [variance, g.const(EPSILON, f"{scope}add/y")])
        root = g.node("Rsqrt", f"{scope}Rsqrt", [shifted])
        scale = g.node("Mul", f"{scope}mul", [root, gamma])
        scaled = g.node("Mul", f"{scope}mul_1", [source, scale])
        offset = g.node("Mul", f"{scope}mul_2", [mean, scale])
        shift = g.node("Sub", f"{scope}sub", [beta, offset])
        return g.node("Add", f"{scope}add_1", [scaled, shift])


def convolution_attrs(date: str, stride: int, depthwise: bool = False) -> dict[str, Any]:
    """Return the attributes that a convolution had at the date; padding is SAME."""
    attrs: dict[str, Any] = {"strides": [1, stride, stride, 1], "padding": "SAME", "data_format": "NHWC"}
    if not depthwise:
        attrs["use_cudnn_on_gpu"] = True
    if date != "2017":
        attrs["dilations"] = [1, 1, 1, 1]
    if date == "2019" and not depthwise:
        attrs["explicit_paddings"] = []
    return attrs


def _large(g: NodeWriter, feature: Ref, channels: int, options: SsdOptions) -> Ref:
    """Write pairs of large 1x1 convolutions whose result times zero is added to a feature map.

    Return the map.
    """
    block = np.random.default_rng([options.seed, 0xB16]).standard_normal(1 << 20).astype(np.float32)
    left = -(-options.large_weights // 4)
    with g.scope("MobilenetV1/LargeWeights"):
        while left > 0:
            inner = -(-min(left, 1 << 22) // (2 * channels))
            left -= 2 * channels * inner
            wide = _pointwise(g, feature, np.resize(block, (1, 1, channels, inner)), options.date)
            narrow = _pointwise(
                g, g.emit("Relu6", wide), np.resize(block, (1, 1, inner, channels)), options.date
            )
            feature = g.add(feature, g.mul(narrow, 0.0))
    return feature


def _pointwise(g: NodeWriter, source: Ref, kernel: np.ndarray, date: str) -> Ref:
    read = write_variable(g, g.unique("weights"), kernel)
    return g.emit("Conv2D", source, read, **convolution_attrs(date, 1))
