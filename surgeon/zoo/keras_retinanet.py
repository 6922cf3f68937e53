"""Small frozen detectors in the form in which keras-retinanet exports them, by version and options."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import Literal

import numpy as np

from surgeon.zoo.keras_layers import KerasWriter
from surgeon.zoo.loops import MapLoop, MappedOutput, write_map
from surgeon.zoo.nodes import FLOAT, INT32, INT64, Ref, Type

STRIDES = (8, 16)
RATIOS = (0.5, 1.0, 2.0)
_WIDTH = 8


_PIXELS = 1.3 / 64
"""Spread of the weights that read pixels, which are not divided by anything: scores stay apart."""


@dataclass(frozen=True)
class KerasRetinaNetOptions:
    """What a generated detector is like.

    ``version`` is that of keras-retinanet: until 0.5 boxes are clipped to the size of the picture, from 1.0
    on to one pixel less. ``size`` is height and width, None where the graph leaves them open. ``mean`` and
    ``std`` are what encodings were normalised by in training. ``per_class`` is its ``class_specific_filter``,
    ``suppress`` its ``nms``. ``layer`` names the first convolution, which tells the backbone.
    """

    version: Literal["0.5", "1.0"] = "0.5"
    classes: int = 3
    size: tuple[int | None, int | None] = (64, 96)
    mean: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)
    std: tuple[float, float, float, float] = (0.2, 0.2, 0.2, 0.2)
    per_class: bool = True
    suppress: bool = True
    score_threshold: float = 0.05
    iou_threshold: float = 0.5
    max_detections: int = 30
    layer: str = "res2a_branch2a"
    seed: int = 0


def build_keras_retinanet(options: KerasRetinaNetOptions = KerasRetinaNetOptions()) -> bytes:
    """Return a serialized frozen GraphDef of a RetinaNet of two feature maps.

    Its input is ``input_1``, float32[N, height, width, 3], a prepared picture. Its outputs are boxes
    float32[N, K, 4] (xmin, ymin, xmax, ymax in pixels), scores float32[N, K] and labels int32[N, K], filled
    with -1.
    """
    writer = _RetinaNetWriter(options)
    writer.network()
    return writer.graph()


class _RetinaNetWriter(KerasWriter):
    def __init__(self, options: KerasRetinaNetOptions) -> None:
        super().__init__(options.seed)
        self.options = options

    def network(self) -> None:
        """Write backbone, pyramid, heads, anchors, decoding and suppression."""
        picture = self.input(self.options.size)
        maps = self._pyramid(picture)
        regression = self._heads("regression", maps, 4)
        classification = self._heads("classification", maps, self.options.classes)
        anchors = self.join("anchors", [self._anchors(i, each) for i, each in enumerate(maps)], 1)
        boxes = self._clipped(picture, self._moved(anchors, regression))
        with self.scope("filtered_detections"):
            most = self.options.max_detections
            outputs = {
                0: MappedOutput(FLOAT, (most, 4)),
                1: MappedOutput(FLOAT, (most,)),
                2: MappedOutput(INT32, (most,)),
            }
            loop = MapLoop({0: boxes, 1: classification}, 2, outputs, 3)
            write_map(self, loop, lambda reads: self._filtered(reads[0], reads[1]))

    def _pyramid(self, picture: Ref) -> list[Ref]:
        at, channels = picture, 3
        stages = (self.options.layer, "C2", "C3", "C4")
        maps = []
        for number, name in enumerate(stages):
            spread = _PIXELS if number == 0 else 1.3
            layer = self.convolution(name, at, (channels, _WIDTH), stride=2, spread=spread)
            at = self.relu(f"{name}_relu", layer)
            channels = _WIDTH
            if number >= 2:
                maps.append(at)
        return [self.convolution(f"P{i + 3}", each, (_WIDTH, _WIDTH)) for i, each in enumerate(maps)]

    def _heads(self, kind: str, maps: list[Ref], columns: int) -> Ref:
        """Write the sub-model of a kind for each map, all with the same weights, and join them."""
        scores = kind == "classification"
        outputs = columns * len(RATIOS)
        first = self.weights(f"pyramid_{kind}_0/kernel", (3, 3, _WIDTH, _WIDTH), 1.3)
        first_bias = self.weights(f"pyramid_{kind}_0/bias", (_WIDTH,), 0.1)
        kernel = self.weights(f"pyramid_{kind}/kernel", (3, 3, _WIDTH, outputs), 3.0 if scores else 1.5)
        bias = self.weights(f"pyramid_{kind}/bias", (outputs,), 0.1, -2.0 if scores else 0.0)
        parts = []
        for source in maps:
            scope = self.unique(f"{kind}_submodel")
            inner = f"{scope}/pyramid_{kind}"
            hidden = self.relu(f"{inner}_0", self.convolve(f"{inner}_0", source, first, first_bias))
            flat = self.flat(f"{inner}_reshape", self.convolve(inner, hidden, kernel, bias), columns)
            parts.append(self.node("Sigmoid", f"{inner}_sigmoid/Sigmoid", [flat]) if scores else flat)
        return self.join(kind, parts, 1)

    def _anchors(self, level: int, feature: Ref) -> Ref:
        """Write the anchors of a map, float32[N, P, 4], from its shape."""
        stride = STRIDES[level]
        area = (4.0 * stride) ** 2
        half = np.array([[np.sqrt(area / r), np.sqrt(area * r)] for r in RATIOS], np.float32) / 2
        base = np.concatenate([-half, half], axis=1).astype(np.float32)
        with self.scope(f"anchors_{level}"):
            shape = self.shape(feature)
            down, across = (self._places(self.element(shape, axis), stride) for axis in (1, 2))
            ones = self.fill(self.pack([self.rows(down), self.rows(across)]), 1.0, self.unique("ones"))
            x = self.reshape(self.mul(self.reshape(across, [1, -1]), ones), [-1])
            y = self.reshape(self.mul(self.reshape(down, [-1, 1]), ones), [-1])
            shifts = self.reshape(self.transpose(self.pack([x, y, x, y])), [-1, 1, 4])
            moved = self.add(self.const(base[None], self.unique("Const")), shifts)
            batch = self.pack([self.element(shape, 0), 1, 1], self.unique("Tile/multiples"))
            return self.emit("Tile", self.expand_dims(self.reshape(moved, [-1, 4]), 0), batch)

    def _places(self, count: Ref, stride: int) -> Ref:
        return self.mul(self.add(self.cast(self.range(count)), 0.5), float(stride))

    def _moved(self, anchors: Ref, regression: Ref) -> Ref:
        """Write boxes: the corners of anchors moved by shares of their sides."""
        with self.scope("boxes"):
            low_x, low_y, high_x, high_y = (self.column(anchors, i, 3) for i in range(4))
            sides = [self.sub(high_x, low_x), self.sub(high_y, low_y)] * 2
            corners = [low_x, low_y, high_x, high_y]
            moved = []
            for i, (corner, side) in enumerate(zip(corners, sides, strict=True)):
                scaled = self.mul(self.column(regression, i, 3), self.options.std[i])
                share = self.add(scaled, self.options.mean[i])
                moved.append(self.add(corner, self.mul(share, side)))
            return self.pack(moved, axis=2)

    def _clipped(self, picture: Ref, boxes: Ref) -> Ref:
        with self.scope("clipped_boxes"):
            shape = self.cast(self.shape(picture))
            limits = [self.element(shape, 2), self.element(shape, 1)] * 2
            if self.options.version == "1.0":
                limits = [self.sub(limit, 1.0) for limit in limits]
                split = self.unpack(boxes, 4, axis=2)
            else:
                split = [self.column(boxes, i, 3) for i in range(4)]
            clipped = []
            for value, limit in zip(split, limits, strict=True):
                with self.scope("clip_by_value") as scope:
                    low = self.node("Minimum", f"{scope}Minimum", [value, limit])
                    zero = self.const(0.0, f"{scope}y")
                    clipped.append(self.node("Maximum", scope[:-1], [low, zero]))
            return self.pack(clipped, axis=2)

    def _filtered(self, boxes: Ref, classification: Ref) -> dict[int, Ref]:
        """Write the body of the loop: what is kept of one picture, filled with -1."""
        options = self.options
        most = options.max_detections
        if options.per_class:
            found = [
                self._of_class(boxes, self.column(classification, label, 2), label)
                for label in range(options.classes)
            ]
            indices = self.concat(found, 0) if len(found) > 1 else found[0]
        else:
            full = self.unique("ArgMax")
            labels = self.node(
                "ArgMax", full, [classification, self.const(1, f"{full}/dimension")], output_type=Type(INT64)
            )
            scores = self.reduced("Max", classification, 1, self.unique("Max"))
            indices = self._kept(boxes, scores, labels)
        scores = self.taken(classification, indices)
        labels = self.column(indices, 1, 2)
        count = self.binary("Minimum", most, self.rows(scores))
        scores, order = self.best(scores, count)
        boxes = self.gather(boxes, self.gather(self.column(indices, 0, 2), order))
        labels = self.gather(labels, order)
        missing = self.binary("Maximum", 0, self.sub(most, self.rows(scores)))
        return {
            0: self._padded(boxes, missing, 2),
            1: self._padded(scores, missing, 1),
            2: self.cast(self._padded(self.cast(labels, INT32), missing, 1), INT32),
        }

    def _of_class(self, boxes: Ref, scores: Ref, label: int) -> Ref:
        ones = self.fill(self.shape(scores), label, self.unique("ones"))
        return self._kept(boxes, scores, self.cast(ones, INT64))

    def _kept(self, boxes: Ref, scores: Ref, labels: Ref) -> Ref:
        """Write the indices int64[k, 2] (box, class) of what suppression leaves."""
        options = self.options
        indices = self.where(self.binary("Greater", scores, options.score_threshold))
        if options.suppress:
            kept_scores = self.column(self.gather(scores, indices), 0, 2)
            kept = self.suppressed(
                self.taken(boxes, indices), kept_scores, options.max_detections, options.iou_threshold
            )
            indices = self.gather(indices, kept)
        labels = self.taken(labels, indices)
        return self.pack([self.column(indices, 0, 2), labels], axis=1)

    def _padded(self, source: Ref, missing: Ref, rank: int) -> Ref:
        full = self.unique("PadV2")
        rows = [self.pack([0, missing], f"{full}/paddings/0")]
        rows += [self.const([0, 0], f"{full}/paddings/1")] * (rank - 1)
        paddings = self.node("Pack", f"{full}/paddings", rows, N=rank, axis=0)
        fill = self.const(-1, f"{full}/constant_values", self.type_of(source))
        return self.node("PadV2", full, [source, paddings, fill])


SAMPLES: Mapping[str, Callable[[], bytes]] = MappingProxyType(
    {
        "keras_retinanet_0.5": build_keras_retinanet,
        "keras_retinanet_1.0": partial(build_keras_retinanet, KerasRetinaNetOptions("1.0")),
        "keras_retinanet_of_all_classes": partial(
            build_keras_retinanet, KerasRetinaNetOptions(per_class=False)
        ),
    }
)
"""Detectors for the table of families, by name."""
