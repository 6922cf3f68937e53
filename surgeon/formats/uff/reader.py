"""UFF files: reading."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from surgeon.atomic import check_regular
from surgeon.diagnostics import SurgeonError, error
from surgeon.formats.graphdef.wire import BYTES, VARINT, Field, WireError, fields
from surgeon.formats.uff import schema
from surgeon.formats.uff.model import Blob, UffDescriptor, UffModel, UffNode, UffValue
from surgeon.graph import DType, MappedFile, TensorRef, TensorValue

T = TypeVar("T")

MESSAGE_LIMIT = 1 << 24
"""Bytes that one node, descriptor or value other than a blob may take."""


def read_uff(path: str | os.PathLike[str]) -> UffModel:
    """Read a UFF file; weights stay in it, mapped.

    Raise SurgeonError: E101 (cannot be read), E103 (empty), E104 (a Git LFS pointer), X120 (no UFF file, or a
    truncated or damaged one).
    """
    file = Path(path)
    try:
        check_regular(file)
        mapped = MappedFile(file)
    except OSError as exc:
        raise error(
            "E101", f"'{file}' cannot be read: {exc.strerror or exc}", help=["check the path"]
        ) from None
    if not mapped.size:
        raise error(
            "E103", f"'{file}' is empty (0 bytes); expected a UFF file", help=["export or copy it again"]
        )
    if bytes(mapped.view[:60]).startswith(b"version https://git-lfs.github.com/spec/"):
        raise error(
            "E104",
            f"'{file}' is a Git LFS pointer of {mapped.size} bytes, not the model itself",
            help=["run 'git lfs pull' in its repository, or download the file itself"],
        )
    try:
        return _checked(_model(mapped))
    except WireError as exc:
        raise _damaged(file, mapped, f"{exc} at byte {exc.offset}") from None
    except _Malformed as exc:
        raise _damaged(file, mapped, str(exc)) from None


class _Malformed(ValueError):
    pass


def _damaged(file: Path, mapped: MappedFile, reason: str) -> SurgeonError:
    return error(
        "X120",
        f"'{file}' is not a UFF file, or a damaged one ({mapped.size} bytes): {reason}",
        help=[
            "export it again, or compare its size with the original's",
            "for a TensorFlow graph give the '.pb', for an ONNX model the '.onnx'",
        ],
    )


def _model(mapped: MappedFile) -> UffModel:
    view = mapped.view
    numbers = {schema.VERSION: 0, schema.CORE_VERSION: 0}
    descriptors: list[UffDescriptor] = []
    graphs: list[tuple[str, tuple[UffNode, ...]]] = []
    data: dict[str, UffValue] = {}
    for field in fields(view, 0, mapped.size):
        if field.kind == VARINT and field.number in numbers:
            numbers[field.number] = field.value
        elif field.kind == BYTES and field.number == schema.DESCRIPTORS:
            descriptors.append(_parse(schema.descriptor_from_bytes, view, field, "descriptor"))
        elif field.kind == BYTES and field.number == schema.GRAPHS:
            graphs.append(_graph(view, field))
        elif field.kind == BYTES and field.number == schema.REFERENCED_DATA:
            key, value = _entry(mapped, field)
            data[key] = value
    if len(graphs) != 1:
        raise _Malformed(f"it holds {len(graphs)} graphs; expected 1")
    name, nodes = graphs[0]
    return UffModel(
        nodes, data, tuple(descriptors), numbers[schema.VERSION], numbers[schema.CORE_VERSION], name
    )


def _text(view: memoryview, field: Field) -> str:
    if field.end - field.begin > MESSAGE_LIMIT:
        raise _Malformed(f"the name at byte {field.tag} has {field.end - field.begin} bytes")
    try:
        return bytes(view[field.begin : field.end]).decode("utf-8")
    except UnicodeDecodeError:
        raise _Malformed(f"the name at byte {field.tag} is not UTF-8") from None


def _parse(parse: Callable[[bytes], T], view: memoryview, field: Field, what: str) -> T:
    if field.end - field.begin > MESSAGE_LIMIT:
        size = field.end - field.begin
        raise _Malformed(f"the {what} at byte {field.tag} has {size} bytes; expected at most {MESSAGE_LIMIT}")
    try:
        return parse(bytes(view[field.begin : field.end]))
    except Exception as exc:  # protobuf's DecodeError has no common base across its backends
        raise _Malformed(f"the {what} at byte {field.tag} cannot be parsed: {exc}") from None


def _graph(view: memoryview, graph: Field) -> tuple[str, tuple[UffNode, ...]]:
    name = ""
    nodes: list[UffNode] = []
    for field in fields(view, graph.begin, graph.end):
        if field.kind == BYTES and field.number == schema.GRAPH_ID:
            name = _text(view, field)
        elif field.kind == BYTES and field.number == schema.GRAPH_NODES:
            nodes.append(_parse(schema.node_from_bytes, view, field, "node"))
    return name, tuple(nodes)


def _entry(mapped: MappedFile, entry: Field) -> tuple[str, UffValue]:
    view = mapped.view
    key, content = "", None
    for field in fields(view, entry.begin, entry.end):
        if field.kind == BYTES and field.number == schema.ENTRY_KEY:
            key = _text(view, field)
        elif field.kind == BYTES and field.number == schema.ENTRY_VALUE:
            content = field
    if content is None:
        raise _Malformed(f"the data '{key}' at byte {entry.tag} has no value")
    inner = list(fields(view, content.begin, content.end)) if _starts_blob(view, content) else []
    if len(inner) == 1:
        return key, UffValue("blob", Blob(_slice(mapped, inner[0])))
    return key, _parse(schema.value_from_bytes, view, content, "value")


def _starts_blob(view: memoryview, content: Field) -> bool:
    return content.end > content.begin and view[content.begin] == schema.BLOB << 3 | BYTES


def _slice(mapped: MappedFile, field: Field) -> TensorRef | TensorValue:
    length = field.end - field.begin
    return TensorRef(mapped, field.begin, length, DType.UINT8, (length,))


def _checked(model: UffModel) -> UffModel:
    """Return the model; raise where an edge or a reference leads nowhere."""
    ids = {node.id for node in model.nodes}
    if len(ids) != len(model.nodes):
        raise _Malformed("two of its nodes have one id")
    for node in model.nodes:
        if not node.id or not node.operation:
            raise _Malformed("a node has no id or no operation")
        for source in node.inputs:
            if source not in ids:
                raise _Malformed(f"the node '{node.id}' reads '{source}', which is not in the file")
        for key, value in node.fields.items():
            if value.kind == "ref" and value.value not in model.data:
                raise _Malformed(
                    f"the field '{key}' of '{node.id}' refers to '{value.value}', which is not in the file"
                )
    return model
