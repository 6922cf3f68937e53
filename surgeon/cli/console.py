"""What is written to the terminal: products to standard output, talk to standard error."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shlex
import shutil
import sys
import threading
from collections.abc import Callable, Iterable, Sequence
from itertools import zip_longest
from typing import Any, BinaryIO, TextIO

from surgeon.diagnostics import Diagnostic, Severity, SurgeonError, error
from surgeon.display import columns_of, folded, printable
from surgeon.display import number as number
from surgeon.display import size as size
from surgeon.display import some as some
from surgeon.stages import tell_stage

# No name can hold the marks of a heading, which become codes of the terminal when a line is written.
_MARK = f"\x1b{os.urandom(8).hex()}"
_CODES = {f"{_MARK}+": "\x1b[1m", f"{_MARK}-": "\x1b[0m"}
_MARKS = re.compile(f"({_MARK}[+-])")

_NARROWEST = 12
"""Columns that a cell of text keeps, however narrow the terminal is."""
_ROOMY = 24
"""Columns in which the last column of a table, which is often a sentence, can be read."""

LOCK = threading.RLock()
"""Held while something is written: the line of progress comes from a thread of its own."""

_quiet = False


def _nothing() -> None:
    pass


_clear: Callable[[], None] = _nothing
"""Takes the line of progress off the terminal, before anything else is written."""


def only_errors(quiet: bool) -> None:
    """Say nothing but errors from now on, or everything again."""
    global _quiet
    _quiet = quiet


def before_writing(clear: Callable[[], None] = _nothing) -> None:
    """Call a function before anything is written."""
    global _clear
    _clear = clear


def prepare() -> None:
    """Let names that the terminal's encoding lacks be written escaped rather than fail.

    Where a standard stream is closed, nothing else may take its number: what is opened next would be written
    to. What is said is then lost, and a product cannot be written.
    """
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            # The lowest free number is this one. Writing to standard output fails, as it should.
            os.open(os.devnull, os.O_WRONLY if descriptor == 2 else os.O_RDONLY)
    if sys.stdout is None:
        sys.stdout = os.fdopen(1, "w", encoding="utf-8", closefd=False)
    if sys.stderr is None:
        sys.stderr = os.fdopen(2, "w", encoding="utf-8", closefd=False)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


_display = {"color": "auto"}


def configure(color: str = "auto") -> None:
    """Set whether there is colour: ``auto``, ``always`` or ``never``."""
    _display["color"] = color


def coloured(stream: TextIO) -> bool:
    """Return whether a stream takes colour: a terminal, unless NO_COLOR is set, the terminal is dumb or a
    configuration file says otherwise.
    """
    if os.environ.get("NO_COLOR") or _display["color"] == "never":
        return False
    return _display["color"] == "always" or (stream.isatty() and os.environ.get("TERM") != "dumb")


def show(text: str = "") -> None:
    """Write a line of the product; what cannot be seen in it, line feeds included, is escaped."""
    _write(_line(text) + "\n")


def show_lines(text: str) -> None:
    """Write several lines of the product, whose names were escaped when the lines were made."""
    _write(printable(text, keep="\t\n") + "\n")


def show_json(value: Any) -> None:
    """Write a JSON product."""
    _write(json.dumps(value, indent=2, default=list) + "\n")


def show_bytes(write: Callable[[BinaryIO], None]) -> None:
    """Write a product that is no text; raise SurgeonError E105 where standard output cannot be written."""
    _write("", flush=True)
    try:
        write(sys.stdout.buffer)
        sys.stdout.buffer.flush()
    except BrokenPipeError:
        raise
    except OSError as exc:
        abandon()
        raise _unwritable(exc) from None


def finish() -> None:
    """See that the product has left this process; raise SurgeonError E105 where it cannot."""
    _write("", flush=True)


def abandon() -> None:
    """Write what is left of the product nowhere, so that the interpreter's own flush cannot fail."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def say(text: str) -> None:
    """Write a line of talk, unless only errors are wanted; what cannot be seen in it is escaped."""
    tell_stage("")
    if not _quiet:
        _talk(_line(text) + "\n")


def next_step(*commands: Sequence[str]) -> None:
    """Say which command is the natural next one, and others that may be; raise SurgeonError E105 where the
    product cannot be written.
    """
    finish()
    for i, words in enumerate(commands):
        say(("  or: " if i else "next: ") + shlex.join(words))


def say_error(text: str) -> None:
    """Write a line that tells of an error; what cannot be seen in it, line feeds included, is escaped."""
    _talk(_line(text) + "\n")


def say_lines(text: str) -> None:
    """Write several lines of talk, whose names were escaped when the lines were made."""
    if not _quiet:
        _talk(printable(text, keep="\t\n") + "\n")


def _talk(text: str) -> None:
    """Write to standard error; where nobody can read it any more, the text is lost, and nothing else."""
    with LOCK:
        _clear()
        write_error(text)


