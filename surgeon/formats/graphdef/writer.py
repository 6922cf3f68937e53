""":class:`~surgeon.graph.Graph` to ``.pb`` and ``.pbtxt`` files."""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from google.protobuf.message import Error as ProtobufError

from surgeon.atomic import checked, writing
from surgeon.diagnostics import SurgeonError, error
from surgeon.formats.graphdef.messages import TYPE_NUMBERS, GraphDef, NodeDef, node_to_message, versions_to
from surgeon.formats.graphdef.wire import framed, tag, varint
from surgeon.graph import Graph, MappedFile, Node, TensorRef

PROTOBUF_LIMIT = 2**31 - 1
"""Bytes that no protobuf message may exceed."""


def to_message(graph: Graph) -> Any:
    """Return the GraphDef message, constants copied; raise SurgeonError E106 past 2 GiB."""
    _check_size(_bytes_in_files(graph))
    message = GraphDef()
    try:
        message.MergeFromString(graph.extra)
        if graph.library:
            message.library.ParseFromString(graph.library)
        if graph.versions:
            message.versions.CopyFrom(versions_to(graph.versions))
    except (ValueError, ProtobufError) as exc:
        raise error(
            "G111",
            f"the graph's library, versions or extra fields cannot be written: {exc}",
            graph.source or None,
        ) from None
    for node in graph:
        node_to_message(node, message.node.add())
    return message


def to_bytes(graph: Graph) -> bytes:
    """Return the serialized GraphDef; raise SurgeonError E106 past 2 GiB."""
    _check_size(_bytes_in_files(graph))
    data = b"".join(_chunks(graph))
    _check_size(len(data))
    return data


def save_graph(graph: Graph, path: str | os.PathLike[str]) -> None:
    """Write a graph as text for ``.pbtxt``, otherwise as binary; constants stream from where they are.

    The text form leaves out fields of messages that this package's GraphDef does not have. Raise
    SurgeonError E105 (cannot be written), E106 (over 2 GiB), E107 (an input file changed meanwhile), G111
    or G113 (a node that a GraphDef cannot hold). Nothing is written then.
    """
    if Path(path).suffix == ".pbtxt":
        from google.protobuf import text_format

        text = text_format.MessageToString(to_message(graph))
        with checked(partial(check_unchanged, graph)), writing(path) as handle:
            handle.write(text.encode())
        return
    _check_size(_bytes_in_files(graph))
    total = 0
    with checked(partial(check_unchanged, graph)), writing(path) as handle:
        for chunk in _chunks(graph):
            total += len(chunk)
            _check_size(total)
            handle.write(chunk)


def _bytes_in_files(graph: Graph) -> int:
    """Return how many bytes of constants are in files: nearly all that a large graph takes."""
    return sum(
        value.length for node in graph for value in node.attrs.values() if isinstance(value, TensorRef)
    )


def _check_size(total: int) -> None:
    if total > PROTOBUF_LIMIT:
        raise error(
            "E106",
            f"the graph takes over {PROTOBUF_LIMIT} bytes; a protobuf file holds at most that",
            help=["write a '.uff' file, or cut more of the graph"],
        )


def check_unchanged(*graphs: Graph) -> None:
    """Raise SurgeonError E107 where a file that holds constants of the graphs has changed.

    That is a file that was written in place since it was read.
    """
    files: dict[int, MappedFile] = {}
    for graph in graphs:
        for node in graph:
            for value in node.attrs.values():
                if isinstance(value, TensorRef):
                    files[id(value.file)] = value.file
    for file in files.values():
        check_file_unchanged(file)


def check_file_unchanged(file: MappedFile) -> None:
    """Raise SurgeonError E107 where a file was written in place since it was mapped."""
    if file.changed():
        raise changed_meanwhile(file.path)


def changed_meanwhile(path: Path) -> SurgeonError:
    """Return the error E107 for an input that was written in place while it was read."""
    return error(
        "E107",
        f"'{path}' was changed in place since it was read; expected it to stay as it was, so nothing was "
        "written",
        help=["wait until no other program writes to it, then run the command again"],
    )


def _chunks(graph: Graph) -> Iterator[bytes | memoryview]:
    for node in graph:
        yield from _node_chunks(node)
    if graph.library:
        yield framed(2, len(graph.library)) + graph.library
    if graph.versions:
        data = versions_to(graph.versions).SerializeToString(deterministic=True)
        yield framed(4, len(data)) + data
    if graph.extra:
        yield graph.extra


def _node_chunks(node: Node) -> Iterator[bytes | memoryview]:
    large = {key: value for key, value in node.attrs.items() if isinstance(value, TensorRef)}
    message = NodeDef()
    node_to_message(node, message, large)
    head = message.SerializeToString(deterministic=True)
    if not large:
        yield framed(1, len(head)) + head
        return
    parts: list[bytes | memoryview] = [head]
    for key, value in sorted(large.items()):
        parts += _tensor_entry(key, value)
    yield framed(1, sum(map(len, parts)))
    yield from parts


def _tensor_entry(key: str, value: TensorRef) -> list[bytes | memoryview]:
    """Return the map entry ``attr[key] = tensor``, framed, its content by reference."""
    dims = b"".join(_field(2, tag(1, 0) + varint(dim)) for dim in value.shape)
    tensor = tag(1, 0) + varint(TYPE_NUMBERS[value.dtype]) + _field(2, dims) + framed(4, value.length)
    tensor_length = len(tensor) + value.length
    attr = framed(8, tensor_length)
    attr_length = len(attr) + tensor_length
    entry = _field(1, key.encode()) + framed(2, attr_length)
    return [framed(5, len(entry) + attr_length) + entry + attr + tensor, value.buffer()]


def _field(number: int, data: bytes) -> bytes:
    return framed(number, len(data)) + data
