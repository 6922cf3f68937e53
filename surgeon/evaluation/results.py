"""What an evaluation finds: numbers of each side, differences to the original, a verdict."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from surgeon.diagnostics import Diagnostic
from surgeon.display import Displayed, plural
from surgeon.evaluation.bootstrap import CONFIDENCE
from surgeon.verification import Outcome


def points(value: float) -> str:
    """Return points for people, without a sign where they are rounded to nothing."""
    return f"{value:.2f}" if abs(value) >= 0.005 else "0.00"


@dataclass(frozen=True)
class ClassPrecision:
    """The average precision of one class, over overlaps of 0.5 to 0.95 and at 0.5, both 0 to 1."""

    number: int
    name: str
    objects: int
    ap: float
    ap50: float

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        return {
            "class": self.number,
            "name": self.name,
            "objects": self.objects,
            "AP": self.ap,
            "AP50": self.ap50,
        }


@dataclass(frozen=True)
class PrecisionDifference:
    """How much average precision a side loses against the original.

    ``loss`` is in points, hundredths of average precision over overlaps of 0.5 to 0.95, below 0 for a side
    that is better. Of resampled pictures, 95 in 100 lose from ``low`` to ``high`` points; both are None where
    no resample has an object. ``outcome`` is PASSED for a loss of at most ``allowed`` points.
    """

    loss: float
    low: float | None
    high: float | None
    allowed: float
    outcome: Outcome

    @property
    def is_certain(self) -> bool:
        """True where the whole interval is on the side of ``allowed`` that ``loss`` is on."""
        if self.low is None or self.high is None:
            return False
        return self.high <= self.allowed if self.outcome is Outcome.PASSED else self.low > self.allowed

    @property
    def interval(self) -> str:
        """The interval for people."""
        if self.low is None or self.high is None:
            return "-"
        return f"{points(self.low)} to {points(self.high)}"

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        return {
            "loss": self.loss,
            "low": self.low,
            "high": self.high,
            "allowed": self.allowed,
            "outcome": str(self.outcome),
            "certain": self.is_certain,
        }


@dataclass(frozen=True)
class SideResult:
    """What one side reaches.

    ``numbers`` are COCO's twelve, 0 to 1, None where no object is of that size. ``difference`` is None for
    the original. ``computed`` pictures were run now, in ``seconds``; the other ones had been kept.
    """

    name: str
    runtime: Mapping[str, str]
    numbers: Mapping[str, float | None]
    classes: tuple[ClassPrecision, ...]
    difference: PrecisionDifference | None
    computed: int
    seconds: float

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        return {
            "name": self.name,
            "runtime": dict(self.runtime),
            "numbers": dict(self.numbers),
            "classes": [each.to_json() for each in self.classes],
            "difference": None if self.difference is None else self.difference.to_json(),
            "computed": self.computed,
            "seconds": round(self.seconds, 3),
        }


@dataclass(frozen=True)
class Disagreement:
    """A picture in which a side detects something else than the original; ``amount`` says how much.

    That is the sum of the scores of detections that only one of them has, and of the differences of scores.
    """

    picture: str
    side: str
    amount: float

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        return {"picture": self.picture, "side": self.side, "amount": self.amount}


@dataclass(frozen=True)
class Evaluation(Displayed):
    """The average precision of a model, its rewritten graph and files made from it, side by side.

    ``classes`` are the names of those that are judged, by the detector's number; ``left_out`` those of the
    dataset that are not. ``resamples`` and ``seed`` are those of the intervals. ``disagreements`` are the
    pictures in which sides disagree most, the worst first. ``page`` is the HTML file that was written.
    """

    recipe: str
    target: str
    dataset: str
    kind: str
    pictures: int
    objects: int
    classes: Mapping[int, str]
    left_out: tuple[str, ...]
    sides: tuple[SideResult, ...]
    max_drop: float
    resamples: int
    seed: int
    outcome: Outcome
    disagreements: tuple[Disagreement, ...] = ()
    diagnostics: tuple[Diagnostic, ...] = ()
    page: Path | None = field(default=None, compare=False)

    def __repr__(self) -> str:
        numbers = ", ".join(f"{side.name} {side.numbers['AP'] or 0:.3f}" for side in self.sides)
        return f"<Evaluation on {plural(self.pictures, 'picture')}: {self.outcome}; AP: {numbers}>"

    @property
    def passed(self) -> bool:
        """True where every side loses at most what is allowed."""
        return self.outcome is Outcome.PASSED

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        return {
            "recipe": self.recipe,
            "target": self.target,
            "dataset": {
                "path": self.dataset,
                "kind": self.kind,
                "pictures": self.pictures,
                "objects": self.objects,
            },
            "classes": {str(number): name for number, name in self.classes.items()},
            "left out": list(self.left_out),
            "sides": [each.to_json() for each in self.sides],
            "max_drop": self.max_drop,
            "bootstrap": {"resamples": self.resamples, "seed": self.seed, "confidence": CONFIDENCE},
            "outcome": str(self.outcome),
            "disagreements": [each.to_json() for each in self.disagreements],
            "diagnostics": [each.to_json() for each in self.diagnostics],
            "page": None if self.page is None else str(self.page),
        }
