"""The recipe language: YAML to :class:`Recipe`, with the place of everything it says."""

from surgeon.language.loading import find_recipe, load_recipe, parse_recipe, recipe_files
from surgeon.language.recipe import (
    OPERANDS,
    EngineSettings,
    Image,
    ImageStep,
    NamespaceRule,
    NodeDefinition,
    Recipe,
)
from surgeon.language.schema import recipe_schema

__all__ = [
    "OPERANDS",
    "EngineSettings",
    "Image",
    "ImageStep",
    "NamespaceRule",
    "NodeDefinition",
    "Recipe",
    "find_recipe",
    "load_recipe",
    "parse_recipe",
    "recipe_files",
    "recipe_schema",
]
