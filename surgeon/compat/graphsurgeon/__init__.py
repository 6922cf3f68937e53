"""The public interface of NVIDIA's ``graphsurgeon``, on this package's engine.

Nodes are protobuf messages of the type NodeDef, with and without TensorFlow. What the incumbent does silently
and wrongly is a :class:`surgeon.compat.ScriptWarning`.
"""

from __future__ import annotations

from surgeon.compat.graphsurgeon import extras, recovery
from surgeon.compat.graphsurgeon.graphs import DynamicGraph, StaticGraph
from surgeon.compat.graphsurgeon.nodes import (
    create_node,
    create_plugin_node,
    extract_numpy_array,
    shape,
    update_node,
)

__all__ = [
    "DynamicGraph",
    "StaticGraph",
    "create_node",
    "create_plugin_node",
    "extract_numpy_array",
    "extras",
    "recovery",
    "shape",
    "update_node",
]

__version__ = "0.4.1"
