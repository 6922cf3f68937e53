"""What the command line shows of the work while it goes on."""

from __future__ import annotations

import os
import shutil
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TextIO

from surgeon.cli import console
from surgeon.display import columns_of, cut, printable
from surgeon.stages import listening, tell_stage

_SILENT = 0.7
"""Seconds after which progress is shown: what is done by then needs none."""
_EVERY = 0.25
_ENOUGH = 3
"""Things that are done in a stage before it is estimated how long the others take."""
_SHORT, _MINUTES = 5.0, 120.0
"""Seconds below which no time is told, and from which on it is told in minutes."""


@contextmanager
def showing_stages(*, line: bool, verbose: bool) -> Iterator[None]:
    """Show the stages of the block.

    ``line`` shows the present one on the last line of the terminal, until the block ends; ``verbose`` says of
    each how long it took.
    """
    stages = _Stages(line and sys.stderr.isatty(), verbose)
    console.before_writing(stages.clear)
    try:
        with listening(stages):
            tell_stage("starting")
            yield
    finally:
        stages.end()
        console.before_writing()


class _Stages:
    """The stages so far, and the line that shows the present one."""

    def __init__(self, line: bool, verbose: bool) -> None:
        self._line, self._verbose = line, verbose
        self._stream = _own_stream() if line or verbose else None
        self._begin = time.monotonic()
        self._stage, self._first, self._at, self._count = "", "", "", ""
        self._done, self._total, self._known = 0, 0, 0
        self._since = self._begin
        self._shown = 0
        self._ended = threading.Event()
        self._clock: threading.Thread | None = None

    def __call__(self, stage: str, at: str, done: int, total: int) -> None:
        with console.LOCK:
            if stage != self._stage:
                self._close()
                self._stage, self._since, self._first = stage, time.monotonic(), at
                self._known = done
            self._done, self._total = done, total
            self._at = at
            self._count = f"{done}/{total}" if total else ""
        if stage and self._line and self._clock is None:
            self._clock = threading.Thread(target=self._tick, daemon=True)
            self._clock.start()

    def clear(self) -> None:
        """Take the line off the terminal."""
        with console.LOCK:
            if self._shown:
                self._write("\r" + " " * self._shown + "\r")
                self._shown = 0

    def end(self) -> None:
        """Take the line off the terminal for good, and say how long everything took."""
        self._ended.set()
        if self._clock is not None:
            self._clock.join()
        self.clear()
        self._close()
        if self._verbose:
            self._say(time.monotonic() - self._begin, "in all")
        if self._stream is not None:
            with suppress(OSError, ValueError):  # what nobody reads any more cannot be flushed
                self._stream.close()

    def _close(self) -> None:
        """Say how long the present stage took."""
        stage, self._stage = self._stage, ""
        if self._verbose and stage:
            what = f"{stage}: {self._first}" if self._first else stage
            self._say(time.monotonic() - self._since, what)

    def _say(self, seconds: float, what: str) -> None:
        with console.LOCK:
            self.clear()
            self._write(printable(f"{seconds:7.2f} s  {what}") + "\n")

    def _left(self) -> str:
        """Return how long the present stage may take yet; empty where that is not known."""
        worked = self._done - self._known
        return time_left(worked, self._total - self._done, time.monotonic() - self._since)

    def _write(self, text: str) -> None:
        console.write_error(text, self._stream)

    def _tick(self) -> None:
        wait = _SILENT
        while not self._ended.wait(wait):
            wait = _EVERY
            with console.LOCK:
                self._draw()

    def _draw(self) -> None:
        if not self._stage:
            self.clear()
            return
        parts = [
            f"{time.monotonic() - self._begin:4.0f} s",
            self._stage,
            self._count,
            self._left(),
            self._at,
        ]
        text = printable("  ".join(filter(None, parts)))
        room = shutil.get_terminal_size().columns - 1
        text = cut(text, room)
        self._write("\r" + text + " " * max(0, self._shown - columns_of(text)))
        self._shown = max(columns_of(text), self._shown)


def time_left(done: int, left: int, seconds: float) -> str:
    """Return how long ``left`` things may take, of which ``done`` took some seconds.

    Empty where too few are done to tell, and for a few seconds.
    """
    if done < _ENOUGH:
        return ""
    rest = seconds * left / done
    if rest < _SHORT:
        return ""
    return f"about {rest:.0f} s left" if rest < _MINUTES else f"about {rest / 60:.0f} min left"


def _own_stream() -> TextIO | None:
    """Return a stream of its own for standard error, which is sent nowhere while TensorFlow is loaded; None
    where standard error is no file.
    """
    try:
        number = os.dup(sys.stderr.fileno())
    except (OSError, ValueError):  # in the memory, or closed
        return None
    return os.fdopen(number, "w", encoding=sys.stderr.encoding, errors="backslashreplace")
