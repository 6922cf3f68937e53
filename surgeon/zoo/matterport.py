"""Frozen Mask R-CNN detectors as Matterport's Keras code makes them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from surgeon.zoo.loops import MapLoop, MappedOutput, write_map
from surgeon.zoo.nodes import FLOAT, INT32, INT64, NodeWriter, Ref, ShapeAttr, Type
from surgeon.zoo.options import WeightSource
from surgeon.zoo.weights import SeededWeights, values_of

Layout = Literal["NHWC", "NCHW_CPU", "NCHW_GPU"]

STRIDES = (4, 8, 16, 32, 64)
"""Side in pixels of a cell of the feature maps that have anchors."""

MASK_SIDE = 28
"""Side in cells of a mask."""

_HIDDEN = 16
"""Channels of the heads."""


@dataclass(frozen=True)
class MatterportOptions:
    """Describe one detector of Matterport's Mask R-CNN.

    ``layout`` is NHWC, or channels first with transposes around each convolution (NCHW_CPU) or with
    convolutions of that layout (NCHW_GPU). ``date`` is "2018" for Keras 2.1 or "2019" for Keras 2.2 and
    TensorFlow 1.15. ``classes`` counts the background; ``candidates`` is PRE_NMS_LIMIT, ``proposals``
    POST_NMS_ROIS_INFERENCE, ``detections`` DETECTION_MAX_INSTANCES, ``min_confidence``
    DETECTION_MIN_CONFIDENCE, which leaves the comparison out where it is 0. ``anchors_of_cell`` is the
    number of RPN_ANCHOR_RATIOS. With ``open_size`` the graph tells no size of a picture. Sizes are in
    pixels. Raise ValueError for sizes that 64 does not divide, counts below one, or fewer than two
    classes.
    """

    layout: Layout = "NHWC"
    date: Literal["2018", "2019"] = "2018"
    classes: int = 5
    height: int = 128
    width: int = 128
    channels: int = 8
    candidates: int = 300
    proposals: int = 60
    detections: int = 20
    min_confidence: float = 0.7
    proposal_overlap: float = 0.7
    detection_overlap: float = 0.3
    masks: bool = True
    open_size: bool = False
    anchors_of_cell: int = 3
    seed: int = 8

    def __post_init__(self) -> None:
        if self.layout not in ("NHWC", "NCHW_CPU", "NCHW_GPU"):
            raise ValueError(f"layout is {self.layout!r}; expected 'NHWC', 'NCHW_CPU' or 'NCHW_GPU'")
        if self.date not in ("2018", "2019"):
            raise ValueError(f"date is {self.date!r}; expected '2018' or '2019'")
        for name in ("height", "width"):
            if getattr(self, name) < 64 or getattr(self, name) % 64:
                raise ValueError(f"{name} is {getattr(self, name)}; expected a multiple of 64 pixels")
        for name in ("channels", "candidates", "proposals", "detections", "anchors_of_cell"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; expected at least 1")
        if self.classes < 2:
            raise ValueError(f"classes is {self.classes}; expected at least 2, the background's included")

    @property
    def anchors(self) -> int:
        """Number of anchors."""
        return sum(
            self.anchors_of_cell * (self.height // stride) * (self.width // stride) for stride in STRIDES
        )


def build_matterport(
    options: MatterportOptions = MatterportOptions(), weights: WeightSource | None = None
) -> bytes:
    """Return a serialized frozen GraphDef with inputs input_image, input_image_meta and input_anchors.

    Its outputs are mrcnn_detection/Reshape_1, float32[1, detections, 6], and mrcnn_mask/Reshape_2 (Reshape_1
    where channels come last). ``weights`` is called with the name and the shape of every weight constant and
    returns float32 values; without it they come from ``options.seed``.
    """
    return _Writer(options, weights or _Weights(options.seed)).write()


def make_anchors(
    height: int,
    width: int,
    scales: Sequence[float] = (32, 64, 128, 256, 512),
    ratios: Sequence[float] = (0.5, 1, 2),
) -> np.ndarray:
    """Return what goes into input_anchors, float32[1, A, 4], for a picture of height x width pixels."""
    found = []
    for scale, stride in zip(scales, STRIDES, strict=True):
        root = np.sqrt(np.asarray(ratios, np.float64))
        half = np.stack([scale / root, scale * root], axis=-1) / 2
        rows, columns = np.arange(0, height, stride), np.arange(0, width, stride)
        middle = np.stack(np.meshgrid(rows, columns, indexing="ij"), axis=-1)[:, :, None]
        found.append(np.concatenate([middle - half, middle + half], axis=-1).reshape(-1, 4))
    shift, last = np.array([0, 0, 1, 1]), np.array([height - 1, width - 1] * 2)
    anchors: np.ndarray = ((np.concatenate(found) - shift) / last).astype(np.float32)[None]
    return anchors


def make_meta(options: MatterportOptions) -> np.ndarray:
    """Return what goes into input_image_meta where the picture fills the input, float32[1, 12 + classes]."""
    shape = [options.height, options.width, 3]
    numbers = [0, *shape, *shape, 0, 0, options.height, options.width, 1, *[0] * options.classes]
    return np.array([numbers], np.float32)


class _Weights(SeededWeights):
    """Weights that spread scores, so that detections lie near the thresholds."""

    def _spread(self, name: str, shape: tuple[int, ...]) -> float:
        gains = {
            "conv1/kernel": 1 / 40,  # pixels of -124 to 151 come in
            "rpn_class_raw/kernel": 0.4,
            "rpn_bbox_pred/kernel": 0.15,
            "mrcnn_class_logits/kernel": 0.6,
            "mrcnn_bbox_fc/kernel": 0.1,
            "mrcnn_mask/kernel": 0.4,
        }
        if name.endswith("kernel"):
            return gains.get(name, 1.4) / math.sqrt(math.prod(shape[:-1]))
        return super()._spread(name, shape)


Variable = Callable[..., Ref]


class _Writer:
    """Writes one graph; ``first`` says whether channels come first."""

    def __init__(self, options: MatterportOptions, weights: WeightSource) -> None:
        self.options, self.weights = options, weights
        self.g = NodeWriter(options.date)
        self.first = options.layout != "NHWC"
        self._variables: dict[str, Ref] = {}

    def write(self) -> bytes:
        g, options = self.g, self.options
        sizes = (-1, -1) if options.open_size else (options.height, options.width)
        picture = (-1, 3, *sizes) if self.first else (-1, *sizes, 3)
        image = self._input("input_image", picture)
        meta = self._input("input_image_meta", (-1, 12 + options.classes))
        maps = self._pyramid(image)
        anchors = self._input("input_anchors", (-1, -1, 4))
        scores, deltas = self._proposal_heads(maps)
        rois = _Proposals(g, options).write(scores, deltas, anchors)
        pooled = self._crops("roi_align_classifier", rois, meta, maps[:4], 7)
        probabilities, refinements = self._classifier(pooled)
        detections = _Detections(g, options).write(rois, probabilities, refinements, meta)
        if options.masks:
            with g.scope("lambda_1"):
                boxes = _strided(g, detections, [0, 0], [0, 4], ellipsis_mask=1, begin_mask=2)
            self._masks(self._crops("roi_align_mask", boxes, meta, maps[:4], 14))
        return g.graph()

    def _input(self, name: str, shape: tuple[int, ...]) -> Ref:
        return self.g.emit("Placeholder", name=name, dtype=Type(FLOAT), shape=ShapeAttr(shape))

    def _variable(self, name: str, shape: tuple[int, ...]) -> Ref:
        """Return a weight, which several layers may share."""
        if name not in self._variables:
            node = self.g.const(values_of(self.weights, name, shape), name)
            self._variables[name] = self.g.node("Identity", f"{name}/read", [node])
        return self._variables[name]

    def _convolution(
        self, source: Ref, name: str, sizes: tuple[int, int, int], *, stride: int = 1, padding: str = "SAME"
    ) -> Ref:
        """Write a convolution of ``sizes`` (side, channels in, channels out) with its bias.

        The weights are called by ``name``, whatever the scope.
        """
        side, before, after = sizes
        kernel = self._variable(f"{name}/kernel", (side, side, before, after))
        with self.g.scope(name):
            return self._with_bias(
                self._moved(
                    source,
                    lambda x: self.g.emit(
                        "Conv2D",
                        x,
                        kernel,
                        name="convolution",
                        **self._window("strides", stride),
                        padding=padding,
                        data_format=self._data_format,
                    ),
                ),
                name,
                after,
            )

    @property
    def _data_format(self) -> str:
        return "NCHW" if self.options.layout == "NCHW_GPU" else "NHWC"

    def _window(self, key: str, size: int) -> dict[str, Any]:
        return {key: [1, 1, size, size] if self.options.layout == "NCHW_GPU" else [1, size, size, 1]}

    def _moved(self, source: Ref, layer: Callable[[Ref], Ref]) -> Ref:
        """Write a layer that takes channels last, between transposes where they come first."""
        if self.options.layout != "NCHW_CPU":
            return layer(source)
        return _transposed(self.g, layer(_transposed(self.g, source, (0, 2, 3, 1))), (0, 3, 1, 2))

    def _with_bias(self, source: Ref, name: str, channels: int) -> Ref:
        bias = self._variable(f"{name}/bias", (channels,))
        if not self.first:
            return self.g.emit("BiasAdd", source, bias, data_format="NHWC")
        return self.g.add(source, self.g.reshape(bias, [1, channels, 1, 1]))

    def _normalised(self, source: Ref, name: str, channels: int) -> Ref:
        """Write a batch normalization as Keras spells it out."""
        g = self.g
        parts = [
            self._variable(f"{name}/{part}", (channels,))
            for part in ("moving_mean", "moving_variance", "beta", "gamma")
        ]
        with g.scope(name):
            if self.first:
                parts = [g.reshape(part, [1, channels, 1, 1]) for part in parts]
            mean, variance, beta, gamma = parts
            with g.scope("batchnorm"):
                factor = g.mul(g.emit("Rsqrt", g.add(variance, 0.001)), gamma)
                scaled = g.mul(source, factor)
                return g.add(scaled, g.sub(beta, g.mul(mean, factor)))

    def _relu(self, source: Ref) -> Ref:
        with self.g.scope("activation"):
            return self.g.emit("Relu", source)

    def _pyramid(self, image: Ref) -> list[Ref]:
        """Write a small backbone and the feature pyramid over it; return P2 to P6."""
        g, channels = self.g, self.options.channels
        features, depth, at = [], 3, image
        for number in range(1, 6):
            at = self._convolution(at, f"conv{number}", (3, depth, channels), stride=2)
            at = self._relu(self._normalised(at, f"bn_conv{number}", channels))
            depth = channels
            features.append(at)
        _, *levels = features
        before = self._convolution(levels[3], "fpn_c5p5", (1, channels, channels), padding="VALID")
        merged = [before]
        for level in (4, 3, 2):
            enlarged = self._enlarged(before, f"fpn_p{level + 1}upsampled")
            side = self._convolution(
                levels[level - 2], f"fpn_c{level}p{level}", (1, channels, channels), padding="VALID"
            )
            with g.scope(f"fpn_p{level}add"):
                before = g.add(enlarged, side)
            merged.insert(0, before)
        maps = [
            self._convolution(each, f"fpn_p{number}", (3, channels, channels))
            for number, each in enumerate(merged, 2)
        ]
        with g.scope("fpn_p6"):
            last = self._moved(
                maps[-1],
                lambda x: g.emit(
                    "MaxPool",
                    x,
                    **self._window("ksize", 1),
                    **self._window("strides", 2),
                    padding="VALID",
                    data_format=self._data_format,
                ),
            )
        return [*maps, last]

    def _enlarged(self, source: Ref, name: str) -> Ref:
        g = self.g
        with g.scope(name):
            shape = g.shape(source)
            if self.first:
                size = _strided(g, shape, [2], [0], end_mask=1)
            else:
                size = _strided(g, shape, [1], [3])
            twice = g.mul(size, g.const([2, 2], g.unique("Const")))
            last = _transposed(g, source, (0, 2, 3, 1)) if self.first else source
            enlarged = g.emit("ResizeNearestNeighbor", last, twice, align_corners=False)
            return _transposed(g, enlarged, (0, 3, 1, 2)) if self.first else enlarged

    def _proposal_heads(self, maps: Sequence[Ref]) -> tuple[Ref, Ref]:
        """Write the region proposal network on each level; return its joined scores and encodings."""
        g, channels = self.g, self.options.channels
        scores, deltas = [], []
        for features in maps:
            with g.scope("rpn_model"):
                shared = self._convolution(features, "rpn_conv_shared", (3, channels, 2 * channels))
                shared = g.emit("Relu", shared, name="rpn_conv_shared/Relu")
                logits = self._convolution(
                    shared,
                    "rpn_class_raw",
                    (1, 2 * channels, 2 * self.options.anchors_of_cell),
                    padding="VALID",
                )
                boxes = self._convolution(
                    shared,
                    "rpn_bbox_pred",
                    (1, 2 * channels, 4 * self.options.anchors_of_cell),
                    padding="VALID",
                )
                scores.append(self._softmax(self._rows(logits, 2), "rpn_class_xxx"))
                deltas.append(self._rows(boxes, 4))
        with g.scope("rpn_class"):
            joined = g.concat(scores, 1)
        with g.scope("rpn_bbox"):
            return joined, g.concat(deltas, 1)

    def _rows(self, source: Ref, columns: int) -> Ref:
        """Write a reshape of a map to a row for each anchor."""
        g = self.g
        if self.first:
            with g.scope("permute"):
                source = _transposed(g, source, (0, 2, 3, 1))
        with g.scope("reshape"):
            batch = g.element(g.shape(source), 0)
            return g.reshape(source, g.pack([batch, -1, columns], "Reshape/shape"))

    def _softmax(self, source: Ref, name: str) -> Ref:
        g = self.g
        with g.scope(name):
            if self.options.date == "2019":
                return g.emit("Softmax", source)
            most = _reduced(g, "Max", source)
            power = g.emit("Exp", g.sub(source, most))
            return g.div(power, _reduced(g, "Sum", power))

    def _crops(self, name: str, rois: Ref, meta: Ref, maps: Sequence[Ref], side: int) -> Ref:
        with self.g.scope(name):
            return _Crops(self.g, self.first).write(rois, meta, maps, side)

    def _picture(self, channels: int, side: int) -> list[int]:
        return [channels, side, side] if self.first else [side, side, channels]

    def _timed_convolution(
        self, source: Ref, name: str, sizes: tuple[int, int, int], at: tuple[int, int, int], padding: str
    ) -> Ref:
        """Write a convolution of each region; ``at`` is the number of regions and the two sides."""
        count, before, after = at
        side, channels, depth = sizes
        kernel = self._variable(f"{name}/kernel", (side, side, channels, depth))
        g = self.g
        with g.scope(name):
            flat = g.reshape(source, [-1, *self._picture(channels, before)])
            found = self._moved(
                flat,
                lambda x: g.emit(
                    "Conv2D",
                    x,
                    kernel,
                    name="convolution",
                    **self._window("strides", 1),
                    padding=padding,
                    data_format=self._data_format,
                ),
            )
            found = self._with_bias(found, name, depth)
            if name == "mrcnn_mask":
                found = g.emit("Sigmoid", found)
            return g.reshape(found, [-1, count, *self._picture(depth, after)])

    def _timed_normalised(self, source: Ref, name: str, channels: int, count: int, side: int) -> Ref:
        g = self.g
        parts = [
            self._variable(f"{name}/{part}", (channels,))
            for part in ("moving_mean", "moving_variance", "beta", "gamma")
        ]
        with g.scope(name):
            flat = g.reshape(source, [-1, *self._picture(channels, side)])
            if self.first:
                parts = [g.reshape(part, [1, channels, 1, 1]) for part in parts]
            mean, variance, beta, gamma = parts
            with g.scope("batchnorm"):
                factor = g.mul(g.emit("Rsqrt", g.add(variance, 0.001)), gamma)
                scaled = g.mul(flat, factor)
                found = g.add(scaled, g.sub(beta, g.mul(mean, factor)))
            return g.reshape(found, [-1, count, *self._picture(channels, side)])

    def _dense(self, source: Ref, name: str, sizes: tuple[int, int], count: int) -> Ref:
        g = self.g
        kernel, bias = self._variable(f"{name}/kernel", sizes), self._variable(f"{name}/bias", sizes[1:])
        with g.scope(name):
            flat = g.reshape(source, [-1, sizes[0]])
            product = g.emit("MatMul", flat, kernel, transpose_a=False, transpose_b=False)
            found = g.emit("BiasAdd", product, bias, data_format="NHWC")
            return g.reshape(found, [-1, count, sizes[1]])

    def _classifier(self, pooled: Ref) -> tuple[Ref, Ref]:
        """Write the second stage's heads; return probabilities [N, R, C] and encodings [N, R, C, 4]."""
        g, options = self.g, self.options
        count, classes = options.proposals, options.classes
        at = self._timed_convolution(
            pooled, "mrcnn_class_conv1", (7, options.channels, _HIDDEN), (count, 7, 1), "VALID"
        )
        at = self._relu(self._timed_normalised(at, "mrcnn_class_bn1", _HIDDEN, count, 1))
        at = self._timed_convolution(at, "mrcnn_class_conv2", (1, _HIDDEN, _HIDDEN), (count, 1, 1), "VALID")
        at = self._relu(self._timed_normalised(at, "mrcnn_class_bn2", _HIDDEN, count, 1))
        with g.scope("pool_squeeze"):
            axes = (4, 3) if self.first else (3, 2)
            for axis in axes:
                at = g.squeeze(at, axis)
        logits = self._dense(at, "mrcnn_class_logits", (_HIDDEN, classes), count)
        with g.scope("mrcnn_class"):
            probabilities = g.emit("Softmax", g.reshape(logits, [-1, classes]))
            probabilities = g.reshape(probabilities, [-1, count, classes])
        encodings = self._dense(at, "mrcnn_bbox_fc", (_HIDDEN, 4 * classes), count)
        with g.scope("mrcnn_bbox"):
            batch = g.element(g.shape(encodings), 0)
            return probabilities, g.reshape(encodings, g.pack([batch, count, classes, 4], "Reshape/shape"))

    def _masks(self, pooled: Ref) -> Ref:
        """Write the mask head; return [N, K, 28, 28, C], or [N, K, C, 28, 28] where channels come first."""
        options = self.options
        count, depth, side = options.detections, options.channels, MASK_SIDE // 2
        at = pooled
        for number in (1, 2):
            at = self._timed_convolution(
                at, f"mrcnn_mask_conv{number}", (3, depth, _HIDDEN), (count, side, side), "SAME"
            )
            at = self._relu(self._timed_normalised(at, f"mrcnn_mask_bn{number}", _HIDDEN, count, side))
            depth = _HIDDEN
        at = self._enlarged_masks(at, count)
        return self._timed_convolution(
            at, "mrcnn_mask", (1, _HIDDEN, options.classes), (count, MASK_SIDE, MASK_SIDE), "VALID"
        )

    def _enlarged_masks(self, source: Ref, count: int) -> Ref:
        """Write mrcnn_mask_deconv, a transposed convolution of each region."""
        g, name, side = self.g, "mrcnn_mask_deconv", MASK_SIDE // 2
        kernel = self._variable(f"{name}/kernel", (2, 2, _HIDDEN, _HIDDEN))
        gpu = self.options.layout == "NCHW_GPU"
        with g.scope(name):
            flat = g.reshape(source, [-1, *self._picture(_HIDDEN, side)])
            shape = g.shape(flat)
            rows = g.add(g.mul(g.element(shape, 2 if self.first else 1), 2), 0)
            columns = g.add(g.mul(g.element(shape, 3 if self.first else 2), 2), 0)
            batch = g.element(shape, 0)
            sizes = [batch, _HIDDEN, rows, columns] if gpu else [batch, rows, columns, _HIDDEN]
            wanted = g.pack(sizes)
            found = self._moved(
                flat,
                lambda x: g.emit(
                    "Conv2DBackpropInput",
                    wanted,
                    kernel,
                    x,
                    name="conv2d_transpose",
                    **self._window("strides", 2),
                    padding="VALID",
                    data_format=self._data_format,
                ),
            )
            found = g.emit("Relu", self._with_bias(found, name, _HIDDEN))
            return g.reshape(found, [-1, count, *self._picture(_HIDDEN, MASK_SIDE)])


