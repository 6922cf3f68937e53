"""The training of the demo model: targets, the network's computation, the measure, and a few steps of it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("PIL", reason="Pillow draws the pictures")

from surgeon.zoo.demo.pictures import CLASSES, LabelledPicture, make_picture
from surgeon.zoo.training.evaluation import evaluate, fresh_pictures
from surgeon.zoo.training.targets import anchors, corners, decode, targets
from surgeon.zoo.training.trainer import OPTIONS, Schedule, batches, sample


def test_encodings_of_targets_decode_to_the_objects() -> None:
    boxes = anchors(OPTIONS)
    assert boxes.shape == (sum(OPTIONS.anchors_per_layer()), 4)
    picture = make_picture(2, 5)
    target = targets(boxes, picture.boxes, picture.labels)
    matched = np.flatnonzero(target.label > 0)
    decoded = decode(target.encoding[matched], boxes[matched])
    nearest = np.abs(decoded[:, None] - picture.boxes[None]).max(2)
    assert nearest.min(1).max() < 1e-5 and set(nearest.argmin(1)) == set(range(len(picture.boxes)))
    assert (picture.labels[nearest.argmin(1)] == target.label[matched]).all()
    # The anchors themselves are not the objects.
    assert np.abs(corners(boxes[matched])[:, None] - picture.boxes[None]).max(2).min(1).max() > 1e-3


def test_a_picture_without_objects_has_nothing_to_find() -> None:
    target = targets(anchors(OPTIONS), np.zeros((0, 4), np.float32), np.zeros(0, np.int64))
    assert not target.label.any() and not target.encoding.any()


def test_every_second_sample_is_mirrored_with_its_boxes() -> None:
    boxes = anchors(OPTIONS)
    pixels, label, encoding = sample(boxes, 4, 1)
    assert pixels.shape == (300, 300, 3) and pixels.dtype == np.uint8
    picture = make_picture(4, 1)
    mirrored = np.stack(
        [picture.boxes[:, 0], 1 - picture.boxes[:, 3], picture.boxes[:, 2], 1 - picture.boxes[:, 1]], 1
    )
    found = decode(encoding[label > 0].astype(np.float32), boxes[label > 0])
    assert np.abs(found[:, None] - mirrored[None]).max(2).min(1).max() < 2e-3
    assert np.abs(found[:, None] - picture.boxes[None]).max(2).min(1).max() > 2e-3


def perfect(pictures: list[LabelledPicture], shift: float = 0.0, turn: int = 0) -> float:
    """Return the mAP of a detector that knows the answers, moved by ``shift`` and with labels ``turn`` further."""
    answers = {p.pixels.tobytes(): p for p in pictures}

    def detect(pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        truth = answers[pixels.tobytes()]
        return (
            truth.boxes + np.float32(shift),
            np.ones(len(truth.labels)),
            (truth.labels - 1 + turn) % len(CLASSES) + 1,
        )

    return evaluate(detect, pictures).map50


def test_the_measure_knows_right_from_wrong() -> None:
    pytest.importorskip("pycocotools", reason="pycocotools measures")
    pictures = list(fresh_pictures(12))
    assert perfect(pictures) == pytest.approx(1.0)
    assert perfect(pictures, shift=0.3) < 0.1
    assert perfect(pictures, turn=1) < 0.1
    assert evaluate(lambda pixels: (np.zeros((0, 4)), np.zeros(0), np.zeros(0, int)), pictures).map50 == 0


def test_the_frozen_graph_computes_what_the_network_computes() -> None:
    tf = pytest.importorskip("tensorflow", reason="TensorFlow runs both")
    from surgeon.formats.graphdef import from_bytes
    from surgeon.graph import Ref
    from surgeon.runners.tensorflow import TensorFlowRunner
    from surgeon.zoo.ssd import build_ssd
    from surgeon.zoo.training.network import TrainableNetwork

    options = replace(OPTIONS, depth_multiplier=0.1)
    network = TrainableNetwork(options, seed=3)
    pixels = np.random.default_rng(0).integers(0, 256, (1, 300, 300, 3)).astype(np.uint8)
    for _ in range(3):
        network(
            tf.constant(pixels), training=True
        )  # the moving averages are no longer those of the beginning
    encodings, scores = (part.numpy() for part in network(tf.constant(pixels), training=False))
    graph = from_bytes(build_ssd(options, network.values))
    runner = TensorFlowRunner(graph, [Ref("Squeeze"), Ref("concat_1")])
    frozen = runner.run({"image_tensor": pixels})
    # Batch norm is one operation here and four there.
    assert np.abs(frozen["Squeeze"] - encodings).max() < 1e-4 < np.abs(encodings).max()
    assert np.abs(frozen["concat_1"] - scores).max() < 1e-4 < np.ptp(scores)


@pytest.mark.exhaustive
def test_a_few_steps_change_the_weights_and_are_written(tmp_path: Path) -> None:
    pytest.importorskip("tensorflow", reason="TensorFlow trains")
    from surgeon.zoo.training.network import TrainableNetwork
    from surgeon.zoo.training.trainer import step_of

    schedule = Schedule(steps=2, batch=2, first_pictures=2, new_pictures=1, warmup=1)
    network = TrainableNetwork(OPTIONS, seed=0)
    before = {name: variable.numpy() for name, variable in network.variables.items()}
    step = step_of(network, schedule)
    losses = [
        [float(x) for x in step(*batch, schedule.rate_at(i))] for i, batch in enumerate(batches(schedule, 0))
    ]
    assert len(losses) == 2 and np.isfinite(losses).all() and np.min(losses) > 0
    # Where no object is matched to a feature map, its box predictor learns nothing.
    taught = [name for name in before if "BoxEncodingPredictor" not in name]
    assert [name for name in taught if (before[name] == network.variables[name].numpy()).all()] == []


def test_batches_are_the_seed_s() -> None:
    schedule = Schedule(steps=2, batch=2, first_pictures=2, new_pictures=1)
    first, again, other = ([b[0].tobytes() for b in batches(schedule, seed)] for seed in (1, 1, 2))
    assert first == again and not set(first) & set(other)


def test_the_schedule_rises_and_falls() -> None:
    schedule = Schedule(steps=1000)
    rates = [schedule.rate_at(step) for step in range(1000)]
    assert rates[0] < 1e-4 and max(rates) == pytest.approx(schedule.rate, rel=0.1) and rates[-1] < 2e-5
    assert int(np.argmax(rates)) < 2 * schedule.warmup
    assert json.loads(json.dumps(rates)) == rates


@pytest.mark.exhaustive
def test_a_wider_network_is_trained_and_written(tmp_path: Path) -> None:
    pytest.importorskip("tensorflow", reason="TensorFlow trains")
    from surgeon.zoo.training.trainer import train

    schedule = Schedule(steps=1, batch=2, first_pictures=2, new_pictures=1, warmup=1)
    sizes = []
    for width in (0.1, 0.2):
        train(tmp_path / str(width), 0, schedule, evaluated=0, width=width)
        sizes.append((tmp_path / str(width) / "model.pb").stat().st_size)
    assert sizes[1] > 1.5 * sizes[0]
