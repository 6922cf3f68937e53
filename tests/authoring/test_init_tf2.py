"""Recipes for detectors as TensorFlow 2 leaves them: flat names, anchors that the graph holds ready-made."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import surgeon
from surgeon.authoring.author import recognised
from surgeon.formats.graphdef import from_bytes
from surgeon.graph import DType, Graph, Node, Ref, apply_edits
from surgeon.steps.fold_constants import FoldConstants
from surgeon.steps.step import StepContext

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


def tf2_function(anchors: str, batch: int = 1, suppression: str = "combined") -> Any:
    """Return a detector as a function of TensorFlow 2.

    ``anchors`` are ``computed`` by the graph, or one constant in the scope of the decoding, ``tiled`` to the
    batch. ``suppression`` is one operation for all classes, ``combined``; or one for each, with more outputs
    than detections: ``each``, or ``looped`` over the batch.
    """
    import tensorflow as tf

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
        if suppression != "combined":
            return _suppressed(tf, decoded, scores, suppression == "looped")
        boxes, scores, classes, count = tf.image.combined_non_max_suppression(
            decoded[:, :, None, :], scores, 20, 20, 0.6, 1e-8
        )
        return {
            "detection_boxes": boxes,
            "detection_scores": scores,
            "detection_classes": classes + 1.0,
            "num_detections": tf.cast(count, tf.float32),
        }

    return detect


def _suppressed(tf: Any, decoded: Any, scores: Any, looped: bool) -> dict[str, Any]:
    """Return the outputs of an exporter of TensorFlow 2 from float32[1, P, 4] and float32[1, P, C].

    ``looped`` goes over the batch in a loop. ``detection_multiclass_scores`` has the shape of the boxes, and
    ``detection_anchor_indices`` that of the classes.
    """
    most = 20

    def one(picture: tuple[Any, Any]) -> tuple[Any, ...]:
        parts = []
        for number in range(CLASSES):
            kept, best, _ = tf.raw_ops.NonMaxSuppressionV5(
                boxes=picture[0],
                scores=picture[1][:, number],
                max_output_size=most,
                iou_threshold=0.6,
                score_threshold=1e-8,
                soft_nms_sigma=0.0,
            )
            label = tf.fill(tf.shape(kept), float(number))
            columns = tf.pad(tf.gather(picture[1], kept), [[0, 0], [1, 0]])
            parts.append((tf.gather(picture[0], kept), best, label, tf.cast(kept, tf.float32), columns))
        joined = [tf.concat(group, 0) for group in zip(*parts, strict=True)]
        order = tf.math.top_k(joined[1], tf.minimum(most, tf.shape(joined[1])[0])).indices
        chosen = [tf.gather(tensor, order) for tensor in joined]
        count = tf.shape(chosen[1])[0]

        def padded(tensor: Any) -> Any:
            rest = [[0, 0]] * (tensor.shape.rank - 1)
            whole = tf.pad(tensor, [[0, most - count], *rest])
            return tf.ensure_shape(whole, [most, *tensor.shape[1:]])

        return (*map(padded, chosen), tf.cast(count, tf.float32))

    if looped:
        tensors = tf.map_fn(one, (decoded, scores), fn_output_signature=(tf.float32,) * 6)
    else:
        tensors = [tensor[None] for tensor in one((decoded[0], scores[0]))]
    boxes, best, labels, indices, columns, count = tensors
    return {
        "detection_anchor_indices": indices,
        "detection_boxes": tf.clip_by_value(boxes, 0.0, 1.0),
        "detection_classes": labels + 1.0,
        "detection_multiclass_scores": columns,
        "detection_scores": best,
        "num_detections": count,
        "raw_detection_boxes": decoded,
        "raw_detection_scores": scores,
    }


@cache
def tf2_detector(anchors: str, batch: int = 1, suppression: str = "combined") -> Graph:
    """Return :func:`tf2_function` as a frozen graph."""
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    detect = tf2_function(anchors, batch, suppression)
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
    assert not made.diagnostics and made.recipe.image is not None
    found = surgeon.verify(made.recipe, graph)
    assert {v.name: str(v.outcome) for v in found.verdicts} == {
        "cut to cut": "passed",
        "each alone": "passed",
        "end to end": "passed",
    }
    if anchors == "tiled":
        _assert_wrong_overlap_fails(made.text, graph)


def _assert_wrong_overlap_fails(text: str, graph: Graph) -> None:
    assert "nmsThreshold: 0.6" in text
    wrong = surgeon.parse_recipe(text.replace("nmsThreshold: 0.6", "nmsThreshold: 0.2"))
    assert not surgeon.verify(wrong, graph).passed


def test_a_batch_that_the_graph_fixes() -> None:
    graph = tf2_detector("tiled", batch=2)
    made = surgeon.init(graph)
    assert not made.diagnostics
    assert made.recipe.nodes["Input"].shape == (2, SIZE, SIZE, 3)
    assert made.recipe.engine.max_batch == 2
    assert not surgeon.check(made.recipe, graph, target="onnx@onnxruntime").errors
    assert surgeon.verify(made.recipe, graph).passed
    assert "subtract: 1.0" in made.text
    wrong = surgeon.parse_recipe(made.text.replace("subtract: 1.0", "subtract: 0.9"))
    assert not surgeon.verify(wrong, graph).passed


def test_anchors_inside_the_decoding_leave_it_one_namespace() -> None:
    namespaces = surgeon.init(tf2_detector("tiled")).recipe.namespaces
    assert namespaces["Postprocessor"].node == "NMS"
    assert [rule.node for key, rule in namespaces.items() if key.startswith("Postprocessor/")] == [
        "GridAnchor"
    ]


def _assert_verified(graph: Graph, outputs: dict[str, str]) -> str:
    """Assert that outputs are told apart, and a recipe for them verifies; return the recipe."""
    family = recognised(graph)
    assert {port: str(ref) for port, ref in family.outputs.value.items()} == outputs
    made = surgeon.init(graph)
    assert surgeon.verify(made.recipe, graph).passed
    return made.text


@pytest.mark.parametrize("suppression", ["each", "looped"])
def test_nameless_outputs_are_told_apart_by_what_feeds_them(suppression: str) -> None:
    graph = tf2_detector("tiled", suppression=suppression)
    assert [str(ref) for ref in graph.output_refs][:3] == ["Identity", "Identity_1", "Identity_2"]
    text = _assert_verified(
        graph,
        {"boxes": "Identity_1", "scores": "Identity_4", "classes": "Identity_2", "count": "Identity_5"},
    )
    if suppression == "looped":
        _assert_wrong_overlap_fails(text, graph)


def test_anchors_that_were_folded_into_the_decoding_are_what_zeros_decode_to() -> None:
    graph = tf2_detector("tiled", suppression="each")
    step = FoldConstants.model_validate({"step": "fold-constants"})
    folded = apply_edits(graph, step.plan(StepContext(graph)))
    family, before = recognised(folded), recognised(graph)
    assert family.anchor_source is None and before.anchor_source is not None
    assert np.abs(family.anchors.value - before.anchors.value).max() < 1e-6
    made = surgeon.init(folded)
    assert made.recipe.anchors == "constant" and surgeon.verify(made.recipe, folded).passed


def test_outputs_that_only_wait_for_suppression_hold_no_detections() -> None:
    graph = tf2_detector("tiled", suppression="each")
    suppression = next(node.name for node in graph if "NonMaxSuppression" in node.op)
    boxes = recognised(graph).decoded.value
    raw = Node("Identity_9", "Identity", (boxes,), (suppression,), {"T": DType.FLOAT32})
    more = graph.replace([*graph, raw], [*graph.output_refs, Ref("Identity_9")])
    assert str(recognised(more).outputs.value["boxes"]) == "Identity_1"


def test_indices_beside_classes_without_an_offset_are_told_apart() -> None:
    graph = tf2_detector("tiled", suppression="each")
    classes = graph[graph["Identity_2"].inputs[0].node]
    assert classes.op == "AddV2"
    kept = [node for node in graph if node.name != classes.name]
    bare = graph.replace(
        replace(node, inputs=classes.inputs[:1]) if node.name == "Identity_2" else node for node in kept
    )
    outputs = recognised(bare).outputs.value
    assert str(outputs["classes"]) == "Identity_2" and str(outputs["scores"]) == "Identity_4"


def test_a_saved_model_keeps_the_names_of_its_signature(tmp_path: Path) -> None:
    import tensorflow as tf

    module = tf.Module()
    module.detect = tf2_function("tiled", suppression="each")
    tf.saved_model.save(module, str(tmp_path), signatures=module.detect)
    graph = surgeon.load_graph(tmp_path)
    ports = {"boxes": "detection_boxes", "scores": "detection_scores", "classes": "detection_classes"}
    assert "raw_detection_scores" in map(str, graph.outputs)
    _assert_verified(graph, {**ports, "count": "num_detections"})
