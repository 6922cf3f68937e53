"""What a verification allows: tolerances, and how many differences may be excused."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace

from surgeon.diagnostics import error
from surgeon.verification.results import Tolerances

WIDEST = 1e-3
"""The widest tolerance that is measured rather than given."""

_TWICE = 2.0


@dataclass(frozen=True)
class Limits:
    """What is allowed: the tolerances, and how many excused differences on one picture (None: the
    default).

    With ``any_unavoidable``, what no recipe can avoid is allowed in any number, and not counted. Where
    ``widened`` is true, a runner that differs from itself by more than the tolerances widens them.
    """

    tolerances: Tolerances = field(default_factory=Tolerances)
    max_excused: int | None = None
    any_unavoidable: bool = False
    widened: bool = True

    def check(self) -> Limits:
        """Return these limits.

        Raise SurgeonError V103 for a tolerance that is no number above 0, or a count below 0.
        """
        tolerances = self.tolerances
        for name, value in (("box", tolerances.box), ("score", tolerances.score), ("mask", tolerances.mask)):
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

    @property
    def allows_avoidable(self) -> bool:
        """True where differences may be excused that a recipe could avoid."""
        return bool(self.max_excused)

    def beside(self, noise: Tolerances) -> Limits:
        """Return the limits for a runner that differs from itself by ``noise``: twice that, up to 1e-3."""
        mine = self.tolerances
        pairs = (
            (mine.box, noise.box),
            (mine.score, noise.score),
            (mine.tensor, noise.tensor),
            (mine.mask, noise.mask),
        )
        wider = (max(allowed, min(WIDEST, _TWICE * measured)) for allowed, measured in pairs)
        return replace(self, tolerances=Tolerances(*wider))

    def refused(self, excused: Mapping[str, int], avoidable: Collection[str], total: int) -> str:
        """Return why so many excused differences are too many, or an empty text.

        By default those whose counterfactuals are ``avoidable`` are not allowed, as the recipe's numbers
        cause them, and the others up to half of the ``total`` detections.
        """
        avoided = sum(excused.get(name, 0) for name in avoidable)
        count = avoided if self.any_unavoidable else sum(excused.values())
        if self.max_excused is not None:
            return f"{count} excused, at most {self.max_excused} allowed" if count > self.max_excused else ""
        if avoided:
            return f"{avoided} excused that the recipe could avoid; --max-excused allows them"
        if self.any_unavoidable:
            return ""
        return f"{count} excused, at most half of {total} allowed" if 2 * count > total else ""
