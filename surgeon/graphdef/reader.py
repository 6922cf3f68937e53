"""Frozen graphs from ``.pb`` and ``.pbtxt`` files, and SavedModel folders, to :class:`~surgeon.graph.Graph`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from surgeon.diagnostics import SurgeonError, error
from surgeon.graph import DType, Graph, MappedFile, Node, Tensor, TensorRef, Versions
from surgeon.graphdef.messages import TYPES, GraphDef, node_from_message, versions_from
from surgeon.graphdef.wire import BYTES, FIXED32, FIXED64, VARINT, Field, WireError, fields, framed

IN_FILE = 1024
"""Bytes from which a constant stays in its file."""

_SHARE = 64 * 1024 * 1024


def load_graph(path: str | os.PathLike[str]) -> Graph:
    """Read a frozen graph: a ``.pb`` or ``.pbtxt`` GraphDef, or a SavedModel folder.

    Constants of a kilobyte and more stay in a ``.pb`` file, which is mapped. Raise SurgeonError: E101 (no such file,
    or unreadable), E102 (a folder without a SavedModel), E103 (empty), E104 (a Git LFS pointer), G101 (no GraphDef, or
    truncated), G102 (not frozen: variables), G103 (no nodes), G105 to G107 and G111 (duplicate names, dangling inputs,
    cycles, malformed nodes), G112 (a constant whose shape and bytes disagree), and G114 to G116 for a SavedModel.
    """
    file = Path(path)
    if file.is_dir():
        from surgeon.graphdef.saved_model import load_saved_model

        return load_saved_model(file)
    try:
        mapped = MappedFile(file)
    except OSError as exc:
        raise error("E101", f"'{file}' cannot be read: {exc.strerror or exc}", help=["check the path"]) from None
    if not mapped.size:
        raise error("E103", f"'{file}' is empty (0 bytes); expected a frozen graph", help=["copy or download it again"])
    head = bytes(mapped.view[:200])
    if head.startswith(b"version https://git-lfs.github.com/spec/"):
        raise error("E104", f"'{file}' is a Git LFS pointer of {mapped.size} bytes, not the graph itself",
                    help=["run 'git lfs pull' in its repository, or download the file itself"])  # fmt: skip
    if file.suffix in (".pbtxt", ".prototxt", ".txt") or _looks_like_text(head):
        graph = _parse_text(mapped, file)
    else:
        graph = parse_graphdef(mapped, str(file))
    return check_frozen(graph)


def check_frozen(graph: Graph) -> Graph:
    """Return the graph; raise SurgeonError where it is empty, holds variables, or breaks an invariant."""
    if not len(graph):
        raise error("G103", "the graph has no nodes; expected a frozen graph", graph.source or None)
    variables = [n for n in graph if n.op in VARIABLE_OPS]
    if variables:
        first = variables[0]
        raise error("G102", f"the graph is not frozen: it holds {len(variables)} variables, such as '{first.name}' ({first.op})",
                    graph.source or None,
                    help=["freeze it: tf.compat.v1.graph_util.convert_variables_to_constants(session, graph_def, outputs)",
                          "or give the SavedModel folder, which is frozen while it is read"])  # fmt: skip
    return graph.check()


VARIABLE_OPS = frozenset({"Variable", "VariableV2", "VarHandleOp", "ReadVariableOp", "TemporaryVariable", "AutoReloadVariable"})


def parse_graphdef(mapped: MappedFile, source: str) -> Graph:
    """Read a binary GraphDef, leaving large constants in the file; raise SurgeonError G101 where it is none."""
    nodes: list[Node] = []
    versions: Versions | None = None
    library = b""
    extra = b""
    seen = 0
    try:
        for field in fields(mapped.view, 0, mapped.size):
            if field.number == 1 and field.kind == BYTES:
                nodes.append(_node(mapped, field, source))
                if field.end - seen > _SHARE:
                    mapped.drop_pages()
                    seen = field.end
            elif field.number == 4 and field.kind == BYTES:
                versions = versions_from(_parse(GraphDef.DESCRIPTOR.fields_by_name["versions"], mapped, field))
            elif field.number == 2 and field.kind == BYTES:
                library += bytes(mapped.view[field.begin : field.end])
            else:
                extra += bytes(mapped.view[field.tag : field.end])
    except WireError as exc:
        raise _not_a_graphdef(source, mapped, f"{exc} at byte {exc.offset}", bool(nodes)) from None
    except _Malformed as exc:
        raise _not_a_graphdef(source, mapped, str(exc), bool(nodes)) from None
    if not nodes:
        raise _not_a_graphdef(source, mapped, "no field in it is a node", False)
    return Graph(nodes, versions=versions, library=library, extra=extra, source=source)


class _Malformed(ValueError):
    pass


def _parse(descriptor: Any, mapped: MappedFile, field: Field) -> Any:
    message = descriptor.message_type._concrete_class()
    try:
        message.ParseFromString(bytes(mapped.view[field.begin : field.end]))
    except Exception as exc:  # protobuf's DecodeError has no common base across its backends
        raise _Malformed(f"the field at byte {field.tag} cannot be parsed: {exc}") from None
    return message


_NODE = GraphDef.DESCRIPTOR.fields_by_name["node"].message_type._concrete_class


def _node(mapped: MappedFile, field: Field, source: str) -> Node:
    message = _NODE()
    tensors: dict[str, Tensor] = {}
    if field.end - field.begin < IN_FILE:
        data = bytes(mapped.view[field.begin : field.end])
    else:
        data = _lift_tensors(mapped, field, tensors, source)
    try:
        message.ParseFromString(data)
    except Exception as exc:  # protobuf's DecodeError has no common base across its backends
        raise _Malformed(f"the node at byte {field.tag} cannot be parsed: {exc}") from None
    return node_from_message(message, tensors, source)


def _lift_tensors(mapped: MappedFile, node: Field, tensors: dict[str, Tensor], source: str) -> bytes:
    """Return the NodeDef's bytes without the content of large tensors, which go to ``tensors``."""
    view = mapped.view
    out: list[bytes] = []
    name = ""
    for field in fields(view, node.begin, node.end):
        if field.number == 1 and field.kind == BYTES:
            name = bytes(view[field.begin : field.end]).decode("utf-8", "replace")
        if field.number == 5 and field.kind == BYTES and field.end - field.begin >= IN_FILE:
            found = _large_tensor(mapped, field)
            if found is not None:
                key, content, dtype, dims = found
                tensors[key] = _checked(mapped, content, dtype, dims, name, source)
                entry = framed(1, len(key.encode())) + key.encode() + framed(2, 0)
                out.append(framed(5, len(entry)) + entry)
                continue
        out.append(bytes(view[field.tag : field.end]))
    return b"".join(out)


