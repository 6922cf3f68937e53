"""Recipes as commented YAML text."""

from __future__ import annotations

import json
import re
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np

from surgeon import display
from surgeon.language.document import plain_scalar

WIDTH = 120
"""Characters a line of comment has at most, where words allow it."""

MOST_EVIDENCE = 4
"""Pieces of evidence that a comment shows of one value."""

Block: TypeAlias = "Mapping[str, Item]"

_PLAIN = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_./ -]*[A-Za-z0-9_./])?\Z")


@dataclass(frozen=True)
class Item:
    """A value of a recipe and what is said of it above its line.

    The value is a scalar, a list or a mapping, written on one line, or a :data:`Block`, written a line a key.
    """

    value: Any
    comments: tuple[str, ...] = ()
    spaced: bool = field(default=False, kw_only=True)
    """Whether an empty line goes before."""


@dataclass(frozen=True)
class Parameter:
    """The value of a parameter, written as ``$name``."""

    name: str

    def __str__(self) -> str:
        return f"${self.name}"


def said(evidence: Sequence[str]) -> tuple[str, ...]:
    """Return evidence as one comment; of many pieces the first are shown."""
    shown = list(evidence[:MOST_EVIDENCE])
    if len(evidence) > MOST_EVIDENCE:
        shown.append(f"and {len(evidence) - MOST_EVIDENCE} more")
    return ("; ".join(shown),) if shown else ()


def render(heading: Sequence[str], block: Block) -> str:
    """Return a recipe's text: a comment, and keys with what is said of each above it."""
    lines = [line for text in heading for line in comment(text)]
    return "\n".join([*lines, *_lines(block, 0)]) + "\n"


def _lines(block: Block, indent: int) -> Iterator[str]:
    pad = " " * indent
    before: tuple[str, ...] = ()
    for key, item in block.items():
        if item.spaced:
            yield ""
        for text in item.comments if item.comments != before else ():
            yield from comment(text, indent)
        before = item.comments
        name = f"{pad}{key if isinstance(key, int) else _quoted(key)}:"
        if _is_block(item.value):
            yield name
            yield from _lines(item.value, indent + 2)
        elif isinstance(item.value, list) and any(isinstance(each, Item) for each in item.value):
            yield name
            for each in item.value:
                for text in each.comments:
                    yield from comment(text, indent + 2)
                yield f"{pad}  - {one_line(each.value)}"
        else:
            yield f"{name} {one_line(item.value)}"


def _is_block(value: Any) -> bool:
    return (
        isinstance(value, Mapping) and bool(value) and all(isinstance(each, Item) for each in value.values())
    )


def comment(text: str, indent: int = 0) -> list[str]:
    """Return a text as lines of YAML comments."""
    prefix = " " * indent + "# "
    return textwrap.wrap(
        printable(text),
        WIDTH,
        initial_indent=prefix,
        subsequent_indent=prefix,
        break_long_words=False,
        break_on_hyphens=False,
    )


def printable(text: str) -> str:
    """Return a text on one line; what cannot be seen, or YAML cannot hold in a comment, is escaped."""
    return display.printable(text.replace("\t", " "))


def one_line(value: Any) -> str:
    """Return a value as YAML on one line.

    Floats are finite, and written by the shortest decimal that is the same float32.
    """
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_quoted(key)}: {one_line(each)}" for key, each in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(one_line, value)) + "]"
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return _decimal(value)
    if isinstance(value, Parameter):
        return str(value)
    # A dollar sign at the beginning would name a parameter.
    return _quoted(f"${value}" if str(value).startswith("$") else str(value))


def _quoted(text: str) -> str:
    """Return a text as YAML, in quotes where it needs them."""
    if _PLAIN.match(text) and isinstance(plain_scalar(text), str):
        return text
    return display.printable(json.dumps(text, ensure_ascii=False))


def _decimal(value: float) -> str:
    text = (
        np.format_float_positional(np.float32(value), trim="0")
        if 1e-4 <= abs(value) < 1e7 or value == 0
        else str(np.float32(value))
    )
    return re.sub(r"e([-+])0+", r"e\1", text)
