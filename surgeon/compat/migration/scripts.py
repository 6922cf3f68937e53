"""A script run for what it does to a graph: it is executed, and stopped where it would convert the graph."""

from __future__ import annotations

import ast
import contextlib
import inspect
import os
import runpy
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from unittest import mock

from surgeon.compat import graphsurgeon, uff
from surgeon.compat.edits import listening
from surgeon.compat.installing import install
from surgeon.compat.messages import graphdef_class, reading_instead
from surgeon.compat.migration.recording import Recorder, Recording
from surgeon.compat.preprocessing import preprocess
from surgeon.compat.remarks import know_script, note, place_of
from surgeon.compat.running import script_failure
from surgeon.compat.stand_ins import standing_in
from surgeon.diagnostics import SurgeonError, error, nearest_note
from surgeon.formats.graphdef import to_bytes
from surgeon.graph import Graph

FUNCTIONS = ("preprocess", "add_plugin")
"""Functions by which scripts offer their surgery; the first that a script has is called."""


@dataclass(frozen=True)
class ScriptRun:
    """What a script did: the recording of its graph, and the outputs that it converts, if it says so."""

    recording: Recording
    outputs: tuple[str, ...] = ()


@dataclass(frozen=True)
class ScriptOptions:
    """How a script is run: its arguments, the function to call, and which of its specs to give it."""

    arguments: tuple[str, ...] = ()
    function: str | None = None
    spec: str | None = None


class _Converted(BaseException):
    """The script asks for the conversion: its surgery is done. Scripts catch Exception."""

    def __init__(self, graphdef: Any, outputs: tuple[str, ...]) -> None:
        super().__init__("converted")
        self.graphdef, self.outputs = graphdef, outputs


def run_script(path: Path, graph: Graph, options: ScriptOptions = ScriptOptions()) -> ScriptRun:
    """Execute a script and return what it did to ``graph``, which it edits in place of any that it reads.

    Raise SurgeonError P123 for a script that cannot be read, P126 for one that fails, P131 for one without
    surgery, and P136 where it is open which function or spec is meant.
    """
    tree = _parsed(path)
    recorder = Recorder()
    data = to_bytes(graph)
    with _surroundings(path, options), reading_instead(data), listening(recorder):
        try:
            return _run(path, tree, data, recorder, options)
        except _Converted as converted:
            return ScriptRun(recorder.of(converted.graphdef), converted.outputs)
        except SurgeonError:
            raise
        except (Exception, SystemExit) as exc:  # whatever a script raises is the script's
            raise _failed(path, exc) from None


def _run(path: Path, tree: ast.Module, data: bytes, recorder: Recorder, options: ScriptOptions) -> ScriptRun:
    name = options.function or _function_of(tree)
    if name is None:
        return _run_as_program(path, recorder)
    namespace = runpy.run_path(str(path), run_name=path.stem)
    function = namespace.get(name)
    if not callable(function):
        functions = [key for key, value in namespace.items() if inspect.isfunction(value)]
        raise error(
            "P131",
            f"the script has no function '{name}'",
            str(path),
            nearest_note(name, functions),
            [
                f"name one of its functions: {', '.join(functions[:8])}"
                if functions
                else "leave --function out"
            ],
        )
    if any(recording.edits for recording in recorder.recordings.values()):
        return ScriptRun(_last_edited(path, recorder))
    try:
        further = _further_arguments(path, function, name, namespace, options)
    except SurgeonError:
        asked = options.function is not None or options.spec is not None
        choosable = bool(_specs(namespace)) and not options.arguments
        if asked or choosable or not _is_program(tree):
            raise
        return _run_as_program(path, recorder)
    graph = graphsurgeon.DynamicGraph(graphdef_class().FromString(data))
    recording = recorder.of(graph.as_graph_def())
    function(graph, *further)
    return ScriptRun(recording)


def _run_as_program(path: Path, recorder: Recorder) -> ScriptRun:
    runpy.run_path(str(path), run_name="__main__")
    return ScriptRun(_last_edited(path, recorder))


def _is_program(tree: ast.Module) -> bool:
    """Return whether a script has a part that runs only where it is the program, such as a call of main."""
    return any(isinstance(each, ast.If) and "__main__" in ast.unparse(each.test) for each in tree.body)


def _parsed(path: Path) -> ast.Module:
    try:
        return ast.parse(path.read_bytes(), str(path))
    except OSError as exc:
        raise error("P123", f"the script '{path}' cannot be read: {exc.strerror}") from None
    except (SyntaxError, ValueError) as exc:
        line = getattr(exc, "lineno", None)
        raise error(
            "P126",
            f"the script is not Python 3: {getattr(exc, 'msg', exc)}",
            place_of(str(path), line) if line else str(path),
            help=["give the graphsurgeon script or config.py; '2to3' helps with one for Python 2"],
        ) from None


def _function_of(tree: ast.Module) -> str | None:
    """Return the function that edits a graph given to it; None where the script runs by itself."""
    functions = {each.name: each for each in tree.body if isinstance(each, ast.FunctionDef)}
    for name in FUNCTIONS:
        if name in functions:
            return name
    editing = [name for name, function in functions.items() if _edits_its_argument(function)]
    return editing[0] if len(editing) == 1 else None


