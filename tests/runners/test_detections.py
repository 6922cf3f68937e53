"""Detections: read off both kinds of outputs, and matched one to one."""

from __future__ import annotations

import importlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from surgeon.catalog import load_catalog
from surgeon.catalog.detections import gives_detections
from surgeon.diagnostics import SurgeonError
from surgeon.graph import DType, Graph, Node, Ref, Shape
from surgeon.runners.detections import (
    NEAR,
    WHOLE,
    Detections,
    Window,
    detections_of_original,
    detections_of_plugin,
    most_kept,
    pair,
)
from surgeon.runners.references import ReferenceRunner

pytest.importorskip("onnx")
onnx_inputs = importlib.import_module("onnx_inputs")
CATALOG = load_catalog()

TOLERANCE = 1e-4


def made(count: int, seed: int, classes: int = 3) -> Detections:
    random = np.random.default_rng(seed)
    corners = np.sort(random.random((count, 2, 2), np.float32), axis=1).reshape(count, 4)
    return Detections(corners, random.random(count, np.float32), random.integers(1, classes + 1, count))


def taken(found: Detections, rows) -> Detections:
    return Detections(found.boxes[rows], found.scores[rows], found.classes[rows])


def test_the_originals_rows_are_cut_at_the_count_and_counted_as_the_plugin_does() -> None:
    boxes = np.arange(16, dtype=np.float32).reshape(4, 4) / 16
    scores, classes = np.array([0.9, 0.0, 0.5, 0.4], np.float32), np.array([1, 1, 3, 2], np.float32)
    found = detections_of_original(boxes, scores, classes, 3.0, 1)
    assert found.scores.tolist() == [np.float32(0.9), 0.5] and found.classes.tolist() == [2, 4]
    assert found.boxes.tolist() == boxes[[0, 2]].tolist()
    assert len(detections_of_original(boxes, scores, classes, -1.0, 0)) == 0
    assert len(detections_of_original(boxes, scores, classes, 99.0, 0)) == 3


def test_rows_of_a_plugin_have_x_first() -> None:
    rows = np.zeros((2, 1, 3, 7), np.float32)
    rows[..., 1] = -1
    rows[1, 0, 0] = [1, 7, 0.5, 0.1, 0.2, 0.3, 0.4]
    first, second = detections_of_plugin({"detections": rows, "count": np.zeros((2, 1, 1, 1), np.float32)})
    assert len(first) == 0 and second.classes.tolist() == [7]
    np.testing.assert_allclose(second.boxes, [[0.2, 0.1, 0.4, 0.3]])
    assert most_kept({"detections": rows}) == 3


def test_lists_of_a_plugin() -> None:
    outputs = {
        "num_detections": np.array([[1], [2]], np.int32),
        "boxes": np.random.default_rng(0).random((2, 5, 4), np.float32),
        "scores": np.ones((2, 5), np.float32),
        "classes": np.full((2, 5), 3.0, np.float32),
    }
    found = detections_of_plugin(outputs)
    assert [len(d) for d in found] == [1, 2] and found[1].classes.tolist() == [3, 3]
    np.testing.assert_array_equal(found[1].boxes, outputs["boxes"][1, :2])
    assert most_kept(outputs) == 5


def test_which_ports_are_detections() -> None:
    assert gives_detections(("detections", "count")) and gives_detections(
        ("num_detections", "boxes", "scores", "classes")
    )
    assert not gives_detections(("layer0", "layer1")) and not gives_detections(("boxes", "scores"))