class _Slices:
    """What utils.batch_slice and the coding of boxes have in common."""

    def __init__(self, g: NodeWriter, options: MatterportOptions) -> None:
        self.g, self.options = g, options

    def _first(self, source: Ref) -> Ref:
        """Return the one picture of a batch."""
        return self.g.element(source, 0)

    def _packed(self, source: Ref, name: str = "packed") -> Ref:
        return self.g.pack([source], name)

    def _column(self, source: Ref, index: int) -> Ref:
        g = self.g
        return _strided(g, source, [0, index], [0, index + 1], begin_mask=1, end_mask=1, shrink_axis_mask=2)

    def _decoded(self, boxes: Ref, deltas: Ref) -> Ref:
        """Write apply_box_deltas_graph."""
        g = self.g
        height = g.sub(self._column(boxes, 2), self._column(boxes, 0))
        width = g.sub(self._column(boxes, 3), self._column(boxes, 1))
        middle_y = g.add(self._column(boxes, 0), g.mul(0.5, height))
        middle_x = g.add(self._column(boxes, 1), g.mul(0.5, width))
        middle_y = g.add(middle_y, g.mul(self._column(deltas, 0), height))
        middle_x = g.add(middle_x, g.mul(self._column(deltas, 1), width))
        height = g.mul(height, g.emit("Exp", self._column(deltas, 2)))
        width = g.mul(width, g.emit("Exp", self._column(deltas, 3)))
        top = g.sub(middle_y, g.mul(0.5, height))
        left = g.sub(middle_x, g.mul(0.5, width))
        bottom, right = g.add(top, height), g.add(left, width)
        return g.pack([top, left, bottom, right], "apply_box_deltas_out", axis=1)

    def _clipped(self, boxes: Ref, window: Ref) -> Ref:
        """Write clip_boxes_graph."""
        g = self.g
        top, left, bottom, right = self._split(window, 0)
        y1, x1, y2, x2 = self._split(boxes, 1)
        sides = [
            g.binary("Maximum", g.binary("Minimum", value, high), low)
            for value, high, low in (
                (y1, bottom, top),
                (x1, right, left),
                (y2, bottom, top),
                (x2, right, left),
            )
        ]
        return g.concat(sides, 1, "clipped_boxes")

    def _split(self, source: Ref, axis: int) -> list[Ref]:
        g = self.g
        full = g.unique("split")
        node = g.node("Split", full, [g.const(axis, f"{full}/split_dim"), source], num_split=4)
        return [node, *(f"{node}:{index}" for index in range(1, 4))]

    def _suppressed(self, boxes: Ref, scores: Ref, most: int, overlap: float, name: str) -> Ref:
        g = self.g
        with g.scope(name) as prefix:
            version = "V2" if self.options.date == "2018" else "V3"
            threshold = g.const(overlap, f"{prefix}iou_threshold")
            rest = [] if version == "V2" else [g.const(-math.inf, f"{prefix}score_threshold")]
            limit = g.const(most, f"{prefix}NonMaxSuppression{version}/max_output_size")
            return g.emit(f"NonMaxSuppression{version}", boxes, scores, limit, threshold, *rest)


