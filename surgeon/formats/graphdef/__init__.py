"""Frozen graphs as files: GraphDef, binary and text, and SavedModel.

Only a SavedModel needs TensorFlow.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from surgeon.formats.graphdef.format import FORMAT
from surgeon.lazy_names import lazy_names

if TYPE_CHECKING:
    from surgeon.formats.graphdef.loading import load_graph
    from surgeon.formats.graphdef.reader import check_frozen, from_bytes, from_message
    from surgeon.formats.graphdef.writer import check_unchanged, save_graph, to_bytes, to_message

__all__ = [
    "FORMAT",
    "check_frozen",
    "check_unchanged",
    "from_bytes",
    "from_message",
    "load_graph",
    "save_graph",
    "to_bytes",
    "to_message",
]

_HOMES = {
    "surgeon.formats.graphdef.loading": ("load_graph",),
    "surgeon.formats.graphdef.reader": ("check_frozen", "from_bytes", "from_message"),
    "surgeon.formats.graphdef.writer": ("check_unchanged", "save_graph", "to_bytes", "to_message"),
}

__getattr__, __dir__ = lazy_names(__name__, globals(), _HOMES)
