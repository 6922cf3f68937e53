"""The summary of a page: numbers and outcomes, then inputs, outputs and operations."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from surgeon.diagnostics import Diagnostic, Severity
from surgeon.display import number
from surgeon.verification import Verification
from surgeon.viewer.change_report import ChangeReport
from surgeon.viewer.html_change_report import count_rows, operations, tensors
from surgeon.viewer.html_parts import badge, outcome
from surgeon.viewer.markup import Markup, element, join
from surgeon.viewer.node_status import NodeStatus, status_word

_DIFFERENCES = (NodeStatus.DROPPED, NodeStatus.ADDED, NodeStatus.REWIRED, NodeStatus.CHANGED)


def summary(
    report: ChangeReport, diagnostics: Sequence[Diagnostic], verification: Verification | None
) -> Markup:
    """Return a report in a line of numbers and outcomes, with what was found out about a plan."""
    cards = [_card(*row) for row in count_rows(report)]
    if report.kind == "diff":
        cards.append(_card("what differs", _differences(report)))
    if report.kind == "plan":
        cards.append(_card("diagnostics", _severities(diagnostics)))
        result = badge("not run", "note") if verification is None else outcome(str(verification.outcome))
        cards.append(_card("verification", result))
    return element("div", *cards, class_="cards")


def contents(report: ChangeReport) -> Markup:
    """Return the inputs and outputs of the graphs, and how often each operation occurs."""
    left = element("div", element("h3", "Inputs and outputs"), tensors(report))
    right = element("div", element("h3", "Operations"), operations(report))
    return element("div", left, right, class_="halves")


def _card(label: str, *values: object) -> Markup:
    """Return a card with a value, or with one before and one after."""
    content = list(values)
    if len(values) > 1:
        content = [
            element("span", values[0], class_="was"),
            element("span", " → ", class_="muted"),
            values[1],
        ]
    return element(
        "div", element("p", *content, class_="value"), element("p", label, class_="muted"), class_="card"
    )


def _severities(diagnostics: Sequence[Diagnostic]) -> Markup:
    counts = Counter(diagnostic.severity for diagnostic in diagnostics)
    badges = [
        badge(f"{counts[severity]} {severity.value}{'s' if counts[severity] > 1 else ''}", severity.value)
        for severity in Severity
        if counts[severity]
    ]
    return join(*(badges or [badge("none", "good")]))


def _differences(report: ChangeReport) -> Markup:
    counts: Counter[NodeStatus] = Counter()
    for namespace in report.namespaces:
        counts.update(namespace.statuses)
    badges = [
        badge(f"{number(counts[status])} {status_word(status.value, 'diff')}", status.value)
        for status in _DIFFERENCES
        if counts[status]
    ]
    if report.moved:
        badges.append(badge(f"{number(len(report.moved))} moved", "note"))
    badges += [badge(text, "note") for text in report.others]
    return join(*(badges or [badge("none", "good")]))
