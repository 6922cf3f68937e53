"""A preprocessor: a Python file with a function that edits the graph before it is converted."""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

from surgeon.compat.installing import install
from surgeon.compat.remarks import know_script
from surgeon.compat.stand_ins import standing_in
from surgeon.diagnostics import error


def preprocess(graph: Any, path: str | os.PathLike[str]) -> None:
    """Run the function ``preprocess`` of a Python file on a graph, which it edits.

    The file is run anew each time, and its folder is searched for what it imports; modules that are not
    installed are stood in for. Raise SurgeonError P113
    where there is no such file or function.
    """
    file = Path(path)
    if not file.is_file() and file.with_suffix(".py").is_file():
        file = file.with_suffix(".py")
    spec = importlib.util.spec_from_file_location(file.stem, file)
    if not file.is_file() or spec is None or spec.loader is None:
        raise error(
            "P113",
            f"the preprocessor '{path}' cannot be run; expected a Python file",
            help=["give the path of the .py file that defines preprocess(dynamic_graph)"],
        )
    module = importlib.util.module_from_spec(spec)
    install()
    know_script(str(file))
    with _importable(module, file), standing_in(file.parent):
        spec.loader.exec_module(module)
        function = getattr(module, "preprocess", None)
        if not callable(function):
            raise error(
                "P113",
                "the preprocessor has no function 'preprocess'",
                str(file),
                help=["define preprocess(dynamic_graph), which edits the graph in place"],
            )
        function(graph)


@contextmanager
def _importable(module: ModuleType, file: Path) -> Iterator[None]:
    """Let a file's own imports find it by its name and what lies beside it, while the block runs."""
    folder, before = str(file.resolve().parent), sys.modules.get(file.stem)
    sys.path.insert(0, folder)
    sys.modules[file.stem] = module
    try:
        yield
    finally:
        if folder in sys.path:
            sys.path.remove(folder)
        if before is None:
            sys.modules.pop(file.stem, None)
        else:
            sys.modules[file.stem] = before
