"""Small frozen detectors in the form in which ssd_keras exports them, by options."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType

import numpy as np

from surgeon.zoo.keras_layers import KerasWriter
from surgeon.zoo.loops import MapLoop, MappedOutput, write_map
from surgeon.zoo.nodes import FLOAT, INT64, Ref, Type

_WIDTH = 8
_SCALES = (0.25, 0.5, 0.9)
_RATIOS = (0.5, 1.0, 2.0)
_COLUMNS = 12
"""Encodings, anchors and variances of a box."""


@dataclass(frozen=True)
class KerasSsdOptions:
    """What a generated detector is like.

    ``classes`` are those without the background. With ``fast``, the layer is DecodeDetectionsFast: one
    suppression for the best class of each box. With ``relative``, anchors are relative to the picture and
    multiplied by its size at the end, else pixels. ``softmax`` is one operation, else five.
    """

    classes: int = 3
    size: tuple[int, int] = (64, 96)
    fast: bool = False
    relative: bool = True
    softmax: bool = False
    variances: tuple[float, float, float, float] = (0.1, 0.1, 0.2, 0.2)
    score_threshold: float = 0.05
    iou_threshold: float = 0.45
    max_per_class: int = 15
    max_detections: int = 30
    seed: int = 0


def build_keras_ssd(options: KerasSsdOptions = KerasSsdOptions()) -> bytes:
    """Return a serialized frozen GraphDef of an SSD of two feature maps.

    Its input is ``input_1``, float32[N, height, width, 3], pixels. Its output is a table float32[N, K, 6] of
    class, score, xmin, ymin, xmax and ymax in pixels, filled with zeros.
    """
    writer = _SsdWriter(options)
    writer.network()
    return writer.graph()


class _SsdWriter(KerasWriter):
    def __init__(self, options: KerasSsdOptions) -> None:
        super().__init__(options.seed)
        self.options = options

    def network(self) -> None:
        """Write preprocessing, backbone, heads, anchors, decoding and suppression."""
        picture = self.input(self.options.size)
        with self.scope("input_mean_normalization"):
            centred = self.sub(picture, 127.5)
        with self.scope("input_stddev_normalization"):
            at = self.div(centred, 127.5)
        channels, maps = 3, []
        for number in range(1, 5):
            at = self.relu(
                f"relu{number}", self.convolution(f"conv{number}", at, (channels, _WIDTH), stride=2)
            )
            channels = _WIDTH
            if number > 2:
                maps.append(at)
        count = self.options.classes + 1
        scores, boxes, anchors = [], [], []
        for level, feature in enumerate(maps):
            suffix = level + 3
            head = self.convolution(f"classes{suffix}", feature, (_WIDTH, count * len(_RATIOS)))
            scores.append(self.flat(f"classes{suffix}_reshape", head, count))
            head = self.convolution(f"boxes{suffix}", feature, (_WIDTH, 4 * len(_RATIOS)))
            boxes.append(self.flat(f"boxes{suffix}_reshape", head, 4))
            anchors.append(self.flat(f"anchors{suffix}_reshape", self._anchors(level, head), 8))
        joined = [
            self._softmax(self.join("classes_concat", scores, 1)),
            self.join("boxes_concat", boxes, 1),
            self.join("anchors_concat", anchors, 1),
        ]
        with self.scope("decoded_predictions"):
            self._detections(self._decoded(self.join("predictions", joined, 2)))

    def _softmax(self, logits: Ref) -> Ref:
        scope = "classes_softmax"
        if self.options.softmax:
            return self.node("Softmax", f"{scope}/Softmax", [logits])
        most = self.reduced("Max", logits, -1, f"{scope}/Max", keep=True)
        power = self.node("Exp", f"{scope}/Exp", [self.node("Sub", f"{scope}/sub", [logits, most])])
        total = self.reduced("Sum", power, -1, f"{scope}/Sum", keep=True)
        return self.node("RealDiv", f"{scope}/truediv", [power, total])

    def _anchors(self, level: int, head: Ref) -> Ref:
        """Write the constant of a map, float32[1, H, W, boxes, 8], repeated for each picture."""
        height, width = self.options.size
        stride = 8 * 2**level
        rows, columns = height // stride, width // stride
        y, x = np.meshgrid(
            (np.arange(rows) + 0.5) * stride, (np.arange(columns) + 0.5) * stride, indexing="ij"
        )
        value = np.zeros((1, rows, columns, len(_RATIOS), 8), np.float32)
        for number, ratio in enumerate(_RATIOS):
            side = _SCALES[level] * min(height, width)
            value[..., number, 0], value[..., number, 1] = x, y
            value[..., number, 2:4] = side * np.sqrt(ratio), side / np.sqrt(ratio)
        value[..., 4:] = self.options.variances
        if self.options.relative:
            value[..., :4] /= np.array([width, height, width, height])
        with self.scope(f"anchors{level + 3}"):
            constant = self.const(value, self.unique("Const"))
            batch = self.element(self.shape(head), 0)
            repeats = self.pack([batch, 1, 1, 1, 1], self.unique("Tile/multiples"))
            return self.emit("Tile", constant, repeats)

    def _column(self, source: Ref, index: int) -> Ref:
        """Write ``source[..., index]``."""
        full = self.unique("strided_slice")
        return self.slices(full, source, [0, index], [0, index + 1], ellipsis=1, shrink=2)

    def _columns(self, source: Ref, end: int) -> Ref:
        """Write ``source[..., :end]``."""
        full = self.unique("strided_slice")
        return self.slices(full, source, [0, 0], [0, end], ellipsis=1, from_start=2)

    def _decoded(self, predictions: Ref) -> Ref:
        """Write classes and decoded corners, float32[N, P, classes + 5], or of the best class [N, P, 6]."""
        tx, ty, tw, th, x, y, w, h, vx, vy, vw, vh = (
            self._column(predictions, at - _COLUMNS) for at in range(_COLUMNS)
        )
        leading = self._best(predictions) if self.options.fast else [self._columns(predictions, -_COLUMNS)]
        middle_x = self.add(self.mul(self.mul(tx, vx), w), x)
        middle_y = self.add(self.mul(self.mul(ty, vy), h), y)
        wide = self.mul(self.emit("Exp", self.mul(tw, vw)), w)
        high = self.mul(self.emit("Exp", self.mul(th, vh)), h)
        corners = [
            self.sub(middle_x, self.mul(0.5, wide)),
            self.sub(middle_y, self.mul(0.5, high)),
            self.add(middle_x, self.mul(0.5, wide)),
            self.add(middle_y, self.mul(0.5, high)),
        ]
        full = self.unique("concat")
        parts = [*leading, *self._in_pixels(corners)]
        return self.node("ConcatV2", full, [*parts, self.const(-1, f"{full}/axis")], N=len(parts))

    def _best(self, predictions: Ref) -> list[Ref]:
        scores = self._columns(predictions, -_COLUMNS)
        full = self.unique("ArgMax")
        best = self.node(
            "ArgMax", full, [scores, self.const(-1, f"{full}/dimension")], output_type=Type(INT64)
        )
        labels = self.expand_dims(self.cast(best, FLOAT), -1)
        scores = self._columns(predictions, -_COLUMNS)
        return [labels, self.reduced("Max", scores, -1, self.unique("Max"), keep=True)]

    def _in_pixels(self, corners: Sequence[Ref]) -> list[Ref]:
        """Write a conditional: corners times the picture's size, or as they are, each float32[N, P, 1]."""
        height, width = self.options.size
        predicate = self.const(np.bool_(self.options.relative), self.unique("normalize_coords"))
        found = []
        with self.scope("cond"):
            for corner, size in zip(corners, (width, height, width, height), strict=True):
                switch = self.emit("Switch", corner, predicate)
                scaled = self.expand_dims(self.mul(f"{switch}:1", float(size)), -1)
                found.append(self.emit("Merge", self.expand_dims(switch, -1), scaled, N=2))
        return found

    def _detections(self, decoded: Ref) -> None:
        """Write the loop over pictures, with one over classes inside where each is suppressed alone."""
        most = self.options.max_detections
        body = self._of_best_class if self.options.fast else self._of_classes
        with self.scope("loop_over_batch"):
            loop = MapLoop({0: decoded}, 1, {0: MappedOutput(FLOAT, (most, 6))}, 1)
            write_map(self, loop, lambda reads: {0: self._sorted(body(reads[0]))})

    def _of_classes(self, item: Ref) -> Ref:
        most = self.options.max_per_class
        with self.scope("loop_over_classes"):
            labels = self.node(
                "Range",
                self.unique("range"),
                [self.const(value, self.unique("range/value")) for value in (1, self.options.classes + 1, 1)],
            )
            loop = MapLoop({0: labels}, 1, {0: MappedOutput(FLOAT, (most, 6))}, 1)
            found = write_map(self, loop, lambda reads: {0: self._of_class(item, reads[0])})
        return self.reshape(found[0], [-1, 6])

    def _of_class(self, item: Ref, label: Ref) -> Ref:
        frame = {"frame_name": f"{self._prefix}while_context", "parallel_iterations": 32, "is_constant": True}
        item = self.node("Enter", self.unique("strided_slice/Enter"), [item], **frame)
        full = self.unique("strided_slice")
        bounds = [
            self.pack([0, label], f"{full}/stack"),
            self.pack([0, self.add(label, 1)], f"{full}/stack_1"),
            self.const([1, 1], f"{full}/stack_2"),
        ]
        masks = {
            "begin_mask": 0,
            "end_mask": 0,
            "new_axis_mask": 0,
            "ellipsis_mask": 1,
            "shrink_axis_mask": 2,
        }
        scores = self.expand_dims(self.node("StridedSlice", full, [item, *bounds], **masks), -1)
        labels = self.node("Fill", self.unique("Fill"), [self.shape(scores), self.cast(label)])
        end = self.slices(self.unique("strided_slice"), item, [0, -4], [0, 0], ellipsis=1, to_end=2)
        rows = self.concat([labels, scores, end], -1)
        return self._suppressed(self._above(rows, self.options.score_threshold), padded=True)

    def _of_best_class(self, item: Ref) -> Ref:
        objects = self.where(self.binary("NotEqual", self._column(item, 0), 0.0))
        rows = self.gather(item, self.squeeze(objects, 1))
        return self._suppressed(self._above(rows, self.options.score_threshold))

    def _above(self, rows: Ref, threshold: float) -> Ref:
        above = self.where(self.binary("Greater", self.column(rows, 1, 2), threshold))
        return self.gather(rows, self.squeeze(above, 1))

    def _suppressed(self, rows: Ref, *, padded: bool = False) -> Ref:
        options = self.options
        xmin, ymin, xmax, ymax = (self.expand_dims(self._column(rows, at), -1) for at in range(-4, 0))
        boxes = self.concat([ymin, xmin, ymax, xmax], -1)
        most = options.max_per_class if padded else options.max_detections * 2
        kept = self.gather(rows, self.suppressed(boxes, self._column(rows, 1), most, options.iou_threshold))
        return self._filled(kept, most) if padded else kept

    def _filled(self, rows: Ref, count: int) -> Ref:
        missing = self.binary("Maximum", 0, self.sub(count, self.rows(rows)))
        full = self.unique("Pad")
        ends = [self.pack([0, missing], f"{full}/paddings/0"), self.const([0, 0], f"{full}/paddings/1")]
        return self.node("Pad", full, [rows, self.node("Pack", f"{full}/paddings", ends, N=2, axis=0)])

    def _sorted(self, rows: Ref) -> Ref:
        most = self.options.max_detections
        rows = self._filled(rows, most)
        order = self.best(self.column(rows, 1, 2), self.const(most, self.unique("top_k")))[1]
        return self.gather(rows, order)


SAMPLES: Mapping[str, Callable[[], bytes]] = MappingProxyType(
    {
        "keras_ssd": build_keras_ssd,
        "keras_ssd_fast": partial(build_keras_ssd, KerasSsdOptions(fast=True)),
    }
)
"""Detectors for the table of families, by name."""
