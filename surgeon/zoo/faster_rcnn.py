"""Frozen detectors of two stages of the TensorFlow Object Detection API: Faster R-CNN and R-FCN, tiny."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from types import MappingProxyType
from typing import Any, Literal

import numpy as np

from surgeon.zoo.loops import MapLoop, MappedOutput, write_map
from surgeon.zoo.nodes import FLOAT, INT32, UINT8, NodeWriter, Ref, ShapeAttr, Type
from surgeon.zoo.options import Date
from surgeon.zoo.postprocessor import decode_boxes
from surgeon.zoo.suppression import clip_or_pad, clip_to_window, suppress
from surgeon.zoo.weights import SeededWeights, values_of, write_variable

STRIDE = 8
"""Pixels between two cells of the feature map."""

_DEPTHS = (8, 12, 16)
"""Channels of the convolutions that make features, each of stride 2."""


_SPREAD = 12.0
"""By what the weights of the second stage's heads are wider than usual."""


@dataclass(frozen=True)
class FasterRcnnOptions:
    """Describe one detector of two stages.

    ``date`` picks the exporter, as in :class:`surgeon.zoo.SsdOptions`. ``resizer`` is ``keep`` for
    keep_aspect_ratio_resizer, whose sides are ``size``, ``either`` for the same with a resizing each for
    broad and upright pictures, as of 2020, ``padded`` for keep_aspect_ratio_resizer that adds zeros up to the
    longer of two equal sides, or ``fixed`` for height and width. ``rfcn`` writes
    bins with a feature map of their own in the place of one crop; ``shared_boxes`` one box for all classes.
    ``crop`` is the side of a region before it is pooled to half of that, of R-FCN the side of three bins.
    """

    date: Date = "2018"
    classes: int = 4
    resizer: Literal["keep", "either", "padded", "fixed"] = "keep"
    size: tuple[int, int] = (64, 128)
    scales: tuple[float, ...] = (0.0625, 0.125, 0.25)
    aspect_ratios: tuple[float, ...] = (0.5, 1.0, 2.0)
    proposals: int = 24
    max_per_class: int = 6
    max_detections: int = 16
    first_iou: float = 0.7
    second_iou: float = 0.6
    score_threshold: float = 0.0
    crop: int = 6
    rfcn: bool = False
    shared_boxes: bool = False
    seed: int = 0


def build_faster_rcnn(options: FasterRcnnOptions = FasterRcnnOptions()) -> bytes:
    """Return a serialized frozen GraphDef.

    Its input is ``image_tensor``, uint8[N, H, W, 3]; its outputs are ``detection_boxes``,
    ``detection_scores``, ``detection_classes`` and ``num_detections``.
    """
    return _Writer(options).graph()


@dataclass(frozen=True)
class _Rules:
    """The rules of one suppression."""

    classes: int
    box_sets: int
    score_threshold: float
    iou_threshold: float
    max_detections: int
    max_per_class: int
    in_window: bool = False

    def anchors_per_layer(self) -> list[int]:
        """Return nothing: the number of boxes is told by a tensor."""
        return []


class _Weights(SeededWeights):
    """Weights by which scores and boxes of regions differ widely."""

    def _spread(self, name: str, shape: tuple[int, ...]) -> float:
        wide = name.startswith("SecondStageBoxPredictor") and name.endswith("weights")
        return super()._spread(name, shape) * (_SPREAD if wide else 1.0)


