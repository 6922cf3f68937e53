"""Duplicates taken out of nodes' inputs."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any


def remove_duplicates(graph: Any, names: Iterable[str]) -> None:
    """Keep the first of equal inputs of the named nodes; the order stays."""
    for name in [names] if isinstance(names, str) else names:
        node = graph[name]
        node.input[:] = list(dict.fromkeys(node.input))
