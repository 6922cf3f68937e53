"""The protobuf messages that scripts handle: TensorFlow's own where it is loaded, else this package's.

Both have the same fields, so that a script can read and set ``node.input`` and ``node.attr`` in either. A
message enters a graph of the other kind as a copy.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from surgeon.formats.graphdef import protos
from surgeon.formats.graphdef.loading import load_message
from surgeon.formats.graphdef.messages import TYPE_NUMBERS
from surgeon.graph import DType
from surgeon.optional import require


def graphdef_class() -> Any:
    """Return TensorFlow's class GraphDef where TensorFlow is loaded, else this package's."""
    if getattr(sys.modules.get("tensorflow"), "__file__", None):  # what stands in for it has no file
        return require("tensorflow.core.framework.graph_pb2", "a script that uses TensorFlow").GraphDef
    return protos.GraphDef


def new_node() -> Any:
    """Return an empty NodeDef."""
    return graphdef_class()().node.add()


def is_graphdef(value: object) -> bool:
    """Return whether a value is a GraphDef, of whichever library."""
    return hasattr(value, "SerializeToString") and hasattr(value, "node") and hasattr(value, "versions")


def is_node(value: object) -> bool:
    """Return whether a value is a NodeDef, of whichever library."""
    return hasattr(value, "attr") and hasattr(value, "input") and hasattr(value, "op")


_instead: list[bytes] = []


@contextmanager
def reading_instead(data: bytes) -> Iterator[None]:
    """Let scripts read this serialized GraphDef in place of any file while the block runs."""
    _instead.append(data)
    try:
        yield
    finally:
        _instead.pop()


def read_graphdef(path: str | os.PathLike[str]) -> Any:
    """Return the GraphDef of a file, binary or text; raise SurgeonError as ``surgeon.load_graph`` does."""
    if _instead:
        return graphdef_class().FromString(_instead[-1])
    return load_message(path, graphdef_class())


def copied_to(container: Any, node: Any) -> Any:
    """Append a copy of a node to a GraphDef's nodes, and return the copy."""
    added = container.add()
    if type(added) is type(node):
        added.CopyFrom(node)
    else:
        added.ParseFromString(node.SerializeToString())
    return added


def dtype_number(value: object) -> int | None:
    """Return TensorFlow's number of an element type, given as ``tf.float32`` or as one of this package's.

    Return None for a value that is none.
    """
    if isinstance(value, DType):
        return TYPE_NUMBERS[value]
    number = getattr(value, "as_datatype_enum", None)
    return int(number) if isinstance(number, int) else None


def clean(name: str) -> str:
    """Return the node that an input names: without the mark of a control edge and without a port."""
    name = name.lstrip("^")
    head, colon, port = name.rpartition(":")
    return head if colon and port.isdigit() else name


def needed_nodes(nodes: Mapping[str, Any], outputs: Sequence[str]) -> list[str]:
    """Return the nodes among ``nodes`` that outputs depend on, by data or by control edges."""
    found: dict[str, None] = {}
    waiting = list(reversed(outputs))
    while waiting:
        name = waiting.pop()
        if name in nodes and name not in found:
            found[name] = None
            waiting += [clean(source) for source in nodes[name].input]
    return list(found)
