"""Processes of their own for TensorRT: how they are started so that they find what this one finds."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

from surgeon import children
from surgeon.diagnostics import SurgeonError, error
from surgeon.installation import help_for

_START = Path(__file__).parent / "child" / "__main__.py"


def command(module: str, *arguments: str) -> list[str]:
    """Return the command that calls ``main`` of a module of ``child`` in another interpreter.

    It looks for modules where :func:`surgeon.children.command` says.
    """
    options = children.interpreter_options()
    return [sys.executable, *options, str(_START), module, children.search_path(), *arguments]


def not_installed(purpose: str) -> SurgeonError:
    """Return the error E108 for TensorRT that is not installed."""
    return error(
        "E108",
        f"{purpose} needs the package 'tensorrt', which is not installed",
        help=help_for("tensorrt"),
    )


def environment() -> Mapping[str, str]:
    """Return the environment of a child, which finds the libraries that pip installs beside TensorRT."""
    given = os.environ.get("LD_LIBRARY_PATH", "").split(os.pathsep)
    # An empty entry means the working folder.
    paths = [*filter(None, given), *_library_folders()]
    return children.environment({"LD_LIBRARY_PATH": os.pathsep.join(paths)} if paths else None)


def _library_folders() -> list[str]:
    """Return the folders of NVIDIA's libraries among the installed packages."""
    folders: list[Path] = []
    for name in ("nvidia", "tensorrt"):
        spec = find_spec(name)
        for place in (spec.submodule_search_locations or ()) if spec is not None else ():
            folders += [Path(place)] if name == "tensorrt" else sorted(Path(place).glob("*/lib"))
    return [str(folder) for folder in folders if os.path.isdir(folder)]


def signal_name(number: int) -> str:
    """Return a signal's name, or its number where it has none."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
