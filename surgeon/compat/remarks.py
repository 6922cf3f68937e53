"""What NVIDIA's packages pass over in silence, told with the script's line."""

from __future__ import annotations

import ast
import linecache
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path

from surgeon.diagnostics import Diagnostic, Severity, Span

_HERE = str(Path(__file__).parent)
_collected: list[list[Diagnostic]] = []


class ScriptWarning(UserWarning):
    """A script does what NVIDIA's packages allow and what is probably wrong."""


def script_place() -> Span | None:
    """Return the line of the script that is being run: the innermost one outside this package."""
    frame = sys._getframe(1)
    while frame is not None and frame.f_code.co_filename.startswith((_HERE, "<frozen")):
        frame = frame.f_back  # type: ignore[assignment]
    return None if frame is None else place_of(frame.f_code.co_filename, frame.f_lineno)


def place_of(file: str, line: int, word: str = "") -> Span:
    """Return a line of a file, or where ``word`` stands in it."""
    text = linecache.getline(file, line).rstrip("\n")
    start = text.find(word) if word else -1
    if start < 0:
        start, word = len(text) - len(text.lstrip()), text.strip()
    return Span(file, line, start + 1, max(1, len(word)), text)


def word_place(word: str) -> Span | None:
    """Return where the script that is being run has ``word`` as a text, else the line that it is at."""
    place = script_place()
    if place is None:
        return None
    lines = _lines_of_texts(place.file).get(word)
    return place if lines is None else place_of(place.file, lines[0], word)


@lru_cache(maxsize=8)
def _lines_of_texts(file: str) -> dict[str, list[int]]:
    """Return the lines of a Python file that have a text as a literal, by the text."""
    found: dict[str, list[int]] = {}
    try:
        tree = ast.parse("".join(linecache.getlines(file)))
    except SyntaxError:
        return found
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            found.setdefault(node.value, []).append(node.lineno)
    return found


def remark(
    code: str,
    message: str,
    where: Span | str | None = None,
    notes: tuple[str, ...] = (),
    help: tuple[str, ...] = (),
) -> None:
    """Tell a warning to whoever collects them, or as a :class:`ScriptWarning` of Python."""
    diagnostic = Diagnostic(code, message, where, notes, help, Severity.WARNING)
    if _collected:
        _collected[-1].append(diagnostic)
        return
    text = "\n".join([f"[{code}] {message}", *notes, *help])
    if isinstance(where, Span):
        warnings.warn_explicit(text, ScriptWarning, where.file, where.line)
    else:
        warnings.warn(text, ScriptWarning, stacklevel=2)


@contextmanager
def collecting() -> Iterator[list[Diagnostic]]:
    """Collect the warnings about scripts in a list while the block runs."""
    found: list[Diagnostic] = []
    _collected.append(found)
    try:
        yield found
    finally:
        _collected.remove(found)
