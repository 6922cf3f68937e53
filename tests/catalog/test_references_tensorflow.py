"""References against operations of TensorFlow, and against one another, on random inputs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from surgeon.catalog import load_catalog

tf = pytest.importorskip("tensorflow", reason="TensorFlow is the referee")

CATALOG = load_catalog()
ROUNDING = 1e-6


def run(op: str, fields: dict[str, Any], *inputs: np.ndarray) -> tuple[np.ndarray, ...]:
    reference = CATALOG.reference(op)
    assert reference is not None
    return reference.run(fields, inputs)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(23)


def normal(rng: np.random.Generator, *shape: int) -> np.ndarray:
    return rng.standard_normal(shape).astype(np.float32)


def near(a: np.ndarray, b: Any, tolerance: float = ROUNDING) -> bool:
    b = np.asarray(b)
    return a.shape == b.shape and bool(np.allclose(a, b, rtol=0, atol=tolerance))


def channels_last(x: np.ndarray) -> np.ndarray:
    return x.transpose(0, 2, 3, 1)


def channels_first(x: Any) -> np.ndarray:
    return np.asarray(x).transpose(0, 3, 1, 2)


# Element by element, and moves of elements


@pytest.mark.parametrize("op", ["Clip_TRT", "CustomClipPlugin"])
def test_clip(rng: np.random.Generator, op: str) -> None:
    x = normal(rng, 2, 3, 4, 5)
    (y,) = run(op, {"clipMin": -0.5, "clipMax": 0.75}, x)
    assert np.array_equal(y, tf.clip_by_value(x, -0.5, 0.75)) and not np.array_equal(
        y, tf.clip_by_value(x, -0.5, 0.7)
    )


def test_leaky_relu(rng: np.random.Generator) -> None:
    x = normal(rng, 2, 3, 4, 5)
    (y,) = run("LReLU_TRT", {"negSlope": 0.1}, x)
    assert near(y, tf.nn.leaky_relu(x, 0.1)) and not near(y, tf.nn.leaky_relu(x, 0.2))


@pytest.mark.parametrize("scale", [1.0, 2.0, 3.0, 1.5, 0.5])
def test_nearest_neighbour(rng: np.random.Generator, scale: float) -> None:
    x = normal(rng, 2, 3, 4, 6)
    (y,) = run("ResizeNearest_TRT", {"scale": scale}, x)
    size = [int(4 * scale), int(6 * scale)]
    expected = channels_first(tf.compat.v1.image.resize_nearest_neighbor(channels_last(x), size))
    assert np.array_equal(y, expected)
    wrong = channels_first(tf.compat.v1.image.resize_nearest_neighbor(channels_last(x[..., ::-1]), size))
    assert not np.array_equal(y, wrong)


@pytest.mark.parametrize("stride", [2, 3])
def test_reorganisation_is_space_to_depth_of_the_memory(rng: np.random.Generator, stride: int) -> None:
    square = stride * stride
    x = normal(rng, 2, 2 * square, 2 * stride, 3 * stride)
    (y,) = run("Reorg_TRT", {"stride": stride}, x)
    memory = x.reshape(2, 2, 2 * square, 3 * square)
    expected = channels_first(tf.nn.space_to_depth(channels_last(memory), stride)).reshape(y.shape)
    plain = channels_first(tf.nn.space_to_depth(channels_last(x), stride))
    assert y.shape == plain.shape == (2, 2 * square**2, 2, 3)
    assert np.array_equal(y, expected) and not np.array_equal(y, plain)


def test_parts(rng: np.random.Generator) -> None:
    x = normal(rng, 2, 6, 3, 4)
    parts = run("Split_TRT", {"axis": 1, "output_lengths": [1, 2, 3]}, x)
    assert all(np.array_equal(a, b) for a, b in zip(parts, tf.split(x, [1, 2, 3], 1), strict=True))
    assert not np.array_equal(parts[0], tf.split(x, [1, 2, 3], 1)[1][:, :1])


def test_batches(rng: np.random.Generator) -> None:
    x = normal(rng, 1, 2, 3, 4)
    (y,) = run("BatchTilePlugin_TRT", {}, np.zeros((5, 1, 1, 1), np.float32), x)
    assert np.array_equal(y, tf.tile(x, [5, 1, 1, 1])) and not np.array_equal(
        y, tf.tile(x[..., ::-1], [5, 1, 1, 1])
    )


def test_slices(rng: np.random.Generator) -> None:
    x = normal(rng, 2, 7, 6)
    (y,) = run("SpecialSlice_TRT", {}, x)
    assert np.array_equal(y, tf.slice(x, [0, 0, 0], [2, 7, 4])) and not np.array_equal(
        y, tf.slice(x, [0, 0, 2], [2, 7, 4])
    )


def test_coordinates_of_square_maps(rng: np.random.Generator) -> None:
    x = normal(rng, 2, 3, 5, 5)
    (y,) = run("CoordConvAC", {}, x)
    line = tf.linspace(-1.0, 1.0, 5)
    across, down = tf.meshgrid(line, line)
    assert np.array_equal(y[:, :3], x)
    assert near(y[1, 3], down) and near(y[1, 4], across) and not near(y[1, 3], across)


# Normalisation


@pytest.mark.parametrize("across", [0, 1])
def test_lengths(rng: np.random.Generator, across: int) -> None:
    x = normal(rng, 2, 5, 3, 4)
    fields = {"acrossSpatial": across, "channelShared": 1, "eps": 1e-10, "nbWeights": 1, "weights": [20.0]}
    (y,) = run("Normalize_TRT", fields, x)
    assert near(y / 20, tf.math.l2_normalize(x, [1, 2, 3] if across else 1))
    assert not near(y / 20, tf.math.l2_normalize(x, 1 if across else [1, 2, 3]))


def test_weights_of_channels_multiply_or_divide(rng: np.random.Generator) -> None:
    x, weights = normal(rng, 2, 5, 3, 4), np.arange(1, 6, dtype=np.float32)
    fields = {"channelShared": 0, "eps": 1e-10, "nbWeights": 1, "weights": weights.tolist()}
    scale = weights[:, None, None]
    (over_channels,) = run("Normalize_TRT", {**fields, "acrossSpatial": 0}, x)
    (over_picture,) = run("Normalize_TRT", {**fields, "acrossSpatial": 1}, x)
    assert near(over_channels, tf.math.l2_normalize(x, 1) * scale, 4 * ROUNDING)
    assert near(over_picture, tf.math.l2_normalize(x, [1, 2, 3]) / scale)
    assert not near(over_picture, tf.math.l2_normalize(x, [1, 2, 3]) * scale)


@pytest.mark.parametrize("relu", [0, 1])
@pytest.mark.parametrize("spatial", [(4, 5), (2, 4, 5)])
def test_instances(rng: np.random.Generator, relu: int, spatial: tuple[int, ...]) -> None:
    x, scale, bias = normal(rng, 2, 3, *spatial) + 3, normal(rng, 3), normal(rng, 3)
    fields = {"epsilon": 1e-3, "scales": scale.tolist(), "bias": bias.tolist(), "relu": relu, "alpha": 0.25}
    (y,) = run("InstanceNormalization_TRT", fields, x)
    axes = list(range(2, x.ndim))
    mean, variance = tf.nn.moments(x, axes, keepdims=True)
    shape = [1, 3, *[1] * len(axes)]
    expected = tf.nn.batch_normalization(x, mean, variance, bias.reshape(shape), scale.reshape(shape), 1e-3)
    expected, other = (
        (tf.nn.leaky_relu(expected, 0.25), expected) if relu else (expected, tf.nn.leaky_relu(expected, 0.25))
    )
    assert near(y, expected, 4e-6) and not near(y, other, 4e-6)


def test_region(rng: np.random.Generator) -> None:
    boxes, classes = 3, 4
    x = normal(rng, 2, boxes * (5 + classes), 2, 3) * 4
    (y,) = run("Region_TRT", {"num": boxes, "coords": 4, "classes": classes}, x)
    parts = x.reshape(2, boxes, 5 + classes, 2, 3)
    expected = np.concatenate(
        [
            tf.sigmoid(parts[:, :, :2]),
            parts[:, :, 2:4],
            tf.sigmoid(parts[:, :, 4:5]),
            tf.nn.softmax(parts[:, :, 5:], axis=2),
        ],
        axis=2,
    )
    assert near(y, expected.reshape(x.shape))
    assert not near(y, np.concatenate([expected[:, :, :5], parts[:, :, 5:]], axis=2).reshape(x.shape))


# Anchors


def test_prior_boxes_are_the_grid_anchors_in_another_order() -> None:
    grid = {
        "numLayers": 3,
        "minSize": 0.3,
        "maxSize": 0.8,
        "aspectRatios": [1, 2, 0.5, 3, 1 / 3],
        "variance": [0.1, 0.1, 0.2, 0.2],
        "featureMapShapes": [5, 4, 2],
    }
    layer = run("GridAnchor_TRT", grid)[1].reshape(2, 16, 6, 4)
    scales = [0.55 * 300, np.sqrt(0.55 * 0.8) ** 2 / 0.55 * 300]
    fields = {
        "minSize": [scales[0]],
        "maxSize": [scales[1]],
        "aspectRatios": [2, 3],
        "flip": 1,
        "clip": 0,
        "variance": [0.1, 0.1, 0.2, 0.2],
        "imgH": 0,
        "imgW": 0,
        "stepH": 0,
        "stepW": 0,
        "offset": 0.5,
    }
    priors = run(
        "PriorBox_TRT", fields, np.zeros((1, 8, 4, 4), np.float32), np.zeros((1, 3, 300, 300), np.float32)
    )[0]
    ours = priors.reshape(2, 16, 6, 4)[:, :, [0, 2, 3, 4, 5, 1]]
    assert near(ours, layer) and not near(priors.reshape(2, 16, 6, 4), layer)


# Suppression


def crowd(
    rng: np.random.Generator, pictures: int, count: int, classes: int, own: int = 1
) -> tuple[np.ndarray, np.ndarray]:
    """Return boxes float32[N, P, own, 4], some beyond the picture, and scores float32[N, P, C], all different."""
    center, half = (
        rng.random((pictures, count, own, 2)) * 1.1,
        0.1 + rng.random((pictures, count, own, 2)) * 0.25,
    )
    boxes = np.concatenate([center - half, center + half], axis=-1).astype(np.float32)
    scores = rng.permutation(pictures * count * classes).reshape(pictures, count, classes) / (
        pictures * count * classes
    )
    return boxes, scores.astype(np.float32)


def combined(
    boxes: np.ndarray, scores: np.ndarray, of_class: int, most: int, **options: Any
) -> list[np.ndarray]:
    """Return number, boxes, scores and classes by TensorFlow."""
    rows, best, classes, number = tf.image.combined_non_max_suppression(
        boxes, scores, of_class, most, 0.4, 0.3, **options
    )
    return [number.numpy(), rows.numpy(), best.numpy(), classes.numpy()]


def same(found: list[np.ndarray], expected: list[np.ndarray]) -> bool:
    pairs = zip(found, expected, strict=True)
    return all(a.shape == b.shape and np.array_equal(a, b.astype(a.dtype)) for a, b in pairs)


@pytest.mark.parametrize("op", ["BatchedNMS_TRT", "BatchedNMSDynamic_TRT"])
@pytest.mark.parametrize(("own", "clipped", "kept"), [(1, 0, 40), (5, 0, 40), (1, 1, 40), (5, 1, 900)])
def test_batched_suppression(rng: np.random.Generator, op: str, own: int, clipped: int, kept: int) -> None:
    boxes, scores = crowd(rng, 2, 200, 5, own)
    fields = {
        "shareLocation": int(own == 1),
        "backgroundLabelId": -1,
        "numClasses": 5,
        "topK": 900,
        "keepTopK": kept,
        "scoreThreshold": 0.3,
        "iouThreshold": 0.4,
        "isNormalized": 1,
        "clipBoxes": clipped,
    }
    expected = combined(boxes, scores, kept, kept, clip_boxes=bool(clipped))
    expected[3][np.arange(kept) >= expected[0][:, None]] = -1

    def ours(**other: Any) -> list[np.ndarray]:
        number, *rest = run(op, {**fields, **other}, boxes, scores)
        return [number.reshape(-1), *rest]

    assert same(ours(), expected)
    for other in ({"iouThreshold": 0.6}, {"clipBoxes": 1 - clipped}, {"backgroundLabelId": 0}):
        assert not same(ours(**other), expected)


@pytest.mark.parametrize("op", ["EfficientNMS_Explicit_TF_TRT", "EfficientNMS_Implicit_TF_TRT"])
@pytest.mark.parametrize(
    ("own", "of_class", "most", "padded"), [(1, 20, 60, 0), (5, 4, 60, 0), (1, 4, 60, 1), (5, 60, 60, 0)]
)
def test_efficient_suppression(
    rng: np.random.Generator, op: str, own: int, of_class: int, most: int, padded: int
) -> None:
    boxes, scores = crowd(rng, 2, 200, 5, own)
    expected = combined(boxes, scores, of_class, most, pad_per_class=bool(padded))

    def ours(**other: Any) -> list[np.ndarray]:
        fields = {
            "max_output_size_per_class": of_class,
            "max_total_size": most,
            "iou_threshold": 0.4,
            "score_threshold": 0.3,
            "pad_per_class": padded,
            "clip_boxes": 1,
        }
        number, *rest = run(op, {**fields, **other}, boxes, scores)
        return [number.reshape(-1), *rest]

    assert same(ours(), expected)
    for other in ({"iou_threshold": 0.6}, {"clip_boxes": 0}, {"max_output_size_per_class": 3}):
        assert not same(ours(**other), expected)


@pytest.mark.parametrize("coding", [0, 1])
def test_indices(rng: np.random.Generator, coding: int) -> None:
    boxes, scores = crowd(rng, 2, 150, 1)
    given = boxes[:, :, 0]
    if coding:
        given = np.concatenate(
            [(given[..., :2] + given[..., 2:]) / 2, given[..., 2:] - given[..., :2]], axis=-1
        )
    most = 30
    fields = {
        "score_threshold": 0.3,
        "iou_threshold": 0.4,
        "max_output_boxes_per_class": most,
        "center_point_box": coding,
    }
    (found,) = run("EfficientNMS_ONNX_TRT", fields, given, scores)
    expected = [
        (n, 0, box)
        for n in range(2)
        for box in tf.raw_ops.NonMaxSuppressionV3(
            boxes=boxes[n, :, 0],
            scores=scores[n, :, 0],
            max_output_size=most,
            iou_threshold=0.4,
            score_threshold=0.3,
        ).numpy()
    ]
    assert 2 * most >= len(expected) > most and found[: len(expected)].tolist() == [
        list(row) for row in expected
    ]
    assert (found[len(expected) :] == found[len(expected) - 1]).all()
    (other,) = run("EfficientNMS_ONNX_TRT", {**fields, "center_point_box": 1 - coding}, given, scores)
    assert not np.array_equal(found, other)


def test_decoding_from_anchors_is_that_of_the_ssd(rng: np.random.Generator) -> None:
    anchors, scores = crowd(rng, 1, 120, 3)
    encodings = normal(rng, 1, 120, 4) * 0.3
    low, high = anchors[:, :, 0, :2], anchors[:, :, 0, 2:]
    centers = np.concatenate([(low + high) / 2, high - low], axis=-1)
    kept = 50
    number, boxes, best, classes = run(
        "EfficientNMS_TRT",
        {
            "score_threshold": 0.3,
            "iou_threshold": 0.4,
            "max_output_boxes": kept,
            "background_class": 0,
            "score_activation": 0,
            "box_coding": 1,
        },
        encodings,
        scores,
        centers,
    )
    prior = np.stack([anchors[0, :, 0].ravel(), np.ones(480, np.float32)]).reshape(1, 2, -1, 1)
    ssd = {
        "shareLocation": 1,
        "varianceEncodedInTarget": 0,
        "backgroundLabelId": 0,
        "numClasses": 3,
        "topK": 120,
        "keepTopK": kept,
        "confidenceThreshold": 0.3,
        "nmsThreshold": 0.4,
        "inputOrder": [0, 1, 2],
        "confSigmoid": 0,
        "isNormalized": 1,
        "codeType": 1,
    }
    detections, count = run(
        "NMS_TRT", ssd, encodings.reshape(1, -1, 1, 1), scores.reshape(1, -1, 1, 1), prior
    )
    rows = detections[0, 0, : number[0, 0]]
    assert count.view(np.int32)[0, 0, 0, 0] == number[0, 0] > 10
    assert np.array_equal(rows[:, 1], classes[0, : len(rows)]) and np.array_equal(
        rows[:, 2], best[0, : len(rows)]
    )
    assert near(rows[:, 3:], np.clip(boxes[0, : len(rows)], 0, 1))
    (turned, _) = run(
        "NMS_TRT", {**ssd, "codeType": 3}, encodings.reshape(1, -1, 1, 1), scores.reshape(1, -1, 1, 1), prior
    )
    assert not np.array_equal(turned, detections)