def write_error(text: str, stream: TextIO | None = None) -> None:
    """Write to standard error, or to a stream in its place; where nobody can read it, the text is lost."""
    try:
        (stream or sys.stderr).write(text)
        (stream or sys.stderr).flush()
    except (OSError, ValueError):  # a closed pipe, a full disk, a closed stream
        with contextlib.suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())


def _write(text: str, flush: bool = False) -> None:
    tell_stage("")
    try:
        with LOCK:
            _clear()
            sys.stdout.write(text)
            if flush:
                sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as exc:
        abandon()
        raise _unwritable(exc) from None


def _unwritable(exc: OSError) -> SurgeonError:
    return error(
        "E105",
        f"standard output cannot be written: {exc.strerror or exc}",
        help=["free some space, or write elsewhere"],
    )


def say_notes_and_warnings(diagnostics: Iterable[Diagnostic]) -> None:
    """Write the notes of a plan in full, then its warnings, and how to read more about their codes."""
    warnings = [each for each in diagnostics if each.severity is Severity.WARNING]
    for each in diagnostics:
        if each.severity is Severity.NOTE:
            say_lines(each.render())
    say_diagnostics(warnings)


def say_diagnostics(diagnostics: Iterable[Diagnostic]) -> None:
    """Write diagnostics, and how to read more about their codes; errors alone where only they are wanted."""
    codes: dict[str, None] = {}
    for diagnostic in diagnostics:
        if _quiet and diagnostic.severity is not Severity.ERROR:
            continue
        _talk(diagnostic.render(coloured(sys.stderr)) + "\n")
        codes[diagnostic.code] = None
    if codes:
        say("more: " + ", ".join(f"surgeon explain {code}" for code in codes))


def writes(text: str) -> bool:
    """Return whether the product's encoding has these characters."""
    try:
        text.encode(sys.stdout.encoding or "ascii")
    except UnicodeEncodeError:
        return False
    return True


def bold(text: str) -> str:
    """Return a heading of the product."""
    return f"{_MARK}+{text}{_MARK}-" if coloured(sys.stdout) else text


def columns() -> int | None:
    """Return how many columns the product has: those of the terminal, None where it goes elsewhere."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def table(rows: Iterable[Sequence[str]], indent: str = "  ", right: Sequence[int] = ()) -> None:
    """Write rows in columns, those in ``right`` aligned to the right.

    On a terminal that is narrower than the rows, cells are folded, and the last column goes below the others
    where there is too little room for it. Elsewhere, a row is a line.
    """
    cells = [[_escaped(cell) for cell in row] for row in rows]
    if not cells:
        return
    count = max(map(len, cells))
    cells = [row + [""] * (count - len(row)) for row in cells]
    widths = [max(_width(row[i]) for row in cells) for i in range(count)]
    room = columns()
    if room is None or sum(widths) + 2 * (count - 1) + len(indent) <= room:
        _show_rows(cells, widths, indent, right)
        return
    left = room - len(indent) - 2 * (count - 1)
    last = left - sum(widths[:-1])
    if count - 1 in right or count == 1:
        _show_rows(cells, _narrowed(widths, left, right), indent, right)
    elif last >= min(_ROOMY, widths[-1]):
        _show_rows(cells, [*widths[:-1], last], indent, right)
    else:
        before = _narrowed(widths[:-1], left + 2, right)
        below = f"{indent}    "
        for row in cells:
            _show_rows([row[:-1]], before, indent, right)
            if row[-1]:
                _show_rows([row[-1:]], [room - len(below)], below, ())


def _show_rows(
    cells: Sequence[Sequence[str]], widths: Sequence[int], indent: str, right: Sequence[int]
) -> None:
    """Write rows, each cell folded to the width of its column."""
    for row in cells:
        lines = [_folded(cell, width) for cell, width in zip(row, widths, strict=True)]
        for line in zip_longest(*lines, fillvalue=""):
            parts = (_padded(text, widths[i], i in right) for i, text in enumerate(line))
            show((indent + "  ".join(parts)).rstrip())


def _narrowed(widths: Sequence[int], room: int, fixed: Sequence[int]) -> list[int]:
    """Return the widths of columns that fit: the widest give way first, those of ``fixed`` never."""
    for most in range(max(widths), _NARROWEST, -1):
        narrowed = [width if i in fixed else min(width, most) for i, width in enumerate(widths)]
        if sum(narrowed) <= room:
            return narrowed
    return [width if i in fixed else min(width, _NARROWEST) for i, width in enumerate(widths)]


def _folded(cell: str, width: int) -> list[str]:
    return [cell] if _width(cell) <= width else folded(cell, width)


def _padded(text: str, width: int, right: bool) -> str:
    pad = " " * (width - _width(text))
    return pad + text if right else text + pad


def _width(text: str) -> int:
    return columns_of(_MARKS.sub("", text))


def _escaped(text: str) -> str:
    """Return a text with all but the marks of headings escaped."""
    return "".join(part if part in _CODES else printable(part) for part in _MARKS.split(text))


def _line(text: str) -> str:
    """Return a text as it is written to the terminal."""
    return "".join(_CODES.get(part) or printable(part) for part in _MARKS.split(text))
