"""Public names with a successor: the old name works for one more release, and warns."""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

REGISTERED: list[Alias] = []
"""Every alias of the modules imported so far."""


@dataclass(frozen=True)
class Alias:
    """An old name, its successor, and the release that removes the old name.

    ``owner`` is the dotted name of the module, class or function that has both. Code that meets the old name
    in use calls :meth:`warn`.
    """

    owner: str
    name: str
    successor: str
    removal: str

    def __post_init__(self) -> None:
        if self not in REGISTERED:  # a dataclass with slots is made twice
            REGISTERED.append(self)

    def warn(self, stacklevel: int = 2) -> None:
        """Warn the caller's caller, once for each place in its source."""
        text = f"'{self.name}' of {self.owner} goes in release {self.removal}; use '{self.successor}'"
        warnings.warn(text, DeprecationWarning, stacklevel=stacklevel + 1)


def renamed_names(package: str, successors: Mapping[str, str], *, removal: str) -> Callable[[str], object]:
    """Return a module's ``__getattr__`` for names that the module now has under other names."""
    aliases = {name: Alias(package, name, successor, removal) for name, successor in successors.items()}

    def get(name: str) -> object:
        if name not in aliases:
            raise AttributeError(f"module '{package}' has no attribute '{name}'")
        aliases[name].warn()
        return getattr(importlib.import_module(package), aliases[name].successor)

    return get


class RenamedAttribute:
    """An attribute that a class now has under another name.

    The body of the class says ``old = RenamedAttribute("new", removal="0.2.0")``.
    """

    def __init__(self, successor: str, *, removal: str) -> None:
        self._successor, self._removal = successor, removal

    def __set_name__(self, owner: type, name: str) -> None:
        self.alias = Alias(f"{owner.__module__}.{owner.__qualname__}", name, self._successor, self._removal)

    def __get__(self, instance: object, owner: type) -> Any:
        if instance is None:
            return self
        self.alias.warn()
        return getattr(instance, self.alias.successor)
