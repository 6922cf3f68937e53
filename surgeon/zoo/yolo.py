"""Frozen YOLO detectors of a few layers, in the forms in which projects for TensorFlow export them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import Any, Literal, TypeAlias

import numpy as np

from surgeon.graph import DType
from surgeon.zoo.networks import NetworkWriter
from surgeon.zoo.yolo_tails import Cells, TailWriter

EPSILON = 1e-3

_SAME: Mapping[str, Any] = {"padding": b"SAME", "data_format": b"NHWC", "dilations": (1, 1, 1, 1)}
_MASKS = ("begin_mask", "end_mask", "ellipsis_mask", "new_axis_mask", "shrink_axis_mask")
_DEPTHS = (6, 8, 8, 12, 12)


Tail: TypeAlias = Literal["heads", "slim", "slim-corners", "scales", "parts", "keras-eval", "combined"]

ANCHORS: Mapping[int, tuple[tuple[tuple[float, float], ...], ...]] = MappingProxyType(
    {
        2: (((81, 82), (135, 169), (344, 319)), ((23, 27), (37, 58), (81, 82))),
        3: (
            ((116, 90), (156, 198), (373, 326)),
            ((30, 61), (62, 45), (59, 119)),
            ((10, 13), (16, 30), (33, 23)),
        ),
    }
)
"""By the number of heads, width and height of the anchors of each, the head of the largest cells first."""

SCALES = (1.05, 1.1, 1.2)
"""What YOLO v4 scales centres by, for heads of 32, 16 and 8 pixels a cell."""


@dataclass(frozen=True)
class YoloOptions:
    """What a generated detector is like.

    ``heads`` is 2 for the tiny network, 3 for the one of version 3, and 1 for version 2, which takes five
    anchors a cell (``per_cell``) and, with ``folds``, folds a finer map into a coarse one. The number of
    classes and the size of the input (None where the graph leaves it open) are free. ``activation`` is
    'LeakyRelu', or 'Maximum' as Keras wrote it until 2018. ``tail`` is what comes behind the heads; all tails
    but the first need a known size.

    - ``heads``: nothing, as Keras' models.
    - ``slim``: rows of centre, size, objectness and classes, joined; ``slim-corners``: corners instead.
    - ``scales``: such rows for each head, [N, H, W, 3, 5 + C].
    - ``parts``: corners, objectness and classes of all heads apart.
    - ``keras-eval``: ``yolo_eval`` of Keras: boxes in pixels of the original picture, suppressed class by
      class.
    - ``combined``: YOLO v4 with scaled centres, and CombinedNonMaxSuppression.
    """

    heads: Literal[1, 2, 3] = 2
    classes: int = 3
    size: tuple[int | None, int | None] = (96, 128)
    activation: Literal["LeakyRelu", "Maximum"] = "Maximum"
    per_cell: int = 3
    folds: bool = True
    tail: Tail = "heads"
    seed: int = 0


def build_yolo(options: YoloOptions = YoloOptions()) -> bytes:
    """Return a serialized frozen GraphDef of a YOLO v3 or v4.

    Its input is ``input_1``, float32[N, height, width, 3], of shares of 255, or of numbers from 0 to 255 for
    the tails ``slim``. Without a tail, its outputs are the results of the head convolutions,
    float32[N, H, W, 3 (5 + classes)], of 32, 16 (and 8) pixels a cell. ``keras-eval`` has the input
    ``Placeholder``, float32[2], height and width of the original picture.
    """
    g = _YoloWriter(options)
    batch = 1 if options.tail == "parts" else None
    picture = g.placeholder("input_1", DType.FLOAT32, batch, *options.size, 3)
    if options.tail.startswith("slim"):
        picture = g.op("normalized", "RealDiv", picture, g.const("normalized/y", 255.0))
    heads = g.heads(picture)
    height, width = options.size
    if options.tail != "heads" and height is not None and width is not None:
        _write_tail(g, options, heads, (height, width))
    return g.serialized()


def _write_tail(g: NetworkWriter, options: YoloOptions, heads: list[str], size: tuple[int, int]) -> None:
    t = TailWriter(g, size, options.classes)
    cells = [
        Cells(
            head, size[0] // stride, size[1] // stride, anchors, scale if options.tail == "combined" else 1.0
        )
        for head, stride, anchors, scale in zip(heads, (32, 16, 8), ANCHORS[len(heads)], SCALES, strict=False)
    ]
    match options.tail:
        case "heads":
            return
        case "slim" | "slim-corners":
            rows = t.concat([t.slim_rows(each) for each in cells], 1, "joined")
            rows = g.op("detections", "Identity", rows)
            if options.tail == "slim-corners":
                t.corner_rows(rows, "output_boxes")
        case "scales":
            for each, scope in zip(reversed(cells), ("pred_sbbox", "pred_mbbox", "pred_lbbox"), strict=False):
                t.scale_rows(each, scope)
        case "parts":
            rows = t.corner_rows(t.concat([t.slim_rows(each) for each in cells], 1), "rows")
            for part, name in zip(
                t.split(rows, (4, 1, options.classes)), ("boxes", "confs", "probs"), strict=True
            ):
                g.op(name, "Identity", part)
        case "keras-eval":
            image = g.placeholder("Placeholder", DType.FLOAT32, 2)
            whole = g.node(
                "input_shape", "Mul", t.sides(cells[0].tensor), g.const("input_shape/y", 32), T=DType.INT32
            )
            sides = t.cast(whole)
            boxes, scores = zip(*(t.keras_boxes(each, sides, image) for each in cells), strict=True)
            t.suppressed(t.concat(boxes, 0), t.concat(scores, 0))
        case "combined":
            t.combined([t.scaled_boxes(each) for each in reversed(cells)])


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
        if self.options.heads == 1:
            if self.options.folds:
                folded = self.folded(self.layer(routes[-2], channels, 4, kernel=1))
                node = self.layer(self.joined(folded, node), 16 + channels, channels)
            return [self.head(node, channels)]
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

    def folded(self, source: str) -> str:
        """Write blocks of 2 x 2 pixels as channels, as Darkflow does."""
        square = (1, 2, 2, 1)
        attrs = {"ksizes": square, "strides": square, "rates": (1, 1, 1, 1), "padding": b"VALID"}
        return self.op("ExtractImagePatches", "ExtractImagePatches", source, **attrs)

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
        "yolo_v2": partial(build_yolo, YoloOptions(heads=1, per_cell=5, size=(128, 128))),
        "slim_yolo_v3": partial(build_yolo, YoloOptions(heads=3, tail="slim-corners")),
        "scales_yolo_v3": partial(build_yolo, YoloOptions(heads=3, tail="scales", size=(96, 96))),
        "parts_yolo_v3": partial(build_yolo, YoloOptions(heads=3, tail="parts")),
        "keras_yolo_eval": partial(build_yolo, YoloOptions(heads=3, tail="keras-eval")),
        "combined_yolo_v4": partial(build_yolo, YoloOptions(heads=3, tail="combined", size=(96, 96))),
    }
)
"""Detectors for the table of families, by name."""
