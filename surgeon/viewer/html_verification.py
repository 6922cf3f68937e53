"""Pieces of HTML that show a verification."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from surgeon.display import number, plural, some
from surgeon.verification import DetectionComparison, Difference, TensorComparison, Verdict, Verification
from surgeon.viewer.html_parts import folding_table, name_of, outcome, table
from surgeon.viewer.markup import Markup, element, join

_SHOWN = 12
_ERRORS = ("box error", "median", "score error")
_TENSORS = ("outcome", "tensor", "error", "allowed", "compared")
_DIFFERENCES = ("difference", "class", "score", "box (ymin, xmin, ymax, xmax)", "off by")


def verification(result: Verification) -> Markup:
    """Return the outcome, each verdict with its comparisons, and what excuses mean."""
    tolerances = result.tolerances
    masks = f"masks {tolerances.mask:g}, " if result.compares_masks else ""
    made = " (made up; no picture was given)" if result.made else ""
    return join(
        element(
            "p",
            outcome(str(result.outcome)),
            " recipe ",
            element("b", result.recipe),
            f" for {result.target or 'no target'}",
        ),
        element(
            "p",
            f"Put in: {some(result.pictures)}{made}. Tolerances: boxes {tolerances.box:g} of the picture, "
            f"scores {tolerances.score:g}, {masks}other tensors {tolerances.tensor:g} of their largest "
            "value.",
            class_="muted",
        ),
        *(verdict(each, result.labels) for each in result.verdicts),
        _given(result),
        _power(result),
        _excuses(result.excuses),
    )


def _given(result: Verification) -> Markup | None:
    lines = (*(result.added.lines if result.added is not None else ()), *result.given_lines)
    if not lines:
        return None
    return join(element("h3", "Taken as given"), *(element("p", line.strip()) for line in lines))


def _power(result: Verification) -> Markup | None:
    lines = [f"{line[0].upper()}{line[1:]}." for line in result.power_lines]
    if result.literals:
        lines.append(
            f"Values in the recipe that differ from the graph: {'; '.join(map(str, result.literals))}."
        )
    return join(element("h3", "Power"), *(element("p", line) for line in lines)) if lines else None


def _excuses(excuses: Mapping[str, str]) -> Markup | None:
    if not excuses:
        return None
    return join(
        element("h3", "Excused"),
        element(
            "p",
            "With this rule alone changed in the plugin's reference, the difference is gone.",
            class_="muted",
        ),
        table(["excuse", "what it means"], list(excuses.items())),
    )


def verdict(result: Verdict, labels: Mapping[int, str]) -> Markup:
    """Return how one question was answered, and by which comparisons."""
    probes = result.passed_probes
    shown = [each for each in result.comparisons if each not in probes]
    worst_first = sorted(shown, key=lambda c: c.outcome.value == "passed")
    detections = [c for c in worst_first if isinstance(c, DetectionComparison)]
    tensors = [c for c in worst_first if not isinstance(c, DetectionComparison)]
    reason = f" {result.reason}" if result.reason else ""
    masks = any(c.masks for c in detections)
    errors = (*_ERRORS, "mask error") if masks else _ERRORS
    return join(
        element(
            "h3", result.name, " ", outcome(str(result.outcome)), element("span", reason, class_="muted")
        ),
        folding_table(
            "comparisons of detections",
            ("outcome", "original", "rewritten", "matched", *errors, "excused", "compared"),
            [_detections(c, masks) for c in detections],
            shown=_SHOWN,
            right=range(1, 4 + len(errors)),
        ),
        folding_table(
            "comparisons of tensors", _TENSORS, [_tensor(c) for c in tensors], shown=_SHOWN, right=(2, 3)
        ),
        element("p", f"{plural(len(probes), 'probe')} passed, too.", class_="muted") if probes else None,
        *(_differences(c, labels) for c in detections),
    )


def _detections(comparison: DetectionComparison, masks: bool) -> Sequence[object]:
    mask_error = f"{comparison.worst_mask_error:.2g}" if comparison.masks else "-"
    excused = ", ".join(f"{name} {count}" for name, count in comparison.excused.items())
    return (
        outcome(str(comparison.outcome)),
        number(comparison.original),
        number(comparison.rewritten),
        number(comparison.matched),
        f"{comparison.worst_box_error:.2g}",
        f"{comparison.median_box_error:.2g}",
        f"{comparison.worst_score_error:.2g}",
        *((mask_error,) if masks else ()),
        excused or "-",
        _subject(comparison),
    )


def _tensor(comparison: TensorComparison) -> Sequence[object]:
    measured = (
        (f"{comparison.error:.2g}", f"{comparison.tolerance:.2g}") if comparison.tolerance else ("-", "-")
    )
    excuse = f" [{comparison.excuse}]" if comparison.excuse else ""
    return (
        outcome(str(comparison.outcome)),
        element("code", comparison.tensor or "-"),
        *measured,
        join(_subject(comparison), excuse),
    )


def _subject(comparison: DetectionComparison | TensorComparison) -> Markup:
    reason = f": {comparison.reason}" if comparison.reason else ""
    return join(
        name_of(comparison.subject), element("span", f" {comparison.picture}{reason}", class_="muted")
    )


def _differences(comparison: DetectionComparison, labels: Mapping[int, str]) -> Markup | None:
    if not comparison.unexcused:
        return None
    rows = [_difference(each, labels) for each in comparison.unexcused]
    return join(
        element("h4", f"Not explained: {comparison.subject}, {comparison.picture}"),
        folding_table("differences", _DIFFERENCES, rows, shown=_SHOWN),
    )


def _difference(difference: Difference, labels: Mapping[int, str]) -> Sequence[object]:
    row = difference.original or difference.rewritten
    if row is None:
        return (difference.kind, "", "", "", "")
    label = labels.get(row.label)
    mask = f", mask {difference.mask_error:.2g}" if difference.mask_error else ""
    errors = (
        f"box {difference.box_error:.2g}, score {difference.score_error:.2g}{mask}"
        if difference.kind == "differs"
        else ""
    )
    name = f"{row.label} ({label})" if label else f"{row.label}"
    return (difference.kind, name, f"{row.score:.4f}", ", ".join(f"{value:.4f}" for value in row.box), errors)
