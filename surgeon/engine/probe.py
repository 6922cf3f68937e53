"""TensorRT looked at from outside: a process of its own imports it, since libraries that do not fit end a process."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from dataclasses import dataclass
from importlib.util import find_spec

TIMEOUT = 90
"""Seconds that the import may take."""

_MARK = "surgeon:"

_PROGRAM = """
import json
import tensorrt as trt
logger = trt.Logger(trt.Logger.INTERNAL_ERROR)
initialised = bool(trt.init_libnvinfer_plugins(logger, ""))
creators = sorted({creator.name for creator in trt.get_plugin_registry().plugin_creator_list})
found = {"version": trt.__version__, "reads_uff": hasattr(trt, "UffParser"), "initialised": initialised, "creators": creators}
print("surgeon:" + json.dumps(found))
"""


@dataclass(frozen=True)
class Probe:
    """What importing TensorRT gave: its version, whether it has a UFF parser, whether its plugins could be initialised and
    the names of their creators; or ``problem``, why it could not be imported, with what the process wrote in ``log``."""

    version: str = ""
    reads_uff: bool = False
    initialised: bool = False
    creators: tuple[str, ...] = ()
    problem: str = ""
    log: str = ""


def probe_tensorrt(timeout: float = TIMEOUT) -> Probe | None:
    """Import TensorRT in another process and return what was found; None where it is not installed."""
    if find_spec("tensorrt") is None:
        return None
    try:
        done = subprocess.run([sys.executable, "-c", _PROGRAM], capture_output=True, text=True, timeout=timeout, errors="replace")
    except subprocess.TimeoutExpired:
        return Probe(problem=f"importing it took more than {timeout:g} s")
    except OSError as exc:
        return Probe(problem=f"no process could be started: {exc.strerror or exc}")
    if done.returncode < 0:
        return Probe(problem=f"importing it ends with {_signal(-done.returncode)}", log=done.stderr)
    lines = [line[len(_MARK):] for line in done.stdout.splitlines() if line.startswith(_MARK)]
    if done.returncode or not lines:
        last = done.stderr.strip().splitlines()[-1:] or ["no reason was given"]
        return Probe(problem=f"importing it fails: {last[0].strip()}", log=done.stderr)
    found = json.loads(lines[-1])
    return Probe(found["version"], found["reads_uff"], found["initialised"], tuple(found["creators"]), log=done.stderr)


def _signal(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
