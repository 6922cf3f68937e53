"""The namespace Postprocessor: decoded boxes, scores, and suppression of overlaps, picture by picture."""

from __future__ import annotations

from dataclasses import dataclass

from surgeon.zoo.loops import MapLoop, MappedOutput, write_map
from surgeon.zoo.nodes import FLOAT, INT32, NodeWriter, Ref
from surgeon.zoo.options import SsdOptions, Suppressing
from surgeon.zoo.suppression import clip_or_pad, suppress


@dataclass(frozen=True)
class DetectionRefs:
    """The tensors that become the graph's outputs; the last three as of 2019 only."""

    boxes: Ref
    scores: Ref
    classes: Ref
    count: Ref
    multiclass_scores: Ref = ""
    raw_boxes: Ref = ""
    raw_scores: Ref = ""


def write_postprocessor(
    g: NodeWriter,
    options: SsdOptions,
    encodings: Ref,
    anchors: Ref,
    logits: Ref,
    true_shapes: Ref,
) -> DetectionRefs:
    """Write the namespace; ``true_shapes`` is [N, 3] (height, width, channels), unused in 2017."""
    with g.scope("Postprocessor"):
        boxes = _decoded(g, options, encodings, anchors)
        scores, all_scores = _scores(g, logits)
        if g.date == "2017":
            window = g.const([0.0, 0.0, 1.0, 1.0], g.unique("Const"))
        else:
            window = _windows(g, options, true_shapes)
        with g.scope("BatchMultiClassNonMaxSuppression"):
            outputs = suppress_batch(g, options, (boxes, scores, window, all_scores))
        if g.date != "2019":
            return DetectionRefs(outputs[0], outputs[1], outputs[2], g.cast(outputs[4]))
        count = g.cast(outputs[6])
        raw = g.squeeze(boxes, 2)
        return DetectionRefs(outputs[0], outputs[1], outputs[2], count, outputs[5], raw, all_scores)


def _decoded(g: NodeWriter, options: SsdOptions, encodings: Ref, anchors: Ref) -> Ref:
    """Write the boxes as corners, [N, A, 1, 4]."""
    if g.date == "2019":
        encodings = g.emit("Identity", encodings, name="raw_box_encodings")
    shape = g.shape(encodings)
    batch = g.element(shape, 0)
    count: Ref | int = g.element(shape, 1) if g.date == "2019" else sum(options.anchors_per_layer())
    expanded = g.expand_dims(anchors, 0)
    full = g.unique("Tile")
    sizes = [g.const(1, f"{full}/multiples/{index}") for index in (1, 2)]
    multiples = g.node("Pack", f"{full}/multiples", [batch, *sizes], N=3, axis=0)
    tiled = g.node("Tile", full, [expanded, multiples])
    corners = decode_boxes(g, g.reshape(tiled, [-1, 4]), g.reshape(encodings, [-1, 4]))
    boxes = g.reshape(corners, g.pack([batch, count, 4]))
    if g.date == "2019":
        boxes = g.emit("Identity", boxes, name="raw_box_locations")
    return g.expand_dims(boxes, 2)


def decode_boxes(g: NodeWriter, anchors: Ref, encodings: Ref) -> Ref:
    """Write the box coder with scales 10, 10, 5, 5; both inputs and the output are [n, 4]."""
    with g.scope("Decode"):
        with g.scope("get_center_coordinates_and_sizes"):
            top, left, bottom, right = g.unpack(g.transpose(anchors), 4)
            width, height = g.sub(right, left), g.sub(bottom, top)
            y_center = g.add(top, g.div(height, 2.0))
            x_center = g.add(left, g.div(width, 2.0))
        parts = g.unpack(g.transpose(encodings), 4)
        y, x, h, w = (g.div(part, scale) for part, scale in zip(parts, (10.0, 10.0, 5.0, 5.0), strict=True))
        new_width = g.mul(g.emit("Exp", w), width)
        new_height = g.mul(g.emit("Exp", h), height)
        y = g.add(g.mul(y, height), y_center)
        x = g.add(g.mul(x, width), x_center)
        low = [g.sub(y, g.div(new_height, 2.0)), g.sub(x, g.div(new_width, 2.0))]
        high = [g.add(y, g.div(new_height, 2.0)), g.add(x, g.div(new_width, 2.0))]
        return g.transpose(g.pack([*low, *high]))


