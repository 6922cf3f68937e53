"""Processes of their own for TensorRT: how they are started so that they find what this one finds."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

_PROGRAM = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); from {module} import {function}; "
    "{function}(sys.argv[2:])"
)


def command(module: str, function: str, *arguments: str) -> list[str]:
    """Return the command that calls a function of a module with the arguments, as a list, in another
    interpreter.

    It looks for modules where this process does; a file of the working folder does not get in the way.
    """
    return [
        sys.executable,
        "-c",
        _PROGRAM.format(module=module, function=function),
        json.dumps(sys.path),
        *arguments,
    ]


def environment() -> Mapping[str, str]:
    """Return the environment of a child, in which the libraries that pip installs beside TensorRT are
    found.
    """
    paths = [*filter(None, [os.environ.get("LD_LIBRARY_PATH", "")]), *_library_folders()]
    return {**os.environ, "LD_LIBRARY_PATH": os.pathsep.join(paths)} if paths else os.environ


def _library_folders() -> list[str]:
    """Return the folders of NVIDIA's libraries among the installed packages."""
    folders: list[Path] = []
    for name in ("nvidia", "tensorrt"):
        spec = find_spec(name)
        for place in (spec.submodule_search_locations or ()) if spec is not None else ():
            folders += [Path(place)] if name == "tensorrt" else sorted(Path(place).glob("*/lib"))
    return [str(folder) for folder in folders if folder.is_dir()]


def signal_name(number: int) -> str:
    """Return a signal's name, or its number where it has none."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
