"""Frozen CenterNet detectors of a few layers, in the form of TensorFlow 2's Object Detection API."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from types import MappingProxyType
from typing import Any

import numpy as np

from surgeon.graph import DType
from surgeon.zoo.tf2 import PictureOptions, Prepared, Tf2Writer

STRIDE = 4
EPSILON = 1e-6

_SAME: dict[str, Any] = {"padding": b"SAME", "data_format": b"NHWC", "dilations": (1, 1, 1, 1)}
_DEPTHS = (8, 12)

MEANS, DEVIATIONS = (104.01362, 114.0342, 119.9165), (73.6028, 69.8908, 70.9150)


@dataclass(frozen=True)
class CenterNetOptions:
    """What a generated detector is like.

    ``pool`` is the side of the neighbourhood in which a peak is the highest. ``named`` calls the outputs by
    what they hold, as a SavedModel's signature does; else they are called Identity, Identity_1, ...
    """

    classes: int = 3
    most: int = 40
    pool: int = 3
    picture: PictureOptions = field(
        default_factory=lambda: PictureOptions(bgr=True, means=MEANS, deviations=DEVIATIONS)
    )
    named: bool = True
    seed: int = 0


def build_centernet(options: CenterNetOptions = CenterNetOptions()) -> bytes:
    """Return a serialized frozen GraphDef of a CenterNet.

    Its input is ``input_tensor``, uint8[1, H, W, 3]. Its outputs are ``detection_boxes`` float32[1, most, 4],
    ``detection_boxes_strided`` in cells of the heat map, ``detection_classes`` counted from 1,
    ``detection_scores`` and ``num_detections``.
    """
    g = _CenterNetWriter(options)
    prepared = g.prepared(options.picture)
    feature = g.features(prepared.pictures)
    heads = [g.head(name, feature, *shape) for name, shape in g.heads.items()]
    g.detections(prepared, *heads)
    return g.serialized()


class _CenterNetWriter(Tf2Writer):
    def __init__(self, options: CenterNetOptions) -> None:
        super().__init__(options.seed)
        self.options = options
        height, width = options.picture.size
        self.rows, self.columns = height // STRIDE, width // STRIDE
        self.heads = {
            "center_0": (options.classes, 1.5, -2.0),
            "box_scale_0": (2, 2.0, 4.0),
            "box_offset_0": (2, 0.3, 0.5),
        }

    def convolution(self, scope: str, source: str, kernel: np.ndarray, bias: np.ndarray, stride: int) -> str:
        self.const(f"{scope}/Conv2D/ReadVariableOp", kernel.astype(np.float32))
        weights = self.op(f"{scope}/Conv2D/read", "Identity", f"{scope}/Conv2D/ReadVariableOp")
        strides = (1, stride, stride, 1)
        node = self.op(f"{scope}/Conv2D", "Conv2D", source, weights, strides=strides, **_SAME)
        biases = self.const(f"{scope}/BiasAdd/ReadVariableOp", bias.astype(np.float32))
        return self.op(f"{scope}/BiasAdd", "BiasAdd", node, biases, data_format=b"NHWC")

    def features(self, node: str) -> str:
        channels = 3
        for number, depth in enumerate(_DEPTHS):
            scope = self.scoped(f"center_net_feature_extractor/model/conv2d_{number}")
            noise = self.weights(f"{scope}/weights", (3, 3, channels, depth))
            node = self.convolution(scope, node, noise * np.float32(1.4), np.zeros(depth), 2)
            node = self.op(f"{scope}/Relu", "Relu", node)
            channels = depth
        return node

    def head(self, name: str, node: str, channels: int, spread: float, mean: float) -> str:
        """Write a head whose numbers have about this mean and spread."""
        scope, depth = self.scoped(name), _DEPTHS[-1]
        noise = self.weights(f"{scope}/conv2d/weights", (3, 3, depth, depth))
        inner = self.convolution(f"{scope}/conv2d", node, noise * np.float32(1.4), np.zeros(depth), 1)
        inner = self.op(f"{scope}/Relu", "Relu", inner)
        last = self.weights(f"{scope}/conv2d_1/weights", (1, 1, depth, channels)) * np.float32(spread)
        return self.convolution(f"{scope}/conv2d_1", inner, last, np.full(channels, mean), 1)

    def detections(self, prepared: Prepared, heat: str, size: str, offset: str) -> None:
        true_shapes = prepared.true_shapes
        scores = self._masked(self.op(self.scoped("Sigmoid"), "Sigmoid", heat), true_shapes)
        best = self._peaks(scores)
        y, x, label = self._places(f"{best}:1")
        boxes = self._boxes(y, x, size, offset)
        shares = self._shares(boxes, true_shapes)
        above = self.op(self.scoped("Greater"), "Greater", best, self.const(self.scoped("Greater/y"), 0.0))
        counted = self.cast(self.scoped("Cast_3"), above, DType.BOOL, DType.INT32)
        axis = self.const(self.scoped("Sum/axis"), 1)
        count = self.integer(self.scoped("Sum"), "Sum", counted, axis, Tidx=DType.INT32, keep_dims=False)
        one = self.const(self.scoped("add_6/y"), 1.0)
        label = self.cast(self.scoped("Cast_9"), label, DType.INT32, DType.FLOAT32)
        number = self.cast(self.scoped("Cast_10"), count, DType.INT32, DType.FLOAT32)
        results = {
            "detection_boxes": shares,
            "detection_boxes_strided": boxes,
            "detection_classes": self.op(self.scoped("add_6"), "AddV2", label, one),
            "detection_scores": best,
            "num_detections": number,
        }
        for index, (name, result) in enumerate(results.items()):
            end = name if self.options.named else "Identity" + (f"_{index}" if index else "")
            self.op(end, "Identity", result)

    def _masked(self, scores: str, true_shapes: str) -> str:
        """Write the product of scores and a map that is 1 where the picture is."""
        sides = []
        for axis, cells in enumerate((self.rows, self.columns)):
            places = [
                self.const(self.scoped(f"range_{axis}/{part}"), n)
                for part, n in (("start", 0), ("limit", cells), ("delta", 1))
            ]
            cell = self.node(self.scoped(f"range_{axis}"), "Range", *places, Tidx=DType.INT32)
            side = self.slice(
                self.scoped(f"strided_slice_{axis}"),
                true_shapes,
                ([0, axis], [0, axis + 1], [1, 1]),
                begin_mask=1,
                end_mask=1,
            )
            # The API compares cells with pixels here, so that little of a picture's padding is masked.
            inside = self.integer(self.scoped(f"Less_{axis}"), "Less", cell, side)
            mask = self.cast(self.scoped(f"Cast_{axis}"), inside, DType.BOOL, DType.FLOAT32)
            sides.append(
                self.op(
                    self.scoped(f"mask_{axis}"),
                    "ExpandDims",
                    mask,
                    self.const(self.scoped(f"mask_{axis}/dim"), 2 - axis),
                    Tdim=DType.INT32,
                )
            )
        both = self.op(self.scoped("mul"), "Mul", *sides)
        last = self.const(self.scoped("ExpandDims/dim"), 3)
        mask = self.op(self.scoped("ExpandDims"), "ExpandDims", both, last, Tdim=DType.INT32)
        return self.op(self.scoped("mul_1"), "Mul", scores, mask)

    def _peaks(self, scores: str) -> str:
        """Write the choice of the highest peaks, and return their scores float32[1, most]."""
        side = (1, self.options.pool, self.options.pool, 1)
        attrs = {"ksize": side, "strides": (1, 1, 1, 1), "padding": b"SAME", "data_format": b"NHWC"}
        pooled = self.op(self.scoped("MaxPool"), "MaxPool", scores, **attrs)
        apart = self.op(self.scoped("Abs"), "Abs", self.op(self.scoped("sub"), "Sub", scores, pooled))
        level = self.const(self.scoped("Less_2/y"), EPSILON)
        peak = self.op(self.scoped("Less_2"), "Less", apart, level)
        kept = self.cast(self.scoped("Cast_2"), peak, DType.BOOL, DType.FLOAT32)
        peaks = self.op(self.scoped("mul_2"), "Mul", scores, kept)
        flat = self.const(self.scoped("Reshape/shape"), [1, -1])
        row = self.op(self.scoped("Reshape"), "Reshape", peaks, flat, Tshape=DType.INT32)
        total = self.rows * self.columns * self.options.classes
        numbers = [
            self.const(self.scoped(f"Minimum/{part}"), n)
            for part, n in (("x", self.options.most), ("y", total))
        ]
        most = self.integer(self.scoped("Minimum"), "Minimum", *numbers)
        return self.op(self.scoped("TopKV2"), "TopKV2", row, most, sorted=True)

    def _divided(self, name: str, number: str, by: int) -> str:
        return self.integer(self.scoped(name), "FloorDiv", number, self.const(self.scoped(f"{name}/y"), by))

    def _rest(self, name: str, number: str, quotient: str, by: int) -> str:
        factor = self.const(self.scoped(f"{name}/mul/y"), by)
        product = self.integer(self.scoped(f"{name}/mul"), "Mul", quotient, factor)
        return self.integer(self.scoped(name), "Sub", number, product)

    def _places(self, index: str) -> tuple[str, str, str]:
        """Write row, column and class of flat indices, int32[1, most]."""
        cell = self._divided("floordiv", index, self.options.classes)
        y = self._divided("floordiv_1", cell, self.columns)
        x = self._rest("sub_1", cell, y, self.columns)
        return y, x, self._rest("sub_2", index, cell, self.options.classes)

    def _gathered(self, name: str, head: str, y: str, x: str) -> list[str]:
        """Write the two numbers of a head at the places, each float32[1, most]."""
        most = self.options.most
        row = self.const(self.scoped(f"{name}/batch"), np.zeros(most, np.int32))
        flat = self.const(self.scoped(f"{name}/flat"), [-1])
        places = [
            self.integer(self.scoped(f"{name}/Reshape_{part}"), "Reshape", each, flat, Tshape=DType.INT32)
            for part, each in (("y", y), ("x", x))
        ]
        where = self.integer(self.scoped(f"{name}/stack"), "Pack", row, *places, axis=1, N=3)
        found = self.node(
            self.scoped(name), "GatherNd", head, where, Tparams=DType.FLOAT32, Tindices=DType.INT32
        )
        shape = self.const(self.scoped(f"{name}/shape"), [1, most, 2])
        rows = self.op(self.scoped(f"{name}/Reshape"), "Reshape", found, shape, Tshape=DType.INT32)
        if name == "GatherNd":
            zero = self.const(self.scoped("Maximum/y"), 0.0)
            rows = self.op(self.scoped("Maximum"), "Maximum", rows, zero)
        split = self.op(self.scoped(f"{name}/unstack"), "Unpack", rows, axis=2, num=2)
        return [split, f"{split}:1"]

    def _boxes(self, y: str, x: str, size: str, offset: str) -> str:
        """Write boxes float32[1, most, 4] in cells of the heat map, clipped to it."""
        sizes, offsets = self._gathered("GatherNd", size, y, x), self._gathered("GatherNd_1", offset, y, x)
        corners: list[str] = []
        for low in (True, False):
            for axis, (place, cells) in enumerate(((y, self.rows), (x, self.columns))):
                number = 2 * (not low) + axis
                centre = self.op(
                    self.scoped(f"centre_{number}"),
                    "AddV2",
                    self.cast(self.scoped(f"centre_{number}/Cast"), place, DType.INT32, DType.FLOAT32),
                    offsets[axis],
                )
                two = self.const(self.scoped(f"truediv_{number}/y"), 2.0)
                half = self.op(self.scoped(f"truediv_{number}"), "RealDiv", sizes[axis], two)
                corner = self.op(self.scoped(f"corner_{number}"), "Sub" if low else "AddV2", centre, half)
                corners.append(self._clipped(f"clip_by_value_{number}", corner, float(cells)))
        return self.op(self.scoped("stack_2"), "Pack", *corners, axis=2, N=4)

    def _clipped(self, name: str, value: str, most: float) -> str:
        limit = self.const(self.scoped(f"{name}/most"), most)
        below = self.op(self.scoped(f"{name}/Minimum"), "Minimum", value, limit)
        return self.op(self.scoped(name), "Maximum", below, self.const(self.scoped(f"{name}/y"), 0.0))

    def _shares(self, boxes: str, true_shapes: str) -> str:
        """Write the boxes relative to the part of the network's input that is picture."""
        factor = self.const(self.scoped("mul_5/y"), float(STRIDE))
        pixels = self.op(self.scoped("mul_5"), "Mul", boxes, factor)
        sides = self.slice(
            self.scoped("strided_slice_5"), true_shapes, ([0, 0], [0, 2], [1, 1]), begin_mask=1, end_mask=1
        )
        twice = self.const(self.scoped("Tile_1/multiples"), [1, 2])
        tiled = self.integer(self.scoped("Tile_1"), "Tile", sides, twice, Tmultiples=DType.INT32)
        axis = self.const(self.scoped("ExpandDims_2/dim"), 1)
        whole = self.integer(self.scoped("ExpandDims_2"), "ExpandDims", tiled, axis, Tdim=DType.INT32)
        whole = self.cast(self.scoped("Cast_8"), whole, DType.INT32, DType.FLOAT32)
        return self._clipped(
            "clip_by_value_4", self.op(self.scoped("truediv_4"), "RealDiv", pixels, whole), 1.0
        )


SAMPLES: Mapping[str, Callable[[], bytes]] = MappingProxyType(
    {
        "centernet": build_centernet,
        "centernet_keep_aspect_ratio": partial(
            build_centernet,
            CenterNetOptions(
                picture=PictureOptions(keeps_shape=True, bgr=True, means=MEANS, deviations=DEVIATIONS)
            ),
        ),
    }
)
"""Detectors for the table of families, by name."""
