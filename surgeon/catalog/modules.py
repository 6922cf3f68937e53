"""Python files of plugin folders, loaded from their path when first needed."""

from __future__ import annotations

import hashlib
import importlib.util
import sys
import traceback
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from types import ModuleType
from typing import TypeVar

from surgeon.diagnostics import SurgeonError, error

Result = TypeVar("Result")


@cache
def load_module(folder: Path, stem: str) -> ModuleType | None:
    """Return the module ``<folder>/<stem>.py``, None where there is no such file.

    Raise SurgeonError C111 where it fails.
    """
    path = folder / f"{stem}.py"
    if not path.is_file():
        return None
    # Two folders may hold plugins of the same name, so the name alone is not unique.
    digest = hashlib.sha256(str(folder.resolve()).encode()).hexdigest()[:12]
    name = f"surgeon_plugin_{digest}_{folder.name}_{stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        guarded(path, partial(spec.loader.exec_module, module))
    except SurgeonError:
        del sys.modules[name]
        raise
    return module


def guarded(path: Path, function: Callable[[], Result]) -> Result:
    """Call a plugin's own function; raise SurgeonError C111 with its file and line where it fails."""
    try:
        return function()
    except SurgeonError:
        raise
    except (Exception, SystemExit) as exc:
        frames = [f for f in traceback.extract_tb(exc.__traceback__) if f.filename == str(path)]
        line = frames[-1].lineno if frames else getattr(exc, "lineno", None)
        where = f"{path}:{line}" if line else str(path)
        text = " ".join(str(exc).split())
        raise error(
            "C111",
            f"the plugin's file '{path.name}' fails: {type(exc).__name__}: {text:.200}; "
            "expected it to run and to raise SurgeonError alone",
            where,
            help=[f"correct '{path}', or leave its folder out of the plugin path"],
        ) from exc
