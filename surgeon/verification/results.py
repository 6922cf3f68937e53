"""What a verification found, as values: verdicts, comparisons and the detections that differ."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, TypeAlias

from surgeon.diagnostics import Diagnostic
from surgeon.display import Displayed, plural
from surgeon.families.fields import LiteralDifference, show_value

VERSION = 1
"""The version of the JSON form of a verification."""

END = "end to end"
"""The name of the verdict on everything from pixels on."""

ALONE = "each alone"
"""The name of the verdict on each part that the recipe puts in."""

CASES_ALONE = "of the plugins' own cases alone; nothing of this graph is compared there"
"""How the reason of a verdict begins that compared nothing of the graph."""

IMAGE = "image."
"""What the names of values of a recipe's ``image`` start with."""


class Outcome(str, Enum):
    """How a comparison, a verdict or a verification ended; only ``PASSED`` is a proof."""

    PASSED = "passed"
    FAILED = "failed"
    INCONCLUSIVE = "inconclusive"
    NOT_COMPARED = "not compared"

    def __str__(self) -> str:
        return self.value


@dataclass(frozen=True)
class Tolerances:
    """How far numbers may be apart.

    ``box`` is the largest difference of a coordinate, as a share of the picture, of anchors and their
    variances, too; ``score`` that of scores. ``tensor`` is for other tensors, as a share of the expected
    one's largest magnitude. ``mask`` is the largest difference of a value of a mask, which is from 0 to 1.
    """

    box: float = 1e-4
    score: float = 1e-4
    tensor: float = 1e-5
    mask: float = 1e-3

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        return {"box": self.box, "score": self.score, "tensor": self.tensor, "mask": self.mask}


@dataclass(frozen=True)
class Row:
    """One detection: the class as the plugin counts it, the score, and ymin, xmin, ymax, xmax relative to the
    picture.
    """

    label: int
    score: float
    box: tuple[float, float, float, float]

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        return {"class": self.label, "score": self.score, "box": list(self.box)}


@dataclass(frozen=True)
class Difference:
    """A detection that only one graph gives, or that the two give differently.

    ``original`` or ``rewritten`` is None where that graph does not give it. ``excuse`` names the rule that
    explains it: with this rule alone changed in the reference, the difference is gone.
    """

    original: Row | None
    rewritten: Row | None
    box_error: float = 0.0
    score_error: float = 0.0
    excuse: str | None = None
    mask_error: float = 0.0

    @property
    def kind(self) -> str:
        """``missing`` in the rewritten graph's detections, ``extra`` there, or ``differs``."""
        return "extra" if self.original is None else "missing" if self.rewritten is None else "differs"

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        return {
            "kind": self.kind,
            "original": self.original.to_json() if self.original else None,
            "rewritten": self.rewritten.to_json() if self.rewritten else None,
            "box_error": self.box_error,
            "score_error": self.score_error,
            "mask_error": _finite(self.mask_error),
            "excuse": self.excuse,
        }


PROBE = "probe: "
"""How the names of probes begin, where those of pictures stand."""


