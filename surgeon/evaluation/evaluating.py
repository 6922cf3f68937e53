"""The evaluation itself: each side detects in each picture, and is judged by the objects there."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from surgeon.diagnostics import Diagnostic, Severity, error
from surgeon.display import plural
from surgeon.evaluation.bootstrap import drawn_weights, interval, resampled_precision
from surgeon.evaluation.classes import Classes, check_not_mixed_up
from surgeon.evaluation.dataset import AnnotatedPicture, Dataset, no_dataset
from surgeon.evaluation.kept_detections import Found, KeptDetections, digest_of
from surgeon.evaluation.results import ClassPrecision, Disagreement, PrecisionDifference, SideResult
from surgeon.evaluation.sides import Side
from surgeon.runners.ahead import ahead
from surgeon.runners.average_precision import Judgement, Objects, judge
from surgeon.runners.detections import Detections, pair
from surgeon.runners.drawing import ranked
from surgeon.runners.image_result import THRESHOLD
from surgeon.stages import tell_stage
from surgeon.verification import Outcome

MAX_DROP, RESAMPLES = 0.5, 1000
MOST_RESAMPLES = 10_000

_NEAR = 0.01
"""Distance up to which boxes are equally near where detections are paired, as a share of the picture."""
_ROUNDING = 1e-9
_LEAST_APART = 0.001
"""What a picture must differ by to be shown: less is rounding."""


@dataclass(frozen=True)
class EvaluationOptions:
    """How a dataset is evaluated: points of average precision that may be lost, pictures at a time, and the
    resamples and the seed of the intervals.
    """

    max_drop: float = MAX_DROP
    batch: int | None = None
    resamples: int = RESAMPLES
    seed: int = 0

    def check(self) -> EvaluationOptions:
        """Return the options; raise SurgeonError V147 for one that cannot be."""
        problems = (
            (not 0 <= self.max_drop <= 100, f"the drop {self.max_drop:g}", "0 to 100 points"),
            (self.batch is not None and self.batch < 1, f"the batch {self.batch}", "1 or more"),
            (
                not 1 <= self.resamples <= MOST_RESAMPLES,
                f"the number of resamples {self.resamples}",
                f"1 to {MOST_RESAMPLES}",
            ),
            (self.seed < 0, f"the seed {self.seed}", "0 or more"),
        )
        for wrong, what, expected in problems:
            if wrong:
                raise error("V147", f"{what} cannot be; expected {expected}", help=["give another"])
        return self


@dataclass(frozen=True, eq=False)
class Judged:
    """A side with what it detects in each picture, and what that is worth."""

    name: str
    found: tuple[Detections, ...]
    judgement: Judgement
    result: SideResult


@dataclass(frozen=True, eq=False)
class Judgements:
    """All sides, the original first, with the objects and sizes of the pictures."""

    pictures: tuple[AnnotatedPicture, ...]
    objects: tuple[Objects, ...]
    sizes: tuple[tuple[int, int], ...]
    sides: tuple[Judged, ...]
    notes: tuple[Diagnostic, ...]

    @property
    def outcome(self) -> Outcome:
        """FAILED where a side loses too much, else INCONCLUSIVE where there is nothing to lose."""
        differences = [side.result.difference for side in self.sides if side.result.difference is not None]
        outcomes = [each.outcome for each in differences]
        for outcome in (Outcome.FAILED, Outcome.INCONCLUSIVE):
            if outcome in outcomes or (outcome is Outcome.INCONCLUSIVE and not outcomes):
                return outcome
        return Outcome.PASSED


def evaluate_sides(
    dataset: Dataset, classes: Classes, sides: Sequence[Side], options: EvaluationOptions, kept: Path | None
) -> Judgements:
    """Return what each side, the first of which is the original, detects in the pictures, and is worth.

    Detections are kept in the folder ``kept``, and taken from there if they are. Raise SurgeonError as the
    sides do, V140 where no object counts, V143 for pictures, V145 for classes that are mixed up.
    """
    objects = tuple(classes.objects(each.objects) for each in dataset.pictures)
    if all((each.crowd | each.difficult).all() for each in objects):
        raise no_dataset(dataset.path, "all its objects are crowds or difficult, which count neither way")
    digests = _digests(dataset.pictures) if kept is not None else [""] * len(dataset.pictures)
    weights = drawn_weights(len(objects), options.resamples, options.seed)
    judged: list[Judged] = []
    notes: list[Diagnostic] = []
    drawn: np.ndarray | None = None
    sizes: tuple[tuple[int, int], ...] = ()
    for side in sides:
        store = KeptDetections(kept, {**side.depends_on, "batch": options.batch})
        start = time.monotonic()
        found, computed = _detected(side, dataset.pictures, digests, store, options.batch)
        seconds = time.monotonic() - start
        if store.damaged:
            notes.append(_redone(side.name, store.damaged, kept))
        sizes = tuple(each.size for each in found)
        detections = tuple(classes.detections(each.detections) for each in found)
        check_not_mixed_up(side.name, classes, objects, detections, sizes)
        tell_stage("judging", side.name)
        judgement = judge(objects, detections, sizes)
        own = resampled_precision(judgement.matches, weights)
        difference = None
        if judged:
            assert drawn is not None
            difference = _difference(judged[0].judgement, judgement, drawn - own, options.max_drop)
        else:
            drawn = own
        result = SideResult(
            side.name,
            dict(side.runtime),
            judgement.numbers,
            _by_class(judgement, classes),
            difference,
            computed,
            seconds,
        )
        judged.append(Judged(side.name, detections, judgement, result))
    return Judgements(dataset.pictures, objects, sizes, tuple(judged), tuple(notes))


def _digests(pictures: Sequence[AnnotatedPicture]) -> list[str]:
    tell_stage("reading the pictures")
    return list(ahead(lambda picture: digest_of(picture.data()), pictures))


def _detected(
    side: Side,
    pictures: Sequence[AnnotatedPicture],
    digests: Sequence[str],
    store: KeptDetections,
    batch: int | None,
) -> tuple[list[Found], int]:
    """Return what a side detects in each picture, and in how many it was not known."""
    stage = f"evaluating {side.name}"
    found = [store.load(digest) if digest else None for digest in digests]
    for picture, each in zip(pictures, found, strict=True):
        if each is not None:
            picture.check_size(each.size)
    missing = [index for index, each in enumerate(found) if each is None]
    total, done = len(pictures), len(pictures) - len(missing)
    if missing:
        tell_stage(stage, "", done, total)
        read = ahead(lambda index: pictures[index].read(), missing)
        for index, each in zip(missing, side.detect(read, batch), strict=True):
            store.store(digests[index], each)
            found[index] = each
            done += 1
            tell_stage(stage, Path(pictures[index].name).name, done, total)
    return [each for each in found if each is not None], len(missing)


def _redone(side: str, count: int, kept: Path | None) -> Diagnostic:
    return Diagnostic(
        "V148",
        f"what '{side}' detected in {plural(count, 'picture')} was damaged where it is kept, and was "
        "computed again",
        str(kept),
        severity=Severity.NOTE,
    )


def _difference(
    original: Judgement, own: Judgement, losses: np.ndarray, allowed: float
) -> PrecisionDifference:
    reached = original.numbers["AP"] or 0.0
    loss = 100 * (reached - (own.numbers["AP"] or 0.0))
    low, high = interval(100 * losses)
    if reached == 0:
        outcome = Outcome.INCONCLUSIVE
    else:
        outcome = Outcome.PASSED if loss <= allowed + _ROUNDING else Outcome.FAILED
    return PrecisionDifference(loss, low, high, allowed, outcome)


def _by_class(judgement: Judgement, classes: Classes) -> tuple[ClassPrecision, ...]:
    return tuple(
        ClassPrecision(number, classes.names[number], int(judgement.matches[number].objects.sum()), ap, ap50)
        for number, (ap, ap50) in judgement.by_class.items()
    )


def disagreements(judgements: Judgements, most: int) -> tuple[Disagreement, ...]:
    """Return the pictures in which a side disagrees most with the original, each once, the worst first.

    Detections with a score of at least 0.3 count, and those of other scores where they are partners of one.
    """
    original, *others = judgements.sides
    found: dict[int, Disagreement] = {}
    for side in others:
        for index, amount in enumerate(map(_amount, original.found, side.found)):
            least = found[index].amount if index in found else _LEAST_APART
            if amount > least:
                found[index] = Disagreement(judgements.pictures[index].name, side.name, amount)
    worst = sorted(found.values(), key=lambda each: -each.amount)
    return tuple(worst[:most])


def _amount(a: Detections, b: Detections) -> float:
    pairing = pair(a, b, _NEAR)
    strong = (a.scores[pairing.a] >= THRESHOLD) | (b.scores[pairing.b] >= THRESHOLD)
    alone = [ranked(each.rows(rows), THRESHOLD) for each, rows in ((a, pairing.only_a), (b, pairing.only_b))]
    return float(pairing.score_error[strong].sum() + sum(each.scores.sum() for each in alone))
