"""What a kind of folder must answer, and how it is found by its name."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import ModuleType

from surgeon.diagnostics import Diagnostic
from surgeon.discovery import discover
from surgeon.packaging.description import Description


@dataclass(frozen=True)
class PackagedModel:
    """A model that a folder is made for.

    ``source`` is its UFF or ONNX file, or its engine, and ``description`` what is known of it. ``original``
    is the file of stored originals and ``calibration`` that of INT8 scales, None where there is none.
    ``libraries`` are the plugin libraries that an engine was built with, where they were given.
    """

    description: Description
    source: Path
    original: Path | None = None
    calibration: Path | None = None
    libraries: tuple[Path, ...] = ()


@dataclass(frozen=True)
class PackageKind:
    """A kind of folder: its name, what it is for, and what fills an empty folder with a model.

    ``mark`` is a file that every such folder has: one that has it may be replaced by another.
    ``next_step`` says what to do with the folder. ``check`` returns what to know of a model there, before the
    original is computed, and raises SurgeonError for one that cannot be served. ``takes_engines`` is True
    where the model may be an engine, ``keeps_libraries`` where the folder holds an engine's plugin libraries,
    ``keeps_originals`` where it holds stored originals.
    """

    name: str
    summary: str
    mark: str
    write: Callable[[Path, PackagedModel], None]
    next_step: str
    check: Callable[[Description], tuple[Diagnostic, ...]] = lambda _: ()
    takes_engines: bool = False
    keeps_libraries: bool = False
    keeps_originals: bool = False


@cache
def package_kinds() -> Mapping[str, PackageKind]:
    """Return the kinds of folders by name; raise SurgeonError E112 for a name that two modules claim."""
    return discover("surgeon.packaging.kinds", "kinds of folders named", _kinds_in)


def _kinds_in(module: ModuleType) -> Iterator[tuple[str, PackageKind]]:
    kind = getattr(module, "KIND", None)
    if isinstance(kind, PackageKind):
        yield kind.name, kind