def _scores(g: NodeWriter, logits: Ref) -> tuple[Ref, Ref]:
    """Write the sigmoid; return the scores without and, as of 2018, with the background."""
    if g.date == "2017":
        logits = g.slice(logits, [0, 0, 1], [-1, -1, -1])
    scaled = g.binary("RealDiv", logits, 1.0, "scale_logits")
    scores = g.emit("Sigmoid", scaled, name="convert_scores")
    if g.date == "2017":
        return scores, ""
    source = g.emit("Identity", scores, name="raw_box_scores") if g.date == "2019" else scores
    return g.slice(source, [0, 0, 1], [-1, -1, -1]), scores


def _windows(g: NodeWriter, options: SsdOptions, true_shapes: Ref) -> Ref:
    """Write the part of each input that its picture fills, [N, 4]."""
    if g.date == "2019":
        g.reserve("Cast")
    shapes = g.cast(true_shapes)
    height, width, _ = g.unpack(shapes, 3, 1)
    full_height, full_width = g.cast(options.height), g.cast(options.width)
    zeros = [g.emit("ZerosLike", size, name="zeros_like") for size in (height, width)]
    return g.pack([*zeros, g.div(height, full_height), g.div(width, full_width)], axis=1)


def suppress_batch(
    g: NodeWriter, options: Suppressing, tensors: tuple[Ref, Ref, Ref, Ref], counts: Ref = ""
) -> dict[int, Ref]:
    """Write the suppression of each picture's boxes, and return its outputs by number.

    ``tensors`` are boxes, scores, windows and scores with the background; ``counts`` is how many of each
    picture's boxes count, all where it is empty.
    """
    boxes, scores, window, all_scores = tensors
    counts = counts or _counts(g, options, boxes)
    kept = options.max_detections
    vector = MappedOutput(FLOAT, (kept,))
    outputs = {0: MappedOutput(FLOAT, (kept, 4)), 1: vector, 2: vector}
    whole = MappedOutput(INT32, ())
    if g.date == "2017":
        loop = MapLoop({0: boxes, 1: scores, 3: counts}, 4, outputs | {4: whole}, 5)
    elif g.date == "2018":
        loop = MapLoop({0: boxes, 1: scores, 3: window, 4: counts}, 5, outputs | {4: whole}, 5)
    else:
        outputs |= {5: MappedOutput(FLOAT, (kept, options.classes + 1)), 6: whole}
        loop = MapLoop({0: boxes, 1: scores, 3: window, 5: all_scores, 6: counts}, 7, outputs, 7)
    picture = _Picture(g, options, window)
    return write_map(g, loop, picture.body)


def _counts(g: NodeWriter, options: Suppressing, boxes: Ref) -> Ref:
    """Write the number of anchors of every picture, [N]."""
    batch = g.element(g.shape(boxes), 0)
    count: Ref | int = sum(options.anchors_per_layer())
    if g.date == "2019":
        count = g.element(g.shape(boxes), 1)
    full = g.unique("ones")
    packed = g.node("Pack", f"{full}/{'shape' if g.date == '2017' else 'packed'}", [batch], N=1, axis=0)
    return g.mul(g.fill(packed, 1, full), count)


class _Picture:
    def __init__(self, g: NodeWriter, options: Suppressing, window: Ref) -> None:
        self.g, self.options, self.window = g, options, window

    def body(self, reads: dict[int, Ref]) -> dict[int, Ref]:
        """Write what the loop does with one picture."""
        g, classes = self.g, self.options.classes
        count = reads[max(reads)]
        boxes = self._cut(reads[0], count, [-1, self.options.box_sets, 4])
        scores = self._cut(reads[1], count, [-1, classes])
        if g.date == "2019":
            g.reserve(*("stack", "Slice", "Reshape") * 2)
            every = self._cut(reads[5], count, [-1, classes + 1])
            found = {"boxes": boxes, "scores": scores, "all": every}
            fields, kept = suppress(g, self.options, found, reads[3])
            padded = clip_or_pad(g, self.options, fields)
            return {0: padded["boxes"], 1: padded["scores"], 2: padded["classes"], 5: padded["all"], 6: kept}
        window = self.window if g.date == "2017" else reads[3]
        fields, _ = suppress(g, self.options, {"boxes": boxes, "scores": scores}, window)
        padded = clip_or_pad(g, self.options, fields)
        kept = g.element(g.shape(fields["boxes"]), 0)
        return {0: padded["boxes"], 1: padded["scores"], 2: padded["classes"], 4: kept}

    def _cut(self, source: Ref, count: Ref, shape: list[int]) -> Ref:
        """Write the first ``count`` rows of a tensor, reshaped."""
        size = self.g.pack([count] + [-1] * (len(shape) - 1))
        return self.g.reshape(self.g.slice(source, [0] * len(shape), size), shape)
