"""Frozen graphs as files: GraphDef (binary and text) and SavedModel, without importing TensorFlow for the
former.
"""

from surgeon.formats.graphdef.reader import check_frozen, from_bytes, from_message, load_graph
from surgeon.formats.graphdef.writer import check_unchanged, save_graph, to_bytes, to_message

__all__ = [
    "check_frozen",
    "check_unchanged",
    "from_bytes",
    "from_message",
    "load_graph",
    "save_graph",
    "to_bytes",
    "to_message",
]
