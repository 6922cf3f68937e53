"""Generated detectors with another preprocessor in the place of their own, as TensorFlow's own code writes it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from surgeon.formats.graphdef import from_bytes
from surgeon.graph import Graph
from surgeon.zoo import SsdOptions, build_ssd

REPLACED = ("image_tensor", "Cast", "ToFloat", "Preprocessor")
OUTPUTS = ("detection_boxes", "detection_scores", "detection_classes", "num_detections")

Resized = tuple[Any, Any]
"""A picture as the network reads it, and its size in pixels without padding, int32[3]."""


def with_preprocessor(
    one_picture: Callable[[Any, Any], Resized],
    *,
    channels: int = 3,
    network_channels: int = 3,
    batch: int | None = None,
    size: tuple[int, int] = (96, 96),
    date: str = "2019",
) -> Graph:
    """Return a detector that maps ``one_picture(tf.compat.v1, float32[H, W, channels])`` over its pictures.

    Weights of the first convolution are summed over the colours where the network reads one channel.
    """
    import tensorflow as tf

    v1 = tf.compat.v1
    height, width = size
    options = SsdOptions(date=date, height=height, width=width, depth_multiplier=0.125)  # type: ignore[arg-type]
    whole = v1.GraphDef.FromString(build_ssd(options))
    rest = v1.GraphDef()
    rest.versions.CopyFrom(whole.versions)
    for node in whole.node:
        if node.name.split("/")[0] in REPLACED:
            continue
        if network_channels == 1 and node.name.endswith("MobilenetV1/Conv2d_0/weights"):
            weights = tf.make_ndarray(node.attr["value"].tensor).sum(axis=2, keepdims=True)
            node.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(weights))
        rest.node.append(node)
    graph = tf.Graph()
    with graph.as_default(), _loops_of_tensorflow_1(v1):
        pictures = v1.placeholder(tf.uint8, [batch, None, None, channels], name="image_tensor")
        floats = tf.cast(pictures, tf.float32, name="Cast")
        with tf.name_scope("Preprocessor"):
            network, sizes = tf.map_fn(
                lambda picture: one_picture(v1, picture),
                floats,
                fn_output_signature=(tf.float32, tf.int32),
                name="map",
            )
            scaled = tf.subtract(tf.multiply(2 / 255, network, name="mul"), 1.0, name="sub")
            scaled.set_shape([batch, height, width, network_channels])
        places = {
            "Preprocessor/sub:0": scaled,
            "Preprocessor/map/TensorArrayStack_1/TensorArrayGatherV3:0": sizes,
        }
        tf.import_graph_def(rest, name="", input_map=places)
    kept = v1.graph_util.extract_sub_graph(graph.as_graph_def(), list(OUTPUTS))
    return from_bytes(kept.SerializeToString())


@contextmanager
def _loops_of_tensorflow_1(v1: Any) -> Iterator[None]:
    enabled = v1.control_flow_v2_enabled()
    v1.disable_control_flow_v2()
    try:
        yield
    finally:
        if enabled:
            v1.enable_control_flow_v2()


def resized(v1: Any, picture: Any, channels: int = 3, size: tuple[int, int] = (96, 96)) -> Resized:
    """Return a picture stretched to a size."""
    image = v1.image.resize_images(picture, size, align_corners=False)
    image.set_shape([*size, channels])
    return image, v1.constant([*size, channels], v1.int32)
