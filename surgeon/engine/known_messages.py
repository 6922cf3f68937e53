"""Known messages of TensorRT, its parsers and plugins, the converters before it and CUDA.

:func:`read_log` finds them in a log; each says what it means and what to do.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from surgeon.targets import read_data

TABLE = Path(__file__).parent / "known_messages.yaml"
CODE = "L130"

LONGEST_LINE = 2000
"""Characters of a line that are looked at."""

MOST_LINES = 5_000_000
MOST_UNKNOWN = 1000

Kind = Literal["error", "warning", "harmless", "consequence"]

_COLOUR = re.compile(r"\x1b\[[0-9;]{0,8}m")
_LOOKS_WRONG = re.compile(
    r"\b(?:error|fatal|failed|failure|assert(?:ion)?|abort(?:ed|ing)?|cannot|could not|unable "
    r"to|unsupported|invalid|illegal)\b"
    r"|\b\w*(?:Error|Exception)\b|\[E\]|\[F\]",
    re.IGNORECASE,
)
_TALK = re.compile(
    r"\[[IV]\]|\b(?:INFO|VERBOSE|DEBUG)\b|^\s*Traceback |^\s*File \"|^\s*(?:raise|except|assert) |\b(?:0|no) "
    r"errors?\b",
    re.IGNORECASE,
)
"""Lines that speak of errors without one, and the lines of a traceback above its last."""

_STAMP = re.compile(r"^\[?\d[\d/:. -]{7,25}\]?\s*")


def _expression(text: str) -> str:
    try:
        re.compile(text)
    except re.error as exc:
        raise ValueError(f"it is not a regular expression: {exc}") from None
    return text


class _Entry(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    contains: str = Field(min_length=1)
    pattern: Annotated[str, AfterValidator(_expression)]
    kind: Kind = "error"
    means: str
    do: Annotated[tuple[str, ...], Field(min_length=1)]
    verb: str = ""
    see: tuple[str, ...] = ()
    rows: tuple[int, ...] = ()
    source: Annotated[tuple[str, ...], Field(min_length=1)]
    examples: Annotated[tuple[str, ...], Field(min_length=1)]
    near: Annotated[tuple[str, ...], Field(min_length=1)]


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    messages: Mapping[str, _Entry]


@dataclass(frozen=True)
class KnownMessage:
    """One known message.

    A line that holds ``contains`` and matches ``pattern`` is it. ``means`` and ``do`` (what to do, in turn)
    may name the groups of the pattern in braces. ``verb`` is the command that helps, ``see`` the codes of its
    diagnostics, ``rows`` the problems of ``docs/pain.md``. ``examples`` are lines as they were reported by
    ``source``, ``near`` ones that must not match.
    """

    name: str
    contains: str
    pattern: re.Pattern[str]
    kind: Kind
    means: str
    do: tuple[str, ...]
    verb: str
    see: tuple[str, ...]
    rows: tuple[int, ...]
    source: tuple[str, ...]
    examples: tuple[str, ...]
    near: tuple[str, ...]

    def match(self, line: str) -> re.Match[str] | None:
        """Return the match of a line, None where it is another message."""
        return self.pattern.search(line) if self.contains in line else None


@dataclass
class ExplainedMessage:
    """A known message in a log: the first line that is it, with its number from 1, and how many there are.

    ``groups`` are what the message speaks of in that line (node, op); ``means``, ``do`` and ``verb`` speak of
    it, too.
    """

    message: KnownMessage
    line: int
    text: str
    groups: Mapping[str, str]
    count: int = 1

    @property
    def means(self) -> str:
        return self._filled(self.message.means)

    @property
    def do(self) -> tuple[str, ...]:
        return tuple(map(self._filled, self.message.do))

    @property
    def verb(self) -> str:
        return self._filled(self.message.verb)

    def _filled(self, text: str) -> str:
        return re.sub(r"\{(\w+)\}", lambda match: self.groups.get(match[1]) or "...", text)


@dataclass
class LogReading:
    """What a log holds.

    ``lines`` is how many it has. ``explained`` are the known messages: errors first, what follows from others
    last. ``unknown`` are other lines that look wrong, each once with its number; ``unknown_count`` counts all
    of these.
    """

    lines: int = 0
    explained: tuple[ExplainedMessage, ...] = ()
    unknown: list[tuple[int, str]] = field(default_factory=list)
    unknown_count: int = 0


@cache
def known_messages(table: Path = TABLE) -> tuple[KnownMessage, ...]:
    """Return every known message, in the order in which they are tried.

    Raise SurgeonError L130 for a table that is wrong.
    """
    entries = read_data(table, _Table, CODE, "table of messages").messages
    return tuple(
        KnownMessage(name, **(entry.model_dump() | {"pattern": re.compile(entry.pattern)}))
        for name, entry in entries.items()
    )


def read_log(lines: Iterable[str], messages: Iterable[KnownMessage] | None = None) -> LogReading:
    """Find known messages in the lines of a log, and lines that look wrong and are not known.

    The first 5,000,000 lines are read, and 2,000 characters of each. Colour codes are passed over.
    """
    known = tuple(known_messages() if messages is None else messages)
    found: dict[str, ExplainedMessage] = {}
    seen: set[str] = set()
    reading = LogReading()
    for number, raw in enumerate(lines, 1):
        if number > MOST_LINES:
            break
        reading.lines = number
        line = _COLOUR.sub("", raw[:LONGEST_LINE]).rstrip()
        if (
            line
            and not _explain(line, number, known, found)
            and _LOOKS_WRONG.search(line)
            and not _TALK.search(line)
        ):
            reading.unknown_count += 1
            bare = _STAMP.sub("", line.strip())
            if bare not in seen and len(reading.unknown) < MOST_UNKNOWN:
                seen.add(bare)
                reading.unknown.append((number, line.strip()))
    order: tuple[Kind, ...] = ("error", "warning", "harmless", "consequence")
    reading.explained = tuple(
        sorted(found.values(), key=lambda one: (order.index(one.message.kind), one.line))
    )
    return reading


def _explain(
    line: str, number: int, known: tuple[KnownMessage, ...], found: dict[str, ExplainedMessage]
) -> bool:
    for message in known:
        match = message.match(line)
        if match is None:
            continue
        earlier = found.get(message.name)
        if earlier is None:
            groups = {key: value for key, value in match.groupdict().items() if value is not None}
            found[message.name] = ExplainedMessage(message, number, line.strip(), groups)
        else:
            earlier.count += 1
        return True
    return False
