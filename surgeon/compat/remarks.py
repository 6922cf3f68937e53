"""What NVIDIA's packages pass over in silence, told with the script's line."""

from __future__ import annotations

import ast
import linecache
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from types import FrameType

from surgeon.diagnostics import Diagnostic, Severity, Span, SurgeonError, warnings_in

_HERE = str(Path(__file__).parent)
_PACKAGE = str(Path(__file__).parents[1])
_collected: list[list[Diagnostic]] = []
_scripts: dict[str, None] = {}
_strict = False


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
    """Look for words in this script, too, before those that were known already."""
    _scripts.pop(file, None)
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
    for file in dict.fromkeys([*([place.file] if place else []), *reversed(_scripts)]):
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


def and_others(count: int, noun: str) -> str:
    """Return how many more there are than the one that is named: `` (and 3 nodes more)``."""
    return "" if count < 2 else f" (and {count - 1} {noun if count == 2 else noun + 's'} more)"


def remark(
    code: str,
    message: str,
    where: Span | str | None = None,
    notes: tuple[str, ...] = (),
    help: tuple[str, ...] = (),
) -> None:
    """Tell a warning to whoever collects them, or as a :class:`ScriptWarning` of Python."""
    _tell(Diagnostic(code, message, where, notes, help, Severity.WARNING))


def note(code: str, message: str, where: Span | str | None = None, help: tuple[str, ...] = ()) -> None:
    """Tell what is good to know as :func:`remark` tells a warning; it is no reason to refuse a script."""
    _tell(Diagnostic(code, message, where, (), help, Severity.NOTE))


def refuse_if_strict() -> None:
    """Raise SurgeonError with the warnings that were collected, where a script is to be refused for them."""
    if _strict and _collected:
        found = warnings_in(_collected[-1])
        if found:
            _collected[-1][:] = [each for each in _collected[-1] if each not in found]
            raise SurgeonError(*(replace(each, severity=Severity.ERROR) for each in found))


def _tell(diagnostic: Diagnostic) -> None:
    if _collected:
        if diagnostic not in _collected[-1]:
            _collected[-1].append(diagnostic)
        return
    text = "\n".join([f"[{diagnostic.code}] {diagnostic.message}", *diagnostic.notes, *diagnostic.help])
    if isinstance(diagnostic.where, Span):
        warnings.warn_explicit(text, ScriptWarning, diagnostic.where.file, diagnostic.where.line)
    else:
        warnings.warn(text, ScriptWarning, stacklevel=3)


@contextmanager
def collecting(strict: bool = False) -> Iterator[list[Diagnostic]]:
    """Collect the warnings about scripts in a list while the block runs.

    With ``strict``, a warning keeps a UFF file from being written: ``from_tensorflow`` raises it.
    """
    global _strict
    found: list[Diagnostic] = []
    before, _strict = _strict, strict
    _collected.append(found)
    try:
        yield found
    finally:
        _collected.remove(found)
        _strict = before
