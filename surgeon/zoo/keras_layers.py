"""Layers of small Keras networks, under the names that Keras 2 gives their nodes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from surgeon.zoo.nodes import FLOAT, NodeWriter, Ref, ShapeAttr, Type

DATE = "2019"
"""The form of operations: that of TensorFlow 1.15."""


class KerasWriter(NodeWriter):
    """Writes the layers of a network; weights come from a seed, each layer's own."""

    def __init__(self, seed: int) -> None:
        super().__init__(DATE)
        self._random = np.random.default_rng(seed)

    def input(self, size: Sequence[int | None]) -> Ref:
        """Write ``input_1``, float32[?, height, width, 3]; None is a size that stays open."""
        dims = (-1, *(-1 if side is None else side for side in size), 3)
        return self.emit("Placeholder", name="input_1", dtype=Type(FLOAT), shape=ShapeAttr(dims))

    def weights(self, name: str, shape: Sequence[int], spread: float = 1.0, mean: float = 0.0) -> Ref:
        """Write a frozen variable of random numbers and return its Identity."""
        fan = float(np.prod(shape[:-1])) if len(shape) > 1 else 1.0
        value = mean + self._random.normal(0, spread / np.sqrt(fan), shape)
        node = self.const(value.astype(np.float32), self.unique(name))
        return self.node("Identity", f"{node}/read", [node])

    def convolve(self, scope: str, source: Ref, kernel: Ref, bias: Ref, stride: int = 1) -> Ref:
        """Write ``scope/convolution`` and ``scope/BiasAdd``."""
        attrs: dict[str, Any] = {
            "strides": [1, stride, stride, 1],
            "padding": "SAME",
            "data_format": "NHWC",
            "dilations": [1, 1, 1, 1],
            "use_cudnn_on_gpu": True,
            "explicit_paddings": [],
        }
        convolved = self.node("Conv2D", f"{scope}/convolution", [source, kernel], **attrs)
        return self.node("BiasAdd", f"{scope}/BiasAdd", [convolved, bias], data_format="NHWC")

    def convolution(
        self,
        scope: str,
        source: Ref,
        channels: tuple[int, int],
        *,
        stride: int = 1,
        side: int = 3,
        spread: float = 1.3,
    ) -> Ref:
        """Write a layer of its own weights, ``channels`` in and out, without activation."""
        kernel = self.weights(f"{scope}/kernel", (side, side, *channels), spread)
        return self.convolve(scope, source, kernel, self.weights(f"{scope}/bias", channels[1:], 0.1), stride)

    def relu(self, scope: str, source: Ref) -> Ref:
        """Write ``scope/Relu``."""
        return self.node("Relu", f"{scope}/Relu", [source])

    def flat(self, scope: str, source: Ref, columns: int) -> Ref:
        """Write ``scope/Reshape`` to float32[N, P, columns], N read from the source."""
        count = self.slices(
            f"{scope}/strided_slice",
            self.node("Shape", f"{scope}/Shape", [source], out_type=Type(3)),
            [0],
            [1],
            shrink=1,
        )
        dims = [
            count,
            *(self.const(dim, f"{scope}/Reshape/shape/{at}") for at, dim in ((1, -1), (2, columns))),
        ]
        shape = self.node("Pack", f"{scope}/Reshape/shape", dims, N=3, axis=0)
        return self.node("Reshape", f"{scope}/Reshape", [source, shape])

    def slices(
        self,
        full: str,
        source: Ref,
        begin: Sequence[int],
        end: Sequence[int],
        *,
        whole: int = 0,
        from_start: int = 0,
        to_end: int = 0,
        shrink: int = 0,
        ellipsis: int = 0,
    ) -> Ref:
        """Write a StridedSlice; ``whole`` to ``ellipsis`` are masks of axes."""
        bounds = [
            self.const(list(values), f"{full}/{name}")
            for name, values in (("stack", begin), ("stack_1", end), ("stack_2", [1] * len(begin)))
        ]
        return self.node(
            "StridedSlice",
            full,
            [source, *bounds],
            begin_mask=whole | from_start,
            end_mask=whole | to_end,
            ellipsis_mask=ellipsis,
            new_axis_mask=0,
            shrink_axis_mask=shrink,
        )

    def column(self, source: Ref, index: int, rank: int) -> Ref:
        """Write ``strided_slice``: one column of the last axis, which goes away."""
        last = rank - 1
        return self.slices(
            self.unique("strided_slice"),
            source,
            [0] * last + [index],
            [0] * last + [index + 1],
            whole=(1 << last) - 1,
            shrink=1 << last,
        )

    def join(self, scope: str, parts: Sequence[Ref], axis: int) -> Ref:
        """Write ``scope/concat``."""
        full = f"{scope}/concat"
        return self.node("ConcatV2", full, [*parts, self.const(axis, f"{full}/axis")], N=len(parts))

    def reduced(self, op: str, source: Ref, axis: int, full: str, *, keep: bool = False) -> Ref:
        """Write a reduction over one axis."""
        return self.node(op, full, [source, self.const([axis], f"{full}/reduction_indices")], keep_dims=keep)

    def where(self, condition: Ref) -> Ref:
        """Write ``Where``: indices int64[k, rank]."""
        return self.emit("Where", condition)

    def taken(self, source: Ref, indices: Ref) -> Ref:
        """Write ``GatherNd``."""
        return self.emit("GatherNd", source, indices)

    def suppressed(self, boxes: Ref, scores: Ref, most: int, iou: float) -> Ref:
        """Write ``NonMaxSuppressionV3`` in a scope of its own, as tf.image.non_max_suppression does."""
        with self.scope("non_max_suppression") as scope:
            limits = [
                self.const(value, f"{scope}{name}")
                for name, value in (
                    ("max_output_size", most),
                    ("iou_threshold", iou),
                    ("score_threshold", -np.inf),
                )
            ]
            return self.node("NonMaxSuppressionV3", f"{scope}NonMaxSuppressionV3", [boxes, scores, *limits])

    def best(self, scores: Ref, most: Ref) -> tuple[Ref, Ref]:
        """Write ``TopKV2`` and return values and indices."""
        node = self.emit("TopKV2", scores, most, sorted=True)
        return node, f"{node}:1"

    def rows(self, source: Ref) -> Ref:
        """Write the number of rows of a tensor."""
        return self.element(self.shape(source), 0)
