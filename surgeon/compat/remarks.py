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
from types import FrameType

from surgeon.diagnostics import Diagnostic, Severity, Span

_HERE = str(Path(__file__).parent)
_PACKAGE = str(Path(__file__).parents[1])
_collected: list[list[Diagnostic]] = []
_scripts: dict[str, None] = {}


class ScriptWarning(UserWarning):
    """A script does what NVIDIA's packages allow and what is probably wrong."""


def script_place() -> Span | None:
    """Return the line of the script that is being run: the innermost one outside this package, if any."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and frame.f_code.co_filename.startswith((_HERE, "<frozen")):
        frame = frame.f_back
    if frame is None or frame.f_code.co_filename.startswith(_PACKAGE):
        return None
    return place_of(frame.f_code.co_filename, frame.f_lineno)


def know_script(file: str) -> None:
    """Look for words in this script, too, where none is being run any more."""
    _scripts[file] = None


def place_of(file: str, line: int, word: str = "") -> Span:
    """Return a line of a file, or where ``word`` stands in it."""
    text = linecache.getline(file, line).rstrip("\n")
    start = text.find(word) if word else -1
    if start < 0:
        start, word = len(text) - len(text.lstrip()), text.strip()
    return Span(file, line, start + 1, max(1, len(word)), text)


def word_place(word: str) -> Span | None:
    """Return where a script has ``word`` as a text or a keyword, else the line that is being run."""
    place = script_place()
    for file in dict.fromkeys([*([place.file] if place else []), *_scripts]):
        lines = _lines_of_words(file).get(word)
        if lines is not None:
            return place_of(file, lines[0], word)
    return place


@lru_cache(maxsize=8)
def _lines_of_words(file: str) -> dict[str, list[int]]:
    """Return the lines of a Python file by the texts and the keywords of calls that stand there."""
    found: dict[str, list[int]] = {}
    try:
        tree = ast.parse("".join(linecache.getlines(file)))
    except SyntaxError:
        return found
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            found.setdefault(node.value, []).append(node.lineno)
        elif isinstance(node, ast.keyword) and node.arg:
            found.setdefault(node.arg, []).append(node.lineno)
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
