"""A small detector as OpenCV brought one from Caffe: weights of 8 bits, neither anchors nor suppression."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from surgeon.formats.graphdef.writer import to_bytes
from surgeon.graph import AttrValue, DType, Graph, Node, Ref, Shape, TensorValue

BOXES = (4, 6, 6, 6, 4, 4)
"""Boxes at each place of the six feature maps."""

_FAINT = np.float32(1.1754944e-38)


def build_caffe_ssd(seed: int = 0, size: int = 96, channels: int = 8, *, quantized: bool = True) -> bytes:
    """Return a serialized frozen GraphDef with the names of OpenCV's face detector, and its operations.

    Its input is ``data``, float32[N, size, size, 3], blue first, means subtracted; its outputs are
    ``mbox_loc``, float32[1, 4P], and ``mbox_conf_flatten``, float32[P, 2], the probabilities of background
    and face. ``quantized`` weights stand behind Dequantize, one of them with a range next to nothing.
    """
    return to_bytes(_Writer(seed, channels, quantized).graph(size))


class _Writer:
    def __init__(self, seed: int, channels: int, quantized: bool) -> None:
        self.random = np.random.default_rng(seed)
        self.channels, self.quantized = channels, quantized
        self.nodes: list[Node] = []

    def graph(self, size: int) -> Graph:
        shape = Shape((None, None, None, 3))
        data = self._add("data", "Placeholder", dtype=DType.FLOAT32, shape=shape)
        normal = self._norm("data_bn", data, 3, spread=60.0)
        strided = self._conv("conv1_h", normal, 3, self.channels, stride=4)
        stem = self._add("Relu", "Relu", strided)
        pooled = self._pool("conv1_pool", stem)
        fine = self._block("layer_256_1", pooled)
        deep = self._add("Relu_4", "Relu", fine)
        maps = [self._l2_norm("conv4_3_norm", deep)]
        coarse = self._add("Relu_6", "Relu", self._conv("layer_512_1", deep, self.channels, stride=2))
        dilated = self._dilated("layer_512_1_conv2_h/convolution", coarse)
        joined = self._add("add_3", "Add", dilated, coarse)
        maps.append(self._add("last_relu", "Relu", self._norm("last_bn_h", joined, self.channels)))
        for name, stride in (("conv6_2_h", 2), ("conv7_2_h", 2), ("conv8_2_h", 1), ("conv9_2_h", 1)):
            conv = self._conv(name, maps[-1], self.channels, stride=stride, biased=True)
            maps.append(self._add(f"{name}/Relu", "Relu", conv))
        rows = (size // 8, size // 16, size // 32, -(-size // 64), -(-size // 64), -(-size // 64))
        count = sum(side * side * boxes for side, boxes in zip(rows, BOXES, strict=True))
        loc = self._heads("loc", maps, rows, 4)
        conf = self._heads("conf", maps, rows, 2)
        self._concat("mbox_loc", loc)
        scores = self._reshape("mbox_conf_reshape", self._concat("mbox_conf", conf), [count, 2])
        likely = self._add("mbox_conf_softmax", "Softmax", scores)
        self._reshape("mbox_conf_flatten", likely, [count, 2])
        return Graph(self.nodes)

    def _add(self, name: str, op: str, *inputs: Ref, **attrs: AttrValue) -> Ref:
        if op != "Placeholder":
            attrs.setdefault("T", DType.FLOAT32)
        self.nodes.append(Node(name, op, tuple(inputs), attrs=attrs))
        return Ref(name)

    def _const(
        self, name: str, value: np.ndarray | np.generic | list[int], dtype: DType | None = None
    ) -> Ref:
        array = np.asarray(value)
        array = array.astype(np.int32) if array.dtype == np.int64 else array
        kind = dtype or DType.of(array.dtype)
        attrs: dict[str, AttrValue] = {"dtype": kind, "value": TensorValue.of(array, kind)}
        self.nodes.append(Node(name, "Const", attrs=attrs))
        return Ref(name)

    def _weights(self, name: str, value: np.ndarray) -> Ref:
        """Write numbers, behind Dequantize where they are quantized."""
        value = value.astype(np.float32)
        if not self.quantized:
            return self._const(name, value)
        least, most = value.min(initial=0), max(value.max(initial=0), _FAINT)
        steps = np.rint((value - least) / (most - least) * 255).astype(np.uint8)
        inputs = (
            self._const(f"{name}_quantized_const", steps, DType.QUINT8),
            self._const(f"{name}_quantized_min", np.float32(least)),
            self._const(f"{name}_quantized_max", np.float32(most)),
        )
        return self._add(
            name,
            "Dequantize",
            *inputs,
            T=DType.QUINT8,
            axis=-1,
            dtype=DType.FLOAT32,
            mode=b"MIN_FIRST",
            narrow_range=False,
        )

    def _conv(
        self, name: str, source: Ref, depth: int, out: int = 0, *, stride: int = 1, biased: bool = False
    ) -> Ref:
        out = out or self.channels
        values = self.random.normal(0, 1.4 / np.sqrt(9 * depth), (3, 3, depth, out))
        weights = self._weights(f"{name}/weights", values)
        conv = self._add(
            f"{name}/Conv2D",
            "Conv2D",
            source,
            weights,
            strides=(1, stride, stride, 1),
            padding=b"SAME",
            data_format=b"NHWC",
            dilations=(1, 1, 1, 1),
        )
        return self._bias(name, conv, out) if biased else conv

    def _bias(self, name: str, source: Ref, depth: int) -> Ref:
        bias = self._weights(f"{name}/bias", self.random.normal(0, 0.1, depth))
        return self._add(f"{name}/BiasAdd", "BiasAdd", source, bias, data_format=b"NHWC")

    def _norm(self, name: str, source: Ref, depth: int, spread: float = 1.0) -> Ref:
        values = {
            "gamma": np.ones(depth),
            "beta": np.zeros(depth),
            "mean": self.random.normal(0, 0.1, depth),
            "std": np.full(depth, spread**2) * self.random.uniform(0.8, 1.2, depth),
        }
        inputs = [self._weights(f"{name}/{key}", value) for key, value in values.items()]
        return self._add(
            f"{name}/FusedBatchNorm",
            "FusedBatchNorm",
            source,
            *inputs,
            epsilon=float(np.float32(1.001e-5)),
            is_training=False,
            data_format=b"NHWC",
        )

    def _pool(self, name: str, source: Ref) -> Ref:
        return self._add(
            f"{name}/MaxPool",
            "MaxPool",
            source,
            ksize=(1, 3, 3, 1),
            strides=(1, 2, 2, 1),
            padding=b"SAME",
            data_format=b"NHWC",
        )

    def _block(self, name: str, source: Ref) -> Ref:
        inside = self._add(f"{name}_relu", "Relu", self._norm(f"{name}_bn1", source, self.channels))
        return self._add("add_1", "Add", self._conv(f"{name}_conv2", inside, self.channels), source)

    def _l2_norm(self, name: str, source: Ref) -> Ref:
        """Write L2Normalize as operations, and the scale of each channel behind it."""
        scope = f"{name}/l2_normalize"
        square = self._add(f"{scope}/Square", "Square", source)
        axis = self._const(f"{scope}/Sum/reduction_indices", [3])
        total = self._add(f"{scope}/Sum", "Sum", square, axis, keep_dims=True, Tidx=DType.INT32)
        least = self._const(f"{scope}/Maximum/y", np.float32(1e-12))
        root = self._add(f"{scope}/Rsqrt", "Rsqrt", self._add(f"{scope}/Maximum", "Maximum", total, least))
        normal = self._add(scope, "Mul", source, root)
        scale = self._weights(f"{name}/mul", self.random.uniform(3, 5, self.channels))
        return self._add(f"{name}/mul_1", "Mul", normal, scale)

    def _dilated(self, name: str, source: Ref) -> Ref:
        """Write a convolution with a dilation of 2 as older TensorFlow did."""
        apart = self._add(
            f"{name}/SpaceToBatchND",
            "SpaceToBatchND",
            source,
            self._const(f"{name}/SpaceToBatchND/block_shape", [2, 2]),
            self._const(f"{name}/SpaceToBatchND/paddings", np.array([[2, 2], [2, 2]], np.int32)),
            Tblock_shape=DType.INT32,
            Tpaddings=DType.INT32,
        )
        values = self.random.normal(0, 0.15, (3, 3, self.channels, self.channels))
        conv = self._add(
            name,
            "Conv2D",
            apart,
            self._weights(f"{name}/weights", values),
            strides=(1, 1, 1, 1),
            padding=b"VALID",
            data_format=b"NHWC",
            dilations=(1, 1, 1, 1),
        )
        return self._add(
            f"{name}/BatchToSpaceND",
            "BatchToSpaceND",
            conv,
            self._const(f"{name}/BatchToSpaceND/block_shape", [2, 2]),
            self._const(f"{name}/BatchToSpaceND/crops", np.zeros((2, 2), np.int32)),
            Tblock_shape=DType.INT32,
            Tcrops=DType.INT32,
        )

    def _heads(self, kind: str, maps: list[Ref], rows: tuple[int, ...], each: int) -> list[Ref]:
        scopes = ("conv4_3_norm", "fc7", "conv6_2", "conv7_2", "conv8_2", "conv9_2")
        found = []
        for scope, source, side, boxes in zip(scopes, maps, rows, BOXES, strict=True):
            name = f"{scope}_mbox_{kind}"
            conv = self._conv(name, source, self.channels, boxes * each, biased=True)
            found.append(self._reshape(f"{name}/Reshape", conv, [1, side * side * boxes * each]))
        return found

    def _reshape(self, name: str, source: Ref, shape: list[int]) -> Ref:
        return self._add(name, "Reshape", source, self._const(f"{name}/shape", shape), Tshape=DType.INT32)

    def _concat(self, name: str, parts: list[Ref]) -> Ref:
        axis = self._const(f"{name}/axis", np.int32(1))
        return self._add(name, "ConcatV2", *parts, axis, N=len(parts), Tidx=DType.INT32)


SAMPLES: Mapping[str, Callable[[], bytes]] = {
    "opencv_face_detector": build_caffe_ssd,
    "opencv_face_detector_float": lambda: build_caffe_ssd(quantized=False),
}
"""Detectors for the table of families, by name."""

RECIPES: Mapping[str, tuple[str, Mapping[str, int]]] = dict.fromkeys(
    SAMPLES, ("opencv_face_detector", {"height": 96, "width": 96})
)
"""The shipped recipe and its parameters for graphs that tell too little for 'init'."""
