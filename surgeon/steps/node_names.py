"""Names that a recipe gives to nodes."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator

from surgeon.graph import NODE_NAME


def node_name(name: str) -> str:
    """Return ``name``; raise ValueError where TensorFlow does not take it as the name of a node."""
    if not NODE_NAME.match(name):
        raise ValueError(f"'{name}' is not a name for a node; expected letters, digits and . _ / \\ > -")
    return name


NodeName = Annotated[str, AfterValidator(node_name)]
"""The name of a new node."""
