"""One command as a whole process: wall time, peak resident memory and peak anonymous memory.

Public tools measure where they are installed: `hyperfine` the time, GNU `time -v` the peak. Otherwise the
numbers come from the kernel by wait4, which is where those tools have them from. Anonymous memory is polled
from /proc, in a run of its own, so that the polling does not slow the runs that are timed.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

MB = 1e6
POLL_S = 0.002
ENVIRONMENT = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
"""What the commands get: an installed package has its bytecode, so compiling it is no part of the cost."""

GNU_TIME = Path("/usr/bin/time")


@dataclass(frozen=True)
class Measured:
    """What one command costs: seconds (median and extremes over the runs) and bytes."""

    seconds: float
    fastest: float
    slowest: float
    peak: int
    anonymous: int


def hyperfine() -> str | None:
    """Return the path of hyperfine where it is installed."""
    return shutil.which("hyperfine")


def has_gnu_time() -> bool:
    """Return whether GNU time, which has `-v`, is installed."""
    if not GNU_TIME.exists():
        return False
    return subprocess.run([GNU_TIME, "-v", "true"], capture_output=True).returncode == 0


def tools() -> list[str]:
    """Say in a sentence each what measures here."""
    timer = (
        "Wall time: `hyperfine`."
        if hyperfine()
        else "Wall time: own fallback (monotonic clock around each process), because `hyperfine` is not "
        "installed."
    )
    peak = (
        "Peak memory: `/usr/bin/time -v`."
        if has_gnu_time()
        else "Peak memory: own fallback (`wait4`), because `/usr/bin/time -v` is not installed."
    )
    return [
        timer,
        peak,
        "Bytecode is kept between runs, as that of an installed package is.",
        f"Anonymous memory: `RssAnon` of `/proc/PID/status`, polled every {POLL_S * 1000:g} ms.",
    ]


def measure(command: Sequence[str], runs: int) -> Measured:
    """Measure a command, after one run that warms the page cache; raise RuntimeError where it fails."""
    anonymous = _anonymous(command)
    seconds = _by_hyperfine(command, runs) if hyperfine() else [_timed(command) for _ in range(runs)]
    peak = _peak_by_time(command) if has_gnu_time() else _waited(command)[1]
    return Measured(statistics.median(seconds), min(seconds), max(seconds), peak, anonymous)


def _by_hyperfine(command: Sequence[str], runs: int) -> list[float]:
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "times.json"
        _checked(
            [
                hyperfine() or "",
                "-N",
                "--style",
                "none",
                "--runs",
                str(max(runs, 2)),
                "--export-json",
                str(report),
                shlex.join(command),
            ]
        )
        times: list[float] = json.loads(report.read_text())["results"][0]["times"]
    return times


def _peak_by_time(command: Sequence[str]) -> int:
    errors = _checked([str(GNU_TIME), "-v", *command])
    found = re.search(r"Maximum resident set size \(kbytes\): (\d+)", errors)
    if found is None:
        raise RuntimeError(f"no peak in the output of {GNU_TIME} -v:\n{errors}")
    return int(found.group(1)) * 1024


def _checked(command: Sequence[str]) -> str:
    done = subprocess.run(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=ENVIRONMENT
    )
    if done.returncode:
        raise RuntimeError(f"{shlex.join(command)} ended with status {done.returncode}:\n{done.stderr}")
    return done.stderr


def _timed(command: Sequence[str]) -> float:
    return _waited(command)[0]


def _waited(command: Sequence[str]) -> tuple[float, int]:
    """Run a command; return its seconds and its peak in bytes."""
    begin = time.perf_counter()
    pid = _spawn(command)
    _, status, usage = os.wait4(pid, 0)
    seconds = time.perf_counter() - begin
    _refuse_failure(command, status)
    return seconds, usage.ru_maxrss * 1024


def _anonymous(command: Sequence[str]) -> int:
    """Run a command; return the most anonymous memory that a poll has seen, in bytes."""
    pid = _spawn(command)
    most = 0
    while True:
        most = max(most, _anonymous_now(pid))
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            _refuse_failure(command, status)
            return most
        time.sleep(POLL_S)


def _anonymous_now(pid: int) -> int:
    try:
        text = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    found = re.search(r"^RssAnon:\s+(\d+) kB", text, re.MULTILINE)
    return int(found.group(1)) * 1024 if found else 0


def _spawn(command: Sequence[str]) -> int:
    nowhere = [(os.POSIX_SPAWN_OPEN, descriptor, os.devnull, os.O_WRONLY, 0) for descriptor in (1, 2)]
    return os.posix_spawn(command[0], list(command), ENVIRONMENT, file_actions=nowhere)


def _refuse_failure(command: Sequence[str], status: int) -> None:
    if os.waitstatus_to_exitcode(status):
        raise RuntimeError(f"{shlex.join(command)} ended with status {os.waitstatus_to_exitcode(status)}")
