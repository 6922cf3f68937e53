"""Detections held against each other, and differences excused by a counterfactual."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from surgeon.catalog.reference import Counterfactual
from surgeon.runners.detections import Detections
from surgeon.verification.counterfactuals import KEEP_ALL, Explanations, Rerun
from surgeon.verification.limits import Limits
from surgeon.verification.results import DetectionComparison, Outcome

FLOOR = 10
"""Detections prove something where the best score is above this many score tolerances."""


def compare_detections(
    subject: str,
    picture: str,
    original: Detections,
    rewritten: Detections,
    limits: Limits,
    counterfactuals: Sequence[Counterfactual] = (),
    rerun: Rerun | None = None,
    *,
    by_reference: bool = True,
) -> DetectionComparison:
    """Match the detections of one picture and judge them.

    ``rerun`` gives the references' detections with one of ``counterfactuals``. A difference is excused by one
    where the original's detection then has a partner within the tolerances, and where one that only the
    rewritten graph gives is then gone.

    Where ``rewritten`` are not the references' own detections (``by_reference`` is False), no change of a
    reference can explain them. Then a difference is excused where the references, whose detections
    ``rerun("")`` gives, show the same one and are excused for it; and, at the last detection kept, where
    ``keep-all`` has what takes another's place.
    """
    tolerances = limits.tolerances
    explanations = Explanations(original, rewritten, tolerances)
    if rerun is not None and explanations.incomplete:
        names = [counterfactual.name for counterfactual in counterfactuals]
        if by_reference:
            explanations.try_all(names, rerun)
        else:
            references = Explanations(original, rerun(""), tolerances)
            references.try_all(names, rerun)
            explanations.adopt(references)
            if KEEP_ALL in names and explanations.incomplete:
                explanations.explain_last_kept(rerun(KEEP_ALL), exchanged=True)
    pairing, rows = explanations.pairing, explanations.pairing.a.tolist()
    counted = explanations.agree | np.array([row not in explanations.of_unequal for row in rows], np.bool_)
    errors = pairing.box_error[counted]
    with_masks = original.masks is not None and rewritten.masks is not None
    comparison = DetectionComparison(
        subject,
        picture,
        Outcome.PASSED,
        "",
        len(original),
        len(rewritten),
        len(rows),
        max(errors.tolist(), default=0.0),
        float(np.median(errors)) if errors.size else 0.0,
        max(pairing.score_error[counted].tolist(), default=0.0),
        explanations.differences(),
        int(np.count_nonzero(counted)) if with_masks else 0,
        max(pairing.mask_error[counted].tolist(), default=0.0),
    )
    if (original.masks is None) != (rewritten.masks is None):
        return replace(comparison, **_without_masks(original))
    avoidable = [each.name for each in counterfactuals if each.avoidable]
    outcome, reason = _judged(comparison, original, limits, avoidable)
    return replace(comparison, outcome=outcome, reason=reason)


def _without_masks(original: Detections) -> dict[str, Any]:
    """Return how a comparison ends where only one set of detections has masks."""
    if original.masks is None:
        reason = "it gives masks, and it is not known which tensor of the original gives them"
        return {"outcome": Outcome.INCONCLUSIVE, "reason": reason}
    return {"outcome": Outcome.FAILED, "reason": "it gives no masks; the original does"}


def _judged(
    comparison: DetectionComparison, original: Detections, limits: Limits, avoidable: Sequence[str]
) -> tuple[Outcome, str]:
    unexcused = comparison.unexcused
    if unexcused:
        words = {"differs": "differ", "missing": "missing", "extra": "extra"}
        counts = {word: sum(d.kind == kind for d in unexcused) for kind, word in words.items()}
        return Outcome.FAILED, ", ".join(f"{count} {word}" for word, count in counts.items() if count)
    refused = limits.refused(comparison.excused, avoidable, len(original))
    if refused:
        return Outcome.FAILED, refused
    if not len(original):
        return Outcome.INCONCLUSIVE, "neither graph detects anything"
    floor = FLOOR * limits.tolerances.score
    best = float(original.scores.max())
    if not best > floor:
        return Outcome.INCONCLUSIVE, f"the best score is {best:.2g}; only above {floor:g} it proves something"
    return Outcome.PASSED, ""
