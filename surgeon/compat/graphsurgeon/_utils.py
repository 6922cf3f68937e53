"""What scripts import from graphsurgeon's private module of this name."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from surgeon.compat.messages import clean, is_node


def _generate_iterable_for_search(value: Any) -> Iterable[Any]:
    """Return several things to search for: the value where it is several, else the value alone."""
    if isinstance(value, (str, bytes)) or is_node(value) or not isinstance(value, Iterable):
        return [value]
    return value


def _clean_input_name(name: str) -> str:
    """Return the node that an input names, without port and mark of a control edge."""
    return clean(name)
