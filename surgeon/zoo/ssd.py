"""Frozen SSD MobileNet v1 detectors as the TensorFlow Object Detection API exported them."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from surgeon.atomic import write_bytes
from surgeon.zoo.anchors import write_anchors
from surgeon.zoo.extractor import depth, write_features
from surgeon.zoo.loops import MapLoop, MappedOutput, write_map
from surgeon.zoo.nodes import FLOAT, INT32, UINT8, NodeWriter, Ref, ShapeAttr, Type
from surgeon.zoo.options import LAYERS, Date, Sized, SsdOptions, WeightSource
from surgeon.zoo.padding import write_dead_nodes, write_live_nodes
from surgeon.zoo.postprocessor import DetectionRefs, write_postprocessor
from surgeon.zoo.predictor import Predictors, join_predictions
from surgeon.zoo.weights import SeededWeights

_FEATURE_DEPTHS = [512, 1024, 512, 256, 256, 128]


def build_ssd(options: SsdOptions = SsdOptions(), weights: WeightSource | None = None) -> bytes:
    """Return a serialized frozen GraphDef.

    ``weights`` is called with the name and the shape of every weight constant and returns float32 values;
    without it they come from ``options.seed``. Raise ValueError where it returns another shape.
    """
    g = NodeWriter(options.date)
    source = weights or SeededWeights(options.seed)
    picture = g.emit("Placeholder", name="image_tensor", dtype=Type(UINT8), shape=ShapeAttr((-1, -1, -1, 3)))
    image, true_shapes = write_preprocessor(g, options, g.cast(picture))
    features = write_features(g, options, image, source, fit=weights is None)
    live = options.extra_nodes // 2
    features[-1] = write_live_nodes(g, features[-1], live)
    anchors = write_anchors(g, options, *_input_size(g, options, image))
    channels = [depth(channels, options) for channels in _FEATURE_DEPTHS]
    encodings, scores = Predictors(g, options, source, channels).write(features)
    boxes, logits = join_predictions(g, options, encodings, scores)
    detections = write_postprocessor(g, options, boxes, anchors, logits, true_shapes)
    _outputs(g, detections)
    write_dead_nodes(g, "Postprocessor/convert_scores", options.extra_nodes - live)
    return g.graph()


def write_ssd(
    path: str | os.PathLike[str],
    options: SsdOptions = SsdOptions(),
    weights: WeightSource | None = None,
) -> Path:
    """Write what ``build_ssd`` returns, whole or not at all, and return the path; raise SurgeonError E105."""
    write_bytes(path, build_ssd(options, weights))
    return Path(path)


def write_preprocessor(g: NodeWriter, options: Sized, pictures: Ref) -> tuple[Ref, Ref]:
    """Write the resizing; return pictures in -1..1, [N, height, width, 3], and as of 2018 [N, 3] sizes."""
    size = [options.height, options.width]

    def resize(reads: dict[int, Ref]) -> dict[int, Ref]:
        with g.scope("ResizeImage") as prefix:
            if g.date == "2017":
                full = g.unique("ExpandDims")
                expanded = g.node("ExpandDims", full, [reads[0], g.const(0, f"{full}/dim")])
                return {0: _bilinear(g, expanded, g.const(size, f"{prefix}size"))}
            wanted = g.const(size, g.unique("stack"))
            with g.scope("resize" if g.date == "2019" else "resize_images"):
                resized = _bilinear(g, g.expand_dims(reads[0], 0), wanted)
            return {0: resized, 1: g.const([*size, 3], g.unique("stack"))}

    outputs = {0: MappedOutput(FLOAT, (*size, 3))}
    if g.date != "2017":
        outputs[1] = MappedOutput(INT32, (3,))
    parallel = 10 if g.date == "2017" else 32
    with g.scope("Preprocessor"):
        loop = MapLoop({0: pictures}, 1, outputs, len(outputs), parallel)
        resized = write_map(g, loop, resize)
        image = g.sub(g.mul(2 / 255, resized[0]), 1.0)
    return image, resized.get(1, "")


def _bilinear(g: NodeWriter, picture: Ref, size: Ref) -> Ref:
    extra: dict[str, Any] = {"half_pixel_centers": False} if g.date == "2019" else {}
    return g.squeeze(g.emit("ResizeBilinear", picture, size, align_corners=False, **extra), 0)


def _input_size(g: NodeWriter, options: SsdOptions, image: Ref) -> tuple[Ref | int, Ref | int]:
    """Return the network's input height and width; in 2017 they are read from the picture."""
    if g.date != "2017":
        return options.height, options.width
    g.reserve(*["Shape", "strided_slice"] * LAYERS)
    shape = g.shape(image)
    return g.element(shape, 1), g.element(shape, 2)


def _outputs(g: NodeWriter, detections: DetectionRefs) -> None:
    labels = g.add(detections.classes, 1.0)
    named = {
        "detection_boxes": detections.boxes,
        "detection_scores": detections.scores,
        "detection_multiclass_scores": detections.multiclass_scores,
        "detection_classes": labels,
        "num_detections": detections.count,
        "raw_detection_boxes": detections.raw_boxes,
        "raw_detection_scores": detections.raw_scores,
    }
    for name, source in named.items():
        if source:
            g.emit("Identity", source, name=name)


def _sample(date: Date) -> Callable[[], bytes]:
    return lambda: build_ssd(SsdOptions(date=date, height=96, width=96, depth_multiplier=0.125))


SAMPLES: Mapping[str, Callable[[], bytes]] = {
    "ssd_mobilenet_v1_2017": _sample("2017"),
    "ssd_mobilenet_v1_2018": _sample("2018"),
    "ssd_mobilenet_v1_2019": _sample("2019"),
}
"""Detectors for the table of families, by name."""
