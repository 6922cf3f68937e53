"""Small frozen detectors in the form in which google/automl exports EfficientDet, by options."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import Literal

import numpy as np

from surgeon.graph import DType
from surgeon.zoo.tf2 import Tf2Writer

_WIDTH = 8
_LEVELS = (3, 4)
_RATIOS = (1.0, 2.0, 0.5)
_ANCHOR_SCALE = 3.0
_MEANS, _DEVIATIONS = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)
_STEM = "efficientnet-b0/stem"

_NEVER = float("-inf")


@dataclass(frozen=True)
class AutomlOptions:
    """What a generated detector is like.

    ``post`` is the project's function after the network: ``global`` (one suppression), ``per_class`` or
    ``combined``. ``pairs`` is how many pairs of anchor and class go into suppression, 0 for the best class of
    each anchor; ``combined`` has no such choice. With ``sigma`` above 0 suppression is soft, and the
    operation gets half of it. With ``prepares`` the graph takes uint8 pictures of any size, and gives boxes
    in their pixels; without it, what the project's scripts make of a picture. ``table`` joins detections to
    rows of seven numbers.
    """

    classes: int = 3
    size: tuple[int, int] = (64, 96)
    post: Literal["global", "per_class", "combined"] = "global"
    pairs: int = 0
    sigma: float = 0.0
    score_threshold: float = 0.08
    iou_threshold: float = 0.5
    max_detections: int = 20
    prepares: bool = True
    table: bool = False
    seed: int = 0


def build_automl_efficientdet(options: AutomlOptions = AutomlOptions()) -> bytes:
    """Return a serialized frozen GraphDef of a detector of two feature maps.

    Its input is ``images``. Its outputs are boxes float32[1, K, 4] (ymin, xmin, ymax, xmax in pixels), scores
    and classes float32[1, K], which count from 1, and int32[1], how many are detections; or one table.
    """
    writer = _Writer(options)
    writer.network()
    return writer.serialized()


class _Writer(Tf2Writer):
    def __init__(self, options: AutomlOptions) -> None:
        super().__init__(options.seed)
        self.options = options
        self._count = 0

    def scoped(self, name: str) -> str:
        return name

    def unique(self, name: str) -> str:
        """Return a name that no other node has."""
        self._count += 1
        return f"{name}_{self._count}"

    def of(self, op: str, *inputs: str, **attrs: object) -> str:
        """Write an operation on float32 under a name of its own."""
        return self.op(self.unique(op), op, *inputs, **attrs)

    def number(self, value: object) -> str:
        return self.const(self.unique("Const"), value)

    def network(self) -> None:
        """Write preprocessing, backbone, heads, decoding and suppression."""
        height, width = self.options.size
        scale = None
        if self.options.prepares:
            image, scale = self._prepared_picture()
        else:
            image = self.placeholder("images", DType.FLOAT32, 1, height, width, 3)
        codes, logits = self._heads(image)
        outputs = self._suppressed(codes, logits)
        boxes = outputs[0]
        if scale is not None:
            boxes = self.of("Mul", boxes, scale)
        if self.options.table:
            self._table(boxes, outputs[1], outputs[2])
            return
        for number, (ref, dtype) in enumerate(
            zip((boxes, *outputs[1:]), (DType.FLOAT32,) * 3 + (DType.INT32,), strict=True)
        ):
            self.node("Identity" if not number else f"Identity_{number}", "Identity", ref, T=dtype)

    def _prepared_picture(self) -> tuple[str, str]:
        """Write what becomes of the one picture, and the scale float32[1, 1, 1] back to it."""
        given = self.placeholder("images", DType.UINT8, 1, None, None, 3)
        picture = self.slice("strided_slice", given, ([0], [1], [1]), DType.UINT8, shrink_axis_mask=1)
        pixels = self.cast("Cast", picture, DType.UINT8, DType.FLOAT32)
        means = self.const("Const/means", [[list(_MEANS)]])
        deviations = self.const("Const/deviations", [[list(_DEVIATIONS)]])
        pixels = self.op("truediv", "RealDiv", self.op("sub", "Sub", pixels, means), deviations)
        sides = []
        for axis in (0, 1):
            shape = self.shape(f"Shape_{axis}", pixels)
            side = self.slice(f"side_{axis}", shape, ([axis], [axis + 1], [1]), shrink_axis_mask=1)
            sides.append(self.cast(f"side_{axis}/Cast", side, DType.INT32, DType.FLOAT32))
        shares = [
            self.of("RealDiv", self.number(float(wanted)), side)
            for wanted, side in zip(self.options.size, sides, strict=True)
        ]
        factor = self.op("Minimum", "Minimum", *shares)
        fitted = [
            self.cast(self.unique("Cast"), self.of("Mul", side, factor), DType.FLOAT32, DType.INT32)
            for side in sides
        ]
        size = self.integer("resize/size", "Pack", *fitted, axis=0, N=2)
        first = self.const("resize/ExpandDims/dim", 0)
        batch = self.op("resize/ExpandDims", "ExpandDims", pixels, first, Tdim=DType.INT32)
        attrs = {"align_corners": False, "half_pixel_centers": True}
        resized = self.op("resize/ResizeBilinear", "ResizeBilinear", batch, size, **attrs)
        inner = self.op("resize/Squeeze", "Squeeze", resized, squeeze_dims=(0,))
        ends = ([0, 0, 0], [*self.options.size, 0], [1, 1, 1])
        cut = self.slice("cut", inner, ends, DType.FLOAT32, begin_mask=4, end_mask=4)
        padded = self._padded(self.op("pad/ExpandDims", "ExpandDims", cut, first, Tdim=DType.INT32))
        stack = self.op("stack", "Pack", padded, axis=0, N=1)
        back = self.op("scale/Pack", "Pack", self.of("RealDiv", self.number(1.0), factor), axis=0, N=1)
        scale = self.op("scale", "Reshape", back, self.number([1, 1, 1]), Tshape=DType.INT32)
        return self.op("StopGradient", "StopGradient", stack), scale

    def _padded(self, picture: str) -> str:
        zero, shape = self.number(0), self.shape("pad/Shape", picture)
        rows = []
        for axis, whole in enumerate((1, *self.options.size, 3)):
            side = self.slice(f"pad/side_{axis}", shape, ([axis], [axis + 1], [1]), shrink_axis_mask=1)
            missing = zero
            if axis in (1, 2):
                missing = self.integer(f"pad/missing_{axis}", "Sub", self.number(whole), side)
            rows.append(self.integer(f"pad/row_{axis}", "Pack", zero, missing, axis=0, N=2))
        paddings = self.integer("pad/stack", "Pack", *rows, axis=0, N=4)
        padded = self.op("pad/Pad", "Pad", picture, paddings, Tpaddings=DType.INT32)
        return self.op("pad/Squeeze", "Squeeze", padded, squeeze_dims=(0,))

    # --- the network

    def _heads(self, image: str) -> tuple[str, str]:
        """Write backbone and heads, and return what joins encodings and logits."""
        feature, channels, maps = image, 3, []
        for level in range(1, _LEVELS[-1] + 1):
            scope = f"{_STEM}_{level}"
            feature = self.conv(scope, feature, (3, 3, channels, _WIDTH), stride=2)
            feature = self.op(f"{scope}/mul", "Mul", feature, self.op(f"{scope}/swish", "Sigmoid", feature))
            channels = _WIDTH
            if level in _LEVELS:
                maps.append(feature)
        joined = []
        for head, columns in (("box_net/box-predict", 4), ("class_net/ClassPredictor", self.options.classes)):
            parts = []
            for level, source in zip(_LEVELS, maps, strict=True):
                kernel = (3, 3, _WIDTH, columns * len(_RATIOS))
                biased = self.biased_conv(f"{head}_{level}/{head[-14:]}", source, kernel, activation="")
                shape = self.number([1, -1, columns])
                parts.append(self.of("Reshape", biased, shape, Tshape=DType.INT32))
            axis = self.number(1)
            joined.append(
                self.node(
                    self.unique("concat"), "ConcatV2", *parts, axis, T=DType.FLOAT32, Tidx=DType.INT32, N=2
                )
            )
        return joined[0], joined[1]

    def _anchor_boxes(self) -> np.ndarray:
        """Return the anchors in pixels, float32[P, 4]: ymin, xmin, ymax, xmax."""
        height, width = self.options.size
        rows = []
        for level in _LEVELS:
            stride = 2**level
            y, x = np.meshgrid(
                np.arange(stride / 2, height, stride), np.arange(stride / 2, width, stride), indexing="ij"
            )
            for ratio in _RATIOS:
                wide, high = (
                    np.sqrt(ratio) * _ANCHOR_SCALE * stride / 2,
                    _ANCHOR_SCALE * stride / 2 / np.sqrt(ratio),
                )
                rows.append(np.stack([y - high, x - wide, y + high, x + wide], axis=-1))
        count = len(_RATIOS)
        levels = [np.stack(rows[at : at + count], axis=2).reshape(-1, 4) for at in range(0, len(rows), count)]
        return np.concatenate(levels).astype(np.float32)

    # --- behind the network

    def _suppressed(self, codes: str, logits: str) -> tuple[str, str, str, str]:
        """Write the choice of scores, decoding and suppression; return boxes, scores, classes and count."""
        anchors = self.const("anchors", self._anchor_boxes())
        classes = indices = ""
        if self.options.post != "combined":
            if self.options.pairs:
                logits, codes, classes, indices = self._best_pairs(logits, codes)
            else:
                logits, classes, indices = self._best_classes(logits)
            axis = self.number(0)
            types = {"Tparams": DType.FLOAT32, "Tindices": DType.INT32, "Taxis": DType.INT32}
            anchors = self.node("GatherV2", "GatherV2", anchors, indices, axis, **types, batch_dims=0)
        boxes = self._decoded(codes, anchors)
        scores = self.op("Sigmoid", "Sigmoid", logits)
        if self.options.post == "combined":
            return self._combined(boxes, scores)
        picture = [
            self.slice(self.unique("strided_slice"), each, ([0], [1], [1]), dtype, shrink_axis_mask=1)
            for each, dtype in ((boxes, DType.FLOAT32), (scores, DType.FLOAT32), (classes, DType.INT32))
        ]
        if self.options.post == "global":
            found = self._one_suppression(*picture, padded=True)
            boxes, scores, classes, count = (self._batched(each) for each in found)
            return self._clipped(boxes), scores, classes, count
        return self._by_class(*picture)

    def _best_classes(self, logits: str) -> tuple[str, str, str]:
        axis = self.number(-1)
        best = self.node(
            "ArgMax", "ArgMax", logits, axis, T=DType.FLOAT32, Tidx=DType.INT32, output_type=DType.INT32
        )
        scores = self.op("Max", "Max", logits, axis, Tidx=DType.INT32, keep_dims=False)
        shape = self.shape("Shape_boxes", logits)
        count = self.slice("count", shape, ([1], [2], [1]), shrink_axis_mask=1)
        zero, one = self.number(0), self.number(1)
        every = self.node("range", "Range", zero, count, one, Tidx=DType.INT32)
        indices = self.node("ExpandDims", "ExpandDims", every, zero, T=DType.INT32, Tdim=DType.INT32)
        return scores, best, indices

    def _best_pairs(self, logits: str, codes: str) -> tuple[str, str, str, str]:
        """Write the choice of the best pairs; return their logits, encodings, classes and anchors' places."""
        classes = self.options.classes
        flat = self.op("flat", "Reshape", logits, self.number([1, -1]), Tshape=DType.INT32)
        most = self.const("TopKV2/k", self.options.pairs)
        top = self.op("TopKV2", "TopKV2", flat, most, sorted=False)
        every = self.const("floordiv/y", classes)
        anchor = self.integer("floordiv", "FloorDiv", f"{top}:1", every)
        label = self.integer("mod", "FloorMod", f"{top}:1", every)
        zero = self.const("picture", np.zeros((1, self.options.pairs), np.int32))
        where = self.integer("where", "Pack", zero, anchor, label, axis=2, N=3)
        row = self.integer("row", "Pack", zero, anchor, axis=2, N=2)
        types = {"Tparams": DType.FLOAT32, "Tindices": DType.INT32}
        chosen = self.node("BatchGatherND/GatherNd", "GatherNd", logits, where, **types)
        own = self.node("BatchGatherND_1/GatherNd", "GatherNd", codes, row, **types)
        return chosen, own, label, anchor

    def _decoded(self, codes: str, anchors: str) -> str:
        """Write the boxes in pixels, joined on the last axis."""
        sides = []
        for corner in range(4):
            bounds = ([0, corner], [0, corner + 1], [1, 1])
            masks = {"ellipsis_mask": 1, "shrink_axis_mask": 2}
            sides.append(self.slice(self.unique("corner"), anchors, bounds, DType.FLOAT32, **masks))
        two = self.number(2.0)
        centre = [self.of("RealDiv", self.of("AddV2", sides[at], sides[at + 2]), two) for at in (0, 1)]
        length = [self.of("Sub", sides[at + 2], sides[at]) for at in (0, 1)]
        split = self.op("unstack", "Unpack", codes, axis=2, num=4)
        parts = [split, *(f"{split}:{slot}" for slot in (1, 2, 3))]
        middle = [
            self.of("AddV2", self.of("Mul", parts[axis], length[axis]), centre[axis]) for axis in (0, 1)
        ]
        half = [
            self.of("RealDiv", self.of("Mul", self.of("Exp", parts[axis + 2]), length[axis]), two)
            for axis in (0, 1)
        ]
        corners = [self.of(op, middle[axis], half[axis]) for op in ("Sub", "AddV2") for axis in (0, 1)]
        return self.op("stack_boxes", "Pack", *corners, axis=2, N=4)

    def _one_suppression(
        self, boxes: str, scores: str, classes: str, *, padded: bool
    ) -> tuple[tuple[str, DType], ...]:
        """Write one suppression of rows; return boxes, scores, classes and their number."""
        options = self.options
        least = options.score_threshold or _NEVER
        numbers = [
            self.number(value)
            for value in (options.max_detections, options.iou_threshold, least, options.sigma / 2)
        ]
        name = self.unique("NonMaxSuppressionV5")
        kept = self.op(name, "NonMaxSuppressionV5", boxes, scores, *numbers, pad_to_max_output_size=padded)
        taken = self._taken(boxes, kept, DType.FLOAT32)
        labels = self.integer(
            self.unique("add"), "AddV2", self._taken(classes, kept, DType.INT32), self.number(1)
        )
        shown = self.cast(self.unique("Cast"), labels, DType.INT32, DType.FLOAT32)
        return (
            (taken, DType.FLOAT32),
            (f"{kept}:1", DType.FLOAT32),
            (shown, DType.FLOAT32),
            (f"{kept}:2", DType.INT32),
        )

    def _taken(self, source: str, indices: str, dtype: DType) -> str:
        types = {"Tparams": dtype, "Tindices": DType.INT32, "Taxis": DType.INT32}
        return self.node(
            self.unique("GatherV2"), "GatherV2", source, indices, self.number(0), **types, batch_dims=0
        )

    def _batched(self, found: tuple[str, DType]) -> str:
        ref, dtype = found
        return self.node(self.unique("stack"), "Pack", ref, T=dtype, axis=0, N=1)

    def _clipped(self, boxes: str) -> str:
        most = self.const("clip_by_value/most", [float(side) for side in self.options.size * 2])
        below = self.op("clip_by_value/Minimum", "Minimum", boxes, most)
        return self.op("clip_by_value", "Maximum", below, self.const("clip_by_value/y", [0.0]))

    def _by_class(self, boxes: str, scores: str, classes: str) -> tuple[str, str, str, str]:
        """Write one suppression for each class, and the choice of the best of all."""
        rows: list[tuple[tuple[str, DType], ...]] = []
        for label in range(self.options.classes):
            equal = self.integer(
                self.unique("Equal"), "Equal", classes, self.number(label), incompatible_shape_error=True
            )
            where = self.node(self.unique("Where"), "Where", equal, T=DType.BOOL)
            own = [
                self.node(
                    self.unique("GatherNd"), "GatherNd", each, where, Tparams=dtype, Tindices=DType.INT64
                )
                for each, dtype in ((boxes, DType.FLOAT32), (scores, DType.FLOAT32), (classes, DType.INT32))
            ]
            rows.append(self._one_suppression(own[0], own[1], own[2], padded=False))
        most = self.options.max_detections
        joined = []
        for part, rank in ((0, 2), (1, 1), (2, 1)):
            parts = [row[part][0] for row in rows]
            whole = self._joined(parts)
            room = self.number([[0, most], [0, 0]][:rank])
            joined.append(self.of("Pad", whole, room, Tpaddings=DType.INT32))
        top = self.op("TopKV2_1", "TopKV2", joined[1], self.const("TopKV2_1/k", most), sorted=True)
        taken = [
            self._batched((self._taken(each, f"{top}:1", DType.FLOAT32), DType.FLOAT32)) for each in joined
        ]
        counts = self.integer("stack_counts", "Pack", *(row[3][0] for row in rows), axis=0, N=len(rows))
        total = self.integer("Sum", "Sum", counts, self.number([0]), Tidx=DType.INT32, keep_dims=False)
        count = self.integer("Minimum_1", "Minimum", self.const("Minimum_1/x", most), total)
        return taken[0], taken[1], taken[2], self._batched((count, DType.INT32))

    def _joined(self, parts: Sequence[str]) -> str:
        """Write the join of rows; one part alone is passed on, as ``tf.concat`` does."""
        if len(parts) == 1:
            return self.of("Identity", *parts)
        types = {"T": DType.FLOAT32, "Tidx": DType.INT32}
        return self.node(self.unique("concat"), "ConcatV2", *parts, self.number(0), **types, N=len(parts))

    def _combined(self, boxes: str, scores: str) -> tuple[str, str, str, str]:
        options = self.options
        one = self.op("ExpandDims", "ExpandDims", boxes, self.number(2), Tdim=DType.INT32)
        most = options.max_detections
        least = options.score_threshold or _NEVER
        numbers = [self.number(value) for value in (most, most, options.iou_threshold, least)]
        name = "combined_non_max_suppression/CombinedNonMaxSuppression"
        found = self.node(
            name, "CombinedNonMaxSuppression", one, scores, *numbers, pad_per_class=False, clip_boxes=False
        )
        labels = self.op("add_classes", "AddV2", f"{found}:2", self.number(1.0))
        return self._clipped(found), f"{found}:1", labels, f"{found}:3"

    def _table(self, boxes: str, scores: str, classes: str) -> None:
        """Write rows of image, ymin, xmin, ymax, xmax, score and class, as the project once did."""
        columns = []
        for corner in range(4):
            bounds = ([0, 0, corner], [0, 0, corner + 1], [1, 1, 1])
            masks = {"begin_mask": 3, "end_mask": 3, "shrink_axis_mask": 4}
            columns.append(self.slice(f"column_{corner}", boxes, bounds, DType.FLOAT32, **masks))
        image = self.op("image", "Mul", self.number([[0.0]]), self.op("ones_like", "OnesLike", scores))
        self.op("detections", "Pack", image, *columns, scores, classes, axis=2, N=7)


_SAMPLES = {
    "global": AutomlOptions(),
    "global_soft": AutomlOptions(sigma=0.5, table=True),
    "per_class_pairs": AutomlOptions(post="per_class", pairs=120),
    "per_class_soft": AutomlOptions(post="per_class", sigma=0.5, prepares=False),
    "combined": AutomlOptions(post="combined"),
}

SAMPLES: Mapping[str, Callable[[], bytes]] = MappingProxyType(
    {
        f"automl_efficientdet_{name}": partial(build_automl_efficientdet, options)
        for name, options in _SAMPLES.items()
    }
)
"""Detectors for the table of families, by name."""