class _Proposals(_Slices):
    """The layer ROI."""

    def write(self, scores: Ref, deltas: Ref, anchors: Ref) -> Ref:
        g, options = self.g, self.options
        with g.scope("ROI"):
            foreground = _strided(
                g, scores, [0, 0, 1], [0, 0, 2], begin_mask=3, end_mask=3, shrink_axis_mask=4
            )
            full = g.unique("mul")
            spread = g.const(np.array([[[0.1, 0.1, 0.2, 0.2]]]), f"{full}/y")
            scaled = g.node("Mul", full, [deltas, spread])
            limit = g.binary("Minimum", options.candidates, g.element(g.shape(anchors), 1))
            best = f"{g.emit('TopKV2', foreground, limit, name='top_anchors', sorted=True)}:1"
            chosen = [
                self._packed(g.gather(self._first(source), self._first(best)), name)
                for source, name in ((foreground, "packed"), (scaled, "packed"), (anchors, "pre_nms_anchors"))
            ]
            kept_scores, kept_deltas, kept_anchors = chosen
            boxes = self._decoded(self._first(kept_anchors), self._first(kept_deltas))
            boxes = self._packed(boxes, "refined_anchors")
            window = g.const([0.0, 0.0, 1.0, 1.0], g.unique("Const"))
            clipped = self._packed(self._clipped(self._first(boxes), window), "refined_anchors_clipped")
            own = self._first(clipped)
            kept = self._suppressed(
                own,
                self._first(kept_scores),
                options.proposals,
                options.proposal_overlap,
                "rpn_non_max_suppression",
            )
            rows = g.gather(own, kept)
            missing = g.binary("Maximum", g.sub(options.proposals, g.element(g.shape(rows), 0)), 0)
            return self._packed(_padded(g, rows, missing, columns=True))


