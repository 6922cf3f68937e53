"""GraphDefs, binary and text, to :class:`~surgeon.graph.Graph`."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from surgeon.diagnostics import SurgeonError, error
from surgeon.formats.graphdef.messages import (
    TYPES,
    GraphDef,
    NodeDef,
    constant_error,
    function_library,
    node_from_message,
    versions_from,
    versions_from_bytes,
)
from surgeon.formats.graphdef.other_files import HEAD, other_file
from surgeon.formats.graphdef.wire import BYTES, VARINT, Field, WireError, fields, framed
from surgeon.garbage import no_garbage_collection
from surgeon.graph import DType, Graph, MappedFile, Node, Tensor, TensorRef
from surgeon.graph.foreign import naming_foreign
from surgeon.graph.input_counts import check_input_counts
from surgeon.graph.values import misfit

IN_FILE = 1024
"""Bytes from which a constant stays in its file."""

_SHARE = 64 * 1024 * 1024


def check_frozen(graph: Graph) -> Graph:
    """Return the graph.

    Raise SurgeonError where it is empty, holds variables, breaks an invariant, or has an operation of
    TensorFlow that reads more or fewer tensors than it takes.
    """
    if not len(graph):
        raise error("G103", "the graph has no nodes; expected a frozen graph", graph.source or None)
    variables = [n for n in graph if n.op in VARIABLE_OPS]
    if variables:
        first = variables[0]
        unfrozen = error(
            "G102",
            f"the graph is not frozen: it holds {len(variables)} variables, such as '{first.name}' "
            f"({first.op})",
            graph.source or None,
            help=[
                "freeze it: tf.compat.v1.graph_util.convert_variables_to_constants(session, graph_def, "
                "outputs)",
                "or give the SavedModel folder, which is frozen while it is read",
            ],
        )
        raise naming_foreign(unfrozen, graph)
    check_input_counts(graph)
    return graph.check()


VARIABLE_OPS = frozenset(
    {"Variable", "VariableV2", "VarHandleOp", "ReadVariableOp", "TemporaryVariable", "AutoReloadVariable"}
)


def parse_graphdef(mapped: MappedFile, source: str) -> Graph:
    """Read a binary GraphDef, leaving large constants in the file.

    Raise SurgeonError G101 where it is none.
    """
    nodes: list[Node] = []
    others: dict[int, list[bytes]] = {2: [], 4: [], 0: []}
    seen = 0
    try:
        with no_garbage_collection():
            for field in fields(mapped.view, 0, mapped.size):
                if field.number == 1 and field.kind == BYTES:
                    nodes.append(_node(mapped, field, source))
                    if field.end - seen > _SHARE:
                        mapped.drop_pages()
                        seen = field.end
                elif field.number in others and field.kind == BYTES:
                    others[field.number].append(bytes(mapped.view[field.begin : field.end]))
                else:
                    others[0].append(bytes(mapped.view[field.tag : field.end]))
        if not nodes:
            raise _Malformed("no field in it is a node")
        library, versions, extra = (b"".join(others[number]) for number in (2, 4, 0))
        _parsed(function_library, library, "function library")
        _parsed(GraphDef.FromString, extra, "debug information")
        stated = _parsed(versions_from_bytes, versions, "versions") if others[4] else None
    except WireError as exc:
        raise _not_a_graphdef(source, mapped, f"{exc} at byte {exc.offset}", bool(nodes)) from None
    except _Malformed as exc:
        raise _not_a_graphdef(source, mapped, str(exc), bool(nodes)) from None
    return Graph(nodes, versions=stated, library=library, extra=extra, source=source)


class _Malformed(ValueError):
    pass


_T = TypeVar("_T")


def _parsed(parse: Callable[[bytes], _T], data: bytes, what: str) -> _T:
    try:
        return parse(data)
    except Exception as exc:  # protobuf's DecodeError has no common base across its backends
        raise _Malformed(f"its {what} cannot be parsed: {exc}") from None


def _node(mapped: MappedFile, field: Field, source: str) -> Node:
    message = NodeDef()
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
            name = _text(view, field)
        if field.number == 5 and field.kind == BYTES:
            key, value = _entry(view, field)
            tensors.pop(key, None)  # of two entries of one key the last one holds
            found = _large_tensor(view, value) if value is not None else None
            if found is not None:
                tensors[key] = _in_file(mapped, *found, name, source)
                entry = framed(1, len(key.encode())) + key.encode() + framed(2, 0)
                out.append(framed(5, len(entry)) + entry)
                continue
        out.append(bytes(view[field.tag : field.end]))
    return b"".join(out)


def _text(view: memoryview, field: Field) -> str:
    try:
        return bytes(view[field.begin : field.end]).decode()
    except UnicodeDecodeError:
        raise _Malformed(f"the name at byte {field.begin} is not UTF-8") from None


def _entry(view: memoryview, entry: Field) -> tuple[str, Field | None]:
    """Return the key of a map entry, and its value where that can be a large tensor."""
    key, values = "", []
    for field in fields(view, entry.begin, entry.end):
        if field.number == 1 and field.kind == BYTES:
            key = _text(view, field)
        elif field.number == 2 and field.kind == BYTES:
            values.append(field)
    return key, values[0] if len(values) == 1 and entry.end - entry.begin >= IN_FILE else None


def _large_tensor(view: memoryview, value: Field) -> tuple[Field, DType, tuple[int, ...]] | None:
    """Return content, type and dimensions where an AttrValue is one large packed tensor and nothing else."""
    parts = [field for field, _ in zip(fields(view, value.begin, value.end), range(2), strict=False)]
    if len(parts) != 1 or parts[0].number != 8 or parts[0].kind != BYTES:
        return None
    found: dict[int, Field] = {}
    for field in fields(view, parts[0].begin, parts[0].end):
        if (field.number, field.kind) not in ((1, VARINT), (2, BYTES), (4, BYTES)) or field.number in found:
            return None
        found[field.number] = field
    if len(found) < 3 or found[4].end - found[4].begin < IN_FILE:
        return None
    dtype, dims = TYPES.get(found[1].value), _dimensions(view, found[2])
    if dtype is None or dtype.itemsize is None or dims is None:
        return None
    return found[4], dtype, dims


def _dimensions(view: memoryview, shape: Field) -> tuple[int, ...] | None:
    dims: list[int] = []
    for field in fields(view, shape.begin, shape.end):
        if field.number != 2 or field.kind != BYTES:
            return None
        size = 0
        for part in fields(view, field.begin, field.end):
            if part.number != 1 or part.kind != VARINT:
                return None
            size = part.value - (1 << 64) if part.value >> 63 else part.value
        dims.append(size)
    return tuple(dims)


def _in_file(
    mapped: MappedFile, content: Field, dtype: DType, dims: tuple[int, ...], name: str, source: str
) -> Tensor:
    length, size = content.end - content.begin, dtype.itemsize or 1
    reason = misfit(dtype, dims, length // size)
    if reason is None and length != math.prod(dims) * size:
        reason = f"it holds {length} bytes; expected {math.prod(dims) * size} for {dtype.value}{list(dims)}"
    if reason is not None:
        raise constant_error(name, reason, source)
    return TensorRef(mapped, content.begin, length, dtype, dims)


def _not_a_graphdef(source: str, mapped: MappedFile, reason: str, some: bool) -> SurgeonError:
    kind = other_file(mapped.path, bytes(mapped.view[:HEAD]))
    if kind is not None:
        return error("G101", f"the file is not a GraphDef: it is {kind.noun}", source, help=kind.help)
    what = f"the file is truncated or damaged ({mapped.size} bytes)" if some else "the file is not a GraphDef"
    help = ["export or download it again, and compare its size with the original's"]
    return error("G101", f"{what}: {reason}", source, help=help)


def looks_like_text(head: bytes) -> bool:
    """Return whether a file that begins so is a GraphDef in text form."""
    start = head.lstrip()
    return start.startswith((b"node {", b"node{", b"node:", b"versions {", b"library {", b"# "))


def parse_text(mapped: MappedFile, file: Path) -> Graph:
    """Read a GraphDef in text form; raise SurgeonError as :func:`from_message`, G101 for other text."""
    return from_message(text_message(mapped, file), str(file))


def text_message(mapped: MappedFile, file: Path) -> Any:
    """Return the message of a GraphDef in text form; raise SurgeonError G101 for other text."""
    from google.protobuf import text_format

    message = GraphDef()
    try:
        text_format.Parse(bytes(mapped.view).decode("utf-8"), message)
    except UnicodeDecodeError:
        raise error(
            "G101",
            "the file is not text, though its name says so",
            str(file),
            help=["name a binary graph .pb"],
        ) from None
    except (text_format.ParseError, ValueError, RecursionError) as exc:
        kind = other_file(file, bytes(mapped.view[:HEAD]))
        if kind is not None:
            raise error(
                "G101", f"the file is not a GraphDef: it is {kind.noun}", str(file), help=kind.help
            ) from None
        reason = " ".join(str(exc).split())
        raise error(
            "G101",
            f"the file is not a GraphDef in text form: {reason}",
            str(file),
            help=["a binary graph is named .pb"],
        ) from None
    return message


def from_message(message: Any, source: str = "") -> Graph:
    """Return the graph of a GraphDef message of this package or of TensorFlow; the message stays as it is."""
    rest = GraphDef()
    if isinstance(message, GraphDef):
        rest.CopyFrom(message)
    else:
        rest.ParseFromString(message.SerializeToString())
    with no_garbage_collection():
        nodes = [node_from_message(node, None, source) for node in rest.node]
    for field in ("node", "versions", "library"):
        rest.ClearField(field)
    return Graph(
        nodes,
        versions=versions_from(message.versions) if message.HasField("versions") else None,
        library=message.library.SerializeToString(deterministic=True) if message.HasField("library") else b"",
        extra=rest.SerializeToString(deterministic=True),
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
