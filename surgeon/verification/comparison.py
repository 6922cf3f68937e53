"""Detections and tensors held against each other, and differences excused by a counterfactual."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType

import numpy as np

from surgeon.diagnostics import error
from surgeon.runners.detections import Detections, pair
from surgeon.verification.results import (
    DetectionComparison,
    Difference,
    Outcome,
    Row,
    TensorComparison,
    Tolerances,
)

ALL_CANDIDATES, EXACT_RATIOS, CLIP_FIRST, KEEP_ALL = (
    "all-candidates",
    "exact-ratios",
    "clip-first",
    "keep-all",
)
DROP_EMPTY = "drop-empty"
"""Not a reference's own change.

What ``keep-all`` gives, without boxes that have no area, and as many as were kept before.
"""

AVOIDABLE = (ALL_CANDIDATES, EXACT_RATIOS)
"""Excuses for the recipe's own numbers: a larger ``topK``, exact ratios or constant anchors avoid them."""

EXCUSES: Mapping[str, str] = MappingProxyType(
    {
        EXACT_RATIOS: "an aspect ratio such as 0.33 stands for 1/3; 'anchors: constant' or an exact ratio "
        "avoids it",
        ALL_CANDIDATES: "only the topK best boxes of a class go into suppression, where the original looks "
        "at all; "
        "'topK: auto' avoids it",
        CLIP_FIRST: "the original clips boxes to the picture before suppression, the plugin after it",
        DROP_EMPTY: "the original drops boxes that lie outside the picture, the plugin keeps them without "
        "area",
        KEEP_ALL: "near-equal scores change places at the last detection that is kept",
    }
)
"""Rules that a counterfactual changes, in the order in which they are tried, and what each means."""

FLOOR = 10
"""Detections prove something where the best score is above this many score tolerances."""


@dataclass(frozen=True)
class Limits:
    """What is allowed: the tolerances, and how many excused differences on one picture (None: the
    default).
    """

    tolerances: Tolerances = field(default_factory=Tolerances)
    max_excused: int | None = None

    def check(self) -> Limits:
        """Return these limits.

        Raise SurgeonError V103 for a tolerance that is no number above 0, or a count below 0.
        """
        for name, value in (("box", self.tolerances.box), ("score", self.tolerances.score)):
            if not 0 < value < 1:
                raise error(
                    "V103",
                    f"the {name} tolerance is {value!r}; expected a number above 0 and below 1",
                    help=["1e-4 is a ten-thousandth of the picture, or of a full score"],
                )
        if self.max_excused is not None and self.max_excused < 0:
            raise error(
                "V103",
                f"the number of excused differences is {self.max_excused}; expected 0 or more",
                help=["give 0 to excuse none"],
            )
        return self

    def refused(self, excused: Mapping[str, int], total: int) -> str:
        """Return why so many excused differences are too many, or an empty text.

        By default those that the recipe's numbers cause are not allowed, and the others up to half of the
        ``total`` detections.
        """
        count = sum(excused.values())
        if self.max_excused is not None:
            return f"{count} excused, at most {self.max_excused} allowed" if count > self.max_excused else ""
        avoidable = sum(excused.get(name, 0) for name in AVOIDABLE)
        if avoidable:
            return f"{avoidable} excused that the recipe could avoid; --max-excused allows them"
        return f"{count} excused, at most half of {total} allowed" if 2 * count > total else ""


Again = Callable[[str], Detections]


def compare_detections(
    subject: str,
    picture: str,
    original: Detections,
    rewritten: Detections,
    limits: Limits,
    changes: Sequence[str] = (),
    again: Again | None = None,
    *,
    by_reference: bool = True,
) -> DetectionComparison:
    """Match the detections of one picture and judge them.

    ``again`` gives the rewritten graph's detections with one of ``changes`` made in the reference. A
    difference is excused by a change where the original's detection then has a partner within the tolerances,
    and one that only the rewritten graph gives is then gone.

    Where ``rewritten`` are not the reference's own detections (``by_reference`` is False), no change of the
    reference can explain them. Then a difference is excused where the reference, whose detections
    ``again("")`` gives, shows the same one and is excused for it; and, at the last detection kept, where
    ``keep-all`` has what takes another's place.
    """
    tolerances = limits.tolerances
    excuses = _Excuses(original, rewritten, tolerances)
    if again is not None and excuses.open:
        if by_reference:
            excuses.try_changes(changes, again)
        else:
            reference = _Excuses(original, again(""), tolerances)
            reference.try_changes(changes, again)
            excuses.adopt(reference)
            if KEEP_ALL in changes and excuses.open:
                excuses.at_the_cut(again(KEEP_ALL), exchanged=True)
    pairing, agree = excuses.pairing, excuses.agree
    counted = agree | np.array([excuses.of_original.get(i) is None for i in pairing.a.tolist()], bool)
    errors = pairing.box_error[counted]
    found = DetectionComparison(
        subject,
        picture,
        Outcome.PASSED,
        "",
        len(original),
        len(rewritten),
        len(pairing.a),
        float(errors.max(initial=0)),
        float(np.median(errors)) if errors.size else 0.0,
        float(pairing.score_error[counted].max(initial=0)),
        excuses.differences(),
    )
    outcome, reason = _judged(found, original, limits)
    return replace(found, outcome=outcome, reason=reason)