class _Writer:
    """Writes one detector, part by part."""

    def __init__(self, options: FasterRcnnOptions) -> None:
        self.options = options
        self.g = NodeWriter(options.date)
        self.source = _Weights(options.seed)

    def graph(self) -> bytes:
        """Return the detector as a serialized GraphDef."""
        g = self.g
        picture = g.emit(
            "Placeholder", name="image_tensor", dtype=Type(UINT8), shape=ShapeAttr((-1, -1, -1, 3))
        )
        image, shapes = self._preprocessor(g.cast(picture))
        features = self._features(image)
        size = self._size(image)
        window = self._filled(shapes) if self.options.resizer == "padded" else size
        proposals, count = self._first_stage(features, image, window)
        relative, pixels = self._scaled(proposals, size)
        boxes, scores = (
            self._rfcn(features, relative) if self.options.rfcn else self._box_head(features, relative)
        )
        detections = self._second_stage(boxes, scores, pixels, count, window)
        labels = g.add(detections[2], 1.0)
        outputs = (detections[0], detections[1], labels, g.cast(detections[max(detections)]))
        names = ("detection_boxes", "detection_scores", "detection_classes", "num_detections")
        for name, ref in zip(names, outputs, strict=True):
            g.emit("Identity", ref, name=name)
        return g.graph()

    def _preprocessor(self, pictures: Ref) -> tuple[Ref, Ref]:
        """Write the resizing; return pictures in -1..1 and their sizes, [N, 3]."""
        g = self.g
        fixed, padded = self.options.resizer == "fixed", self.options.resizer == "padded"

        def resize(reads: dict[int, Ref]) -> dict[int, Ref]:
            with g.scope("ResizeToRange"):
                if self.options.resizer == "either":
                    resized = self._resized_either_way(reads[0])
                    return {0: resized, 1: g.shape(resized)}
                size = g.const(list(self.options.size), g.unique("size")) if fixed else self._fitted(reads[0])
                with g.scope("resize_images"):
                    extra: dict[str, Any] = {"half_pixel_centers": False} if g.date == "2019" else {}
                    expanded = g.expand_dims(reads[0], 0)
                    resized = g.emit("ResizeBilinear", expanded, size, align_corners=False, **extra)
                    resized = g.squeeze(resized, 0)
                filled = g.shape(resized)
                return {0: self._padded(resized) if padded else resized, 1: filled}

        sides = self.options.size if fixed or padded else (-1, -1)
        outputs = {0: MappedOutput(FLOAT, (*sides, 3)), 1: MappedOutput(INT32, (3,))}
        with g.scope("Preprocessor"):
            made = write_map(g, MapLoop({0: pictures}, 1, outputs, 2), resize)
            return g.sub(g.mul(2 / 255, made[0]), 1.0), made[1]

    def _resized_either_way(self, picture: Ref) -> Ref:
        """Write a conditional that resizes broad pictures in one branch, upright ones in the other."""
        g = self.g
        shape = g.shape(picture)
        broad = g.binary("Less", g.element(shape, 0), g.element(shape, 1))
        branches = []
        with g.scope("cond"):
            predicate = g.emit("Identity", broad, name="pred_id")
            for slot, limits in enumerate((self.options.size[::-1], self.options.size)):
                with g.scope("resize"):
                    switch = g.emit("Switch", picture, predicate)
                    own = f"{switch}:1" if slot else switch
                    sides = [g.cast(g.element(g.shape(own), axis)) for axis in (0, 1)]
                    shares = [g.div(float(limit), side) for limit, side in zip(limits, sides, strict=True)]
                    scale = g.emit("Minimum", *shares)
                    rounded = [g.emit("Round", g.mul(scale, side)) for side in sides]
                    size = g.pack([g.cast(side, INT32, "ToInt32") for side in rounded])
                    expanded = g.expand_dims(own, 0)
                    found = g.emit(
                        "ResizeBilinear", expanded, size, align_corners=False, half_pixel_centers=False
                    )
                    branches.append(g.squeeze(found, 0))
            return g.emit("Merge", *branches, N=2)

    def _fitted(self, picture: Ref) -> Ref:
        """Write the size at which the shorter side is the least, and the longer one no more than the most."""
        g = self.g
        least, most = self.options.size
        shape = g.shape(picture)
        height, width = (g.cast(g.element(shape, axis)) for axis in (0, 1))
        scale = g.emit(
            "Minimum",
            g.div(float(least), g.emit("Minimum", height, width)),
            g.div(float(most), g.emit("Maximum", height, width)),
        )
        sides = [g.cast(g.emit("Round", g.mul(side, scale)), INT32, "ToInt32") for side in (height, width)]
        return g.pack(sides)

    def _padded(self, picture: Ref) -> Ref:
        """Write zeros on the right of a picture and below it."""
        g = self.g
        shape = g.shape(picture)
        missing = [g.sub(side, g.element(shape, axis)) for axis, side in enumerate(self.options.size)]
        ends = [g.pack([0, each]) for each in missing]
        return g.emit("Pad", picture, g.pack([*ends, g.const([0, 0], g.unique("Const"))]))

    def _filled(self, shapes: Ref) -> Ref:
        """Write the window that each picture fills, [N, 4], from the sizes [N, 3]."""
        g = self.g
        height, width = (g.cast(g.slice(shapes, [0, axis], [-1, 1])) for axis in (0, 1))
        zeros = g.emit("ZerosLike", height, name="zeros_like")
        return g.concat([zeros, zeros, height, width], 1)

    def _size(self, image: Ref) -> Ref:
        """Write the size of the network's input, as the second stage and the windows read it, [N, 4]."""
        g = self.g
        shape = g.shape(image)
        height, width = (g.cast(g.element(shape, axis)) for axis in (1, 2))
        zeros = [g.emit("ZerosLike", side, name="zeros_like") for side in (height, width)]
        window = g.expand_dims(g.pack([*zeros, height, width]), 0)
        full = g.unique("Tile")
        count = g.element(shape, 0)
        multiples = g.node("Pack", f"{full}/multiples", [count, g.const(1, f"{full}/one")], N=2, axis=0)
        return g.node("Tile", full, [window, multiples])

    def _conv(
        self, source: Ref, scope: str, shape: tuple[int, ...], stride: int = 1, relu: bool = True
    ) -> Ref:
        """Write a convolution with its bias, and Relu6."""
        g = self.g
        with g.scope(scope) as prefix:
            kernel = write_variable(g, f"{prefix}weights", values_of(self.source, f"{prefix}weights", shape))
            bias = write_variable(g, f"{prefix}biases", values_of(self.source, f"{prefix}biases", shape[-1:]))
            found = g.node(
                "Conv2D",
                f"{prefix}Conv2D",
                [source, kernel],
                strides=[1, stride, stride, 1],
                padding="SAME",
                data_format="NHWC",
                dilations=[1, 1, 1, 1],
                use_cudnn_on_gpu=True,
            )
            found = g.node("BiasAdd", f"{prefix}BiasAdd", [found, bias], data_format="NHWC")
            return g.node("Relu6", f"{prefix}Relu6", [found]) if relu else found

    def _features(self, image: Ref) -> Ref:
        channels, found = 3, image
        with self.g.scope("FirstStageFeatureExtractor"), self.g.scope("InceptionV2"):
            for number, depth in enumerate(_DEPTHS):
                found = self._conv(found, f"Conv2d_{number}_3x3", (3, 3, channels, depth), 2)
                channels = depth
        return found

    @property
    def _per_cell(self) -> int:
        return len(self.options.scales) * len(self.options.aspect_ratios)

    def _first_stage(self, features: Ref, image: Ref, window: Ref) -> tuple[Ref, Ref]:
        """Write anchors, heads and suppression; return the proposals in pixels and their number."""
        g, options = self.g, self.options
        shape = g.shape(features)
        height, width = (g.element(shape, axis) for axis in (1, 2))
        each = self._per_cell
        hidden = self._conv(features, "Conv", (3, 3, _DEPTHS[-1], 16))
        with g.scope("FirstStageBoxPredictor"):
            boxes = self._conv(hidden, "BoxEncodingPredictor", (1, 1, 16, 4 * each), relu=False)
            encodings = g.reshape(boxes, [-1, 1, 1, 4])
            objectness = self._conv(hidden, "ClassPredictor", (1, 1, 16, 2 * each), relu=False)
            batch = g.element(g.shape(features), 0)
            logits = g.reshape(objectness, g.pack([batch, -1, 2]))
            encodings = g.reshape(boxes, g.pack([batch, -1, 1, 4]))
        anchors = self._anchors(height, width)
        first_window = g.cast(g.pack([0, 0, g.element(g.shape(image), 1), g.element(g.shape(image), 2)]))
        with g.scope("ClipToWindow"):
            anchors = clip_to_window(g, {"boxes": anchors}, ("boxes",), first_window)["boxes"]
        decoded = self._decoded(encodings, self._tiled(anchors, batch), 1)
        decoded = g.expand_dims(g.squeeze(decoded, 2), 2)
        probabilities = g.emit("Softmax", logits)
        full = g.unique("strided_slice")
        bounds = [
            g.const(value, f"{full}/{name}")
            for value, name in (([0, 0, 1], "stack"), ([0, 0, 2], "stack_1"), ([1, 1, 1], "stack_2"))
        ]
        masks = {
            "begin_mask": 3,
            "end_mask": 3,
            "ellipsis_mask": 0,
            "new_axis_mask": 0,
            "shrink_axis_mask": 4,
        }
        scores = g.expand_dims(g.node("StridedSlice", full, [probabilities, *bounds], **masks), 2)
        rules = _Rules(1, 1, 0.0, options.first_iou, options.proposals, options.proposals)
        kept = self._suppressed(decoded, scores, window, None, rules)
        return kept[0], kept[max(kept)]

    def _anchors(self, height: Ref, width: Ref) -> Ref:
        """Write the anchors of all cells, [P, 4] in pixels; centres lie at the corners of cells."""
        g, options = self.g, self.options
        roots = np.sqrt(np.array(options.aspect_ratios))
        scales = np.array(options.scales) * 256
        heights = (scales[None] / roots[:, None]).reshape(-1)
        widths = (scales[None] * roots[:, None]).reshape(-1)
        half = np.stack([heights, widths, heights, widths], 1) / 2 * np.array([-1, -1, 1, 1])
        with g.scope("GridAnchorGenerator"):
            rows, columns = (g.mul(g.cast(g.range(side)), float(STRIDE)) for side in (height, width))
            ones = [g.mul(values, 0.0) for values in (rows, columns)]
            down = g.add(g.reshape(rows, [-1, 1]), g.reshape(ones[1], [1, -1]))
            right = g.add(g.reshape(ones[0], [-1, 1]), g.reshape(columns, [1, -1]))
            centres = g.reshape(g.pack([down, right, down, right], axis=2), [-1, 1, 4])
            full = g.unique("add")
            sides = g.const(half[None].astype(np.float32), f"{full}/sides")
            op = "AddV2" if g.date == "2019" else "Add"
            return g.reshape(g.node(op, full, [centres, sides]), [-1, 4])

    def _tiled(self, boxes: Ref, batch: Ref) -> Ref:
        g = self.g
        full = g.unique("Tile")
        ones = [g.const(1, f"{full}/multiples/{index}") for index in (1, 2)]
        multiples = g.node("Pack", f"{full}/multiples", [batch, *ones], N=3, axis=0)
        return g.node("Tile", full, [g.expand_dims(boxes, 0), multiples])

    def _decoded(self, encodings: Ref, anchors: Ref, sets: int) -> Ref:
        """Write the boxes of encodings [N, P, sets, 4] against anchors [N, P, 4]."""
        g = self.g
        shape = g.shape(encodings)
        full = g.unique("Tile")
        multiples = g.const([1, 1, sets, 1], f"{full}/multiples")
        tiled = g.node("Tile", full, [g.expand_dims(anchors, 2), multiples])
        corners = decode_boxes(g, g.reshape(tiled, [-1, 4]), g.reshape(encodings, [-1, 4]))
        batch, rows = (g.element(shape, axis) for axis in (0, 1))
        return g.reshape(corners, g.pack([batch, rows, sets, 4]))

    def _suppressed(
        self, boxes: Ref, scores: Ref, window: Ref, counts: Ref | None, rules: _Rules
    ) -> dict[int, Ref]:
        """Write the suppression of a batch; return boxes, scores, classes and, last, their number."""
        g = self.g
        if counts is None:
            batch, rows = (g.element(g.shape(boxes), axis) for axis in (0, 1))
            full = g.unique("ones")
            packed = g.node("Pack", f"{full}/packed", [batch], N=1, axis=0)
            counts = g.mul(g.fill(packed, 1, full), rows)
        kept = rules.max_detections
        vector = MappedOutput(FLOAT, (kept,))
        outputs = {0: MappedOutput(FLOAT, (kept, 4)), 1: vector, 2: vector, 4: MappedOutput(INT32, ())}

        inputs = {0: boxes, 1: scores, 3: window, 4: counts}
        if g.date == "2017":
            # One window for all pictures, which the loop takes from outside.
            window = g.reshape(g.slice(inputs.pop(3), [0, 0], [1, 4]), [4])

        def picture(reads: dict[int, Ref]) -> dict[int, Ref]:
            own = self._cut(reads[0], reads[4], [-1, rules.box_sets, 4])
            mine = self._cut(reads[1], reads[4], [-1, rules.classes])
            given = {"boxes": own, "scores": mine}
            if g.date == "2019":
                # Exporters of this date carry the scores of all classes along.
                given["all"] = mine
            fields, number = suppress(g, rules, given, reads.get(3, window))
            padded = clip_or_pad(g, rules, fields)
            number = number or g.element(g.shape(fields["boxes"]), 0)
            return {0: padded["boxes"], 1: padded["scores"], 2: padded["classes"], 4: number}

        with g.scope("BatchMultiClassNonMaxSuppression"):
            return write_map(g, MapLoop(inputs, 5, outputs, 5), picture)

    def _cut(self, source: Ref, count: Ref, shape: list[int]) -> Ref:
        size = self.g.pack([count] + [-1] * (len(shape) - 1))
        return self.g.reshape(self.g.slice(source, [0] * len(shape), size), shape)

    def _scaled(self, proposals: Ref, window: Ref) -> tuple[Ref, Ref]:
        """Write the loops that make proposals relative to the input, and pixels of them again."""
        g, most = self.g, self.options.proposals
        boxes = {0: MappedOutput(FLOAT, (most, 4))}

        def normalised(reads: dict[int, Ref]) -> dict[int, Ref]:
            with g.scope("ToNormalizedCoordinates"):
                sides = [g.element(reads[1], axis) for axis in (2, 3)]
                return {0: self._multiplied(reads[0], [g.div(1.0, side) for side in sides])}

        def absolute(reads: dict[int, Ref]) -> dict[int, Ref]:
            with g.scope("ToAbsoluteCoordinates"):
                return {0: self._multiplied(reads[0], [g.element(reads[1], axis) for axis in (2, 3)])}

        relative = write_map(g, MapLoop({0: proposals, 1: window}, 2, boxes, 1), normalised)[0]
        return relative, write_map(g, MapLoop({0: relative, 1: window}, 2, boxes, 1), absolute)[0]

    def _multiplied(self, boxes: Ref, factors: Sequence[Ref]) -> Ref:
        g, (down, right) = self.g, factors
        with g.scope("Scale"):
            top, left, bottom, end = g.split4(boxes)
            rows = [g.mul(down, top), g.mul(down, bottom)]
            columns = [g.mul(right, left), g.mul(right, end)]
            return g.concat([rows[0], columns[0], rows[1], columns[1]], 1)

    def _flat(self, relative: Ref) -> tuple[Ref, Ref]:
        """Write the proposals of all pictures as rows, and the number of each row's picture."""
        g = self.g
        shape = g.shape(relative)
        batch, rows = (g.element(shape, axis) for axis in (0, 1))
        flat = g.reshape(relative, g.pack([g.mul(batch, rows), 4]))
        numbers = g.expand_dims(g.range(batch), 1)
        ones = g.fill(g.pack([batch, rows]), 1, g.unique("ones"))
        return flat, g.reshape(g.mul(ones, numbers), [-1])

    def _cropped(self, features: Ref, boxes: Ref, pictures: Ref, side: int) -> Ref:
        g = self.g
        full = g.unique("CropAndResize")
        size = g.const([side, side], f"{full}/crop_size")
        inputs = [features, boxes, pictures, size]
        return g.node("CropAndResize", full, inputs, method="bilinear", extrapolation_value=0.0)

    def _box_head(self, features: Ref, relative: Ref) -> tuple[Ref, Ref]:
        """Write crop, pooling and the second stage's layers; return encodings and logits, of all regions."""
        g, options = self.g, self.options
        crops = self._cropped(features, *self._flat(relative), options.crop)
        attrs: dict[str, Any] = {
            "ksize": [1, 2, 2, 1],
            "strides": [1, 2, 2, 1],
            "padding": "VALID",
            "data_format": "NHWC",
        }
        with g.scope("MaxPool2D"):
            pooled = g.emit("MaxPool", crops, **attrs)
        with g.scope("SecondStageFeatureExtractor"), g.scope("InceptionV2"):
            found = self._conv(pooled, "Mixed_5a", (3, 3, _DEPTHS[-1], 24), 2)
        sets = 1 if options.shared_boxes else options.classes
        with g.scope("SecondStageBoxPredictor"):
            full = g.unique("AvgPool")
            axes = g.const([1, 2], f"{full}/reduction_indices")
            mean = g.node("Mean", full, [found, axes], keep_dims=True)
            flat = g.reshape(mean, [-1, 24])
            boxes = g.reshape(self._dense(flat, "BoxEncodingPredictor", (24, 4 * sets)), [-1, 1, sets, 4])
            scores = self._dense(flat, "ClassPredictor", (24, options.classes + 1))
            scores = g.reshape(scores, [-1, 1, options.classes + 1])
        return g.squeeze(boxes, 1), g.squeeze(scores, 1)

    def _dense(self, source: Ref, scope: str, shape: tuple[int, int]) -> Ref:
        g = self.g
        with g.scope(scope) as prefix:
            kernel = write_variable(g, f"{prefix}weights", values_of(self.source, f"{prefix}weights", shape))
            bias = write_variable(g, f"{prefix}biases", values_of(self.source, f"{prefix}biases", shape[-1:]))
            product = g.node(
                "MatMul", f"{prefix}MatMul", [source, kernel], transpose_a=False, transpose_b=False
            )
            return g.node("BiasAdd", f"{prefix}BiasAdd", [product, bias], data_format="NHWC")

    def _rfcn(self, features: Ref, relative: Ref) -> tuple[Ref, Ref]:
        """Write the maps of R-FCN's bins, and their crops and means; return encodings and logits."""
        g, options = self.g, self.options
        sets = 1 if options.shared_boxes else options.classes
        with g.scope("SecondStageFeatureExtractor"), g.scope("InceptionV2"):
            found = self._conv(features, "Mixed_5a", (3, 3, _DEPTHS[-1], 24))
        flat, pictures = self._flat(relative)
        with g.scope("SecondStageBoxPredictor"):
            reduced = self._conv(found, "reduce_depth", (1, 1, 24, 16))
            boxes = self._conv(reduced, "refined_locations", (1, 1, 16, 9 * 4 * sets), relu=False)
            classes = self._conv(
                reduced, "class_predictions", (1, 1, 16, 9 * (options.classes + 1)), relu=False
            )
            encodings = self._pooled(boxes, flat, pictures)
            scores = self._pooled(classes, flat, pictures)
            encodings = g.reshape(encodings, [-1, 1, sets, 4])
            scores = g.reshape(scores, [-1, 1, options.classes + 1])
        return g.squeeze(encodings, 1), g.squeeze(scores, 1)

    def _pooled(self, features: Ref, boxes: Ref, pictures: Ref) -> Ref:
        """Write the mean of three times three bins, each cut out of a piece of the map by itself."""
        g = self.g
        with g.scope("PositionSensitiveCropRegions") as prefix:
            top, left, bottom, right = g.unpack(boxes, 4, 1)
            down, across = (g.div(g.sub(high, low), 3.0) for low, high in ((top, bottom), (left, right)))
            full = f"{prefix}split"
            axis = g.const(3, f"{full}/split_dim")
            pieces = g.node("Split", full, [axis, features], num_split=9)
            crops = []
            for bin_y in range(3):
                for bin_x in range(3):
                    low = [g.add(top, g.mul(float(bin_y), down)), g.add(left, g.mul(float(bin_x), across))]
                    high = [
                        g.add(top, g.mul(float(bin_y + 1), down)),
                        g.add(left, g.mul(float(bin_x + 1), across)),
                    ]
                    piece = 3 * bin_y + bin_x
                    own = g.pack([*low, *high], axis=1)
                    source = f"{pieces}:{piece}" if piece else pieces
                    crops.append(self._cropped(source, own, pictures, self.options.crop // 3))
            total = g.emit("AddN", *crops, N=len(crops))
            mean = g.div(total, float(len(crops)))
            full = g.unique("Mean")
            axes = g.const([1, 2], f"{full}/reduction_indices")
            return g.node("Mean", full, [mean, axes], keep_dims=True)

    def _second_stage(self, boxes: Ref, scores: Ref, pixels: Ref, count: Ref, window: Ref) -> dict[int, Ref]:
        """Write decoding, probabilities and suppression of the second stage."""
        g, options = self.g, self.options
        sets = 1 if options.shared_boxes else options.classes
        most = options.proposals
        with g.scope("SecondStagePostprocessor"):
            encodings = g.reshape(boxes, [-1, most, sets, 4])
            logits = g.reshape(scores, [-1, most, options.classes + 1])
            decoded = self._decoded(encodings, pixels, sets)
            scaled = g.binary("RealDiv", logits, 1.0, "scale_logits")
            probabilities = g.emit("Softmax", scaled)
            sliced = g.slice(probabilities, [0, 0, 1], [-1, -1, -1])
            objects = g.reshape(sliced, [-1, most, options.classes])
            rules = _Rules(
                options.classes,
                sets,
                options.score_threshold,
                options.second_iou,
                options.max_detections,
                options.max_per_class,
                in_window=True,
            )
            return self._suppressed(decoded, objects, window, count, rules)


def _sample(options: FasterRcnnOptions) -> Callable[[], bytes]:
    return partial(build_faster_rcnn, options)


_SMALL = FasterRcnnOptions()

SAMPLES: Mapping[str, Callable[[], bytes]] = MappingProxyType(
    {
        "faster_rcnn_2017": _sample(replace(_SMALL, date="2017")),
        "faster_rcnn_2018": _sample(_SMALL),
        "faster_rcnn_2018_fixed_size": _sample(replace(_SMALL, resizer="fixed", size=(64, 96))),
        "faster_rcnn_2019": _sample(replace(_SMALL, date="2019")),
        "faster_rcnn_2019_shared_boxes": _sample(replace(_SMALL, date="2019", shared_boxes=True)),
        "faster_rcnn_2020": _sample(replace(_SMALL, date="2019", resizer="either")),
        "rfcn_2018": _sample(replace(_SMALL, rfcn=True)),
    }
)
"""Detectors by name, for the table of families."""
