"""The parent's side of the child process in which TensorRT works: orders, answers, time-outs and deaths."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import tempfile
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from surgeon.catalog.plugin_uses import PluginUse
from surgeon.diagnostics import SurgeonError, error
from surgeon.engine.children import command, environment, not_installed, signal_name
from surgeon.engine.failure_diagnosis import diagnose
from surgeon.optional import unusable
from surgeon.stages import tell_stage

OPENING = 180.0
"""Seconds that importing TensorRT and reaching the GPU may take."""

_LINES = 5000
"""Lines of the log that are kept."""

_STDERR = 100_000
"""Bytes that are read of what the child wrote to its terminal."""

Watch = Callable[[str, str, int, int], None]
"""Called with a phase, what is counted, how many are done and how many there are (0, 0 where nothing is
counted).
"""


@dataclass(frozen=True)
class Platform:
    """What engines are built for.

    That is TensorRT's version, and the GPU's name, compute capability and memory in bytes.
    """

    tensorrt: str
    gpu: str
    capability: str
    memory: int = 0


@dataclass
class Worker:
    """A child process with TensorRT in it; a context manager.

    ``libraries`` are plugin libraries to load. ``uses`` are the plugin nodes of what it will work on, and
    ``source`` names that: both are for the diagnostics of a death. ``watch`` is told how things go.
    """

    libraries: Sequence[Path] = ()
    uses: Sequence[PluginUse] = ()
    source: str = ""
    watch: Watch | None = None
    answer: Callable[[str, int], Any] | None = None
    platform: Platform = field(init=False)
    lines: deque[str] = field(init=False, default_factory=lambda: deque(maxlen=_LINES))

    def __enter__(self) -> Worker:
        if find_spec("tensorrt") is None:
            raise not_installed("building and running engines")
        mine, theirs = socket.socketpair()
        self._terminal = tempfile.TemporaryFile()
        with theirs:
            self._process = subprocess.Popen(
                command("server", str(theirs.fileno())),
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=self._terminal,
                stderr=self._terminal,
                env=environment(),
            )
        self._connection = Connection(mine.detach())
        self._phase = "import"
        try:
            self.platform = Platform(
                **self.order("open", OPENING, libraries=[str(path) for path in self.libraries])
            )
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *args: object) -> None:
        self.close()

    def close(self) -> None:
        """End the child."""
        self._connection.close()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._terminal.close()

    def order(self, name: str, timeout: float, **arguments: Any) -> Any:
        """Have an order done, and return its answer.

        Raise SurgeonError as :func:`diagnose` does where TensorRT refuses, dies, or is not done within
        ``timeout`` seconds.
        """
        ends = time.monotonic() + timeout
        try:
            self._connection.send((name, arguments))
            while True:
                if not self._connection.poll(max(0.0, ends - time.monotonic())):
                    self._process.kill()
                    raise self._fault(f"timeout after {timeout:g} s")
                kind, *values = self._connection.recv()
                if kind == "done":
                    return values[0]
                if kind == "missing":
                    raise unusable(*values)
                if kind == "no device":
                    raise _no_device()
                if kind == "failed":
                    self.lines.append(f"E: {values[0]}: {values[1]}")
                    raise self._fault(None)
                self._handle(kind, values)
        except (EOFError, OSError):
            self._process.wait()
            raise self._fault(_ended(self._process.returncode)) from None

    def _handle(self, kind: str, values: list[Any]) -> None:
        if kind == "log":
            self.lines.append(f"{values[0]}: {values[1]}")
        elif kind == "ask":
            assert self.answer is not None
            self._connection.send(self.answer(*values))
        elif kind == "phase":
            self._phase = values[0]
            self._watched(self._phase, "", 0, 0)
        elif kind == "progress":
            self._watched(self._phase, *values)

    def _watched(self, phase: str, what: str, done: int, total: int) -> None:
        tell_stage(f"TensorRT: {phase}", what, done, total)
        if self.watch is not None:
            self.watch(phase, what, done, total)

    def _fault(self, ended: str | None) -> SurgeonError:
        with contextlib.suppress(OSError, ValueError):
            self._process.wait(2) if ended else None
        return diagnose(self._phase, list(self.lines), self._written(), ended, self.uses, self.source)

    def _written(self) -> str:
        """Return the end of what the child wrote to its terminal."""
        size = os.fstat(self._terminal.fileno()).st_size
        self._terminal.seek(max(0, size - _STDERR))
        return self._terminal.read().decode("utf-8", "replace")


def _no_device() -> SurgeonError:
    return error(
        "B111",
        "no GPU answers; expected one that CUDA can use",
        "cuda",
        help=["'surgeon doctor' says what there is; an engine needs an NVIDIA GPU and its driver"],
    )


def _ended(code: int | None) -> str:
    return signal_name(-code) if code is not None and code < 0 else f"exit code {code}"