def _large_tensor(mapped: MappedFile, entry: Field) -> tuple[str, Field, int, list[int]] | None:
    """Return (attribute, content, dtype number, dimensions) where a map entry is one tensor with large packed content."""
    view = mapped.view
    key, value = "", None
    for field in fields(view, entry.begin, entry.end):
        if field.number == 1 and field.kind == BYTES:
            key = bytes(view[field.begin : field.end]).decode("utf-8", "replace")
        elif field.number == 2 and field.kind == BYTES:
            value = field
    if value is None:
        return None
    parts = list(fields(view, value.begin, value.end))
    if len(parts) != 1 or parts[0].number != 8 or parts[0].kind != BYTES:
        return None
    dtype, dims, content = 0, None, None
    for field in fields(view, parts[0].begin, parts[0].end):
        if field.number == 1 and field.kind == VARINT:
            dtype = field.value
        elif field.number == 2 and field.kind == BYTES:
            dims = _dimensions(view, field)
        elif field.number == 4 and field.kind == BYTES:
            content = field
        elif field.kind not in (VARINT, FIXED32, FIXED64) or field.number != 3:
            return None
    if content is None or content.end - content.begin < IN_FILE or dims is None:
        return None
    return key, content, dtype, dims


def _dimensions(view: memoryview, shape: Field) -> list[int] | None:
    dims: list[int] = []
    for field in fields(view, shape.begin, shape.end):
        if field.number != 2 or field.kind != BYTES:
            return None
        size = 0
        for part in fields(view, field.begin, field.end):
            if part.number != 1 or part.kind != VARINT:
                return None
            size = part.value
        dims.append(size)
    return dims