class _Crops:
    """The layer PyramidROIAlign."""

    def __init__(self, g: NodeWriter, first: bool) -> None:
        self.g, self.first = g, first

    def write(self, rois: Ref, meta: Ref, maps: Sequence[Ref], side: int) -> Ref:
        g = self.g
        level = self._level(rois, meta)
        crops, places = [], []
        for number, features in enumerate(maps, 2):
            where = g.emit("Where", g.binary("Equal", level, number))
            boxes = g.emit("StopGradient", g.emit("GatherNd", rois, where))
            picture = _strided(g, where, [0, 0], [0, 1], begin_mask=1, end_mask=1, shrink_axis_mask=2)
            picture = g.emit("StopGradient", g.cast(picture, INT32, "Cast"))
            last = _transposed(g, features, (0, 2, 3, 1)) if self.first else features
            full = g.unique("CropAndResize")
            size = g.const([side, side], f"{full}/crop_size")
            crop = g.node(
                "CropAndResize",
                full,
                [last, boxes, picture, size],
                extrapolation_value=0.0,
                method="bilinear",
            )
            crops.append(_transposed(g, crop, (0, 3, 1, 2)) if self.first else crop)
            places.append(where)
        pooled = g.concat(crops, 0)
        return self._sorted(rois, pooled, g.concat(places, 0))

    def _level(self, rois: Ref, meta: Ref) -> Ref:
        g = self.g
        full = g.unique("split")
        node = g.node("Split", full, [g.const(2, f"{full}/split_dim"), rois], num_split=4)
        height, width = g.sub(f"{node}:2", node), g.sub(f"{node}:3", f"{node}:1")
        shape = _strided(g, meta, [0, 4], [0, 7], begin_mask=1, end_mask=1)
        own = g.element(shape, 0)
        area = g.mul(g.element(own, 0), g.element(own, 1))
        side = g.emit("Sqrt", g.mul(height, width))
        unit = g.div(224.0, g.emit("Sqrt", area))
        power = g.emit("Log", g.div(side, unit))
        level = g.emit("Round", g.div(power, g.emit("Log", g.const(2.0, g.unique("Const")))))
        level = g.add(4, g.cast(level, INT32, "Cast"))
        clamped = g.binary("Minimum", 5, g.binary("Maximum", 2, level))
        return g.squeeze(clamped, 2)

    def _sorted(self, rois: Ref, pooled: Ref, places: Ref) -> Ref:
        """Write the sorting of what the levels gave back into the order of the regions."""
        g = self.g
        numbers = g.expand_dims(g.range(g.element(g.shape(places), 0)), 1)
        rows = g.concat([g.cast(places, INT32, "Cast"), numbers], 1)
        picture, region, place = (
            _strided(g, rows, [0, index], [0, index + 1], begin_mask=1, end_mask=1, shrink_axis_mask=2)
            for index in range(3)
        )
        key = g.add(g.mul(picture, 100000), region)
        order = f"{g.emit('TopKV2', key, g.element(g.shape(rows), 0), sorted=True)}:1"
        order = _strided(g, order, [0], [0], [-1], begin_mask=1, end_mask=1)
        found = g.gather(pooled, g.gather(place, order))
        outer = _strided(g, g.shape(rois), [0], [2], begin_mask=1)
        inner = _strided(g, g.shape(found), [1], [0], end_mask=1)
        return g.reshape(found, g.concat([outer, inner], 0))