def _judged(found: DetectionComparison, original: Detections, limits: Limits) -> tuple[Outcome, str]:
    left = found.unexcused
    if left:
        counts = {kind: sum(d.kind == kind for d in left) for kind in ("differs", "missing", "extra")}
        words = {"differs": "differ", "missing": "missing", "extra": "extra"}
        return Outcome.FAILED, ", ".join(f"{count} {words[kind]}" for kind, count in counts.items() if count)
    refused = limits.refused(found.excused, len(original))
    if refused:
        return Outcome.FAILED, refused
    if not len(original):
        return Outcome.INCONCLUSIVE, "neither graph detects anything"
    floor = FLOOR * limits.tolerances.score
    best = float(original.scores.max())
    if not best > floor:
        return Outcome.INCONCLUSIVE, f"the best score is {best:.2g}; only above {floor:g} it proves something"
    return Outcome.PASSED, ""


class _Excuses:
    """Collects, for each row that does not agree, the first change that explains it."""

    def __init__(self, original: Detections, rewritten: Detections, tolerances: Tolerances) -> None:
        self.original, self.rewritten, self.tolerances = original, rewritten, tolerances
        self.pairing = pair(original, rewritten, tolerances.box)
        self.agree = self.pairing.agreeing(tolerances.box, tolerances.score)
        self.of_original: dict[int, str] = {}
        self.of_rewritten: dict[int, str] = {}
        self.wanted: list[int] = [*self.pairing.a[~self.agree].tolist(), *self.pairing.only_a.tolist()]

    @property
    def open(self) -> bool:
        """True while a row is without an excuse."""
        return any(i not in self.of_original for i in self.wanted) or any(
            j not in self.of_rewritten for j in self.pairing.only_b.tolist()
        )

    def try_changes(self, changes: Sequence[str], again: Again) -> None:
        """Try the changes in turn while a row is without an excuse."""
        for change in changes:
            if self.open:
                self.try_change(change, again(change))

    def adopt(self, reference: _Excuses) -> None:
        """Excuse what the reference gives in the same way, and is excused for."""
        same = pair(reference.rewritten, self.rewritten, self.tolerances.box)
        good = same.agreeing(self.tolerances.box, self.tolerances.score)
        twins = dict(zip(same.b[good].tolist(), same.a[good].tolist(), strict=True))
        shared = set(twins.values())
        here = dict(zip(self.pairing.a.tolist(), self.pairing.b.tolist(), strict=True))
        there = dict(zip(reference.pairing.a.tolist(), reference.pairing.b.tolist(), strict=True))
        for i in self.wanted:
            # What the reference gives in this row's place is given here, too, and nothing else is.
            mine, theirs = here.get(i), there.get(i)
            if (
                i in reference.of_original
                and (theirs is None or theirs in shared)
                and (mine is None or mine in twins)
            ):
                self.of_original[i] = reference.of_original[i]
        excused = {
            there[i]: excuse for i, excuse in reference.of_original.items() if i in there
        } | reference.of_rewritten
        for j in self.pairing.only_b.tolist():
            if twins.get(j) in excused:
                self.of_rewritten[j] = excused[twins[j]]

    def try_change(self, change: str, found: Detections) -> None:
        """Excuse what is in order among the detections ``found`` with the change made."""
        then = pair(self.original, found, self.tolerances.box)
        good = then.agreeing(self.tolerances.box, self.tolerances.score)
        explained, partners = set(then.a[good].tolist()), set(then.b[good].tolist())
        if len(explained) < np.count_nonzero(self.agree):
            return  # what loses detections that agreed explains nothing
        if change == KEEP_ALL:
            self.at_the_cut(found)
            return
        for i in self.wanted:
            if i in explained:
                self.of_original.setdefault(i, change)
        # A detection too many is explained where it is gone, or has become one of the original's.
        still = pair(self.rewritten, found, self.tolerances.box)
        stays = dict(zip(still.a.tolist(), still.b.tolist(), strict=True))
        for j in self.pairing.only_b.tolist():
            if j not in stays or stays[j] in partners:
                self.of_rewritten.setdefault(j, change)

    def at_the_cut(self, found: Detections, *, exchanged: bool = False) -> None:
        """Excuse rows whose score is at the last one kept: as many too many as there are too few.

        ``found`` are the detections without a limit on their number; what is excused is among them. Where
        rows are ``exchanged``, no more are excused for being too few than others took the place of.
        """
        if not len(self.rewritten) or not len(self.original):
            return
        explained, candidates = self._within(self.original, found), self._within(self.rewritten, found)
        lost = [
            i
            for i in self.pairing.only_a.tolist()
            if i not in self.of_original
            and i in explained
            and self._near(self.original.scores[i], self.rewritten)
        ]
        more = [
            j
            for j in self.pairing.only_b.tolist()
            if j not in self.of_rewritten
            and j in candidates
            and self._near(self.rewritten.scores[j], self.original)
        ]
        if exchanged:
            lost = lost[: len(more)]
        self.of_original.update(dict.fromkeys(lost, KEEP_ALL))
        self.of_rewritten.update(dict.fromkeys(more[: len(lost)], KEEP_ALL))

    def _within(self, rows: Detections, found: Detections) -> set[int]:
        """Return the rows that are among the detections ``found``, within the tolerances."""
        pairing = pair(rows, found, self.tolerances.box)
        return set(pairing.a[pairing.agreeing(self.tolerances.box, self.tolerances.score)].tolist())

    def _near(self, score: float, kept: Detections) -> bool:
        """Return whether a score is that of the last detection kept, within the tolerance."""
        return bool(abs(score - kept.scores.min()) <= self.tolerances.score)

    def differences(self) -> tuple[Difference, ...]:
        """Return every row that does not agree, those of the original first, by row."""
        pairing = self.pairing
        found = [
            (
                int(i),
                Difference(
                    _row(self.original, i),
                    _row(self.rewritten, j),
                    float(box),
                    float(score),
                    self.of_original.get(int(i)),
                ),
            )
            for i, j, box, score in zip(
                *(
                    part[~self.agree]
                    for part in (pairing.a, pairing.b, pairing.box_error, pairing.score_error)
                ),
                strict=True,
            )
        ]
        found += [
            (int(i), Difference(_row(self.original, i), None, excuse=self.of_original.get(int(i))))
            for i in pairing.only_a
        ]
        extra = [
            Difference(None, _row(self.rewritten, j), excuse=self.of_rewritten.get(int(j)))
            for j in pairing.only_b
        ]
        return (*(difference for _, difference in sorted(found, key=lambda item: item[0])), *extra)


