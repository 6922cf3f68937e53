"""Other interpreters: each imports what this one can, and the working folder only where it is asked to."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping

_START = """\
import sys
if sys.path[:1] == [""]:
    del sys.path[0]
import json
sys.path[:] = [path for path, here in json.loads(sys.argv.pop(1)) if not here or path in sys.path]
"""
"""What runs first. Python 3.10 puts the working folder in front of what ``-c`` runs."""

_SAFE_PATH = ["-P"] if sys.version_info >= (3, 11) else []
"""Keeps it away from the beginning: Python 3.13 imports ``linecache`` before it runs ``-c``."""


def command(code: str, *arguments: str) -> list[str]:
    """Return the command that runs code in another interpreter, with :func:`environment`.

    The code finds the arguments in ``sys.argv[1:]``. It looks for modules where this process does, those of
    the user's own site-packages and of ``PYTHONPATH`` included. The working folder is among them only where
    ``PYTHONPATH`` or a ``.pth`` file names it, not because Python or a program added it.
    """
    return [
        sys.executable,
        *interpreter_options(),
        *_SAFE_PATH,
        "-c",
        _START + code,
        search_path(),
        *arguments,
    ]


def search_path() -> str:
    """Return where this process looks for modules, as JSON: pairs of a path and whether it is the working
    folder.
    """
    try:
        here = os.path.realpath(os.getcwd())
    except OSError:  # the working folder was removed
        here = ""
    paths = [os.path.abspath(path) for path in sys.path if isinstance(path, str) and path]
    return json.dumps([[path, os.path.realpath(path) == here] for path in paths])


def interpreter_options() -> list[str]:
    """Return the options of this interpreter that say where modules may come from."""
    if sys.flags.isolated:
        return ["-I"]
    flags = {"-E": sys.flags.ignore_environment, "-s": sys.flags.no_user_site, "-S": sys.flags.no_site}
    return [option for option, value in flags.items() if value]


def environment(
    changes: Mapping[str, str] | None = None, inherited: Mapping[str, str] | None = None
) -> dict[str, str]:
    """Return the environment of another interpreter: ``inherited``, or this process's, with ``changes``.

    Empty entries of ``PYTHONPATH``, which mean the working folder, are left out, and relative ones are made
    absolute.
    """
    result = {**(os.environ if inherited is None else inherited), **(changes or {})}
    paths = [os.path.abspath(path) for path in result.pop("PYTHONPATH", "").split(os.pathsep) if path]
    return {**result, "PYTHONPATH": os.pathsep.join(paths)} if paths else result
