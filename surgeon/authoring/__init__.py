"""Recipes written for a graph: what ``surgeon init`` does."""

from surgeon.authoring.author import Authored, Witnesses, author, check_output, read_witnesses

__all__ = ["Authored", "Witnesses", "author", "check_output", "read_witnesses"]
