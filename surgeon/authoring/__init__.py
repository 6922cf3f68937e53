"""Recipes written for a graph: what ``surgeon init`` does."""

from surgeon.authoring.author import AuthoredRecipe, Witnesses, author, check_output, read_witnesses
from surgeon.deprecation import renamed_names

__all__ = ["AuthoredRecipe", "Witnesses", "author", "check_output", "read_witnesses"]

__getattr__ = renamed_names(__name__, {"Authored": "AuthoredRecipe"}, removal="0.2.0")
