"""Counterfactuals: which rule of a plugin, changed alone in its reference, explains a difference."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import TypeAlias

import numpy as np

from surgeon.catalog.reference import Counterfactual, Reference
from surgeon.runners.detections import Detections, pair
from surgeon.verification.results import Difference, Row, Tolerances

KEEP_ALL = "keep-all"
"""The counterfactual that returns every survivor; it explains rows at the last detection kept, and no others.
"""

CLIP_FIRST = "clip-first"
"""What a plugin gives that clips boxes before suppression."""

DROP_EMPTY = "drop-empty"
"""What ``keep-all`` gives without boxes that have no area in the picture, as many as were kept before."""

WINDOW = "window"
"""What ``keep-all`` gives without boxes in the padding beside a picture, as many as were kept before: where
the original leaves those out, others take their rows.
"""

Rerun: TypeAlias = Callable[[str], Detections]
"""Returns what the references detect with the named rule changed; an empty name changes none."""


def counterfactuals_of(references: Iterable[Reference]) -> tuple[Counterfactual, ...]:
    """Return what some references declare, each name once, in the order of trial.

    A rule that one of them says a recipe can avoid is avoidable.
    """
    by_name: dict[str, Counterfactual] = {}
    for reference in references:
        for counterfactual in reference.counterfactuals.values():
            first = by_name.setdefault(counterfactual.name, counterfactual)
            if counterfactual.avoidable and not first.avoidable:
                by_name[first.name] = replace(first, avoidable=True)
    return tuple(sorted(by_name.values(), key=lambda counterfactual: counterfactual.order))


class Explanations:
    """Finds the first counterfactual that explains each row on which two sets of detections disagree.

    ``unequal`` are the original's rows that the other set gives otherwise or not at all, ``extra`` the other
    set's rows that the original has not. ``of_unequal`` and ``of_extra`` say by row which counterfactual
    explains it.
    """

    def __init__(self, original: Detections, rewritten: Detections, tolerances: Tolerances) -> None:
        self.original, self.rewritten, self._tolerances = original, rewritten, tolerances
        self.pairing = pair(original, rewritten, tolerances.box)
        self.agree = self.pairing.agreeing(tolerances.box, tolerances.score, tolerances.mask)
        # No rule of a plugin that suppresses boxes explains a mask that differs on an equal box.
        explicable = ~self.pairing.agreeing(tolerances.box, tolerances.score)
        self.unequal: list[int] = [*self.pairing.a[explicable].tolist(), *self.pairing.only_a.tolist()]
        self.extra: list[int] = self.pairing.only_b.tolist()
        self.of_unequal: dict[int, str] = {}
        self.of_extra: dict[int, str] = {}

    @property
    def incomplete(self) -> bool:
        """True while a row is not explained."""
        return not (set(self.unequal) <= self.of_unequal.keys() and set(self.extra) <= self.of_extra.keys())

    def try_all(self, names: Sequence[str], rerun: Rerun) -> None:
        """Try counterfactuals in turn while a row is not explained."""
        for name in names:
            if self.incomplete:
                self.try_one(name, rerun(name))

    def try_one(self, name: str, changed: Detections) -> None:
        """Explain what is in order among the detections ``changed`` that a counterfactual gives."""
        partners = self._equals(self.original, changed)
        if len(partners) < np.count_nonzero(self.agree):
            return  # what loses detections that agreed explains nothing
        if name == KEEP_ALL:
            self.explain_last_kept(changed)
            return
        for row in self.unequal:
            if row in partners:
                self.of_unequal.setdefault(row, name)
        # An extra row is explained where it is gone, or has become one of the original's.
        remains = pair(self.rewritten, changed, self._tolerances.box)
        matched = set(partners.values())
        remains_as = dict(zip(remains.a.tolist(), remains.b.tolist(), strict=True))
        for row in self.extra:
            if row not in remains_as or remains_as[row] in matched:
                self.of_extra.setdefault(row, name)

    def adopt(self, references: Explanations) -> None:
        """Explain what the references' detections show in the same way, and are explained for.

        A row of the original is explained as there where both sets give the same in its place: an equal row,
        or none. An extra row is explained where its equal there is extra and explained, or stands in the
        place of an explained row of the original.
        """
        equal_there = self._equals(self.rewritten, references.rewritten)
        in_both = set(equal_there.values())
        here, there = self._in_place_of(), references._in_place_of()
        for row in self.unequal:
            ours, theirs = here.get(row), there.get(row)
            shown_there = ours is None or ours in equal_there
            shown_here = theirs is None or theirs in in_both
            if row in references.of_unequal and shown_there and shown_here:
                self.of_unequal[row] = references.of_unequal[row]
        explained_there = dict(references.of_extra)
        for row, name in references.of_unequal.items():
            if row in there:
                explained_there.setdefault(there[row], name)
        for row in self.extra:
            if equal_there.get(row) in explained_there:
                self.of_extra[row] = explained_there[equal_there[row]]

    def explain_last_kept(self, survivors: Detections, *, exchanged: bool = False) -> None:
        """Explain rows whose score is that of the last one kept: as many extra as there are missing.

        ``survivors`` are the detections without a limit on their number; what is explained is among them.
        Where rows are ``exchanged``, no more missing ones are explained than others took the place of.
        """
        if not len(self.rewritten) or not len(self.original):
            return
        last, last_original = self.rewritten.scores.min(), self.original.scores.min()
        survived = self._equals(self.original, survivors)
        candidates = self._equals(self.rewritten, survivors)
        missing = [
            row
            for row in self.pairing.only_a.tolist()
            if row not in self.of_unequal
            and row in survived
            and abs(self.original.scores[row] - last) <= self._tolerances.score
        ]
        extra = [
            row
            for row in self.extra
            if row not in self.of_extra
            and row in candidates
            and abs(self.rewritten.scores[row] - last_original) <= self._tolerances.score
        ]
        if exchanged:
            missing = missing[: len(extra)]
        self.of_unequal.update(dict.fromkeys(missing, KEEP_ALL))
        self.of_extra.update(dict.fromkeys(extra[: len(missing)], KEEP_ALL))

    def differences(self) -> tuple[Difference, ...]:
        """Return every row that does not agree, those of the original first, by row."""
        pairing, differences = self.pairing, {}
        errors = (pairing.box_error, pairing.score_error, pairing.mask_error)
        pairs = zip(pairing.a, pairing.b, *errors, strict=True)
        for (row, partner, box, score, mask), agree in zip(pairs, self.agree, strict=True):
            if not agree:
                differences[int(row)] = Difference(
                    _row(self.original, row),
                    _row(self.rewritten, partner),
                    float(box),
                    float(score),
                    self.of_unequal.get(int(row)),
                    float(mask),
                )
        for row in pairing.only_a.tolist():
            differences[row] = Difference(_row(self.original, row), None, excuse=self.of_unequal.get(row))
        extra = [
            Difference(None, _row(self.rewritten, row), excuse=self.of_extra.get(row)) for row in self.extra
        ]
        return (*(differences[row] for row in sorted(differences)), *extra)

    def _in_place_of(self) -> dict[int, int]:
        """Return the row given for each row of the original that has a partner, near or equal."""
        return dict(zip(self.pairing.a.tolist(), self.pairing.b.tolist(), strict=True))

    def _equals(self, rows: Detections, others: Detections) -> dict[int, int]:
        """Return the rows that have an equal among the others, within the tolerances, with that equal."""
        pairing = pair(rows, others, self._tolerances.box)
        agree = pairing.agreeing(self._tolerances.box, self._tolerances.score, self._tolerances.mask)
        return dict(zip(pairing.a[agree].tolist(), pairing.b[agree].tolist(), strict=True))


def _row(detections: Detections, index: int) -> Row:
    top, left, bottom, right = (float(value) for value in detections.boxes[index])
    return Row(int(detections.classes[index]), float(detections.scores[index]), (top, left, bottom, right))
