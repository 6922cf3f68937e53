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


def place_of(file: str, line: int, word: str = "", column: int = 0) -> Span:
    """Return a line of a file, or where ``word`` stands in it, from a column on."""
    text = linecache.getline(file, line).rstrip("\n")
    start = max(text.find(word, column), text.find(word)) if word else -1
    if start < 0:
        start, word = len(text) - len(text.lstrip()), text.strip()
    return Span(file, line, start + 1, max(1, len(word)), text)


def word_place(word: str, role: str = "") -> Span | None:
    """Return where a script has ``word`` as a text or a keyword, else the line that is being run.

    Of several places, the first counts where the word is in a ``role``: a ``key`` of a dictionary, an
    ``argument`` of a call, or a ``keyword``.
    """
    place = script_place()
    for file in dict.fromkeys([*([place.file] if place else []), *reversed(_scripts)]):
        words = _places_of_words(file)
        found = words.get((role, word)) or words.get(("", word))
        if found is not None:
            return place_of(file, found[0], word, found[1])
    return place


@lru_cache(maxsize=8)
def _places_of_words(file: str) -> dict[tuple[str, str], tuple[int, int]]:
    """Return the first line and column of a Python file where a text or a keyword is in a role, or in any."""
    found: dict[tuple[str, str], tuple[int, int]] = {}
    try:
        tree = ast.parse("".join(linecache.getlines(file)))
    except SyntaxError:
        return found
    for role, word, node in _words(tree):
        found.setdefault((role, word), (node.lineno, node.col_offset))
    return found


def _words(tree: ast.AST) -> Iterator[tuple[str, str, ast.expr | ast.keyword]]:
    """Yield the texts and keywords of a script, each in any role and in its own."""
    for node in ast.walk(tree):
        inner: dict[str, list[ast.expr | None]] = {"": [node] if isinstance(node, ast.expr) else []}
        if isinstance(node, ast.Dict):
            inner["key"] = node.keys
        elif isinstance(node, ast.Subscript):
            inner["key"] = [node.slice]
        elif isinstance(node, ast.Call):
            inner["argument"] = [*node.args, *(keyword.value for keyword in node.keywords)]
        elif isinstance(node, ast.keyword) and node.arg:
            yield "keyword", node.arg, node
            yield "", node.arg, node
        for role, texts in inner.items():
            for text in texts:
                if isinstance(text, ast.Constant) and isinstance(text.value, str):
                    yield role, text.value, text


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