def _edits_its_argument(function: ast.FunctionDef) -> bool:
    first = next((each.arg for each in function.args.args), None)
    return any(
        isinstance(node, ast.Attribute)
        and node.attr == "collapse_namespaces"
        and isinstance(node.value, ast.Name)
        and node.value.id == first
        for node in ast.walk(function)
    )


def _further_arguments(
    path: Path, function: Callable[..., Any], name: str, namespace: Mapping[str, Any], options: ScriptOptions
) -> list[Any]:
    """Return what a function takes besides the graph: the name of a model, and its spec."""
    parameters = [
        each
        for each in inspect.signature(function).parameters.values()
        if each.default is each.empty and each.kind in (each.POSITIONAL_ONLY, each.POSITIONAL_OR_KEYWORD)
    ][1:]
    if not parameters:
        return []
    unknown = [each.name for each in parameters if each.name not in ("model", "model_name", "spec", "specs")]
    if unknown:
        raise error(
            "P136",
            f"the function '{name}' needs '{unknown[0]}' besides the graph; expected 'model' and 'spec' at "
            "most",
            str(path),
            help=["write a function preprocess(graph) that calls it, or name another with --function"],
        )
    key, spec = _spec(path, namespace, options)
    return [key if each.name.startswith("model") else spec for each in parameters]


def _spec(path: Path, namespace: Mapping[str, Any], options: ScriptOptions) -> tuple[str, Any]:
    """Return the chosen entry of the script's dictionary of specs."""
    specs = _specs(namespace)
    if options.spec is None and len(specs) == 1:
        return next(iter(specs.items()))
    if options.spec in specs:
        return options.spec, specs[options.spec]
    raise error(
        "P136",
        f"the script has no spec '{options.spec}'"
        if options.spec is not None
        else f"the script has {len(specs) or 'no'} specs, and it is open which one is for this model",
        str(path),
        nearest_note(options.spec, specs) if options.spec is not None else (),
        [f"choose one with --spec: {', '.join(specs)}" if specs else "write a function preprocess(graph)"],
    )


def _specs(namespace: Mapping[str, Any]) -> dict[str, Any]:
    """Return the entries of a script's dictionaries of dictionaries."""
    tables = [
        value
        for value in namespace.values()
        if isinstance(value, dict) and value and all(isinstance(each, dict) for each in value.values())
    ]
    return {str(key): value for table in tables for key, value in table.items()}


def _last_edited(path: Path, recorder: Recorder) -> Recording:
    edited = [recording for recording in recorder.recordings.values() if recording.edits]
    if edited:
        return edited[-1]
    raise error(
        "P131",
        "the script edits no graph; expected calls such as collapse_namespaces",
        str(path),
        help=[
            "name the function that edits the graph with --function",
            "give the script's own arguments with --arguments",
        ],
    )


def _failed(path: Path, exc: BaseException) -> SurgeonError:
    """Return P126 for what a script raised, with the script's line."""
    found = script_failure(exc, [path])
    if not isinstance(exc, SystemExit):
        return SurgeonError(found)
    help = ("give the script's own arguments with --arguments",)
    return SurgeonError(replace(found, message=f"the script ended with exit code {exc.code}", help=help))


@contextlib.contextmanager
def _surroundings(path: Path, options: ScriptOptions) -> Iterator[None]:
    """Lead a script's imports here and give it its arguments while the block runs; its conversion ends it."""
    install()
    know_script(str(path))
    before = dict(sys.modules)
    folder = path.resolve().parent
    sys.modules.update({"graphsurgeon": graphsurgeon, "uff": uff})
    with (
        mock.patch.object(sys, "argv", [str(path), *options.arguments]),
        mock.patch.object(sys, "path", [str(folder), *sys.path]),
        mock.patch.object(uff, "from_tensorflow", _from_tensorflow),
        mock.patch.object(uff, "from_tensorflow_frozen_model", _from_tensorflow),
        standing_in(folder) as missing,
    ):
        yield
    if missing:
        listed = ", ".join(f"'{name}'" for name in sorted(missing))
        note("P124", f"{listed}: stood in for, not installed", str(path))
    for name in [key for key in sys.modules if key not in before]:
        file = getattr(sys.modules[name], "__file__", None)
        if file and Path(file).resolve().is_relative_to(folder) and "site-packages" not in file:
            del sys.modules[name]  # another script's 'config' is another file


def _from_tensorflow(
    graphdef: Any = None,
    output_nodes: Sequence[str] = (),
    preprocessor: str | os.PathLike[str] | None = None,
    **options: Any,
) -> None:
    found = options.get("frozen_file", graphdef) if graphdef is None else graphdef
    graph = found if isinstance(found, graphsurgeon.StaticGraph) else graphsurgeon.DynamicGraph(found)
    if preprocessor is not None:
        preprocess(graph, preprocessor)
    outputs = [output_nodes] if isinstance(output_nodes, str) else list(output_nodes)
    if not outputs:
        graph._refresh()
        outputs = [node.name for node in graph.graph_outputs]
    raise _Converted(graph.as_graph_def(), tuple(str(name) for name in outputs))