@dataclass(frozen=True)
class DetectionComparison:
    """The detections of one picture or probe, matched one to one.

    ``original`` and ``rewritten`` count them, ``matched`` the pairs of one class whose boxes are near. The
    errors are over the pairs that are not excused. ``differences`` are all that do not agree within the
    tolerances. ``masks`` counts the pairs whose masks were compared; it is 0 where the original gives none.
    """

    subject: str
    picture: str
    outcome: Outcome
    reason: str
    original: int
    rewritten: int
    matched: int
    worst_box_error: float
    median_box_error: float
    worst_score_error: float
    differences: tuple[Difference, ...] = ()
    masks: int = 0
    worst_mask_error: float = 0.0

    @property
    def excused(self) -> Mapping[str, int]:
        """How many differences each excuse explains."""
        counts: dict[str, int] = {}
        for difference in self.differences:
            if difference.excuse is not None:
                counts[difference.excuse] = counts.get(difference.excuse, 0) + 1
        return counts

    @property
    def is_probe(self) -> bool:
        """True where a probe was put in, and no picture."""
        return self.picture.startswith(PROBE)

    @property
    def unexcused(self) -> tuple[Difference, ...]:
        """The differences that nothing explains."""
        return tuple(d for d in self.differences if d.excuse is None)

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        return {
            "kind": "detections",
            "subject": self.subject,
            "picture": self.picture,
            "outcome": str(self.outcome),
            "reason": self.reason,
            "original": self.original,
            "rewritten": self.rewritten,
            "matched": self.matched,
            "worst_box_error": self.worst_box_error,
            "median_box_error": self.median_box_error,
            "worst_score_error": self.worst_score_error,
            "masks": self.masks,
            "worst_mask_error": _finite(self.worst_mask_error),
            "excused": dict(self.excused),
            "differences": [d.to_json() for d in self.differences],
        }


@dataclass(frozen=True)
class TensorComparison:
    """Two tensors, element by element.

    ``error`` and ``tolerance`` are absolute; one that is not finite is None in JSON.
    """

    subject: str
    picture: str
    outcome: Outcome
    reason: str
    tensor: str = ""
    error: float = 0.0
    tolerance: float = 0.0
    excuse: str | None = None

    @property
    def excused(self) -> Mapping[str, int]:
        """The excuse, where there is one; the whole tensor counts once."""
        return {self.excuse: 1} if self.excuse is not None else {}

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        return {
            "kind": "tensor",
            "subject": self.subject,
            "picture": self.picture,
            "outcome": str(self.outcome),
            "reason": self.reason,
            "tensor": self.tensor,
            "tolerance": _finite(self.tolerance),
            "excuse": self.excuse,
            "error": _finite(self.error),
        }


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


Comparison: TypeAlias = DetectionComparison | TensorComparison


@dataclass(frozen=True)
class Verdict(Displayed):
    """One of the three questions that a verification asks, and every comparison that answers it."""

    name: str
    outcome: Outcome
    reason: str
    comparisons: tuple[Comparison, ...] = ()

    @property
    def passed_probes(self) -> tuple[DetectionComparison, ...]:
        """The comparisons on probes that passed."""
        return tuple(
            each
            for each in self.comparisons
            if isinstance(each, DetectionComparison) and each.is_probe and each.outcome is Outcome.PASSED
        )

    @property
    def excused(self) -> Mapping[str, int]:
        """How many differences each excuse explains."""
        counts: dict[str, int] = {}
        for comparison in self.comparisons:
            for excuse, count in comparison.excused.items():
                counts[excuse] = counts.get(excuse, 0) + count
        return counts

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        return {
            "name": self.name,
            "outcome": str(self.outcome),
            "reason": self.reason,
            "excused": dict(self.excused),
            "comparisons": [c.to_json() for c in self.comparisons],
        }


@dataclass(frozen=True)
class FieldPower:
    """Whether a field of a plugin node would be noticed if it were wrong.

    ``changes`` are values a little beside the field's own, each with the name of the picture or probe whose
    comparison fails with it; empty where none does.
    """

    node: str
    plugin: str
    field: str
    value: Any
    changes: tuple[tuple[Any, str], ...]

    @property
    def exercised(self) -> bool:
        """True where a change is noticed."""
        return any(noticed for _, noticed in self.changes)

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        return {
            "node": self.node,
            "plugin": self.plugin,
            "field": self.field,
            "value": _plain(self.value),
            "exercised": self.exercised,
            "changes": [{"value": _plain(value), "noticed_by": name or None} for value, name in self.changes],
        }


_SHOWN = 12
"""Names of hidden tensors that a line lists; JSON has all."""


