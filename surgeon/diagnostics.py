"""Diagnostics: what is wrong, where, and what to do next.

Every failure that a user can cause is a :class:`SurgeonError` carrying one or more :class:`Diagnostic`.
Anything else that escapes is a bug of this package.

Each code has one page, ``surgeon/diagnostic_pages/<CODE>.md``: the first line is its title, the rest is what
``surgeon explain <CODE>`` prints. The letter names the room: ``E`` environment and files, ``F`` fleets, ``G``
graphs, ``I`` inference, ``C`` plugin catalog, ``R`` recipes, ``S`` steps and surgery, ``D`` derivation, ``T``
targets, ``V`` verification, ``X`` export, ``L`` what the target's runtime makes of a file, and logs, ``B``
building and running engines, ``W`` views, ``P`` Python scripts for graphsurgeon and uff.
"""

from __future__ import annotations

import difflib
import heapq
import os
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from surgeon.display import Displayed, printable

_LONGEST_NAME = 200
_FEW = 200


class Severity(str, Enum):
    """How grave a diagnostic is; only an error stops the work."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


@dataclass(frozen=True, slots=True)
class Span:
    """A place in a text file: 1-based line and column, and the text of that line for the caret."""

    file: str
    line: int
    column: int
    length: int = 1
    text: str = ""

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


@dataclass(frozen=True, slots=True)
class Diagnostic(Displayed):
    """What is wrong or may go wrong, where, and what to do next.

    ``message`` says `<thing> <what is wrong>; <what was expected>`; names stand in single quotes. ``where``
    is the place (a :class:`Span`, or the name of a file or node); ``notes`` are facts that help; ``help`` is
    what to do next.
    """

    code: str
    message: str
    where: Span | str | None = None
    notes: tuple[str, ...] = ()
    help: tuple[str, ...] = ()
    severity: Severity = Severity.ERROR

    def render(self, colour: bool = False) -> str:
        """Return the text form: location, severity and code, source line with caret, notes and help.

        What cannot be seen and came in with a name, line feeds included, is shown as an escape.
        """
        bold, red, blue, off = ("\x1b[1m", "\x1b[31m", "\x1b[34m", "\x1b[0m") if colour else ("", "", "", "")
        place = printable(f"{self.where}: ") if self.where else ""
        lines = [
            f"{bold}{place}{red}{self.severity.value}[{self.code}]{off}{bold}: {printable(self.message)}{off}"
        ]
        if isinstance(self.where, Span) and self.where.text:
            margin = f"{self.where.line:>5} | "
            blank = " " * (len(margin) - 2) + "| "
            pad = "".join("\t" if c == "\t" else " " for c in self.where.text[: self.where.column - 1])
            room = max(1, len(self.where.text) - self.where.column + 1)
            caret = "^" * max(1, min(self.where.length, room))
            lines += [
                f"{blue}{margin}{off}{_as_placed(self.where.text)}",
                f"{blue}{blank}{off}{pad}{red}{caret}{off}",
            ]
        lines += [f"      = {printable(note)}" for note in self.notes]
        lines += [f"      = help: {printable(text)}" for text in self.help]
        return "\n".join(lines)

    def to_json(self) -> dict[str, object]:
        """Return the JSON twin of :meth:`render`."""
        where: object = self.where
        if isinstance(self.where, Span):
            span = self.where
            where = {"file": span.file, "line": span.line, "column": span.column, "length": span.length}
        return {
            "code": self.code,
            "severity": self.severity.value,
            "message": self.message,
            "where": where,
            "notes": list(self.notes),
            "help": list(self.help),
        }


def _as_placed(line: str) -> str:
    """Return a line of a file with spaces for what cannot be seen: the caret stays below its place."""
    return "".join(char if printable(char) == char or char == "\t" else " " for char in line)


def errors_in(diagnostics: Iterable[Diagnostic]) -> tuple[Diagnostic, ...]:
    """Return the diagnostics of severity error."""
    return tuple(each for each in diagnostics if each.severity is Severity.ERROR)


def warnings_in(diagnostics: Iterable[Diagnostic]) -> tuple[Diagnostic, ...]:
    """Return the diagnostics of severity warning."""
    return tuple(each for each in diagnostics if each.severity is Severity.WARNING)


class SurgeonError(Exception, Displayed):
    """The user's input or environment is at fault; the diagnostics say how."""

    def __init__(self, *diagnostics: Diagnostic) -> None:
        super().__init__(*diagnostics)
        self.diagnostics = diagnostics

    def __str__(self) -> str:
        return "\n".join(d.render() for d in self.diagnostics)


def error(
    code: str,
    message: str,
    where: Span | str | Path | None = None,
    notes: Iterable[str] = (),
    help: Iterable[str] = (),
) -> SurgeonError:
    """Build a :class:`SurgeonError` of one diagnostic; the caller raises it."""
    place = str(where) if isinstance(where, Path) else where
    return SurgeonError(Diagnostic(code, message, place, tuple(notes), tuple(help)))


def nearest(name: str, candidates: Iterable[str], count: int = 3) -> list[str]:
    """Return the spellings closest to ``name``, best first.

    At most 20,000 candidates are looked at, and none where a name has more than 200 characters.
    """
    if len(name) > _LONGEST_NAME:
        return []
    pool = [c for c, _ in zip(candidates, range(20_000), strict=False) if len(c) <= _LONGEST_NAME]
    if len(pool) > _FEW:
        likely = heapq.nlargest(_FEW, pool, key=lambda c: _ends_in_common(name, c) / (len(name) + len(c) + 1))
    else:
        likely = pool
    close = difflib.get_close_matches(name, likely, n=count, cutoff=0.6)
    if close:
        return close
    lowered = name.lower()
    inside = [c for c in pool if lowered and (lowered in c.lower() or c.lower() in lowered)]
    head = [c for c in pool if len(lowered) > 3 and c.lower().startswith(lowered[:4])]
    return sorted(dict.fromkeys(inside + head), key=lambda c: (abs(len(c) - len(name)), c))[:count]


def _ends_in_common(a: str, b: str) -> int:
    """Return how many characters two names share at their start and, besides those, at their end."""
    room = min(len(a), len(b))
    start = next((i for i in range(room) if a[i] != b[i]), room)
    end = next((i for i in range(room - start) if a[-1 - i] != b[-1 - i]), room - start)
    return start + end


def nearest_note(name: str, candidates: Iterable[str]) -> tuple[str, ...]:
    """Return a one-line note naming the nearest spellings, or nothing when none is near."""
    close = nearest(name, candidates)
    return ("nearest: " + ", ".join(f"'{c}'" for c in close),) if close else ()


def pages_dir() -> Path:
    """Return the folder of the diagnostic pages."""
    return Path(__file__).parent / "diagnostic_pages"


def code_page(code: str) -> tuple[str, str] | None:
    """Return (title, body) of a code's page, or None where there is no such code."""
    path = pages_dir() / f"{code}.md"
    if not code.isalnum() or not os.path.isfile(path):
        return None
    title, _, body = path.read_text(encoding="utf-8").partition("\n")
    return title.removeprefix("#").strip().removeprefix(code).strip(": "), body.strip() + "\n"


def all_codes() -> list[str]:
    """Return every diagnostic code, sorted."""
    return sorted(p.stem for p in pages_dir().glob("*.md"))
