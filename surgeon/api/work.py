"""What every verb begins with: the catalog, recipe, model and target of a request."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from surgeon.diagnostics import error
from surgeon.formats.graphdef import load_graph
from surgeon.graph import Graph
from surgeon.language import Recipe, load_recipe
from surgeon.targets import Target, load_target

if TYPE_CHECKING:
    from surgeon.catalog import Catalog


PathLike: TypeAlias = "str | os.PathLike[str]"

DEFAULT_TARGET = "uff@tensorrt-8.5"
"""The target where neither an output nor the caller names one."""


def target_of(target: Target | str | None) -> Target:
    return target if isinstance(target, Target) else load_target(target or DEFAULT_TARGET)


def catalog_of(plugin_paths: Iterable[PathLike]) -> Catalog:
    from surgeon.catalog import load_catalog

    return load_catalog([Path(p) for p in plugin_paths])


def graph_of(model: Graph | PathLike) -> Graph:
    if isinstance(model, Graph):
        return model
    kind = {".uff": "a UFF", ".onnx": "an ONNX"}.get(Path(model).suffix.lower())
    if kind is not None and Path(model).is_file():
        raise error(
            "E110",
            f"'{os.fspath(model)}' is {kind} file; expected a frozen graph or a SavedModel folder",
            help=["give the graph that it was made from; 'surgeon inspect' reads UFF and ONNX files"],
        )
    return load_graph(model)


def recipe_of(
    recipe: Recipe | PathLike, parameters: Mapping[str, Any] | None, paths: Iterable[PathLike]
) -> Recipe:
    if isinstance(recipe, Recipe):
        if parameters:
            raise TypeError("'parameters' go with a recipe's name or path; give them to load_recipe")
        return recipe
    name = recipe if isinstance(recipe, str) else Path(recipe)
    return load_recipe(name, parameters=parameters, recipe_paths=[Path(p) for p in paths])