class _Detections(_Slices):
    """The layer mrcnn_detection."""

    def write(self, rois: Ref, probabilities: Ref, deltas: Ref, meta: Ref) -> Ref:
        with self.g.scope("mrcnn_detection"):
            window = self._first(self._window(meta))
            rows = self._refined(self._first(rois), self._first(probabilities), self._first(deltas), window)
            return self.g.reshape(self._packed(rows), [1, self.options.detections, 6])

    def _window(self, meta: Ref) -> Ref:
        """Write norm_boxes_graph of the window that the picture fills."""
        g = self.g
        shape = self._first(_strided(g, meta, [0, 4], [0, 7], begin_mask=1, end_mask=1))
        window = _strided(g, meta, [0, 7], [0, 11], begin_mask=1, end_mask=1)
        sides = _strided(g, shape, [0], [2], begin_mask=1)
        full = g.unique("split")
        node = g.node("Split", full, [g.const(0, f"{full}/split_dim"), sides], num_split=2)
        scale = g.sub(g.concat([node, f"{node}:1"] * 2, -1), 1.0)
        return g.div(g.sub(window, g.const([0.0, 0.0, 1.0, 1.0], g.unique("Const"))), scale)

    def _refined(self, rois: Ref, probabilities: Ref, deltas: Ref, window: Ref) -> Ref:
        """Write refine_detections_graph."""
        g, options = self.g, self.options
        full = g.unique("ArgMax")
        axis = g.const(1, f"{full}/dimension")
        label = g.node("ArgMax", full, [probabilities, axis], output_type=Type(INT32))
        index = g.pack([g.range(options.proposals), label], axis=1)
        scores, own = g.emit("GatherNd", probabilities, index), g.emit("GatherNd", deltas, index)
        full = g.unique("mul")
        scaled = g.node("Mul", full, [own, g.const([0.1, 0.1, 0.2, 0.2], f"{full}/y")])
        boxes = self._clipped(self._decoded(rois, scaled), window)
        keep = self._where(g.binary("Greater", label, 0))
        if options.min_confidence:
            confident = self._where(g.binary("GreaterEqual", scores, options.min_confidence))
            keep = self._both(keep, confident)
        keep = self._both(keep, self._suppressed_by_class(label, scores, boxes, keep))
        kept_scores = g.gather(scores, keep)
        count = g.binary("Minimum", g.element(g.shape(kept_scores), 0), options.detections)
        best = f"{g.emit('TopKV2', kept_scores, count, sorted=True)}:1"
        keep = g.gather(keep, best)
        rows = g.concat(
            [
                g.gather(boxes, keep),
                self._as_column(g.cast(g.gather(label, keep), name="ToFloat")),
                self._as_column(g.gather(scores, keep)),
            ],
            1,
        )
        return _padded(g, rows, g.sub(options.detections, g.element(g.shape(rows), 0)), columns=True)

    def _as_column(self, source: Ref) -> Ref:
        return _strided(self.g, source, [0, 0], [0, 0], ellipsis_mask=1, new_axis_mask=2)

    def _where(self, condition: Ref) -> Ref:
        return self._column(self.g.emit("Where", condition), 0)

    def _both(self, one: Ref, other: Ref) -> Ref:
        """Write tf.sets.set_intersection and tf.sparse_tensor_to_dense."""
        g = self.g
        found = g.emit(
            "DenseToDenseSetOperation",
            g.expand_dims(one, 0),
            g.expand_dims(other, 0),
            set_operation="intersection",
            validate_indices=True,
        )
        full = g.unique("SparseToDense")
        default = g.const(0, f"{full}/default_value", INT64)
        dense = g.node(
            "SparseToDense",
            full,
            [found, f"{found}:2", f"{found}:1", default],
            validate_indices=True,
        )
        return g.element(dense, 0)

    def _suppressed_by_class(self, label: Ref, scores: Ref, boxes: Ref, keep: Ref) -> Ref:
        """Write the loop over the classes that are there; return the rows that are left, int64[k]."""
        g, options = self.g, self.options
        labels, own_scores, own_boxes = (g.gather(source, keep) for source in (label, scores, boxes))
        classes = g.emit("Unique", labels, out_idx=Type(INT32))

        def of_class(reads: dict[int, Ref]) -> dict[int, Ref]:
            inside = {
                name: _entered(g, source, name)
                for name, source in (
                    ("labels", labels),
                    ("boxes", own_boxes),
                    ("scores", own_scores),
                    ("keep", keep),
                )
            }
            rows = self._where(g.binary("Equal", inside["labels"], reads[0]))
            chosen = self._suppressed(
                g.gather(inside["boxes"], rows),
                g.gather(inside["scores"], rows),
                options.detections,
                options.detection_overlap,
                "non_max_suppression",
            )
            found = g.gather(inside["keep"], g.gather(rows, chosen))
            missing = g.sub(options.detections, g.element(g.shape(found), 0))
            return {0: _padded(g, found, missing, columns=False)}

        loop = MapLoop({0: classes}, 1, {0: MappedOutput(INT64, (options.detections,))}, 1, 10)
        flat = g.reshape(write_map(g, loop, of_class)[0], [-1])
        rows = self._where(g.binary("Greater", flat, -1))
        return g.gather(flat, rows)


