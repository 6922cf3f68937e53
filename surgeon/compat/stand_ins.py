"""What stands in for modules and libraries that a script names and that are not installed."""

from __future__ import annotations

import ast
import ctypes
import linecache
import sys
import sysconfig
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import FrameType, ModuleType
from typing import Any
from unittest import mock

from surgeon.compat.missing import Missing, MissingModule
from surgeon.compat.remarks import note, script_place
from surgeon.compat.target import tensorrt_version
from surgeon.compat.tensorflow_names import tensorflow_module

_STANDARD = sysconfig.get_path("stdlib")
_GOES_ON = ("ImportError", "ModuleNotFoundError", "Exception", "BaseException")


class _OwnFiles:
    """A script's own files: in its folder or one that it put on the path, and in no installed package."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder.resolve()
        self._known = set(sys.path)

    def __contains__(self, file: str) -> bool:
        if file.startswith(("<", _STANDARD)) or "site-packages" in file:
            return False
        added = [Path(folder).resolve() for folder in sys.path if folder not in self._known]
        return any(Path(file).resolve().is_relative_to(folder) for folder in (self._folder, *added))


class _Finder(MetaPathFinder, Loader):
    """Finds, after all others, what a script's own files import."""

    def __init__(self, own: _OwnFiles) -> None:
        self.own = own
        self.found: list[str] = []

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: object = None
    ) -> ModuleSpec | None:
        outer = name.rpartition(".")[0]
        if isinstance(sys.modules.get(outer), MissingModule):
            return ModuleSpec(name, self, is_package=True)
        if (outer and outer.partition(".")[0] != "tensorflow") or name in sys.stdlib_module_names:
            return None
        if not _imported_by_script(self.own):
            return None
        return ModuleSpec(name, self, is_package=True)

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        if spec.name == "tensorflow":
            return tensorflow_module()
        module = MissingModule(spec.name)
        if spec.name == "tensorrt":
            module.__version__ = tensorrt_version()  # type: ignore[attr-defined]
        return module

    def exec_module(self, module: ModuleType) -> None:
        if "." not in module.__name__:
            self.found.append(module.__name__)


def _imported_by_script(own: _OwnFiles) -> bool:
    """Return whether one of a script's own files imports, where it does not go on without the module."""
    frame = _calling_frame()
    if frame is None or frame.f_code.co_filename not in own:
        return False
    return frame.f_lineno not in _lines_that_may_fail(frame.f_code.co_filename)


def _calling_frame() -> FrameType | None:
    """Return the innermost frame that is neither here nor in Python's import system."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and frame.f_code.co_filename.startswith((__file__, "<frozen importlib")):
        frame = frame.f_back
    return frame


@lru_cache(maxsize=32)
def _lines_that_may_fail(file: str) -> frozenset[int]:
    """Return the lines of a Python file whose imports may fail: an exception handler waits for it."""
    try:
        tree = ast.parse("".join(linecache.getlines(file)))
    except SyntaxError:
        return frozenset()
    return frozenset(
        line
        for node in ast.walk(tree)
        if isinstance(node, ast.Try) and any(_catches(handler.type) for handler in node.handlers)
        for statement in node.body
        for line in range(statement.lineno, (statement.end_lineno or statement.lineno) + 1)
    )


def _catches(kind: ast.expr | None) -> bool:
    kinds = kind.elts if isinstance(kind, ast.Tuple) else [kind]
    return any(each is None or (isinstance(each, ast.Name) and each.id in _GOES_ON) for each in kinds)


@contextmanager
def standing_in(folder: Path) -> Iterator[list[str]]:
    """Let a script in a folder import what is not installed, while the block runs; give the modules' names.

    TensorRT's states the version of the target. A library that ``ctypes`` cannot load is stood in for, too,
    with a note.
    """
    own = _OwnFiles(folder)
    finder = _Finder(own)
    library, load = _library_class(own), ctypes.cdll.LoadLibrary
    sys.meta_path.append(finder)
    try:
        with (
            mock.patch.object(ctypes, "CDLL", library),
            mock.patch.object(ctypes.cdll, "LoadLibrary", lambda name: _loaded(own, load, name)),
        ):
            yield finder.found
    finally:
        sys.meta_path.remove(finder)
        for name in [name for name, module in sys.modules.items() if isinstance(module, MissingModule)]:
            del sys.modules[name]


def _library_class(own: _OwnFiles) -> type:
    """Return a class like ``ctypes.CDLL``, for which other packages may take it."""

    class Loading(type):
        def __call__(cls, name: Any, *args: Any, **kwargs: Any) -> Any:
            return _loaded(own, super().__call__, name, *args, **kwargs)

    return Loading("CDLL", (ctypes.CDLL,), {})


def _loaded(own: _OwnFiles, load: Callable[..., Any], name: Any, *args: Any, **kwargs: Any) -> Any:
    """Return a library, or what stands in for one that a script itself loads and that cannot be loaded."""
    try:
        return load(name, *args, **kwargs)
    except OSError as exc:
        frame = _calling_frame()
        if frame is None or frame.f_code.co_filename not in own:
            raise
        note("P121", f"the library '{name}' is not loaded: {exc}", script_place())
        return Missing(str(name))
