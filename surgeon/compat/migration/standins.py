"""What stands in for modules that a script imports and that its surgery does not need."""

from __future__ import annotations

import ast
import importlib.util
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

from surgeon.graph import DType

OURS = ("graphsurgeon", "uff", "surgeon")
"""Packages that are there in any case."""

VERSION = "8.5.3.1"
"""The version of TensorRT that scripts which ask are told where it is missing."""


class Absent:
    """Anything of a module that is missing: it can be called, read and derived from, and does nothing."""

    def __init__(self, name: str = "", *args: object, **kwargs: object) -> None:
        self._name = name

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return Absent(f"{self._name}.{name}")

    def __call__(self, *args: object, **kwargs: object) -> Any:
        return Absent(f"{self._name}()")

    def __mro_entries__(self, bases: tuple[object, ...]) -> tuple[type, ...]:
        return (object,)

    def __enter__(self) -> Any:
        return self

    def __exit__(self, *args: object) -> None:
        return None


class _StandIn(ModuleType):
    """A module that is missing; everything in it is :class:`Absent`."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.__path__ = []

    def __getattr__(self, name: str) -> Any:
        if name == "__version__":
            return VERSION
        if name.startswith("__"):
            raise AttributeError(name)
        return Absent(f"{self.__name__}.{name}")


def stand_ins(tree: ast.Module, path: Path) -> dict[str, ModuleType]:
    """Return a module for each that a script imports and that is missing, by name.

    TensorFlow is stood in for as well where the script takes nothing but element types from it.
    """
    names = list(dict.fromkeys(_imported(tree)))
    found: dict[str, ModuleType] = {}
    for name in names:
        top = name.partition(".")[0]
        if top in OURS or (path.parent / f"{top}.py").exists() or (path.parent / top).is_dir():
            continue
        if top == "tensorflow" and _takes_types_only(tree):
            found[name] = _types(name)
        elif not _is_there(top):
            found[name] = _types(name) if top == "tensorflow" else _StandIn(name)
            found.setdefault(top, _types(top) if top == "tensorflow" else _StandIn(top))
    for name, module in found.items():
        parent, _, last = name.rpartition(".")
        if parent in found:
            setattr(found[parent], last, module)
    return found


def _is_there(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except (ImportError, ValueError):
        return False


def _imported(tree: ast.Module) -> Iterator[str]:
    """Yield the modules that a script imports anywhere, and the packages around them."""
    for node in ast.walk(tree):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names = [node.module]
        for name in names:
            parts = name.split(".")
            yield from (".".join(parts[: count + 1]) for count in range(len(parts)))


def _takes_types_only(tree: ast.Module) -> bool:
    """Return whether all that a script takes from TensorFlow is element types, such as ``tf.float32``."""
    aliases: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name == "tensorflow":
                    aliases.add(alias.asname or alias.name)
                elif alias.name.startswith("tensorflow."):
                    return False
        elif isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "tensorflow":
            return False
    types = {dtype.value for dtype in DType}
    taken = {
        id(node.value): node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in aliases
    }
    used = [node for node in ast.walk(tree) if isinstance(node, ast.Name) and node.id in aliases]
    return all(taken.get(id(node)) in types for node in used)


def _types(name: str) -> ModuleType:
    """Return a module that has element types, and everything else as :class:`Absent`."""
    module = _StandIn(name)
    for dtype in DType:
        setattr(module, dtype.value, dtype)
    return module
