"""Discovery: what the modules of a package hold, by key, so that an addition is one new file."""

from __future__ import annotations

import importlib
import os
import pkgutil
import sys
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from types import ModuleType
from typing import TYPE_CHECKING, Any, TypeVar

from surgeon.diagnostics import error

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

T = TypeVar("T")


def discover(
    package: str, kind: str, members: Callable[[ModuleType], Iterable[tuple[str, T]]], *, group: str = ""
) -> dict[str, T]:
    """Return what the modules of a package hold, by key, in the order of the modules' names.

    ``members`` returns what one module holds, each member with its key, and nothing for a module of another
    kind. ``kind`` is the plural noun, such as 'steps named', for the message about a key that two modules
    claim. ``group`` names entry points whose modules are read after the package's. Raise SurgeonError E112
    where two modules claim a key, and E113 as :func:`modules_of` does.
    """
    return by_key(
        kind,
        ((*member, module.__name__) for module in modules_of(package, group) for member in members(module)),
    )


def modules_of(package: str, group: str = "") -> Iterator[ModuleType]:
    """Yield the modules and packages directly inside a package by name, then those of entry points.

    Raise SurgeonError E113 for an entry point whose module cannot be imported.
    """
    for info in sorted(pkgutil.iter_modules(importlib.import_module(package).__path__), key=lambda i: i.name):
        yield importlib.import_module(f"{package}.{info.name}")
    if group:
        yield from _modules_of_entry_points(group)


def classes_in(module: ModuleType, base: type[T]) -> Iterator[type[T]]:
    """Yield what a module holds under any name that is a class derived from ``base``, or ``base`` itself."""
    for value in vars(module).values():
        # For Python 3.10, list[int] is an instance of type, and issubclass refuses it.
        if issubclass(type(value), type) and issubclass(value, base):
            yield value


def by_key(kind: str, members: Iterable[tuple[str, T, str]], code: str = "E112") -> dict[str, T]:
    """Return members by key; each comes with its key and the name of its owner.

    Raise SurgeonError ``code``, naming both owners, for a key that has two different members.
    """
    found: dict[str, T] = {}
    owners: dict[str, str] = {}
    for key, member, owner in members:
        if found.setdefault(key, member) is not member:
            raise error(
                code,
                f"there are two {kind} '{key}', of '{owners[key]}' and '{owner}'; expected one",
                help=["take one of the two away, or give it another name"],
            )
        owners.setdefault(key, owner)
    return found


def entry_points(group: str) -> list[EntryPoint]:
    """Return the entry points of a group that installed packages declare, by name."""
    return list(_of_group(group, tuple((folder, _changed_at(folder)) for folder in sys.path)))


@cache
def _of_group(group: str, folders: tuple[tuple[str, int], ...]) -> list[EntryPoint]:
    declared = _declared_entry_points(folders).select(group=group)
    return sorted(declared, key=lambda point: (point.name, point.value))


def _changed_at(folder: str) -> int:
    """Return when something was put into a folder or taken out, 0 where there is none."""
    try:
        return os.stat(folder or ".").st_mtime_ns
    except OSError:
        return 0


@cache
def _declared_entry_points(folders: tuple[tuple[str, int], ...]) -> Any:
    # All groups at once: to read the metadata of every installed package takes some ten milliseconds.
    from importlib import metadata

    return metadata.entry_points()


def _modules_of_entry_points(group: str) -> Iterator[ModuleType]:
    for point in entry_points(group):
        try:
            module = importlib.import_module(point.module)
        except Exception as exc:  # a package of others raises anything while it is imported
            raise error(
                "E113",
                f"the entry point '{point.name}' ({point.value}) of the group '{group}' cannot be loaded: "
                f"{type(exc).__name__}: {' '.join(str(exc).split()):.200}; expected a module",
                help=["repair or uninstall the package that declares it"],
            ) from exc
        yield module
