"""Diagnostics as HTML."""

from __future__ import annotations

from collections.abc import Iterable

from surgeon.diagnostics import Diagnostic, Span
from surgeon.viewer.html_parts import badge, lines_of
from surgeon.viewer.markup import Markup, element
from surgeon.viewer.node_status import location_of

_ORDER = ("error", "warning", "note")


def diagnostics(listed: Iterable[Diagnostic]) -> Markup:
    """Return diagnostics, the gravest first."""
    ranked = sorted(listed, key=lambda each: _ORDER.index(each.severity.value))
    items = [_diagnostic(each) for each in ranked]
    return element("ul", *items, class_="diagnostics") if items else element("p", "None.", class_="muted")


def _diagnostic(diagnostic: Diagnostic) -> Markup:
    severity = diagnostic.severity.value
    where = diagnostic.where
    place = location_of(where) if isinstance(where, Span) else where
    head = element(
        "p",
        badge(severity, severity),
        " ",
        element("b", diagnostic.code),
        " ",
        element("span", place, class_="muted"),
    )
    return element(
        "li",
        head,
        element("p", diagnostic.message),
        _source(where) if isinstance(where, Span) and where.text else None,
        lines_of(diagnostic.notes),
        *(element("p", element("b", "help: "), text) for text in diagnostic.help),
        class_=f"is-{severity}",
    )


def _source(span: Span) -> Markup:
    """Return the line with what is meant in it marked."""
    start = span.column - 1
    end = start + max(1, span.length)
    return element(
        "pre",
        f"{span.line:>5} | ",
        span.text[:start],
        element("mark", span.text[start:end]),
        span.text[end:],
    )
