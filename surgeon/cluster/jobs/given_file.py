"""The file that an earlier job converted, and how the recipe wants its engine to be built."""

from __future__ import annotations

from pathlib import Path

from surgeon.cluster.job import JobCall
from surgeon.formats import format_by_suffix
from surgeon.language import Recipe, load_recipe
from surgeon.language.recipe import EngineSettings


def converted_file(call: JobCall) -> Path | None:
    """Return the UFF or ONNX file of the cell, None where no earlier job converted."""
    folder = call.given.get("convert")
    if folder is None:
        return None
    (found,) = (path for path in sorted(folder.iterdir()) if format_by_suffix(path) is not None)
    return found


def engine_settings(call: JobCall) -> EngineSettings:
    """Return what the recipe says of engines, which a converted file does not carry."""
    recipe = call.recipe
    assert recipe is not None
    return recipe.engine if isinstance(recipe, Recipe) else load_recipe(recipe).engine