def _entered(g: NodeWriter, source: Ref, name: str) -> Ref:
    """Return a tensor as the body of the loop sees it."""
    frame = {"frame_name": "mrcnn_detection/map/while/while_context", "parallel_iterations": 10}
    return g.emit("Enter", source, name=f"{name}/Enter", is_constant=True, **frame)


def _padded(g: NodeWriter, source: Ref, missing: Ref, *, columns: bool) -> Ref:
    """Write rows that are added to a tensor: of zeros to a table, of -1 to a list."""
    full = g.unique("Pad" if columns else "PadV2")
    own = g.node("Pack", f"{full}/paddings/0", [g.const(0, f"{full}/paddings/0/0"), missing], N=2, axis=0)
    rest = [g.const([0, 0], f"{full}/paddings/1_1")] if columns else []
    paddings = g.node("Pack", f"{full}/paddings", [own, *rest], N=1 + len(rest), axis=0)
    if columns:
        return g.node("Pad", full, [source, paddings])
    return g.node("PadV2", full, [source, paddings, g.const(-1, f"{full}/constant_values", INT64)])


def _reduced(g: NodeWriter, op: str, source: Ref) -> Ref:
    """Write Max or Sum over the last axis, which stays."""
    full = g.unique(op)
    axis = g.const(-1, f"{full}/reduction_indices")
    return g.node(op, full, [source, axis], keep_dims=True)