def _row(of: Detections, index: int) -> Row:
    top, left, bottom, right = (float(v) for v in of.boxes[index])
    return Row(int(of.classes[index]), float(of.scores[index]), (top, left, bottom, right))


def compare_tensors(
    subject: str,
    picture: str,
    expected: np.ndarray,
    found: np.ndarray,
    tolerance: float,
    *,
    relative: bool = True,
) -> TensorComparison:
    """Judge two tensors of one shape by their largest difference.

    ``tolerance`` is a share of the largest magnitude expected where ``relative``, else absolute. Values that
    are no numbers agree with nothing; a tensor expected to hold one value alone proves nothing.
    """
    if expected.shape != found.shape:
        return TensorComparison(
            subject,
            picture,
            Outcome.FAILED,
            f"it is {shown(found)}; expected {shown(expected)}",
            shown(expected),
        )
    if not expected.size:
        return TensorComparison(subject, picture, Outcome.INCONCLUSIVE, "it has no elements", shown(expected))
    shape = shown(expected)
    wide = expected.astype(np.float64)
    allowed = tolerance * float(np.abs(wide).max()) if relative else tolerance
    error = float(np.abs(wide - found.astype(np.float64)).max())
    if not error <= allowed:
        return TensorComparison(
            subject, picture, Outcome.FAILED, f"off by {error:.2g}", shape, error, allowed
        )
    if np.ptp(wide) <= allowed and expected.size > 1:
        return TensorComparison(
            subject, picture, Outcome.INCONCLUSIVE, "all its elements are equal", shape, error, allowed
        )
    return TensorComparison(subject, picture, Outcome.PASSED, "", shape, error, allowed)


def shown(array: np.ndarray) -> str:
    """Return type and shape of an array, as ``float32[1,300,300,3]``."""
    return f"{array.dtype}[{','.join(map(str, array.shape))}]"
