"""Small pieces of HTML that all others are made of."""

from __future__ import annotations

import math
import struct
from collections.abc import Iterable, Mapping, Sequence

from surgeon.diagnostics import Span
from surgeon.display import number, some
from surgeon.graph import TensorSpec
from surgeon.viewer.markup import Markup, element, escape
from surgeon.viewer.node_status import location_of

MOST_ROWS = 40
"""Rows of a table that are shown before it folds."""

_LONGEST = 240


def _single(value: float) -> bytes:
    """Return the bytes of a float32, which fields are, or of the float64 where it is too large for one."""
    try:
        return struct.pack("<f", value)
    except OverflowError:
        return struct.pack("<d", value)


def value_of(value: object) -> str:
    """Return a field's value for people."""
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(value_of, value)) + "]"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}: {value_of(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, float) and math.isfinite(value):
        return next(
            (
                text
                for digits in range(1, 9)
                if _single(float(text := f"{value:.{digits}g}")) == _single(value)
            ),
            f"{value:.9g}",
        )
    return value.decode("utf-8", "backslashreplace") if isinstance(value, bytes) else str(value)


def shortened(text: str) -> str:
    """Return a text; of a long one the beginning, and how long it is."""
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 20]}… ({len(text)} characters)"


def ops_of(counts: Mapping[str, int]) -> str:
    """Return operations with how many nodes have each."""
    return some([f"{op} {number(count)}" if count > 1 else op for op, count in counts.items()], 6)


def breakable(text: str) -> Markup:
    """Return a text of which a line may break after a slash."""
    return Markup(escape(text).replace("/", "/<wbr>"))


def name_of(name: str) -> Markup:
    """Return a name that came from a file; a line may break after a slash."""
    return element("code", breakable(name))


def spec_of(spec: TensorSpec) -> Markup:
    """Return element type and shape."""
    return element("code", str(spec), class_="spec")


def place_of(span: Span | None) -> Markup:
    """Return a recipe's line; nothing without one."""
    text = location_of(span)
    return element("code", text, class_="place") if text else Markup("")


def lines_of(lines: Sequence[str]) -> Markup:
    return element("ul", *(element("li", line) for line in lines), class_="lines") if lines else Markup("")


def badge(text: object, kind: str) -> Markup:
    """Return a word on a coloured ground."""
    return element("span", text, class_=f"badge b-{kind}")


def outcome(text: str) -> Markup:
    """Return how something ended, as a badge."""
    return badge(text, {"passed": "good", "failed": "error", "inconclusive": "warning"}.get(text, "note"))


def bar(value: int, most: int, text: str) -> Markup:
    """Return a number as a bar with a text; ``most`` is that of the longest bar."""
    width = 100.0 * value / most if most else 0.0
    filled = element("i", style=f"width:{width:.1f}%") if value else None
    return element("span", filled, element("b", text), class_="bar")


def table(head: Sequence[object], rows: Iterable[Sequence[object]], right: Sequence[int] = ()) -> Markup:
    """Return a table; nothing without rows.

    Columns in ``right`` hold numbers. In a narrow container a table of more than three columns shows each row
    as a block, in which every cell has the title of its column; any other that is too wide scrolls by itself.
    """
    return _table(head, [list(rows)], right)


def folding_table(
    what: str,
    head: Sequence[object],
    rows: Sequence[Sequence[object]],
    *,
    shown: int = MOST_ROWS,
    right: Sequence[int] = (),
) -> Markup:
    """Return a table of which the rows after the first ``shown`` are folded.

    All rows stand in one table, so that columns do not move when it unfolds.
    """
    rest = rows[shown:]
    if not rest:
        return table(head, rows, right)
    summary = element("summary", f"{number(len(rest))} more {what}")
    return element(
        "div", _table(head, [rows[:shown], rest], right), element("details", summary), class_="folding"
    )


def _table(
    head: Sequence[object], parts: Sequence[Sequence[Sequence[object]]], right: Sequence[int]
) -> Markup:
    """Return a table whose parts are bodies of their own; nothing without rows."""
    if not any(parts):
        return Markup("")
    classes = ["n" if index in right else None for index in range(len(head))]
    titles = (element("th", cell, scope="col", class_=kind) for cell, kind in zip(head, classes, strict=True))
    bodies = (
        element("tbody", *(_row(head, row, classes) for row in part), class_="rest" if index else None)
        for index, part in enumerate(parts)
    )
    top = element("thead", element("tr", *titles)) if any(head) else None
    kind = "stacks" if len(head) > 3 else None
    return element("div", element("table", top, *bodies, class_=kind), class_="scroll")


def _row(head: Sequence[object], row: Sequence[object], classes: Sequence[str | None]) -> Markup:
    cells = zip(head, row, classes, strict=True)
    return element(
        "tr", *(element("td", cell, class_=kind, data_title=title or None) for title, cell, kind in cells)
    )
