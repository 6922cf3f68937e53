"""Small frozen Mask R-CNN detectors, wired as the TensorFlow Object Detection API exported them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np

from surgeon.zoo.extractor import convolution_attrs
from surgeon.zoo.loops import MapLoop, MappedOutput, write_map
from surgeon.zoo.mask_head import MaskHead, cut_regions, write_masks
from surgeon.zoo.nodes import FLOAT, UINT8, NodeWriter, Ref, ShapeAttr, Type
from surgeon.zoo.options import Date
from surgeon.zoo.postprocessor import decode_boxes, suppress_batch
from surgeon.zoo.ssd import write_preprocessor
from surgeon.zoo.weights import SeededWeights, values_of, write_variable

_STRIDE = 16
_SIDES = (28.0, 32.0)
"""Sides of the square anchors at each position, in pixels."""


@dataclass(frozen=True)
class MaskRcnnOptions:
    """Describe one detector; sizes in pixels.

    ``date`` picks the exporter: "2018" clips boxes before suppression, "2019" after it. ``classes`` leaves
    the background out. ``masks`` says whether there is a third stage; without it the detector is a Faster
    R-CNN. Raise ValueError for a size that is no multiple of 16, and for counts below one.
    """

    date: Date = "2018"
    classes: int = 3
    height: int = 96
    width: int = 96
    proposals: int = 12
    max_per_class: int = 6
    max_detections: int = 10
    crop: int = 6
    mask_side: int = 7
    channels: int = 8
    masks: bool = True
    seed: int = 0

    def __post_init__(self) -> None:
        if self.date not in ("2018", "2019"):
            raise ValueError(f"date is {self.date!r}; expected '2018' or '2019'")
        for name in ("classes", "proposals", "max_per_class", "max_detections", "mask_side", "channels"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; expected at least 1")
        if self.height < _STRIDE or self.width < _STRIDE or self.height % _STRIDE or self.width % _STRIDE:
            raise ValueError(f"the size is {self.height} x {self.width}; expected multiples of {_STRIDE}")

    def anchors(self) -> np.ndarray:
        """Return the anchors in pixels, float32[P, 4] with ymin first."""
        rows, columns = self.height // _STRIDE, self.width // _STRIDE
        y, x = np.meshgrid(np.arange(rows) * _STRIDE, np.arange(columns) * _STRIDE, indexing="ij")
        centres = np.stack([y, x, y, x], axis=-1)[:, :, None].astype(np.float32)
        corners = [[-side / 2, -side / 2, side / 2, side / 2] for side in _SIDES]
        anchors: np.ndarray = (centres + np.array(corners, np.float32)).reshape(-1, 4)
        return anchors


@dataclass(frozen=True)
class _Stage:
    """One stage's suppression, as :class:`surgeon.zoo.options.Suppressing` says it."""

    classes: int
    box_sets: int
    max_per_class: int
    max_detections: int
    boxes: int
    score_threshold: float
    iou_threshold: float
    in_window: bool

    def anchors_per_layer(self) -> list[int]:
        """Return the number of boxes."""
        return [self.boxes]


def build_mask_rcnn(options: MaskRcnnOptions = MaskRcnnOptions()) -> bytes:
    """Return a serialized frozen GraphDef."""
    return _Writer(options).graph()


SAMPLES: Mapping[str, Callable[[], bytes]] = {
    f"mask_rcnn_{date}": partial(build_mask_rcnn, MaskRcnnOptions(date)) for date in ("2018", "2019")
}
"""What the table of families shows, by name."""


