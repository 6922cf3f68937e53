"""``-`` in the place of a file: what is read from standard input, and what is written to standard output.

A verb names its arguments that may be ``-`` as ``INPUTS`` and ``OUTPUTS``, and as ``STREAMS`` those that it
reads itself.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

from surgeon.cli import console

STREAM = "-"
_POSITIONALS = ("recipe", "model", "plan", "a", "b")


def streams_of(verb: ModuleType) -> dict[str, tuple[str, ...]]:
    """Return what a verb's module says of its arguments that may be ``-``."""
    return {name.lower(): getattr(verb, name, ()) for name in ("INPUTS", "OUTPUTS", "STREAMS")}


@contextmanager
def received(args: argparse.Namespace) -> Iterator[None]:
    """Read the one argument that is ``-`` from standard input.

    A recipe is parsed, anything else is put into a file that goes with the block. ``args.received`` names the
    argument. Exit with code 2 where ``-`` stands for what is no stream, or twice.
    """
    args.received = ""
    if args.verb is None:
        yield
        return
    inputs, outputs = args.inputs, args.outputs
    streams = [name for name, value in vars(args).items() if name != "words" and _is_stream(value)]
    for name in streams:
        if name not in (*inputs, *outputs, *args.streams):
            args.wrong_usage(f"{_spelled(name)} cannot be '-'; expected a path")
    if args.json and any(name in outputs for name in streams):
        args.wrong_usage("--json and an output of '-' both write to standard output; give a file for one")
    reading = [name for name in streams if name in inputs]
    if len(reading) > 1:
        names = " and ".join(map(_spelled, reading))
        args.wrong_usage(f"{names} cannot both be '-'; standard input is read once")
    if not reading:
        yield
        return
    with tempfile.TemporaryDirectory(prefix="surgeon-") as folder:
        name = args.received = reading[0]
        if name == "recipe" and not (args.verb == "build" and args.model is None):
            args.recipe = _recipe(args)
        else:
            path, given = _file(Path(folder), name), getattr(args, name)
            value = [str(path), *given[1:]] if isinstance(given, list) else type(given)(path)
            setattr(args, name, value)
        yield


def _is_stream(value: object) -> bool:
    return value in (STREAM, Path(STREAM)) or (isinstance(value, list) and value[:1] == [STREAM])


def _spelled(name: str) -> str:
    if name in _POSITIONALS:
        return name.upper()
    return "-o" if name == "output" else f"--{name.replace('_', '-')}"


def _recipe(args: argparse.Namespace) -> Any:
    from surgeon.diagnostics import error
    from surgeon.language import parse_recipe

    try:
        text = _read().decode("utf-8")
    except UnicodeDecodeError as exc:
        raise error(
            "E101",
            f"standard input cannot be read as a recipe: byte {exc.start} is not UTF-8; expected YAML",
            help=["give a recipe, such as 'surgeon init' writes"],
        ) from None
    parameters, folders = dict(args.parameters), args.recipe_paths
    return parse_recipe(text, "<standard input>", parameters=parameters, recipe_paths=folders)


def _read() -> bytes:
    from surgeon.diagnostics import error

    try:
        if sys.stdin is None:
            raise OSError("it is closed")
        return sys.stdin.buffer.read()
    except (OSError, ValueError) as exc:
        raise error(
            "E101",
            f"standard input cannot be read: {exc}; expected what '-' stands for",
            help=["give a path, or redirect a file: surgeon VERB - < FILE"],
        ) from None


def _file(folder: Path, name: str) -> Path:
    """Put standard input into a file, with the suffix of the format that its first bytes show."""
    from surgeon.formats import format_by_content

    data = _read()
    suffix = {"plan": ".json", "verification": ".json", "pipeline_config": ".config"}.get(name)
    path = folder / f"stdin{suffix or format_by_content(data[:64]).suffixes[0]}"
    path.write_bytes(data)
    return path


@contextmanager
def product(args: argparse.Namespace, output: Path, suffix: str) -> Iterator[Path]:
    """Give the file to write for an output.

    For ``-`` it is one that goes with the block; when the block ends well, its content is written to standard
    output. Exit with code 2 where that is a terminal.
    """
    if os.fspath(output) != STREAM:
        yield output
        return
    if sys.stdout.isatty():
        args.wrong_usage("a file is not written to a terminal; redirect standard output, or name a file")
    with tempfile.TemporaryDirectory(prefix="surgeon-") as folder:
        path = Path(folder) / f"stdout{suffix}"
        yield path
        with path.open("rb") as file:
            console.show_bytes(lambda stream: shutil.copyfileobj(file, stream))


def spoken(args: argparse.Namespace, name: str) -> str:
    """Return an argument as messages name it."""
    value = getattr(args, name)
    if name == args.received:
        return "standard input"
    return "standard output" if _is_stream(value) else str(value)
