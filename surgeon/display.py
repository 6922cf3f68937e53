"""How values are shown: numbers in words for people, and what a notebook shows, which the room that draws
says.
"""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Callable, Sequence
from functools import lru_cache

_drawn_by: Callable[[object], str] | None = None


class Displayed:
    """A value that notebooks show as HTML."""

    __slots__ = ()

    def _repr_html_(self) -> str | None:
        return None if _drawn_by is None else _drawn_by(self)


def draw_with(function: Callable[[object], str]) -> Callable[[object], str]:
    """Name the function that returns a :class:`Displayed` value as HTML."""
    global _drawn_by
    _drawn_by = function
    return function


def short_file(file: str) -> str:
    """Return a file for people: a shipped recipe without its folder, one below the working folder relative to
    it, others whole.
    """
    return _short(file, os.getcwd()) if os.path.isabs(file) else file


@lru_cache(maxsize=256)
def _short(file: str, here: str) -> str:
    # A graph has thousands of nodes whose fates come from a few files; what is imported here is of no use to
    # 'import surgeon'.
    from importlib.resources import files
    from pathlib import Path

    path = Path(file)
    for folder, name in ((Path(str(files("surgeon.recipes"))), "recipes/"), (Path(here), "")):
        if path.is_relative_to(folder):
            return f"{name}{path.relative_to(folder)}"
    return file


def printable(text: str, keep: str = "") -> str:
    """Return a text of which every character can be seen; the others are escaped as Python writes them.

    Those are control characters, the line feed included, marks that turn the direction of writing, other
    characters without a glyph, and halves of surrogate pairs. Names come from files of others: a terminal
    would obey what they hold, and a reader would take a second line for one of ours. ``keep`` are characters
    that stay.
    """
    if text.isprintable():
        return text
    return "".join(char if char in keep or _is_seen(char) else _escaped(char) for char in text)


def _is_seen(char: str) -> bool:
    return char.isprintable() or unicodedata.category(char) == "Zs"


def _escaped(char: str) -> str:
    return char.encode("unicode_escape").decode()


def columns_of(text: str) -> int:
    """Return how many columns a text takes on a terminal: two for a wide character, none for one that joins
    the one before it.
    """
    if text.isascii():
        return len(text)
    return sum(map(_columns, text))


def _columns(char: str) -> int:
    if unicodedata.combining(char) or unicodedata.category(char) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1


def fitting(text: str, room: int) -> int:
    """Return how many characters at the start of a text fit into ``room`` columns."""
    columns = 0
    for i, char in enumerate(text):
        columns += _columns(char)
        if columns > room:
            return i
    return len(text)


def cut(text: str, room: int, mark: str = "...") -> str:
    """Return a text that takes at most ``room`` columns; one that is longer ends with a mark."""
    if columns_of(text) <= room:
        return text
    return text[: fitting(text, max(0, room - len(mark)))] + mark[: max(0, room)]


def folded(text: str, room: int) -> list[str]:
    """Return a text in lines of at most ``room`` columns, parted at spaces, and within words that are longer.

    Lines after the first keep its indentation; what is left of a parted word stands two columns further in.
    """
    lead = min(len(text) - len(text.lstrip(" ")), room // 2)
    first, parted = " " * lead, " " * (lead + 2)
    lines, line = [], first
    for word in text.split():
        gap = " " if line.strip() else ""
        if gap and columns_of(line) + 1 + columns_of(word) > room:
            lines.append(line)
            line, gap = first, ""
        line += gap
        while columns_of(line) + columns_of(word) > room:
            head = max(1, fitting(word, room - columns_of(line)))
            lines.append(line + word[:head])
            word, line = word[head:], parted
        line += word
    return [*lines, line]


def plural(count: int, one: str, many: str = "") -> str:
    """Return a count and its noun."""
    return f"{number(count)} {one if count == 1 else many or one + 's'}"


def number(value: int) -> str:
    """Return a count with its thousands set apart."""
    return f"{value:,}"


def size(value: int) -> str:
    """Return a number of bytes with a unit."""
    amount = float(value)
    for unit in ("B", "kB", "MB"):
        if amount < 1000:
            return f"{value} B" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1000
    return f"{amount:.1f} GB"


def some(items: Sequence[str], most: int = 4) -> str:
    """Return the first items, and how many more there are."""
    more = len(items) - most
    return ", ".join(items[:most]) + (f" and {number(more)} more" if more > 0 else "")


def either(words: Sequence[str]) -> str:
    """Return words as a choice: ``a``, ``a or b``, ``a, b or c``."""
    return " or ".join(filter(None, [", ".join(words[:-1]), *words[-1:]]))


def first_paragraph(value: object) -> str:
    """Return the first paragraph of a value's docstring as one line."""
    return " ".join((value.__doc__ or "").strip().partition("\n\n")[0].split())