class _Writer:
    def __init__(self, options: MaskRcnnOptions) -> None:
        self.options, self.g, self.weights = options, NodeWriter(options.date), SeededWeights(options.seed)
        self._variables: dict[str, Ref] = {}

    def graph(self) -> bytes:
        """Return the serialized graph."""
        g, options = self.g, self.options
        shape = ShapeAttr((-1, -1, -1, 3))
        picture = g.emit("Placeholder", name="image_tensor", dtype=Type(UINT8), shape=shape)
        image, shapes = write_preprocessor(g, options, g.cast(picture))
        features = self._features(image)
        first, valid = self._first_stage(features, shapes)
        relative = self._scaled(first, shapes, relative=True)
        pixels = self._scaled(relative, shapes, relative=False)
        boxes, scores, classes, count = self._second_stage(features, relative, pixels, shapes, valid)
        masks = ""
        if options.masks:
            head = MaskHead(
                features,
                boxes,
                classes,
                options.max_detections,
                options.classes,
                options.crop,
                self._region_features,
                options.channels,
                options.mask_side,
            )
            masks = write_masks(g, head, self.weights)
        outputs = {
            "detection_boxes": boxes,
            "detection_scores": scores,
            "detection_classes": g.add(classes, 1.0),
            "num_detections": g.cast(count),
            "detection_masks": masks,
        }
        for name, source in outputs.items():
            if source:
                g.emit("Identity", source, name=name)
        return g.graph()

    def _conv(
        self, source: Ref, name: str, shape: tuple[int, ...], stride: int = 1, gain: float = 1.0
    ) -> Ref:
        g = self.g
        own, full = f"{name}/weights", g.unique(f"{name}/Conv2D")
        kernel = self._shared(own, values_of(self.weights, own, shape) * np.float32(gain))
        return g.node("Conv2D", full, [source, kernel], **convolution_attrs(g.date, stride))

    def _shared(self, name: str, value: np.ndarray) -> Ref:
        """Return a variable that two stages may read, written once."""
        if name not in self._variables:
            self._variables[name] = write_variable(self.g, name, value)
        return self._variables[name]

    def _features(self, image: Ref) -> Ref:
        """Write four convolutions of stride 2."""
        g, channels = self.g, self.options.channels
        node, depth = image, 3
        for layer in range(4):
            name = f"FirstStageFeatureExtractor/Conv_{layer}"
            node = self._conv(node, name, (3, 3, depth, channels), 2, 2.0)
            node, depth = g.node("Relu6", g.unique(f"{name}/Relu6"), [node]), channels
        return node

    def _region_features(self, regions: Ref) -> Ref:
        """Write what is computed of regions, [N K, crop / 2, crop / 2, C]."""
        g, channels = self.g, self.options.channels
        pooled = g.emit(
            "MaxPool",
            regions,
            name="MaxPool2D/MaxPool",
            ksize=[1, 2, 2, 1],
            strides=[1, 2, 2, 1],
            padding="SAME",
            data_format="NHWC",
        )
        name = "SecondStageFeatureExtractor/Conv"
        node = self._conv(pooled, name, (3, 3, channels, channels), 1, 2.0)
        return g.node("Relu6", g.unique(f"{name}/Relu6"), [node])

    def _heads(self, source: Ref, scope: str, count: int, labels: int, box_sets: int) -> tuple[Ref, Ref]:
        """Write the box encodings and class logits of each position."""
        channels = self.options.channels
        boxes = (1, 1, channels, count * box_sets * 4)
        classes = (1, 1, channels, count * labels)
        encodings = self._conv(source, f"{scope}/BoxEncodingPredictor", boxes, 1, 0.6)
        return encodings, self._conv(source, f"{scope}/ClassPredictor", classes, 1, 1.5)

    def _first_stage(self, features: Ref, shapes: Ref) -> tuple[Ref, Ref]:
        """Write the proposals, [N, K, 4] in pixels, and how many of each picture's count."""
        g, options = self.g, self.options
        anchors = options.anchors()
        rows, most = len(anchors), options.proposals
        encodings, logits = self._heads(features, "FirstStageBoxPredictor", len(_SIDES), 2, 1)
        batch = g.element(g.shape(features), 0)
        boxes = self._decoded(g.const(anchors, "anchors"), g.reshape(encodings, [-1, 4]), batch)
        decoded = g.reshape(boxes, g.pack([batch, rows, 1, 4]))
        every = g.emit("Softmax", g.reshape(logits, g.pack([batch, rows, 2])))
        scores = g.slice(every, [0, 0, 1], [-1, -1, -1])
        stage = _Stage(1, 1, most, most, rows, 0.0, 0.7, False)
        with g.scope("BatchMultiClassNonMaxSuppression"):
            found = suppress_batch(g, stage, (decoded, scores, self._windows(shapes), every))
        return found[0], found[max(found)]

    def _decoded(self, anchors: Ref, encodings: Ref, batch: Ref) -> Ref:
        """Write boxes of encodings, float32[N P, 4], of anchors that every picture has."""
        g = self.g
        full = g.unique("Tile")
        multiples = [batch, g.const(1, f"{full}/multiples/1")]
        packed = g.node("Pack", f"{full}/multiples", multiples, N=2, axis=0)
        return decode_boxes(g, g.node("Tile", full, [anchors, packed]), encodings)

    def _windows(self, shapes: Ref) -> Ref:
        """Write the window of each picture in pixels, [N, 4]."""
        g = self.g
        height, width, _ = g.unpack(g.cast(shapes), 3, 1)
        zeros = [g.emit("ZerosLike", side, name="zeros_like") for side in (height, width)]
        return g.pack([*zeros, height, width], axis=1)

    def _scaled(self, boxes: Ref, shapes: Ref, *, relative: bool) -> Ref:
        """Write the loop that makes boxes relative to their picture, or pixels of them again."""
        g = self.g
        name = "ToNormalizedCoordinates" if relative else "ToAbsoluteCoordinates"

        def body(reads: dict[int, Ref]) -> dict[int, Ref]:
            sides = [g.element(reads[1], axis) for axis in (0, 1)]
            with g.scope(name):
                height, width = (g.cast(side) for side in sides)
                if relative:
                    height, width = g.div(1.0, height), g.div(1.0, width)
                with g.scope("Scale"):
                    top, left, bottom, right = g.split4(reads[0])
                    rows = [g.mul(height, top), g.mul(height, bottom)]
                    columns = [g.mul(width, left), g.mul(width, right)]
                    return {0: g.concat([rows[0], columns[0], rows[1], columns[1]], 1)}

        outputs = {0: MappedOutput(FLOAT, (self.options.proposals, 4))}
        return write_map(g, MapLoop({0: boxes, 1: shapes}, 2, outputs, 1), body)[0]

    def _second_stage(
        self, features: Ref, relative: Ref, pixels: Ref, shapes: Ref, valid: Ref
    ) -> tuple[Ref, Ref, Ref, Ref]:
        """Write the detections: boxes, scores, classes from 0 and their number."""
        g, options = self.g, self.options
        most, labels = options.proposals, options.classes
        flat = g.reshape(relative, g.pack([g.mul(g.element(g.shape(relative), 0), most), 4]))
        regions = self._region_features(cut_regions(g, features, relative, flat, options.crop))
        axes = g.const([1, 2], g.unique("AvgPool/reduction_indices"))
        pooled = g.emit("Mean", regions, axes, name="AvgPool", keep_dims=True)
        encodings, logits = self._heads(pooled, "SecondStageBoxPredictor", 1, labels + 1, labels)
        batch = g.element(g.shape(relative), 0)
        full = g.unique("Tile")
        several = [g.const(number, f"{full}/multiples/{axis}") for axis, number in ((0, 1), (2, 1))]
        sets = g.const(labels, f"{full}/multiples/1")
        packed = g.node("Pack", f"{full}/multiples", [several[0], sets, several[1]], N=3, axis=0)
        own = g.expand_dims(g.reshape(pixels, [-1, 4]), 1)
        tiled = g.reshape(g.node("Tile", full, [own, packed]), [-1, 4])
        boxes = decode_boxes(g, tiled, g.reshape(encodings, [-1, 4]))
        decoded = g.reshape(boxes, g.pack([batch, most, labels, 4]))
        every = g.emit("Softmax", g.reshape(logits, g.pack([batch, most, labels + 1])))
        scores = g.slice(every, [0, 0, 1], [-1, -1, -1])
        stage = _Stage(labels, labels, options.max_per_class, options.max_detections, most, 0.0, 0.6, True)
        with g.scope("BatchMultiClassNonMaxSuppression"):
            found = suppress_batch(g, stage, (decoded, scores, self._windows(shapes), every), valid)
        return found[0], found[1], found[2], found[max(found)]
