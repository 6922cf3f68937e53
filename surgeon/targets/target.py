"""What a target is, and the patterns that name several of them."""

from __future__ import annotations

import operator
import pkgutil
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

from surgeon.diagnostics import error
from surgeon.discovery import entry_points
from surgeon.display import Displayed
from surgeon.targets.data_file import parse_version

Runtime = Literal["tensorrt", "tensorrt-rtx", "onnxruntime", "any"]
RUNTIMES: tuple[Runtime, ...] = ("tensorrt", "tensorrt-rtx", "onnxruntime", "any")

_PATTERN = re.compile(r"(?P<runtime>[a-z]+(-[a-z]+)*)\s*(-\s*(?P<line>[0-9.]+)|(?P<bounds>[<>=!].*))?\Z")
_BOUND = re.compile(r"\s*(?P<sign>>=|<=|==|!=|<|>)\s*(?P<version>[0-9.]+)\s*\Z")
_SIGNS: Mapping[str, Callable[[tuple[int, ...], tuple[int, ...]], bool]] = {
    ">=": operator.ge,
    "<=": operator.le,
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    ">": operator.gt,
}


@dataclass(frozen=True)
class Target(Displayed):
    """A format and the runtime that reads it.

    ``version`` is the release that a line of releases stands for: the first that was generally available, so
    that what is written for the target holds for the whole line. ``runs_plugins`` is False where the runtime
    has no TensorRT plugins. The next three speak of the UFF parser: ``plugin_needs_input`` where it refuses a
    plugin node without inputs, ``uff_version`` the version that it requires of a file (None where that was
    not looked up), and ``leaky_relu`` where it knows that activation. ``most_rows`` is the largest K of TopK
    in the runtime, None where it has no bound; ``lacks`` names operators of ONNX that it does not have.
    ``deprecated`` says until when the way is open.
    """

    name: str
    format: str
    runtime: Runtime
    version: tuple[int, ...] | None
    title: str
    notes: tuple[str, ...] = ()
    runs_plugins: bool = True
    plugin_needs_input: bool = False
    uff_version: str | None = None
    leaky_relu: bool = False
    most_rows: int | None = None
    lacks: tuple[str, ...] = ()
    deprecated: str | None = None

    def __repr__(self) -> str:
        return f"<Target {self.name}>"

    @property
    def tensorrt(self) -> tuple[int, ...] | None:
        """The release of TensorRT that this target stands for; None for another runtime."""
        return self.version if self.runtime == "tensorrt" else None

    def matches(self, pattern: str) -> bool:
        """Return whether this target is among those that ``pattern`` names.

        A pattern is a format (``uff``), a runtime (``tensorrt``), or both (``uff@tensorrt``); a runtime may
        carry a line of versions (``tensorrt-8`` is every 8.x) or bounds (``tensorrt>=7.1,<8.5``). A bound is
        compared to as many numbers as it has: 8.5.1 is within ``<=8.5``. Raise SurgeonError T103 for any
        other text.
        """
        head, at, tail = pattern.strip().partition("@")
        if not at and is_format(head):
            return self.format == head
        match = _PATTERN.match(tail if at else head)
        if match is None or match["runtime"] not in RUNTIMES or (at and not is_format(head)):
            raise _no_pattern(pattern)
        fits = self._within(match["line"], match["bounds"], pattern)
        return fits and self.runtime == match["runtime"] and (not at or self.format == head)

    def _within(self, line: str | None, bounds: str | None, pattern: str) -> bool:
        own = self.version
        if line is not None:
            wanted = _version(line, pattern)
            return own is not None and own[: len(wanted)] == wanted
        results = []
        for text in bounds.split(",")[:8] if bounds else ():
            match = _BOUND.match(text)
            if match is None:
                raise _no_pattern(pattern)
            bound = _version(match["version"], pattern)
            results.append(own is not None and _SIGNS[match["sign"]](own[: len(bound)], bound))
        return all(results)


def is_format(name: str) -> bool:
    """Return whether a format is so called: a folder of ``surgeon.formats``, or an entry point of that
    group.
    """
    return name in _shipped_formats() or name in _further_formats()


def checked_format(name: str) -> str:
    """Return the name of a format; raise ValueError for a name that is none's."""
    if not is_format(name):
        raise ValueError(f"expected {', '.join((*_shipped_formats(), *_further_formats()))}")
    return name


@cache
def _shipped_formats() -> tuple[str, ...]:
    # Formats know targets and not the other way round, so their folders are listed, not imported.
    folder = str(Path(__file__).parents[1] / "formats")
    return tuple(sorted(module.name for module in pkgutil.iter_modules([folder]) if module.ispkg))


@cache
def _further_formats() -> tuple[str, ...]:
    return tuple(point.name for point in entry_points("surgeon.formats"))


def _version(text: str, pattern: str) -> tuple[int, ...]:
    try:
        return parse_version(text)
    except ValueError:
        raise _no_pattern(pattern) from None


def _no_pattern(pattern: str) -> Exception:
    return error(
        "T103",
        f"'{pattern:.60}' names no targets; expected a format, a runtime, or both",
        help=["write for example 'uff', 'onnx@tensorrt', 'uff@tensorrt-8.5' or 'tensorrt>=8.0'"],
    )