def _transposed(g: NodeWriter, source: Ref, order: Sequence[int]) -> Ref:
    full = g.unique("transpose")
    return g.node("Transpose", full, [source, g.const(list(order), f"{full}/perm")])


def _strided(
    g: NodeWriter,
    source: Ref,
    begin: Sequence[int],
    end: Sequence[int],
    steps: Sequence[int] = (),
    **masks: int,
) -> Ref:
    """Write a StridedSlice with its masks, 0 where none is given."""
    full = g.unique("strided_slice")
    bounds = [
        g.const(list(values), f"{full}/{name}")
        for values, name in ((begin, "stack"), (end, "stack_1"), (steps or [1] * len(begin), "stack_2"))
    ]
    names = ("begin_mask", "ellipsis_mask", "end_mask", "new_axis_mask", "shrink_axis_mask")
    attrs: dict[str, Any] = {name: masks.get(name, 0) for name in names}
    return g.node("StridedSlice", full, [source, *bounds], **attrs)


_LAYOUTS: tuple[Layout, ...] = ("NHWC", "NCHW_CPU")

SAMPLES: Mapping[str, Callable[[], bytes]] = {
    f"matterport_{date}_{layout.lower()}": lambda layout=layout, date=date: build_matterport(  # type: ignore[misc]
        replace(MatterportOptions(), layout=layout, date=date)
    )
    for date in ("2018", "2019")
    for layout in _LAYOUTS
}
"""Graphs of the family by name."""
