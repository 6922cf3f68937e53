"""Public names of a package, imported when they are first used."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, MutableMapping, Sequence
from typing import Any

from surgeon.garbage import no_garbage_collection


def lazy_names(
    package: str, namespace: MutableMapping[str, Any], homes: Mapping[str, Sequence[str]]
) -> tuple[Callable[[str], object], Callable[[], list[str]]]:
    """Return a package's ``__getattr__`` and ``__dir__`` for names that live in other modules.

    ``homes`` maps a module to the names that it has; ``namespace`` is the package's ``globals()``, into which
    a name goes at its first use. ``__getattr__`` raises AttributeError for a name that no module has.
    """
    home_of = {name: home for home, names in homes.items() for name in names}

    def get(name: str) -> object:
        if name not in home_of:
            raise AttributeError(f"module '{package}' has no attribute '{name}'")
        with no_garbage_collection():
            home = importlib.import_module(home_of[name])
        value = getattr(home, name)
        namespace[name] = value
        return value

    def names() -> list[str]:
        return sorted({*namespace, *home_of})

    return get, names
