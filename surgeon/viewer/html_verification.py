"""Pieces of HTML that show a verification."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from surgeon.display import number, some
from surgeon.verification import DetectionComparison, Difference, TensorComparison, Verdict, Verification
from surgeon.viewer.html_parts import folding_table, name_of, outcome, table
from surgeon.viewer.markup import Markup, element, join

_SHOWN = 12
_DETECTIONS = ("", "original", "rewritten", "matched", "box error", "median", "score error", "excused", "")
_TENSORS = ("", "tensor", "error", "allowed", "")
_DIFFERENCES = ("", "class", "score", "box (ymin, xmin, ymax, xmax)", "off by")


def verification(found: Verification) -> Markup:
    """Return the outcome, each verdict with its comparisons, and what excuses mean."""
    tolerances = found.tolerances
    made = " (made up; no picture was given)" if found.made else ""
    return join(
        element(
            "p",
            outcome(str(found.outcome)),
            " recipe ",
            element("b", found.recipe),
            f" for {found.target or 'no target'}",
        ),
        element(
            "p",
            f"Put in: {some(found.pictures)}{made}. Tolerances: boxes {tolerances.box:g} of the picture, "
            f"scores {tolerances.score:g}, other tensors {tolerances.tensor:g} of their largest value.",
            class_="muted",
        ),
        *(verdict(one, found.labels) for one in found.verdicts),
        _excuses(found.excuses),
    )


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


def verdict(found: Verdict, labels: Mapping[int, str]) -> Markup:
    """Return how one question was answered, and by which comparisons."""
    worst_first = sorted(found.comparisons, key=lambda c: c.outcome.value == "passed")
    detections = [c for c in worst_first if isinstance(c, DetectionComparison)]
    tensors = [c for c in worst_first if not isinstance(c, DetectionComparison)]
    reason = f" {found.reason}" if found.reason else ""
    return join(
        element("h3", found.name, " ", outcome(str(found.outcome)), element("span", reason, class_="muted")),
        folding_table(
            "comparisons of detections",
            _DETECTIONS,
            [_detections(c) for c in detections],
            shown=_SHOWN,
            right=range(1, 7),
        ),
        folding_table(
            "comparisons of tensors", _TENSORS, [_tensor(c) for c in tensors], shown=_SHOWN, right=(2, 3)
        ),
        *(_differences(c, labels) for c in detections),
    )


def _detections(found: DetectionComparison) -> Sequence[object]:
    excused = ", ".join(f"{name} {count}" for name, count in found.excused.items())
    return (
        outcome(str(found.outcome)),
        number(found.original),
        number(found.rewritten),
        number(found.matched),
        f"{found.worst_box_error:.2g}",
        f"{found.median_box_error:.2g}",
        f"{found.worst_score_error:.2g}",
        excused or "-",
        _subject(found),
    )


def _tensor(found: TensorComparison) -> Sequence[object]:
    measured = (f"{found.error:.2g}", f"{found.tolerance:.2g}") if found.tolerance else ("-", "-")
    excuse = f" [{found.excuse}]" if found.excuse else ""
    return (
        outcome(str(found.outcome)),
        element("code", found.tensor or "-"),
        *measured,
        join(_subject(found), excuse),
    )


def _subject(found: DetectionComparison | TensorComparison) -> Markup:
    reason = f": {found.reason}" if found.reason else ""
    return join(name_of(found.subject), element("span", f" {found.picture}{reason}", class_="muted"))


def _differences(found: DetectionComparison, labels: Mapping[int, str]) -> Markup | None:
    left = found.unexcused
    if not left:
        return None
    rows = [_difference(one, labels) for one in left]
    return join(
        element("h4", f"Not explained: {found.subject}, {found.picture}"),
        folding_table("differences", _DIFFERENCES, rows, shown=_SHOWN),
    )


def _difference(found: Difference, labels: Mapping[int, str]) -> Sequence[object]:
    row = found.original or found.rewritten
    if row is None:
        return (found.kind, "", "", "", "")
    label = labels.get(row.label)
    errors = f"box {found.box_error:.2g}, score {found.score_error:.2g}" if found.kind == "differs" else ""
    named = f"{row.label} ({label})" if label else f"{row.label}"
    return (found.kind, named, f"{row.score:.4f}", ", ".join(f"{value:.4f}" for value in row.box), errors)
