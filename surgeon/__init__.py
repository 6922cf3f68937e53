"""Surgery on detector graphs for operations that TensorRT cannot run.

The names below are the public ones. They are imported when first used, so that ``import surgeon`` costs nothing.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

from surgeon.display import draw_with
from surgeon.version import __version__

if TYPE_CHECKING:
    from surgeon.api import apply, build_engine, check, convert, detect, diff, init, inspect, plan, verify, view
    from surgeon.catalog import load_catalog
    from surgeon.diagnostics import Diagnostic, SurgeonError
    from surgeon.engine import load_engine
    from surgeon.graph import Graph, Node, Ref
    from surgeon.graphdef import load_graph, save_graph
    from surgeon.language import Recipe, load_recipe, parse_recipe
    from surgeon.rewrite import Plan
    from surgeon.targets import load_target
    from surgeon.verify import Verification
    from surgeon.zoo.demo import demo_model

__all__ = [
    "Diagnostic",
    "Graph",
    "Node",
    "Plan",
    "Recipe",
    "Ref",
    "SurgeonError",
    "Verification",
    "__version__",
    "apply",
    "build_engine",
    "check",
    "convert",
    "demo_model",
    "detect",
    "diff",
    "init",
    "inspect",
    "load_catalog",
    "load_engine",
    "load_graph",
    "load_recipe",
    "load_target",
    "parse_recipe",
    "plan",
    "save_graph",
    "verify",
    "view",
]

_HOMES = {
    "surgeon.api": ("apply", "build_engine", "check", "convert", "detect", "diff", "init", "inspect", "plan", "verify", "view"),
    "surgeon.catalog": ("load_catalog",),
    "surgeon.engine": ("load_engine",),
    "surgeon.diagnostics": ("Diagnostic", "SurgeonError"),
    "surgeon.graph": ("Graph", "Node", "Ref"),
    "surgeon.graphdef": ("load_graph", "save_graph"),
    "surgeon.language": ("Recipe", "load_recipe", "parse_recipe"),
    "surgeon.rewrite": ("Plan",),
    "surgeon.targets": ("load_target",),
    "surgeon.verify": ("Verification",),
    "surgeon.zoo.demo": ("demo_model",),
}


def __getattr__(name: str) -> object:
    for home, names in _HOMES.items():
        if name in names:
            import importlib

            value = getattr(importlib.import_module(home), name)
            globals()[name] = value
            return value
    raise AttributeError(f"module 'surgeon' has no attribute '{name}'")


@draw_with
def _html(value: object) -> str:
    """Return a value as HTML, for notebooks; what draws it is imported then."""
    from surgeon.view import html_of

    return html_of(value)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


class _Room(ModuleType):
    """A folder of this package that has the name of a public function: calling it calls the function."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        from surgeon import api

        return getattr(api, self.__name__.rpartition(".")[2])(*args, **kwargs)


class _Package(ModuleType):
    def __setattr__(self, name: str, value: object) -> None:
        # Importing surgeon.verify puts the module in the function's place.
        if name in _HOMES["surgeon.api"] and type(value) is ModuleType:
            value.__class__ = _Room
        super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package
