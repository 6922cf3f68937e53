"""``import graphsurgeon`` and ``import uff`` in scripts, without a file in site-packages."""

from __future__ import annotations

import importlib
import pkgutil
import sys
import warnings

from surgeon.compat.tensorflow_names import know_old_names

NAMES = {"graphsurgeon": "DynamicGraph", "uff": "from_tensorflow"}
"""The packages that scripts import, and a public name by which NVIDIA's own are told from empty ones."""


def install() -> list[str]:
    """Let this process import ``graphsurgeon`` and ``uff`` from :mod:`surgeon.compat`, where NVIDIA's are
    absent.

    Return the names that lead here now. A package of that name that is empty, as on public indexes, or that
    cannot be imported, counts as absent.
    """
    know_old_names()
    taken = [name for name in NAMES if not _is_there(name)]
    for name in taken:
        for leftover in [key for key in sys.modules if key.partition(".")[0] == name]:
            del sys.modules[leftover]
        package = importlib.import_module(f"surgeon.compat.{name}")
        sys.modules[name] = package
        for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            sys.modules[found.name.removeprefix("surgeon.compat.")] = importlib.import_module(found.name)
    return taken


def _is_there(name: str) -> bool:
    """Return whether NVIDIA's own package can be imported."""
    module = sys.modules.get(name)
    if module is None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the empty packages warn that they are empty
            try:
                module = importlib.import_module(name)
            except Exception:  # a package for another Python or TensorFlow raises anything
                return False
    return module.__name__ == name and hasattr(module, NAMES[name])
