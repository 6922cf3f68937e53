"""The tree of namespaces as HTML, with what became of each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from surgeon.display import number, size
from surgeon.viewer.html_parts import badge, bar, breakable, name_of
from surgeon.viewer.markup import Markup, element, join
from surgeon.viewer.namespace_report import NamespaceReport, walk
from surgeon.viewer.node_status import Kind, NodeStatus, status_word

MOST_NAMESPACES = 1500
"""Namespaces that a tree shows; deeper ones of a larger graph are counted only."""

_MOST_INTO = 3
_TITLES = {"graph": (), "plan": ("fate", "recipe"), "diff": ("fate",)}
_CLASSES = {"graph": "ns ns-plain", "plan": "ns", "diff": "ns ns-short"}


def namespaces(reports: Sequence[NamespaceReport], kind: Kind, depth: int = 0) -> Markup:
    """Return the tree of namespaces, foldable, with the fate of each but for one graph alone.

    ``depth`` bounds it where it is not 0.
    """
    listed = _listed(reports, depth)
    largest = max((report.constant_bytes for report in reports), default=0)
    rows = (_namespace(report, kind, largest, listed, 1) for report in reports[:MOST_NAMESPACES])
    head = element(
        "div",
        element("span", "namespace or node"),
        *(element("span", title, class_="n") for title in ("nodes", "constants")),
        *(element("span", title) for title in _TITLES[kind]),
        class_="ns-row ns-head",
        aria_hidden="true",
    )
    left = len(list(walk(reports))) - len(listed)
    more = element("p", f"{number(left)} more are not listed.", class_="muted") if left else None
    return element("div", head, element("ul", *rows, class_="ns-tree"), more, class_=_CLASSES[kind])


def _listed(roots: Sequence[NamespaceReport], depth: int) -> dict[str, None]:
    """Return the names of the namespaces that are shown: level by level, until there are enough."""
    names: dict[str, None] = {}
    level = list(roots)
    reached = 1
    while level and (not depth or reached <= depth):
        for namespace in level[: MOST_NAMESPACES - len(names)]:
            names[namespace.name] = None
        level = [inner for namespace in level if namespace.name in names for inner in namespace.inside]
        reached += 1
    return names


def _namespace(
    report: NamespaceReport, kind: Kind, largest: int, listed: Mapping[str, None], level: int
) -> Markup:
    """Return a namespace and what is inside it; ``largest`` is the size in bytes of a full bar."""
    constants = (
        bar(report.constant_bytes, largest, size(report.constant_bytes)) if report.constant_bytes else None
    )
    cells = [
        element("span", element("code", report.name if level == 1 else report.name.rpartition("/")[2])),
        element("span", _nodes(report, kind), class_="n"),
        element("span", constants, class_="n"),
    ]
    if kind != "graph":
        word = status_word(report.status.value, kind)
        cells.append(element("span", badge(word, report.status.value), " ", _statuses(report, kind)))
    if kind == "plan":
        cells.append(element("span", _places(report)))
    attributes = {
        "class_": f"ns-row f-{report.status.value}",
        "style": f"--level:{level - 1}",
        "data_path": report.name,
    }
    inside = [
        _namespace(inner, kind, largest, listed, level + 1) for inner in report.inside if inner.name in listed
    ]
    if not inside:
        return element("li", element("div", *cells, **attributes))
    return element("li", element("details", element("summary", *cells, **attributes), element("ul", *inside)))


def _nodes(report: NamespaceReport, kind: Kind) -> str:
    if kind == "graph" or report.before == report.after:
        return number(report.after)
    return f"{number(report.before)} → {number(report.after)}"


def _statuses(report: NamespaceReport, kind: Kind) -> Markup:
    """Return what a namespace became, and how many of its nodes have each status."""
    parts: list[object] = []
    counts = dict(Counter(report.statuses).most_common())
    if report.status is NodeStatus.COLLAPSED:
        parts.append(join("into ", *_separated(name_of(name) for name in list(report.into)[:_MOST_INTO])))
        del counts[NodeStatus.COLLAPSED]
    if counts and (len(report.statuses) > 1 or report.status is NodeStatus.PARTLY):
        parts += [f"{number(count)} {status_word(status.value, kind)}" for status, count in counts.items()]
    return element("span", *_separated(parts), class_="muted")


def _separated(parts: Iterable[object]) -> list[object]:
    return [piece for part in parts for piece in (", ", part)][1:]


def _places(report: NamespaceReport) -> Markup:
    """Return the recipe's line that did most, or its step; the others are in the title."""
    if not report.places:
        return Markup("")
    lines = [f"{step} {location}: {number(count)}" for (step, location), count in report.places.items()]
    step, location = next(iter(report.places))
    more = f" +{len(lines) - 1}" if len(lines) > 1 else ""
    # A step of the default list is not a line that someone wrote.
    text = step if not location or location.startswith("(") else location
    return element("code", breakable(text), more, class_="place", title="\n".join(lines))
