"""UFF files: writing."""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import partial

from surgeon.atomic import checked, writing
from surgeon.diagnostics import error
from surgeon.formats.graphdef import check_unchanged
from surgeon.formats.graphdef.wire import VARINT, framed, tag, varint
from surgeon.formats.uff import schema
from surgeon.formats.uff.model import Blob, UffModel, UffValue
from surgeon.graph import TensorRef, TensorValue

LIMIT = 2**31 - 1
"""Bytes that no UFF file may exceed: protobuf's own bound."""

_SLICE = 1 << 22
_SHARE = 1 << 26


def write_uff(model: UffModel, path: str | os.PathLike[str]) -> None:
    """Write a model, whole or not at all; weights are streamed from where they are.

    The same model gives the same bytes. Raise SurgeonError: X110 (over 2 GiB), E105 (cannot be written), E107
    (the file that holds the weights was changed since it was read).
    """
    pieces = _framed(model)
    graphs = () if model.graph is None else (model.graph,)
    with checked(partial(check_unchanged, *graphs)), writing(path) as handle:
        handle.writelines(pieces)


def uff_to_bytes(model: UffModel) -> bytes:
    """Return what :func:`write_uff` writes; raise SurgeonError X110 over 2 GiB."""
    return b"".join(_framed(model))


def _framed(model: UffModel) -> Iterator[bytes | memoryview]:
    """Return the file in pieces; raise SurgeonError X110 where it would take over 2 GiB."""
    head = _head(model)
    nodes = [framed(schema.GRAPH_NODES, len(data)) + data for data in map(schema.node_to_bytes, model.nodes)]
    name = model.graph_id.encode()
    graph_id = framed(schema.GRAPH_ID, len(name)) + name
    length = len(graph_id) + sum(map(len, nodes))
    entries = [_entry(key, value) for key, value in model.data.items()]
    total = len(head) + length + 16 + sum(len(text) + (blob.nbytes if blob else 0) for text, blob in entries)
    if total > LIMIT:
        raise _too_large(model, total)
    return _all_pieces(head + framed(schema.GRAPHS, length) + graph_id, nodes, entries)


def _all_pieces(
    head: bytes, nodes: list[bytes], entries: list[tuple[bytes, Blob | None]]
) -> Iterator[bytes | memoryview]:
    yield head
    yield from nodes
    read = 0
    for text, blob in entries:
        yield text
        if blob is None:
            continue
        yield from _pieces(blob)
        read += blob.nbytes
        if read > _SHARE and isinstance(blob.tensor, TensorRef):
            blob.tensor.file.drop_pages()
            read = 0


def _too_large(model: UffModel, total: int) -> Exception:
    sizes = [(v.value.nbytes, k) for k, v in model.data.items() if v.kind == "blob"]
    largest = sorted(sizes, key=lambda pair: (-pair[0], pair[1]))[:3]
    return error(
        "X110",
        f"the UFF file would take {total} bytes; the format holds at most {LIMIT}",
        notes=[f"'{key.removeprefix('weights_')}' holds {size} bytes" for size, key in largest],
        help=["export to ONNX, which may keep weights beside the file, or cut the graph"],
    )


def _head(model: UffModel) -> bytes:
    out = tag(schema.VERSION, VARINT) + varint(model.version)
    out += tag(schema.CORE_VERSION, VARINT) + varint(model.descriptor_core_version)
    for descriptor in model.descriptors:
        data = schema.descriptor_to_bytes(descriptor)
        out += framed(schema.DESCRIPTORS, len(data)) + data
    return out


def _entry(key: str, value: UffValue) -> tuple[bytes, Blob | None]:
    """Return a map entry of ``referenced_data``; a blob's content is left to follow."""
    name = key.encode()
    start = framed(schema.ENTRY_KEY, len(name)) + name
    blob = value.value if value.kind == "blob" else None
    if blob is None:
        data, length = schema.value_to_bytes(value), 0
    else:
        data, length = framed(schema.BLOB, blob.nbytes), blob.nbytes
    inner = start + framed(schema.ENTRY_VALUE, len(data) + length) + data
    return framed(schema.REFERENCED_DATA, len(inner) + length) + inner, blob


def _pieces(blob: Blob) -> Iterator[bytes | memoryview]:
    """Yield a blob's bytes in slices.

    A constant that stores fewer values than it has is not expanded at once.
    """
    tensor = blob.tensor
    if isinstance(tensor, TensorValue) and isinstance(tensor.data, bytes) and tensor.stored < tensor.count:
        yield tensor.data
        size = tensor.dtype.itemsize or 1
        one = tensor.data[-size:] or bytes(size)
        left = tensor.count - tensor.stored
        many = one * min(left, _SLICE // size)
        while left > 0:
            count = min(left, _SLICE // size)
            yield many[: count * size]
            left -= count
        return
    view = tensor.buffer()
    for start in range(0, len(view), _SLICE):
        yield view[start : start + _SLICE]