@dataclass(frozen=True)
class Exercise:
    """Which tensors of the original a verification exercises.

    ``tried`` counts those that were changed a little, ``hidden`` names those of them of which no change
    reached an output, and ``left`` counts those that were not tried.
    """

    tried: int = 0
    hidden: tuple[str, ...] = ()
    left: int = 0

    @property
    def lines(self) -> tuple[str, ...]:
        """A sentence a line; empty where nothing was tried."""
        if not self.tried:
            return ()
        count = self.tried - len(self.hidden)
        left = f"; {self.left} more were not tried" if self.left else ""
        names = ", ".join(self.hidden[:_SHOWN])
        more = f" and {len(self.hidden) - _SHOWN} more" if len(self.hidden) > _SHOWN else ""
        hidden = (
            f"hidden, so that a mistake there is not noticed (--inputs gives other numbers): {names}{more}"
        )
        told = f"a small change in {count} of {self.tried} tensors would have been noticed{left}"
        return (told, hidden) if self.hidden else (told,)

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        return {"tried": self.tried, "hidden": list(self.hidden), "left": self.left}


@dataclass(frozen=True)
class RecipePower:
    """Whether what a recipe writes into a network would be noticed if it were wrong.

    ``settings`` are its constants, attributes and orders, each with the changes that were tried; and the
    operations and removals that only stand for the original on the inputs that were put in. ``left`` counts
    the changes that there was no time for.
    """

    settings: tuple[FieldPower, ...] = ()
    left: int = 0

    @property
    def not_exercised(self) -> tuple[str, ...]:
        """The settings, as ``node.setting``, of which no change would have been noticed."""
        return tuple(f"{each.node}.{each.field}" for each in self.settings if not each.exercised)

    @property
    def lines(self) -> tuple[str, ...]:
        """A sentence a line; empty where the recipe writes nothing of its own."""
        if not self.settings and not self.left:
            return ()
        silent, count = self.not_exercised, len(self.settings)
        left = f"; {plural(self.left, 'more change')} could not be tried in time" if self.left else ""
        settings = plural(count, "constant, attribute or order", "constants, attributes and orders")
        told = (
            f"of {settings} that the recipe writes, another value of {count - len(silent)} would have been "
            f"noticed{left}"
        )
        return (told, f"not exercised: {', '.join(silent)}") if silent else (told,)

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        return {"settings": [each.to_json() for each in self.settings], "left": self.left}


def _plain(value: Any) -> Any:
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return value.decode(errors="replace") if isinstance(value, bytes) else value


def _by_owner(values: Mapping[str, Any]) -> list[str]:
    """Return a line for each node, step or ``image`` that has some of these values, named ``owner.key``."""
    fields: dict[str, list[str]] = {}
    for name, value in values.items():
        owner, _, key = name.rpartition(".")
        fields.setdefault(owner, []).append(f"{key} {show_value(value)}")
    return [f"  {owner}: {', '.join(shown)}" for owner, shown in fields.items()]


@dataclass(frozen=True)
class AddedPart:
    """What a recipe adds behind tensors of the original, and nothing in the original stands for.

    ``plugin`` is the node that gives detections, ``reads`` names the original's tensors that the part reads,
    ``nodes`` those of the recipe's nodes that it consists of, and ``values`` holds what the recipe writes:
    fields by ``node.field``, and options of steps by ``step.option``. ``suppressed_by`` names what else
    suppresses the original's boxes by these values; it is empty where only the references of the recipe's own
    plugins do. ``given_up`` names the original's outputs that the part takes the place of, so that nothing is
    compared with them.
    """

    plugin: str
    reads: tuple[str, ...]
    nodes: tuple[str, ...]
    values: Mapping[str, Any] = field(default_factory=dict)
    suppressed_by: str = ""
    given_up: tuple[str, ...] = ()

    @property
    def lines(self) -> tuple[str, ...]:
        """A sentence a line."""
        reads = ", ".join(f"'{name}'" for name in self.reads[:_SHOWN])
        more = f" and {len(self.reads) - _SHOWN} more" if len(self.reads) > _SHOWN else ""
        if self.suppressed_by:
            told = (
                f"the recipe adds the suppression of '{self.plugin}'; the original ends at {reads}{more}, "
                f"and is compared after {self.suppressed_by}'s own suppression by the same values"
            )
        elif self.given_up:
            left = ", ".join(f"'{name}'" for name in self.given_up[:_SHOWN])
            told = (
                f"the recipe adds '{self.plugin}', which reads {reads}{more}, in the place of {left} of the "
                "original; read these outputs, or keep them among the recipe's 'outputs', so that they are "
                "compared"
            )
        else:
            told = (
                f"the recipe adds '{self.plugin}', which reads {reads}{more}; the original detects nothing, "
                "so nothing in it says what these rows should be"
            )
        return (
            told,
            "the recipe's own values, which this verification takes as given:",
            *_by_owner(self.values),
        )

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        values = {name: _plain(value) for name, value in self.values.items()}
        return {
            "plugin": self.plugin,
            "reads": list(self.reads),
            "nodes": list(self.nodes),
            "values": values,
            "suppressed_by": self.suppressed_by,
            "given_up": list(self.given_up),
        }


