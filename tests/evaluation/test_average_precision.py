"""Average precision, by cases that can be worked out by hand, and resamples of it."""

from __future__ import annotations

import numpy as np
import pytest

from surgeon.evaluation.bootstrap import drawn_weights, interval, resampled_precision
from surgeon.runners.average_precision import NUMBERS, Objects, average_precision, judge
from surgeon.runners.detections import Detections

pytest.importorskip("pycocotools", reason="pycocotools measures")

SIZE = (100, 200)
LEFT, RIGHT, NOWHERE = (0.1, 0.05, 0.6, 0.4), (0.2, 0.55, 0.8, 0.9), (0.9, 0.9, 1.0, 1.0)


def found(*rows: tuple[tuple[float, ...], float, int]) -> Detections:
    boxes = np.array([row[0] for row in rows], np.float32).reshape(-1, 4)
    scores, classes = (np.array([row[index] for row in rows]) for index in (1, 2))
    return Detections(boxes, scores.astype(np.float32), classes.astype(np.int64))


def there(*boxes: tuple[float, ...], **marks: list[bool]) -> Objects:
    pixels = np.array(boxes, np.float32).astype(float).reshape(-1, 4) * (*SIZE, *SIZE)
    return Objects.of(pixels, np.ones(len(boxes)), **{k: np.array(v) for k, v in marks.items()})


def test_a_case_worked_out_by_hand() -> None:
    truth = [there(LEFT), there(RIGHT)]
    detections = [found((LEFT, 0.9, 1), (NOWHERE, 0.8, 1)), found((RIGHT, 0.7, 1))]
    judged = judge(truth, detections, [SIZE, SIZE])
    # Right, wrong, right: up to a recall of one half (51 of 101 recalls) the precision is 1, then 2 of 3.
    expected = (51 + 50 * 2 / 3) / 101
    assert tuple(judged.numbers) == NUMBERS
    assert judged.numbers["AP50"] == pytest.approx(expected) == judged.numbers["AP"]
    assert judged.numbers["AR1"] == judged.numbers["AR100"] == 1
    # The objects are medium, the wrong detection is small.
    assert judged.numbers["APsmall"] is None and judged.numbers["APmedium"] == pytest.approx(1)
    assert judged.by_class == {1: (pytest.approx(expected), pytest.approx(expected))}
    detections[0] = found((LEFT, 0.8, 1), (NOWHERE, 0.9, 1))
    assert judge(truth, detections, [SIZE, SIZE]).numbers["AP50"] == pytest.approx(2 / 3)


def test_difficult_objects_and_crowds_count_neither_way() -> None:
    twice = [found((LEFT, 0.9, 1), (LEFT, 0.8, 1), (RIGHT, 0.7, 1))]
    plain = judge([there(LEFT, RIGHT)], twice, [SIZE])
    difficult = judge([there(LEFT, RIGHT, difficult=[True, False])], twice, [SIZE])
    crowd = judge([there(LEFT, RIGHT, crowd=[True, False])], twice, [SIZE])
    assert plain.numbers["AP"] == pytest.approx((51 + 50 * 2 / 3) / 101)
    # One detection of a difficult object is passed over, the second is wrong; of a crowd, both are passed over.
    assert difficult.numbers["AP"] == pytest.approx(1 / 2) and crowd.numbers["AP"] == pytest.approx(1)
    assert difficult.matches[1].objects.tolist() == [1]


def test_nothing_found_is_zero_and_classes_without_objects_do_not_count() -> None:
    nothing = judge([there(LEFT)], [found()], [SIZE])
    assert nothing.numbers["AP"] == 0 and nothing.numbers["AR100"] == 0
    other = judge([there(LEFT)], [found((LEFT, 0.5, 1), (RIGHT, 0.9, 7))], [SIZE])
    assert other.numbers["AP"] == pytest.approx(1) and other.classes == (1,)
    assert average_precision([found()], [found((LEFT, 1, 1))], [SIZE]).map == 0


@pytest.mark.parametrize(
    "box",
    [(np.nan,) * 4, (np.nan, *LEFT[1:]), (*LEFT[:3], np.nan), (np.inf,) * 4, (-np.inf, 0.0, np.inf, 1.0)],
)
def test_a_box_that_is_not_finite_is_wrong(box: tuple[float, ...]) -> None:
    alone = judge([there(LEFT)], [found((box, 0.9, 1))], [SIZE])
    assert alone.numbers["AP"] == 0 and not alone.matches[1].hits.any()
    first = judge([there(LEFT)], [found((box, 0.9, 1), (LEFT, 0.8, 1))], [SIZE])
    assert first.numbers["AP"] == pytest.approx(1 / 2) and first.numbers["AR1"] == 0
    assert average_precision([found((LEFT, 1, 1))], [found((box, 0.9, 1))], [SIZE]).map == 0


def test_a_score_that_is_not_a_number_is_no_detection() -> None:
    judged = judge([there(LEFT)], [found((LEFT, np.nan, 1), (RIGHT, np.nan, 1))], [SIZE])
    assert judged.numbers["AP"] == 0 == judged.numbers["AR100"] and not len(judged.matches[1].scores)


def test_resamples_are_what_pycocotools_says_of_them() -> None:
    random = np.random.default_rng(3)
    truth, detections = [], []
    for _ in range(12):
        count = int(random.integers(0, 5))
        corners = random.uniform(0, 0.5, (count, 2))
        boxes = np.concatenate([corners, corners + random.uniform(0.1, 0.4, (count, 2))], 1)
        labels = random.integers(1, 4, count)
        difficult = random.uniform(size=count) < 0.2
        truth.append(Objects.of(boxes * (*SIZE, *SIZE), labels, difficult=difficult))
        moved = boxes + random.normal(0, 0.03, boxes.shape)
        rows = zip(
            map(tuple, [*moved, *moved]), random.uniform(0, 1, 2 * count), [*labels, *labels], strict=True
        )
        detections.append(found(*rows))
    sizes = [SIZE] * len(truth)
    judged = judge(truth, detections, sizes)
    once = resampled_precision(judged.matches, np.ones((1, len(truth)), np.int64))
    assert once[0] == pytest.approx(judged.numbers["AP"], abs=1e-12)
    weights = drawn_weights(len(truth), 12, seed=0)
    for row, value in zip(weights, resampled_precision(judged.matches, weights), strict=True):
        drawn = np.repeat(np.arange(len(truth)), row)
        expected = judge([truth[i] for i in drawn], [detections[i] for i in drawn], [SIZE] * len(drawn))
        assert value == pytest.approx(expected.numbers["AP"], abs=1e-12)
    low, high = interval(resampled_precision(judged.matches, drawn_weights(len(truth), 200, seed=1)))
    assert low is not None and high is not None
    assert 0 < low < judged.numbers["AP"] < high < 1  # type: ignore[operator]


def test_the_interval_holds_the_middle() -> None:
    assert interval(np.array([*range(101), np.nan])) == pytest.approx((2.5, 97.5))
    assert interval(np.array([np.nan])) == (None, None)
