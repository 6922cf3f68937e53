"""A script as a program of its own, on this package's engine."""

from __future__ import annotations

import os
import runpy
import sys
import traceback
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any

from surgeon.compat.edits import Edit, listening
from surgeon.compat.installing import install
from surgeon.compat.plugin_inputs import check_plugin_inputs
from surgeon.compat.remarks import collecting, know_script, note, place_of, refuse_if_strict
from surgeon.compat.stand_ins import standing_in
from surgeon.compat.target import DEFAULT_TARGET, for_target
from surgeon.diagnostics import Diagnostic, Span, SurgeonError, error

LONGEST = 8
"""Lines of a script's failure that are shown."""


@dataclass(frozen=True)
class ScriptRun:
    """How a script ended: its exit code, and what is to be said of it."""

    code: int
    diagnostics: tuple[Diagnostic, ...]


def run_script(
    script: str | os.PathLike[str],
    arguments: Sequence[str] = (),
    *,
    target: str = DEFAULT_TARGET,
    strict: bool = False,
) -> ScriptRun:
    """Run a Python file as ``python SCRIPT ARGUMENTS`` would, its imports of graphsurgeon and uff led here.

    The script's code is executed. ``target`` is the TensorRT that the warnings have in mind; with ``strict``
    they are errors, and keep a UFF file from being written. Modules that are not installed are stood in for.
    """
    file = Path(script)
    with for_target(target), collecting(strict) as found:
        try:
            code = _run(file, arguments)
            refuse_if_strict()
        except SurgeonError as exc:
            code, errors = 1, _placed(exc, file)
        except Exception as exc:  # whatever a script raises is the script's
            code, errors = 1, (script_failure(exc, [file]),)
        else:
            errors = ()
        return ScriptRun(code, (*found, *errors))


def _run(file: Path, arguments: Sequence[str]) -> int:
    """Run the file; return its exit code."""
    if not file.is_file():
        raise error(
            "P123",
            f"the script '{file}' cannot be run: there is no such file",
            help=["give the path of a Python script; a module's name does not do"],
        )
    install()
    know_script(str(file))
    edits = _Edits()
    with _as_program(file, arguments), standing_in(file.parent) as missing, listening(edits):
        try:
            names = runpy.run_path(str(file), run_name="__main__")
        except SystemExit as exc:
            return _exit_code(exc, file)
    if missing:
        note("P124", f"{_listed(missing)} stood in for, not installed", str(file))
    if edits.graph is not None:
        check_plugin_inputs(edits.graph.as_graph_def())
    elif callable(names.get("preprocess")):
        note(
            "P125",
            "the script defines 'preprocess', and edited no graph",
            str(file),
            (f"give it to the converter: convert-to-uff MODEL -O OUTPUT -p {file}",),
        )
    return 0


def _listed(names: Iterable[str]) -> str:
    listed = [f"'{name}'" for name in sorted(names)]
    return f"{', '.join(listed)} {'is' if len(listed) == 1 else 'are'}"


class _Edits:
    """The graph that a script edited last, if any."""

    def __init__(self) -> None:
        self.graph: Any = None

    def before(self, edit: Edit) -> None:
        """Take note of an edit."""

    def after(self, edit: Edit) -> None:
        """Remember the graph."""
        self.graph = edit.graph


@contextmanager
def _as_program(file: Path, arguments: Sequence[str]) -> Iterator[None]:
    """Give the script its own arguments, and its folder the first place where modules are looked for."""
    argv, path = sys.argv, list(sys.path)
    sys.argv = [str(file), *arguments]
    sys.path.insert(0, str(file.resolve().parent))
    try:
        yield
    finally:
        sys.argv, sys.path[:] = argv, path


def _exit_code(exc: SystemExit, file: Path) -> int:
    if exc.code is None or isinstance(exc.code, int):
        return exc.code or 0
    raise error(
        "P126", f"the script ended itself: {exc.code}", _place(exc.__traceback__, [file]) or str(file)
    )


def _placed(exc: SurgeonError, file: Path) -> tuple[Diagnostic, ...]:
    """Return an error's diagnostics, those without a place at the script's line."""
    place = _place(exc.__traceback__, [file])
    return tuple(each if each.where else replace(each, where=place) for each in exc.diagnostics)


def script_failure(exc: BaseException, files: Sequence[Path]) -> Diagnostic:
    """Return what is said of an exception that a script did not catch: its kind, its text, and its lines."""
    text = " ".join(str(exc).split())
    place = _place(exc.__traceback__, files)
    help = "correct the script at this line, or give it the graph that it was written for"
    if isinstance(exc, ValueError) and isinstance(place, Span) and ".input.remove(" in place.text:
        help = (
            "the node has no input of that spelling in this graph; take it out only where it is there, by "
            "'if ... in node.input'"
        )
    lines = [
        f"{frame.filename}:{frame.lineno}, in {frame.name}" for frame in _frames(exc.__traceback__, files)
    ]
    return Diagnostic(
        "P126",
        f"the script failed: {type(exc).__name__}{': ' if text else ''}{text}",
        place or (str(files[-1]) if files else None),
        tuple(lines[-LONGEST:]),
        (help,),
    )


def _frames(trace: TracebackType | None, files: Sequence[Path]) -> list[traceback.FrameSummary]:
    """Return the lines of a failure that are in the folders of some files."""
    folders = [str(file.resolve().parent) for file in files]
    return [
        frame
        for frame in traceback.extract_tb(trace)
        if not frame.filename.startswith("<")
        and "site-packages" not in frame.filename
        and any(Path(frame.filename).resolve().is_relative_to(folder) for folder in folders)
    ]


def _place(trace: TracebackType | None, files: Sequence[Path]) -> Span | None:
    frames = _frames(trace, files)
    return place_of(frames[-1].filename, frames[-1].lineno or 1) if frames else None