@dataclass(frozen=True)
class Verification(Displayed):
    """Whether a rewritten graph computes what the original computes.

    ``verdicts`` are *cut to cut* (the original's tensors at the cut go into the rewritten graph), *each
    alone* (every namespace that was replaced, with the original's own values) and *end to end* (from
    pixels, through the recipe's ``image``). ``pictures`` names the inputs; ``made`` says that ``surgeon``
    made them up. ``excuses`` explains the names of excuses, ``labels`` those of the classes.
    ``max_excused`` is the number of excused differences allowed on one picture, None for the default.
    ``drawn`` names the files that show both sets of detections. ``runtime`` describes what ran in place of
    the rewritten graph (of an engine: its file, precision and GPU); it is empty for the graph itself.
    ``power`` says for each field of each plugin whether a wrong value would have been noticed,
    ``literals`` which values in the recipe differ from the graph; both are empty for a file. ``exercise``
    says of which of the original's tensors a small change reaches an output, and ``recipe_power`` whether
    another constant, attribute, order or operation in the recipe would have been noticed, where none gives
    detections. ``diagnostics`` are the notes of the plan. ``added`` says what the recipe adds that detects,
    where the original does not. ``given`` holds, as ``image.key`` and ``step.option``, what the recipe says
    of inputs and nothing in the original does: both graphs are fed by it.
    """

    recipe: str
    target: str
    pictures: tuple[str, ...]
    made: bool
    tolerances: Tolerances
    max_excused: int | None
    verdicts: tuple[Verdict, ...]
    excuses: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[int, str] = field(default_factory=dict)
    drawn: tuple[str, ...] = ()
    runtime: Mapping[str, str] = field(default_factory=dict)
    power: tuple[FieldPower, ...] = ()
    literals: tuple[LiteralDifference, ...] = ()
    exercise: Exercise = Exercise()
    recipe_power: RecipePower = RecipePower()
    diagnostics: tuple[Diagnostic, ...] = ()
    added: AddedPart | None = None
    given: Mapping[str, Any] = field(default_factory=dict)

    def __repr__(self) -> str:
        verdicts = ", ".join(f"{verdict.name} {verdict.outcome}" for verdict in self.verdicts)
        return (
            f"<Verification of the recipe '{self.recipe}': "
            f"{self.outcome}{f' ({verdicts})' if verdicts else ''}>"
        )

    @property
    def outcome(self) -> Outcome:
        """The worst outcome of the verdicts, but for those that have nothing to hold ``image`` or an added
        part against.
        """
        compared = (v for v in self.verdicts if not self.takes_as_given(v) and not self.has_cases_alone(v))
        return worst(verdict.outcome for verdict in compared)

    @property
    def passed(self) -> bool:
        """True if every verdict passed, but for those that have nothing to hold ``image`` or an added part
        against.
        """
        return self.outcome is Outcome.PASSED

    def takes_as_given(self, verdict: Verdict) -> bool:
        """Return whether a verdict compares nothing, because nothing in the original says how a picture
        becomes its input, and ``image`` is taken as given.
        """
        image = any(name.startswith(IMAGE) for name in self.given)
        return image and verdict.name == END and verdict.outcome is Outcome.NOT_COMPARED

    def has_cases_alone(self, verdict: Verdict) -> bool:
        """Return whether a verdict compares nothing of the graph but runs the cases of plugins that a recipe
        adds, which nothing in the original stands for.
        """
        cases = verdict.reason.startswith(CASES_ALONE)
        return cases and verdict.name == ALONE and verdict.outcome is Outcome.NOT_COMPARED

    @property
    def given_lines(self) -> tuple[str, ...]:
        """What the recipe says of inputs and this verification takes as given, a sentence a line; empty where
        it is nothing.
        """
        if not self.given:
            return ()
        return ("the recipe's own values of inputs, by which both graphs are fed:", *_by_owner(self.given))

    @property
    def compares_masks(self) -> bool:
        """True where masks of detections were compared."""
        comparisons = (each for verdict in self.verdicts for each in verdict.comparisons)
        return any(isinstance(each, DetectionComparison) and each.masks for each in comparisons)

    @property
    def not_exercised(self) -> tuple[str, ...]:
        """The plugins' fields, as ``node.field``, and what else the recipe writes, of which no change would
        have been noticed.
        """
        fields = (f"{each.node}.{each.field}" for each in self.power if not each.exercised)
        return (*fields, *self.recipe_power.not_exercised)

    @property
    def power_lines(self) -> tuple[str, ...]:
        """What the power was measured to be, a sentence a line; empty where it was not."""
        others = (*self.recipe_power.lines, *self.exercise.lines)
        if not self.power:
            return others
        silent = tuple(f"{each.node}.{each.field}" for each in self.power if not each.exercised)
        count = len(self.power)
        lists = (("not exercised", silent), ("not noticed", self.partly_exercised))
        return (
            f"a small change in {count - len(silent)} of {count} plugin fields would have been noticed",
            *(f"{what}: {', '.join(names)}" for what, names in lists if names),
            *others,
        )

    @property
    def partly_exercised(self) -> tuple[str, ...]:
        """Changes that nothing would have noticed, as ``node.field value``, of fields that are exercised."""
        return tuple(
            f"{each.node}.{each.field} {show_value(value)}"
            for each in self.power
            for value, noticed in each.changes
            if each.exercised and not noticed
        )

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        return {
            "version": VERSION,
            "recipe": self.recipe,
            "target": self.target,
            "outcome": str(self.outcome),
            "pictures": list(self.pictures),
            "made": self.made,
            "tolerances": self.tolerances.to_json(),
            "max_excused": self.max_excused,
            "verdicts": [v.to_json() for v in self.verdicts],
            "excuses": dict(self.excuses),
            "labels": {str(number): name for number, name in self.labels.items()},
            "drawn": list(self.drawn),
            "runtime": dict(self.runtime),
            "power": [each.to_json() for each in self.power],
            "literals": [each.to_json() for each in self.literals],
            "exercise": self.exercise.to_json(),
            "recipe_power": self.recipe_power.to_json(),
            "diagnostics": [each.to_json() for each in self.diagnostics],
            "added": None if self.added is None else self.added.to_json(),
            "given": {name: _plain(value) for name, value in self.given.items()},
        }


_ORDER = (Outcome.FAILED, Outcome.INCONCLUSIVE, Outcome.NOT_COMPARED)


def worst(outcomes: Iterable[Outcome]) -> Outcome:
    """Return the worst of some outcomes: failed, inconclusive, not compared, passed.

    Not compared for none.
    """
    found = tuple(outcomes)
    return next((o for o in _ORDER if o in found), Outcome.PASSED if found else Outcome.NOT_COMPARED)