@pytest.mark.parametrize("op", [op for op in CATALOG if CATALOG[op].detections])
def test_every_plugin_of_the_catalog_gives_detections_as_its_definition_says(op: str) -> None:
    sample = onnx_inputs.GENERATORS[op](np.random.default_rng(0))[0]
    names = [f"in{n}" for n in range(len(sample.inputs))]
    fed = [
        Node(name, "Placeholder", attrs={"dtype": DType.of(value.dtype), "shape": Shape(value.shape)})
        for name, value in zip(names, sample.inputs, strict=True)
    ]
    attrs = CATALOG[op].complete(sample.fields)
    graph = Graph([*fed, Node("found", op, tuple(map(Ref, names)), attrs=attrs)], [Ref("found")])
    runner = ReferenceRunner(graph, CATALOG)
    assert gives_detections(runner.info.detections)
    outputs = runner.run(dict(zip(names, sample.inputs, strict=True)))
    parts = {part: outputs[name] for part, name in runner.info.detections.items()}
    found = detections_of_plugin(parts, (300, 500))
    assert [len(one) for one in found] == counted(op, outputs) and any(map(len, found))
    for one in found:
        assert (one.classes >= 0).all() and (np.diff(one.scores) <= 0).all()
        assert one.boxes.shape == (len(one), 4) and len(one) <= most_kept(parts)
        top, left, bottom, right = one.boxes.T
        if "boxes" not in parts:  # lists give corners in the order in which they came in
            assert (top <= bottom).all() and (left <= right).all()
            assert top.min() >= 0 and right.max() <= 1 and bottom.max() <= 1


def counted(op: str, outputs: dict[str, np.ndarray]) -> list[int]:
    """Return how many detections of each picture there are by the plugin's own account."""
    if op.startswith(("NMS", "SurgeonDetection")):
        return [int(n) for n in outputs["found:1"].view(np.int32).reshape(-1)]
    if op in ("DetectionLayer_TRT", "GenerateDetection_TRT"):
        return [int(n) for n in (outputs["found"][..., 5] > 0).sum(axis=1)]
    return [int(n) for n in outputs["found"].reshape(-1)]


def test_rows_of_six_have_their_columns_by_name() -> None:
    layer, pixels = (
        next(iter(CATALOG[op].detections)) for op in ("DetectionLayer_TRT", "GenerateDetection_TRT")
    )
    row = np.array([[[0.1, 0.2, 0.3, 0.4, 7, 0.5], [0, 0, 0, 0, -1, 0]]], np.float32)
    (found,) = detections_of_plugin({layer: row})
    np.testing.assert_allclose(found.boxes, [[0.1, 0.2, 0.3, 0.4]])
    assert found.classes.tolist() == [7] and found.scores.tolist() == [0.5]
    (scaled,) = detections_of_plugin({pixels: row * np.float32([30, 50, 30, 50, 1, 1])}, (30, 50))
    np.testing.assert_allclose(scaled.boxes, found.boxes, rtol=1e-6)


def test_rows_of_another_length_are_refused() -> None:
    """Before plugins said which columns they have, every output 'detections' was taken for rows of seven."""
    for shape in ((1, 100, 6), (1, 70, 6), (1, 1, 4, 8)):
        with pytest.raises(SurgeonError, match="V133"):
            detections_of_plugin({"detections": np.zeros(shape, np.float32)})


def test_boxes_relative_to_a_window() -> None:
    found = Detections(
        np.array([[0.1, 0.2, 0.6, 0.5]], np.float32), np.ones(1, np.float32), np.ones(1, np.int64)
    )
    np.testing.assert_allclose(found.within(Window(0.5, 1.0)).boxes, [[0.2, 0.2, 1.0, 0.5]])
    np.testing.assert_allclose(found.relative_to(Window(0.5, 1.0)).boxes, [[0.2, 0.2, 1.2, 0.5]])
    assert found.within(WHOLE) is found and found.relative_to(WHOLE) is found


def test_boxes_without_area_are_dropped() -> None:
    boxes = np.array(
        [[0, 0, 0, 1], [0, 0, 1, 1], [1, 0.2, 1, 0.4], [0.1, 0.1, 0.2, 0.2], [0, 0, 0.5, 0.5]], np.float32
    )
    found = Detections(boxes, np.arange(5, dtype=np.float32), np.arange(5))
    assert found.proper(9).classes.tolist() == [1, 3, 4] and found.proper(2).classes.tolist() == [1, 3]


def test_equal_sets_agree_in_any_order() -> None:
    one = made(60, 1)
    order = np.random.default_rng(2).permutation(60)
    found = pair(one, taken(one, order), TOLERANCE)
    assert found.a.tolist() == list(range(60)) and order[found.b].tolist() == list(range(60))
    assert found.box_error.max() == 0 and found.agreeing(TOLERANCE, TOLERANCE).all()
    assert found.only_a.size == found.only_b.size == 0


