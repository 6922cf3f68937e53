"""Overlap and suppression: against the plain definition, and against TensorFlow's."""

from __future__ import annotations

import numpy as np
import pytest

from surgeon.kernels.boxes.numbers import PIXELS, RELATIVE, Overlap, area, clip, iou
from surgeon.kernels.suppression.numbers import BLOCK, descending, greedy_nms, nms_by_class

RULES = {
    "relative": RELATIVE,
    "pixels": PIXELS,
    "apart": Overlap(1, 1, apart_share=True),
    "boxes alone": Overlap(side=1),
    "as they are": Overlap(sort_corners=False),
}


def some_boxes(rng: np.random.Generator, count: int, size: float = 0.3) -> np.ndarray:
    """Return boxes of up to ``size``, a few with corners in the wrong order."""
    center, half = rng.random((count, 2)), (rng.random((count, 2)) - 0.05) * size / 2
    return np.concatenate([center - half, center + half], axis=1).astype(np.float32)


def plain_nms(
    boxes: np.ndarray, threshold: float, limit: int | None, rule: Overlap, inclusive: bool
) -> list[int]:
    kept: list[int] = []
    for i, box in enumerate(boxes):
        if len(kept) == limit:
            break
        overlaps = iou(boxes[kept], box, rule)
        if not (overlaps >= np.float32(threshold) if inclusive else overlaps > np.float32(threshold)).any():
            kept.append(i)
    return kept


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ("relative", 36 / (81 + 81 - 36)),
        ("pixels", 50 / 150),
        ("boxes alone", 36 / (100 + 100 - 36)),
    ],
)
def test_overlap_by_hand(rule: str, expected: float) -> None:
    a, b = np.array([0, 0, 9, 9], np.float32), np.array([0, 5, 9, 14], np.float32)
    for one, other in ((a, b), (b, a), (a[[1, 0, 3, 2]], b[[1, 0, 3, 2]])):
        found = iou(one, other, RULES[rule])
        assert found.dtype == np.float32 and found == pytest.approx(expected, rel=1e-6)
    assert iou(a, b + 1, RULES[rule]) != pytest.approx(expected, rel=1e-6)


def test_overlap_of_boxes_that_touch_or_lie_apart() -> None:
    box = np.array([0, 0, 1, 1], np.float32)
    touching, apart = np.array([1, 0, 2, 1], np.float32), np.array([3, 3, 4, 4], np.float32)
    assert iou(box, touching) == 0 and iou(box, apart) == 0 and iou(box, apart, PIXELS) == 0
    assert iou(box, touching, PIXELS) == pytest.approx(2 / (4 + 4 - 2))
    assert iou(box, apart, RULES["apart"]) == pytest.approx(1 / (4 + 4 - 1))


def test_corners_in_the_wrong_order() -> None:
    box, turned = np.array([0, 0, 2, 1], np.float32), np.array([2, 1, 0, 0], np.float32)
    assert area(turned) == 2 and iou(box, turned) == 1
    as_they_are = RULES["as they are"]
    assert area(turned, as_they_are) == 0 and iou(box, turned, as_they_are) == 0


def test_numbers_that_are_none_overlap_nothing() -> None:
    boxes = np.array([[np.nan] * 4, [0, 0, 1, 1], [-np.inf, 0, np.inf, 1], [0, 0, 0, 0]], np.float32)
    with np.errstate(invalid="ignore"):
        assert not (iou(boxes[:, None], boxes[None]) > 0.5)[[0, 3]].any()


def test_small_parts() -> None:
    assert clip(np.array([-1, 0.5, 2, np.inf], np.float32)).tolist() == [0, 0.5, 1, 1]
    assert descending(np.array([1, 3, 3, -np.inf, 2], np.float32)).tolist() == [1, 2, 4, 0, 3]


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("inclusive", [False, True])
def test_suppression_in_blocks_is_plain_suppression(rule: str, inclusive: bool) -> None:
    rng = np.random.default_rng(len(rule))
    for count, limit in (
        (0, None),
        (1, None),
        (BLOCK - 1, 3),
        (BLOCK + 1, None),
        (3 * BLOCK, None),
        (3 * BLOCK, 40),
        (9, 0),
    ):
        boxes = some_boxes(rng, count)
        found = greedy_nms(boxes, 0.3, limit=limit, rule=RULES[rule], inclusive=inclusive)
        assert found.tolist() == plain_nms(boxes, 0.3, limit, RULES[rule], inclusive)


