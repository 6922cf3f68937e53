"""The reference of SurgeonDetection against TensorFlow's own suppression, hard and soft, on random boxes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from surgeon.catalog import load_catalog
from surgeon.diagnostics import SurgeonError
from surgeon.graph import TensorSpec

CATALOG = load_catalog()
FIELDS: dict[str, Any] = {
    "classes": 4,
    "background": -1,
    "coding": 0,
    "scoreConverter": 0,
    "scoreThreshold": 0.1,
    "iouThreshold": 0.5,
    "maxPerClass": 30,
    "maxTotal": 50,
    "clip": 0,
    "dropEmpty": 0,
}
BOXES = 200
ROUNDING = 1e-6


def found(changes: dict[str, Any], boxes: np.ndarray, scores: np.ndarray) -> np.ndarray:
    reference = CATALOG.reference("SurgeonDetection")
    assert reference is not None
    inputs = [boxes.reshape(1, -1, 1, 1), scores.reshape(1, -1, 1, 1)]
    rows, count = reference.run(FIELDS | changes, inputs)
    return rows[0, 0, : count.view(np.int32).item()]


def expected(changes: dict[str, Any], boxes: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Return label, score and box as the Object Detection API puts them together from its operation's results."""
    tf = pytest.importorskip("tensorflow", reason="TensorFlow is the referee")
    fields = FIELDS | {"softSigma": 0.0} | changes
    rows = []
    for label in range(scores.shape[1]):
        chosen, kept, _ = tf.raw_ops.NonMaxSuppressionV5(
            boxes=boxes,
            scores=scores[:, label],
            max_output_size=fields["maxPerClass"],
            iou_threshold=fields["iouThreshold"],
            score_threshold=fields["scoreThreshold"],
            soft_nms_sigma=fields["softSigma"],
        )
        rows += [
            (label, score, *boxes[box][[1, 0, 3, 2]])
            for box, score in zip(chosen.numpy(), kept.numpy(), strict=True)
        ]
    every = np.array(rows, np.float32)
    return every[np.argsort(-every[:, 1], kind="stable")][: fields["maxTotal"]]


@pytest.fixture(scope="module")
def picture() -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(7)
    centre, half = random.random((BOXES, 2)), random.uniform(0.05, 0.2, (BOXES, 2))
    boxes = np.concatenate([centre - half, centre + half], 1).astype(np.float32)
    boxes[::5] = boxes[1::5]  # some are the same
    return boxes, random.random((BOXES, 4), dtype=np.float32)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"iouThreshold": 0.1},
        {"maxPerClass": 5},
        {"maxTotal": 500, "maxPerClass": 500},
        {"softSigma": 0.5, "iouThreshold": 1.0},
        {"softSigma": 0.2, "iouThreshold": 1.0, "maxTotal": 500, "maxPerClass": 500},
        {"softSigma": 0.5, "iouThreshold": 1.0, "maxPerClass": 6, "scoreThreshold": 0.5},
    ],
)
def test_it_keeps_what_tensorflow_keeps(
    picture: tuple[np.ndarray, np.ndarray], changes: dict[str, Any]
) -> None:
    rows, wanted = found(changes, *picture), expected(changes, *picture)
    assert rows.shape == (len(wanted), 7) and len(wanted)
    assert np.allclose(rows[:, 1:], wanted, rtol=0, atol=ROUNDING)
    # A control: another threshold of overlap, or another sigma, keeps other boxes.
    other = {"iouThreshold": 0.01, "softSigma": changes.get("softSigma", 0.0) / 3}
    control = expected(changes | other, *picture)
    assert len(control) != len(rows) or not np.allclose(rows[:, 1:], control, rtol=0, atol=0.01)


def test_a_best_class_for_each_box(picture: tuple[np.ndarray, np.ndarray]) -> None:
    boxes, scores = picture
    rows = found({"classAgnostic": 1}, boxes, scores)
    alone = expected({}, boxes, scores.max(axis=1, keepdims=True))
    assert np.allclose(rows[:, 2:], alone[:, 1:], rtol=0, atol=ROUNDING)
    labels = {float(score): label for score, label in zip(scores.max(1), scores.argmax(1), strict=True)}
    assert [labels[float(score)] for score in rows[:, 2]] == rows[:, 1].tolist()


@pytest.mark.parametrize(
    ("sizes", "changes", "part"),
    [
        ((16, 16, 32), {}, "numbers a picture; expected 16"),
        ((16, 15, 32), {}, "a multiple of 4"),
        ((16, 16, 24), {"coding": 1}, "taken as prior"),
        ((16, 16), {"coding": 1}, "expected anchors"),
    ],
)
def test_sizes_that_do_not_go_together(sizes: tuple[int, ...], changes: dict[str, Any], part: str) -> None:
    spec = CATALOG["SurgeonDetection"]
    good = [TensorSpec.of("float32", 2, size, 1, 1) for size in (16, 16, 32)]
    shapes = spec.output_specs(spec.complete(FIELDS | {"coding": 1}), good)
    assert [str(each) for each in shapes] == ["float32[2,1,50,7]", "float32[2,1,1,1]"]
    if part == "numbers a picture; expected 16":
        sizes = (12, *sizes[1:])
    with pytest.raises(SurgeonError) as caught:
        spec.output_specs(
            spec.complete(FIELDS | changes), [TensorSpec.of("float32", 2, size, 1, 1) for size in sizes]
        )
    assert caught.value.diagnostics[0].code == "C109" and part in str(caught.value)


def test_a_background_outside_the_classes() -> None:
    with pytest.raises(SurgeonError) as caught:
        CATALOG["SurgeonDetection"].complete(FIELDS | {"background": 4})
    assert caught.value.diagnostics[0].code == "C108"