def _checked(mapped: MappedFile, content: Field, number: int, dims: list[int], name: str, source: str) -> Tensor:
    dtype = TYPES.get(number)
    length = content.end - content.begin
    size = dtype.itemsize if dtype is not None and dtype is not DType.STRING else None
    expected = size
    for dim in dims:
        expected = None if expected is None else expected * dim
    if dtype is None or expected != length:
        kind = dtype.value if dtype else f"type number {number}"
        raise error("G112", f"the constant '{name}' holds {length} bytes, but is {kind}{dims}".replace(" ,", ","),
                    source or None, [f"expected {expected} bytes"] if expected is not None else (),
                    ["the file is damaged; export or download it again"])  # fmt: skip
    return TensorRef(mapped, content.begin, length, dtype, tuple(dims))


def _not_a_graphdef(source: str, mapped: MappedFile, reason: str, some: bool) -> SurgeonError:
    head = bytes(mapped.view[:8])
    help = ["export or download it again, and compare its size with the original's"]
    if head.startswith(b"\x89HDF"):
        help = ["this is an HDF5 file (Keras weights or model); export a frozen graph or a SavedModel from it"]
    elif head.startswith(b"PK\x03\x04"):
        help = ["this is a zip archive (a .keras file?); unpack it, or export a frozen graph or a SavedModel"]
    elif head.startswith((b"\x1f\x8b", b"\xfd7zXZ")):
        help = ["this file is compressed; unpack it first"]
    what = f"the file is truncated or damaged ({mapped.size} bytes)" if some else "the file is no GraphDef"
    return error("G101", f"{what}: {reason}", source, help=help)


def _looks_like_text(head: bytes) -> bool:
    start = head.lstrip()
    return start.startswith((b"node {", b"node{", b"node:", b"versions {", b"library {", b"# "))


def _parse_text(mapped: MappedFile, file: Path) -> Graph:
    from google.protobuf import text_format

    message = GraphDef()
    try:
        text_format.Parse(bytes(mapped.view).decode("utf-8"), message)
    except UnicodeDecodeError:
        raise error("G101", "the file is not text, though its name says so", str(file),
                    help=["name a binary graph .pb"]) from None  # fmt: skip
    except (text_format.ParseError, RecursionError) as exc:
        raise error("G101", f"the file is no GraphDef in text form: {exc}", str(file)) from None
    return from_message(message, str(file))


def from_message(message: Any, source: str = "") -> Graph:
    """Return the graph of a GraphDef message (of this package's protobuf classes)."""
    extra = GraphDef()
    if message.version:
        extra.version = message.version
    if message.HasField("debug_info"):
        extra.debug_info.CopyFrom(message.debug_info)
    return Graph(
        (node_from_message(node, None, source) for node in message.node),
        versions=versions_from(message.versions) if message.HasField("versions") else None,
        library=message.library.SerializeToString(deterministic=True) if message.HasField("library") else b"",
        extra=extra.SerializeToString(deterministic=True),
        source=source,
    )


def from_bytes(data: bytes, source: str = "") -> Graph:
    """Return the graph of a serialized GraphDef; raise SurgeonError G101 where it is none."""
    message = GraphDef()
    try:
        message.ParseFromString(data)
    except Exception as exc:  # protobuf's DecodeError has no common base across its backends
        raise error("G101", f"the bytes are no GraphDef: {exc}", source or None) from None
    return from_message(message, source)
