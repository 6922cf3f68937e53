"""Recipes for detectors as TensorFlow 2 leaves them: flat names, anchors that the graph holds ready-made."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest

import surgeon
from surgeon.formats.graphdef import from_bytes
from surgeon.graph import Graph

pytest.importorskip("tensorflow", reason="TensorFlow writes the graphs")

SIZE, CLASSES, CHANNELS = 64, 3, 8
RATIOS = (1.0, 2.0, 0.5)


def _anchors(side: int, scale: float) -> np.ndarray:
    centres = (np.arange(side) + 0.5) / side
    y, x = np.meshgrid(centres, centres, indexing="ij")
    boxes = [
        np.stack(
            [y - scale / r**0.5 / 2, x - scale * r**0.5 / 2, y + scale / r**0.5 / 2, x + scale * r**0.5 / 2]
        )
        for r in RATIOS
    ]
    return np.stack(boxes).transpose(2, 3, 0, 1).reshape(-1, 4).astype(np.float32)


def _decoded(tf: Any, encodings: Any, anchors: Any) -> Any:
    """Return float32[N, P, 4] of encodings float32[N, P, 4] against anchors float32[P, 4]."""
    height, width = anchors[:, 2] - anchors[:, 0], anchors[:, 3] - anchors[:, 1]
    middle_y, middle_x = anchors[:, 0] + height / 2, anchors[:, 1] + width / 2
    ty, tx, th, tw = tf.unstack(encodings, axis=-1)
    y, x = ty / 10.0 * height + middle_y, tx / 10.0 * width + middle_x
    half_h, half_w = tf.exp(th / 5.0) * height / 2, tf.exp(tw / 5.0) * width / 2
    return tf.stack([y - half_h, x - half_w, y + half_h, x + half_w], -1)


@cache
def tf2_detector(anchors: str, batch: int = 1) -> Graph:
    """Return a frozen detector of a function of TensorFlow 2.

    ``anchors`` are ``computed`` by the graph, or one constant in the scope of the decoding, ``tiled`` to the
    batch.
    """
    import tensorflow as tf
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    rng = np.random.default_rng(3)

    def weights(*shape: int) -> Any:
        return tf.constant(rng.normal(0, (2 / np.prod(shape[:-1])) ** 0.5, shape), tf.float32)

    ready = np.concatenate([_anchors(16, 0.2), _anchors(8, 0.6)])

    @tf.function(input_signature=[tf.TensorSpec([batch, None, None, 3], tf.uint8, name="input_tensor")])
    def detect(input_tensor: Any) -> dict[str, Any]:
        def one(picture: Any) -> Any:
            return tf.squeeze(tf.compat.v1.image.resize_bilinear(picture[None], [SIZE, SIZE]), 0)

        x = tf.map_fn(one, tf.cast(input_tensor, tf.float32))
        x = tf.reshape(x, [batch, SIZE, SIZE, 3]) * (2 / 255) - 1.0
        x = tf.nn.relu6(tf.nn.conv2d(x, weights(3, 3, 3, CHANNELS), 2, "SAME"))
        first = tf.nn.relu6(tf.nn.conv2d(x, weights(3, 3, CHANNELS, CHANNELS), 2, "SAME"))
        second = tf.nn.relu6(tf.nn.conv2d(first, weights(3, 3, CHANNELS, CHANNELS), 2, "SAME"))
        with tf.name_scope("BoxPredictor"):
            encodings, logits = [], []
            for feature in (first, second):
                boxes = tf.nn.conv2d(feature, weights(1, 1, CHANNELS, 12), 1, "SAME")
                encodings.append(tf.reshape(boxes, [batch, -1, 4]))
                scores = tf.nn.conv2d(feature, weights(1, 1, CHANNELS, 3 * (CLASSES + 1)), 1, "SAME")
                logits.append(tf.reshape(scores, [batch, -1, CLASSES + 1]))
        encoded, scores = tf.concat(encodings, 1), tf.concat(logits, 1)
        if anchors == "computed":
            decoded = _decoded(tf, encoded, tf.concat([_in_graph(tf, 16, 0.2), _in_graph(tf, 8, 0.6)], 0))
            scores = tf.sigmoid(scores)[:, :, 1:]
        else:
            with tf.name_scope("Postprocessor"):
                tiled = tf.tile(tf.expand_dims(tf.constant(ready), 0), [batch, 1, 1])
                flat = _decoded(tf, tf.reshape(encoded, [-1, 4]), tf.reshape(tiled, [-1, 4]))
                decoded = tf.reshape(flat, [batch, -1, 4])
                scores = tf.slice(tf.sigmoid(scores), [0, 0, 1], [-1, -1, -1])
        boxes, scores, classes, count = tf.image.combined_non_max_suppression(
            decoded[:, :, None, :], scores, 20, 20, 0.6, 1e-8
        )
        return {
            "detection_boxes": boxes,
            "detection_scores": scores,
            "detection_classes": classes + 1.0,
            "num_detections": tf.cast(count, tf.float32),
        }

    frozen = convert_variables_to_constants_v2(detect.get_concrete_function(), lower_control_flow=True)
    return from_bytes(frozen.graph.as_graph_def().SerializeToString())


def _in_graph(tf: Any, side: int, scale: float) -> Any:
    centres = (tf.range(side, dtype=tf.float32) + 0.5) / side
    y, x = tf.meshgrid(centres, centres, indexing="ij")
    boxes = []
    for ratio in RATIOS:
        height, width = scale / ratio**0.5, scale * ratio**0.5
        boxes.append(tf.stack([y - height / 2, x - width / 2, y + height / 2, x + width / 2], -1))
    return tf.reshape(tf.stack(boxes, 2), [-1, 4])


@pytest.mark.parametrize("anchors", ["computed", "tiled"])
def test_what_depends_on_anchors_alone_goes_with_the_decoding(anchors: str) -> None:
    graph = tf2_detector(anchors)
    made = surgeon.init(graph)
    assert not made.remarks and made.recipe.image is not None
    found = surgeon.verify(made.recipe, graph)
    assert {v.name: str(v.outcome) for v in found.verdicts} == {
        "cut to cut": "passed",
        "each alone": "passed",
        "end to end": "passed",
    }
    wrong = surgeon.parse_recipe(made.text.replace("nmsThreshold: 0.6", "nmsThreshold: 0.2"))
    assert not surgeon.verify(wrong, graph).passed


def test_a_batch_that_the_graph_fixes() -> None:
    graph = tf2_detector("tiled", batch=2)
    made = surgeon.init(graph)
    assert not made.remarks
    assert made.recipe.nodes["Input"].shape == (2, SIZE, SIZE, 3)
    assert made.recipe.engine.max_batch == 2
    assert not surgeon.check(made.recipe, graph, target="onnx@onnxruntime").problems
    assert surgeon.verify(made.recipe, graph).passed
    for right, wrong in (("nmsThreshold: 0.6", "nmsThreshold: 0.2"), ("subtract: 1.0", "subtract: 0.9")):
        assert right in made.text
        assert not surgeon.verify(surgeon.parse_recipe(made.text.replace(right, wrong)), graph).passed


def test_anchors_inside_the_decoding_leave_it_one_namespace() -> None:
    namespaces = surgeon.init(tf2_detector("tiled")).recipe.namespaces
    assert namespaces["Postprocessor"].node == "NMS"
    assert [rule.node for key, rule in namespaces.items() if key.startswith("Postprocessor/")] == [
        "GridAnchor"
    ]