def test_inclusive_counts_at_the_threshold() -> None:
    boxes = np.array([[0, 0, 0.5, 0.75], [0, 0.25, 0.5, 1]], np.float32)
    assert greedy_nms(boxes, 0.5).tolist() == [0, 1] and greedy_nms(boxes, 0.5, inclusive=True).tolist() == [
        0
    ]


@pytest.mark.parametrize("own", [False, True])
@pytest.mark.parametrize(
    ("candidates", "keep"), [(None, None), (None, 20), (15, 20), (15, None), (1, 3), (500, 5000)]
)
@pytest.mark.parametrize("hiding", [False, True])
def test_suppression_by_class_is_each_class_by_itself(
    own: bool, candidates: int | None, keep: int | None, hiding: bool
) -> None:
    rng = np.random.default_rng(3)
    count, classes = 300, 4
    boxes = some_boxes(rng, count * classes).reshape(count, classes, 4)
    boxes = boxes if own else boxes[:, 0]
    # Few distinct scores make many ties.
    scores = (rng.integers(1, 60, (count, classes)) / 60).astype(np.float32)
    scores[:, 1] = -np.inf
    scores[rng.random((count, classes)) < 0.2] = -np.inf
    hidden = rng.random((count, classes) if own else count) < 0.3
    rows = []
    for label in range(classes):
        order = descending(scores[:, label])[: int((scores[:, label] > -np.inf).sum())][:candidates]
        mine = (boxes[:, label] if own else boxes)[order]
        for i in plain_nms(mine, 0.3, keep, RELATIVE, False):
            away = hiding and (hidden[order[i], label] if own else hidden[order[i]])
            if not away:
                rows.append((-scores[order[i], label], label, order[i]))
    rows = sorted(rows)[:keep]
    found = nms_by_class(
        boxes, scores, threshold=0.3, candidates=candidates, keep=keep, hidden=hidden if hiding else None
    )
    assert list(zip(-found.score, found.label, found.candidate, strict=True)) == rows and rows


def test_suppression_by_class_of_nothing() -> None:
    none = np.full((5, 2), -np.inf, np.float32)
    found = nms_by_class(np.zeros((5, 4), np.float32), none, threshold=0.5, candidates=None, keep=3)
    assert found.score.shape == found.label.shape == found.candidate.shape == (0,)


def test_more_candidates_are_taken_where_the_best_suppress_one_another() -> None:
    # 5,000 boxes in one place are better than the few others: the first batch of candidates leaves one box alone.
    rng = np.random.default_rng(5)
    boxes = np.concatenate(
        [np.tile(np.array([[0, 0, 1, 1]], np.float32), (5000, 1)), some_boxes(rng, 40, 0.01)]
    )
    scores = np.concatenate([rng.random(5000) + 1, rng.random(40)]).astype(np.float32)[:, None]
    found = nms_by_class(boxes, scores, threshold=0.5, candidates=None, keep=20)
    best = 5000 + descending(scores[5000:, 0])[:19]
    assert found.candidate[0] == scores[:5000].argmax() and found.candidate[1:].tolist() == best.tolist()


@pytest.mark.parametrize(("threshold", "limit"), [(0.5, 400), (0.1, 400), (0.3, 100), (0.0, 400)])
def test_suppression_is_tensorflows(threshold: float, limit: int) -> None:
    tf = pytest.importorskip("tensorflow", reason="TensorFlow is the referee")
    rng = np.random.default_rng(11)
    boxes, scores = some_boxes(rng, 400), rng.random(400).astype(np.float32)
    scores[:40] = 0.5
    expected = tf.raw_ops.NonMaxSuppressionV3(
        boxes=boxes, scores=scores, max_output_size=limit, iou_threshold=threshold, score_threshold=-np.inf
    ).numpy()
    order = descending(scores)
    assert order[greedy_nms(boxes[order], threshold, limit=limit)].tolist() == expected.tolist()
    other = order[greedy_nms(boxes[order], threshold + 0.1, limit=limit)].tolist()
    assert other != expected.tolist()