def test_other_classes_and_far_boxes_are_no_pairs() -> None:
    one = made(1, 3)
    for other in (
        Detections(one.boxes, one.scores, one.classes + 1),
        Detections(one.boxes + np.float32(2 * NEAR), one.scores, one.classes),
        Detections(np.full_like(one.boxes, np.nan), one.scores, one.classes),
    ):
        found = pair(one, other, TOLERANCE)
        assert found.a.size == 0 and found.only_a.tolist() == [0] and found.only_b.tolist() == [0]


def test_errors_are_those_of_the_pair() -> None:
    one = made(1, 4)
    other = Detections(
        one.boxes + np.array([[0, 0.01, 0, 0.002]], np.float32), one.scores - np.float32(0.1), one.classes
    )
    found = pair(one, other, TOLERANCE)
    assert found.box_error[0] == pytest.approx(0.01, rel=1e-4) and found.score_error[0] == pytest.approx(
        0.1, rel=1e-4
    )
    assert (
        not found.agreeing(TOLERANCE, 1).any()
        and not found.agreeing(1, TOLERANCE).any()
        and found.agreeing(0.02, 0.2).all()
    )


def test_equal_boxes_are_told_apart_by_score() -> None:
    box = np.array([[0, 0, 1, 1]] * 3, np.float32)
    one = Detections(box, np.array([0.9, 0.5, 0.1], np.float32), np.ones(3, np.int64))
    noise = np.array([[0], [3e-6], [1e-6]], np.float32)
    other = Detections(box + noise, np.array([0.1, 0.9, 0.5], np.float32), np.ones(3, np.int64))
    found = pair(one, other, TOLERANCE)
    assert found.b.tolist() == [1, 2, 0] and found.score_error.max() == 0


def test_the_nearest_pair_is_taken_first() -> None:
    """Row 0 is nearest to row 0 of the other set, which row 1 is nearer to: row 0 gets what is left."""

    def at(*offsets: float) -> Detections:
        boxes = np.array([[v, v, v + 0.5, v + 0.5] for v in offsets], np.float32)
        return Detections(boxes, np.full(len(boxes), 0.5, np.float32), np.ones(len(boxes), np.int64))

    found = pair(at(0.100, 0.104), at(0.103, 0.110), TOLERANCE)
    assert found.b.tolist() == [1, 0]


def greedy(one: Detections, other: Detections) -> dict[int, int]:
    """Match by the definition: of all pairs the nearest first, lower rows first where they are equally near."""
    pairs = []
    for i in range(len(one)):
        for j in range(len(other)):
            apart = float(np.abs(one.boxes[i] - other.boxes[j]).max())
            score = min(float(np.abs(one.scores[i] - other.scores[j])), 1.0)
            if one.classes[i] == other.classes[j] and apart <= NEAR:
                pairs.append((TOLERANCE * score if apart <= TOLERANCE else apart, i, j))
    found: dict[int, int] = {}
    for _, i, j in sorted(pairs):
        if i not in found and j not in found.values():
            found[i] = j
    return found


@given(st.integers(0, 10_000), st.integers(0, 25), st.integers(0, 25), st.booleans())
def test_matching_is_greedy_by_distance(seed: int, first: int, second: int, ties: bool) -> None:
    random = np.random.default_rng(seed)
    steps = 8 if ties else 1 << 20
    one, other = (
        Detections(
            (random.integers(0, steps, (n, 4)) * (0.06 / steps)).astype(np.float32),
            (random.integers(0, steps, n) / steps).astype(np.float32),
            random.integers(1, 3, n),
        )
        for n in (first, second)
    )
    found = pair(one, other, TOLERANCE)
    assert dict(zip(found.a.tolist(), found.b.tolist(), strict=True)) == greedy(one, other)
    assert sorted([*found.a.tolist(), *found.only_a.tolist()]) == list(range(first))
    assert sorted([*found.b.tolist(), *found.only_b.tolist()]) == list(range(second))
