"""Judgements over detections and tensors, and differences that a changed rule excuses."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

import numpy as np
import pytest
from detection_rows import moved, rows

from surgeon import SurgeonError
from surgeon.catalog.reference import Counterfactual
from surgeon.runners.detections import Detections
from surgeon.verification import Limits, Outcome, Tolerances
from surgeon.verification.compare_detections import compare_detections
from surgeon.verification.compare_tensors import compare_tensors
from surgeon.verification.results import TensorComparison
from surgeon.verification.verification import verdict

FREE = Limits(max_excused=100)


def grid(scores: list[float]) -> Detections:
    """Return boxes that are far apart, one a score."""
    corners = [[0.1 * i, 0.0, 0.1 * i + 0.05, 0.5] for i in range(len(scores))]
    return Detections(
        np.array(corners, np.float32).reshape(-1, 4),
        np.array(scores, np.float32),
        np.ones(len(scores), np.int64),
    )


def counterfactuals(names: Iterable[str]) -> tuple[Counterfactual, ...]:
    """Return counterfactuals of these names; a recipe can avoid two of them."""
    return tuple(
        Counterfactual(name, "", avoidable=name in ("all-candidates", "exact-ratios")) for name in names
    )


def compare(
    original: Detections,
    rewritten: Detections,
    limits: Limits = Limits(),
    changed: Mapping[str, Detections] | None = None,
):
    runs = dict(changed or {})
    return compare_detections(
        "NMS", "a.png", original, rewritten, limits, counterfactuals(runs), runs.__getitem__
    )


TEN = grid([0.9 - 0.05 * i for i in range(10)])


def test_equal_detections_pass() -> None:
    found = compare(TEN, rows(TEN, *reversed(range(10))))
    assert (found.outcome, found.matched, found.differences, found.worst_box_error) == (
        Outcome.PASSED,
        10,
        (),
        0,
    )


def test_no_rerun_where_all_agree() -> None:
    def again(change: str) -> Detections:
        raise AssertionError(change)

    assert (
        compare_detections("NMS", "", TEN, TEN, Limits(), counterfactuals(["all-candidates"]), again).outcome
        is Outcome.PASSED
    )


@pytest.mark.parametrize(("by", "outcome"), [(0.9e-4, Outcome.PASSED), (1.2e-4, Outcome.FAILED)])
def test_the_box_tolerance(by: float, outcome: Outcome) -> None:
    found = compare(TEN, moved(TEN, 3, by))
    assert (
        found.outcome is outcome
        and found.worst_box_error == pytest.approx(by, rel=1e-2)
        and found.median_box_error == 0
    )
    assert compare(TEN, moved(TEN, 3, by), Limits(Tolerances(box=1e-3))).outcome is Outcome.PASSED


@pytest.mark.parametrize(("by", "outcome"), [(0.9e-4, Outcome.PASSED), (1.2e-4, Outcome.FAILED)])
def test_the_score_tolerance(by: float, outcome: Outcome) -> None:
    scores = TEN.scores.copy()
    scores[9] += np.float32(by)
    found = compare(TEN, Detections(TEN.boxes, scores, TEN.classes))
    assert found.outcome is outcome and found.worst_score_error == pytest.approx(by, rel=1e-2)


def test_differences_are_listed_by_kind() -> None:
    found = compare(TEN, rows(moved(TEN, 2, 0.01), 0, 1, 2, *range(4, 10)))
    assert [d.kind for d in found.differences] == [
        "differs",
        "missing",
    ] and found.reason == "1 differ, 1 missing"
    assert found.differences[0].box_error == pytest.approx(0.01, rel=1e-3)
    assert found.differences[1].original is not None and found.differences[1].original.score == pytest.approx(
        0.75
    )
    extra = compare(rows(TEN, *range(9)), TEN)
    assert [d.kind for d in extra.differences] == ["extra"] and extra.outcome is Outcome.FAILED
    assert extra.to_json()["differences"][0]["original"] is None


@pytest.mark.parametrize("scores", [[], [9e-4, 5e-4]])
def test_what_proves_nothing_is_inconclusive(scores: list[float]) -> None:
    found = compare(grid(scores), grid(scores))
    assert found.outcome is Outcome.INCONCLUSIVE and found.reason


def test_a_difference_is_never_inconclusive() -> None:
    assert compare(grid([]), TEN).outcome is compare(TEN, grid([])).outcome is Outcome.FAILED
    assert compare(grid([5e-4]), grid([])).outcome is Outcome.FAILED


# --- excuses ------------------------------------------------------------------------------------------------------


def test_a_row_is_excused_where_it_matches_with_the_rule_changed() -> None:
    found = compare(TEN, rows(TEN, *range(1, 10)), FREE, {"all-candidates": TEN})
    assert found.outcome is Outcome.PASSED and dict(found.excused) == {"all-candidates": 1}
    assert compare(TEN, moved(TEN, 4, 0.01), FREE, {"exact-ratios": TEN}).outcome is Outcome.PASSED


@pytest.mark.parametrize(
    "changed",
    [
        rows(TEN, *range(1, 10)),  # the row stays away
        moved(TEN, 0, 2e-4),  # it comes, but not within the tolerance
        Detections(TEN.boxes, TEN.scores + np.float32(2e-4), TEN.classes),  # nor its score
    ],
)
def test_a_row_that_does_not_match_then_is_not_excused(changed: Detections) -> None:
    found = compare(TEN, rows(TEN, *range(1, 10)), FREE, {"all-candidates": changed})
    assert found.outcome is Outcome.FAILED and found.excused == {}


def test_two_rules_explain_each_their_own_row() -> None:
    rewritten = rows(moved(TEN, 4, 0.01), *range(1, 10))
    changes = {"exact-ratios": rows(TEN, *range(1, 10)), "all-candidates": moved(TEN, 4, 0.01)}
    found = compare(TEN, rewritten, FREE, changes)
    assert found.outcome is Outcome.PASSED and dict(found.excused) == {"exact-ratios": 1, "all-candidates": 1}


def test_a_row_that_needs_two_rules_at_once_is_not_excused() -> None:
    """Row 0 is lost by one rule, and would be off by the other: neither alone makes it match."""
    rewritten = rows(TEN, *range(1, 10))
    changes = {"exact-ratios": rewritten, "all-candidates": moved(TEN, 0, 0.01)}
    assert compare(TEN, rewritten, FREE, changes).outcome is Outcome.FAILED


def test_an_extra_row_is_excused_where_it_is_gone_or_becomes_one_of_the_originals() -> None:
    original = rows(TEN, *range(9))
    assert compare(original, TEN, FREE, {"clip-first": original}).outcome is Outcome.PASSED
    assert compare(original, TEN, FREE, {"clip-first": TEN}).outcome is Outcome.FAILED
    far = moved(TEN, 9, 0.04)
    assert compare(far, rows(TEN, *range(10)), FREE, {"exact-ratios": far}).outcome is Outcome.PASSED


def test_a_change_that_loses_what_agreed_explains_nothing() -> None:
    original = rows(TEN, *range(9))
    found = compare(original, TEN, FREE, {"clip-first": rows(TEN, *range(8))})
    assert found.outcome is Outcome.FAILED and found.excused == {}


def kept(scores: list[float], most: int) -> tuple[Detections, Detections]:
    """Return every survivor, and the ``most`` best of them."""
    every = grid(scores)
    order = np.argsort(-every.scores, kind="stable")
    return every, rows(every, *order[:most].tolist())


def test_rows_at_the_last_score_kept_may_change_places() -> None:
    """The fifth and the sixth score differ by half the tolerance, and each graph keeps another one of the two."""
    every, original = kept([0.9, 0.8, 0.7, 0.6, 0.50000, 0.49995], 5)
    rewritten = rows(every, 0, 1, 2, 3, 5)
    found = compare(original, rewritten, FREE, {"keep-all": every})
    assert found.outcome is Outcome.PASSED and dict(found.excused) == {"keep-all": 2}


def test_rows_below_the_last_score_kept_are_not_excused() -> None:
    every, original = kept([0.9, 0.8, 0.7, 0.6, 0.5, 0.4], 6)
    found = compare(original, rows(every, 0, 1, 2, 3), FREE, {"keep-all": every})
    assert found.outcome is Outcome.FAILED and found.excused == {}


def test_rows_above_the_last_score_kept_are_not_excused() -> None:
    every, original = kept([0.9, 0.8, 0.7, 0.6, 0.5], 5)
    found = compare(original, rows(every, 1, 2, 3, 4), FREE, {"keep-all": every})
    assert found.outcome is Outcome.FAILED and found.excused == {}


def test_as_many_extra_rows_at_the_cut_as_there_are_lost_ones() -> None:
    every, original = kept([0.9, 0.8, 0.7, 0.6, 0.50000, 0.49995], 4)
    found = compare(original, rows(every, 0, 1, 2, 3, 4, 5), FREE, {"keep-all": every})
    assert found.outcome is Outcome.FAILED and found.excused == {}


# --- how many -----------------------------------------------------------------------------------------------------

LOST = rows(TEN, *range(3, 10))


@pytest.mark.parametrize(
    ("change", "most", "outcome"),
    [
        ("all-candidates", 3, Outcome.PASSED),
        ("all-candidates", 2, Outcome.FAILED),
        ("all-candidates", None, Outcome.FAILED),
        ("clip-first", 3, Outcome.PASSED),
        ("clip-first", 0, Outcome.FAILED),
        ("clip-first", None, Outcome.PASSED),
    ],
)
def test_excused_rows_are_capped(change: str, most: int | None, outcome: Outcome) -> None:
    found = compare(TEN, LOST, Limits(max_excused=most), {change: TEN})
    assert found.outcome is outcome and dict(found.excused) == {change: 3}
    assert bool(found.reason) is (outcome is Outcome.FAILED)


def test_by_default_most_of_a_picture_cannot_be_excused() -> None:
    assert compare(TEN, rows(TEN, 5, 6, 7, 8, 9), Limits(), {"clip-first": TEN}).outcome is Outcome.PASSED
    assert compare(TEN, rows(TEN, 6, 7, 8, 9), Limits(), {"clip-first": TEN}).outcome is Outcome.FAILED


@pytest.mark.parametrize(
    "limits",
    [
        Limits(Tolerances(box=0.0)),
        Limits(Tolerances(box=float("nan"))),
        Limits(Tolerances(score=1.0)),
        Limits(Tolerances(score=-1e-4)),
        Limits(max_excused=-1),
    ],
)
def test_limits_that_are_none(limits: Limits) -> None:
    with pytest.raises(SurgeonError) as exc:
        limits.check()
    assert exc.value.diagnostics[0].code == "V103"
    assert Limits().check() == Limits()


# --- tensors ------------------------------------------------------------------------------------------------------

RAMP = np.linspace(-4, 4, 24, dtype=np.float32).reshape(2, 3, 4)


def test_tensors_are_compared_by_their_largest_difference() -> None:
    found = compare_tensors("x", "", RAMP, RAMP + np.float32(1e-5), 1e-5)
    assert (
        found.outcome is Outcome.PASSED
        and found.tolerance == pytest.approx(4e-5)
        and found.tensor == "float32[2,3,4]"
    )
    assert compare_tensors("x", "", RAMP, RAMP + np.float32(1e-4), 1e-5).outcome is Outcome.FAILED
    assert (
        compare_tensors("x", "", RAMP, RAMP + np.float32(2e-5), 1e-5, relative=False).outcome
        is Outcome.FAILED
    )


@pytest.mark.parametrize(
    "found",
    [
        RAMP.reshape(2, 12),
        RAMP[:1],
        np.full_like(RAMP, np.nan),
        np.where(RAMP > 3.9, np.inf, RAMP),
        1.9 * RAMP,
    ],
)
def test_other_tensors_fail(found: np.ndarray) -> None:
    judged = compare_tensors("x", "", RAMP, np.asarray(found, np.float32), 1e-5)
    assert judged.outcome is Outcome.FAILED and judged.reason


@pytest.mark.parametrize(
    "expected", [np.zeros((2, 3), np.float32), np.full((2, 3), 7.0, np.float32), np.zeros((0, 3), np.float32)]
)
def test_tensors_that_prove_nothing(expected: np.ndarray) -> None:
    assert compare_tensors("x", "", expected, expected, 1e-5).outcome is Outcome.INCONCLUSIVE


INF = np.inf


@pytest.mark.parametrize(
    ("expected", "found", "outcome"),
    [
        ([1, 2, -INF], [1, 2, -INF], Outcome.PASSED),
        ([1, 2, -INF], [7, -3, -1e9], Outcome.FAILED),
        ([1, 2, -INF], [1, 2, -1e30], Outcome.FAILED),
        ([1, 2, -INF], [1, 2, INF], Outcome.FAILED),
        ([1, 2, -INF], [1, 2.1, -INF], Outcome.FAILED),
        ([-INF, -INF], [-INF, -INF], Outcome.INCONCLUSIVE),
        ([1, 2, np.nan], [1, 2, np.nan], Outcome.INCONCLUSIVE),
        ([1, 2, np.nan], [1, 2.1, np.nan], Outcome.FAILED),
        ([1, 2, np.nan], [1, 2, 3], Outcome.FAILED),
    ],
)
def test_numbers_that_are_not_finite(expected: list[float], found: list[float], outcome: Outcome) -> None:
    judged = compare_tensors("x", "", np.float32(expected), np.float32(found), 1e-5)
    assert judged.outcome is outcome and np.isfinite(judged.tolerance)
    if outcome is not Outcome.PASSED:
        assert ("(--inputs)" in judged.reason) == (judged.reason != "all its elements are equal")


@pytest.mark.parametrize(
    ("expected", "found", "outcome"),
    [
        (np.array([200000, 5]), np.array([200000, 5]), Outcome.PASSED),
        (np.array([200000, 5]), np.array([200000, 6]), Outcome.FAILED),
        (np.array([2**53, 5]), np.array([2**53 + 1, 5]), Outcome.FAILED),
        (np.array([True, False]), np.array([True, True]), Outcome.FAILED),
        (np.array([7, 7]), np.array([7, 7]), Outcome.INCONCLUSIVE),
        (np.complex64([1 + 2j, 3]), np.complex64([1 + 2j, 3]), Outcome.PASSED),
        (np.complex64([1 + 2j, 3]), np.complex64([1 - 2j, 3]), Outcome.FAILED),
        (np.array([b"cat", b"dog"], object), np.array(["cat", "dog"]), Outcome.PASSED),
        (np.array([b"cat", b"dog"], object), np.array([b"cat", b"cow"], object), Outcome.FAILED),
        (np.array([b"cat", b"dog"], object), np.float32([1, 2]), Outcome.FAILED),
        (np.zeros(2, "V4"), np.zeros(2, "V4"), Outcome.NOT_COMPARED),
    ],
)
def test_tensors_of_other_types(expected: np.ndarray, found: np.ndarray, outcome: Outcome) -> None:
    judged = compare_tensors("x", "", expected, found, 1e-5)
    assert judged.outcome is outcome and bool(judged.reason) == (outcome is not Outcome.PASSED)


def test_an_output_that_proves_nothing_is_not_outweighed_by_another_one() -> None:
    passed, dead = (
        compare_tensors(name, "", value, value, 1e-5) for name, value in (("x", RAMP), ("y", 0 * RAMP))
    )
    assert verdict("cut to cut", [passed, dead]).outcome is Outcome.INCONCLUSIVE
    assert verdict("cut to cut", [passed, replace(dead, subject="x")]).outcome is Outcome.PASSED


def test_an_error_and_a_tolerance_that_are_not_finite_are_null_in_json() -> None:
    written = TensorComparison("x", "", Outcome.FAILED, "", error=float("nan"), tolerance=INF).to_json()
    assert written["error"] is None and written["tolerance"] is None
