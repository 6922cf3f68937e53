"""UFF's protobuf messages, built from their field table, and values to and from them."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from surgeon.formats.uff.model import DTYPE_NUMBERS, DTYPES, Blob, UffDescriptor, UffNode, UffValue

VERSION, CORE_VERSION, DESCRIPTORS, GRAPHS, REFERENCED_DATA = 1, 2, 3, 4, 5
GRAPH_ID, GRAPH_NODES = 1, 2
ENTRY_KEY, ENTRY_VALUE = 1, 2
BLOB = 9

_MESSAGES: dict[str, tuple[tuple[str, int, str], ...]] = {
    "Descriptor": (("id", 1, "string"), ("version", 2, "int64"), ("optional", 3, "bool")),
    "Node": (
        ("id", 1, "string"),
        ("inputs", 2, "string*"),
        ("operation", 3, "string"),
        ("fields", 4, "map string Data"),
        ("extra_fields", 100, "map string Data"),
    ),
    "Data": (
        ("s", 1, "string|content"),
        ("s_list", 2, "ListString|content"),
        ("d", 3, "double|content"),
        ("d_list", 4, "ListDouble|content"),
        ("b", 5, "bool|content"),
        ("b_list", 6, "ListBool|content"),
        ("i", 7, "int64|content"),
        ("i_list", 8, "ListInt64|content"),
        ("blob", 9, "bytes|content"),
        ("ref", 100, "string|content"),
        ("dtype", 101, "int32|content"),
        ("dtype_list", 102, "ListDataType|content"),
        ("dim_orders", 103, "DimensionOrders|content"),
        ("dim_orders_list", 104, "ListDimensionOrders|content"),
    ),
    "ListString": (("val", 1, "string*"),),
    "ListDouble": (("val", 1, "double*"),),
    "ListBool": (("val", 1, "bool*"),),
    "ListInt64": (("val", 1, "int64*"),),
    "ListDataType": (("val", 1, "int32*"),),
    "DimensionOrders": (("orders", 1, "map int32 ListInt64"),),
    "ListDimensionOrders": (("val", 1, "DimensionOrders*"),),
    "Graph": (
        ("id", GRAPH_ID, "string"),
        ("nodes", GRAPH_NODES, "Node*"),
        ("extra_fields", 100, "map string Data"),
    ),
    "MetaGraph": (
        ("version", VERSION, "int64"),
        ("descriptor_core_version", CORE_VERSION, "int64"),
        ("descriptors", DESCRIPTORS, "Descriptor*"),
        ("graphs", GRAPHS, "Graph*"),
        ("referenced_data", REFERENCED_DATA, "map string Data"),
        ("extra_fields", 100, "map string Data"),
    ),
}
# An enum is an int32 on the wire; reading it as one keeps numbers that the enum does not name.


@lru_cache(maxsize=1)
def _classes() -> dict[str, Any]:
    from surgeon.formats.protos import message_classes

    return message_classes("uff", _MESSAGES)


def message_class(name: str) -> Any:
    """Return the class of a message of UFF's schema."""
    return _classes()[name]


def message(name: str) -> Any:
    """Return a new message of UFF's schema."""
    return message_class(name)()


def node_to_bytes(node: UffNode) -> bytes:
    """Return a node's serialized message."""
    out = message("Node")
    out.id, out.operation = node.id, node.operation
    out.inputs.extend(node.inputs)
    for key, value in node.fields.items():
        _fill(out.fields[key], value)
    return out.SerializeToString(deterministic=True)  # type: ignore[no-any-return]


def node_from_bytes(data: bytes) -> UffNode:
    """Return the node of a serialized message.

    Raise protobuf's DecodeError where it is none.
    """
    node = _parsed("Node", data)
    return UffNode(
        node.id, node.operation, tuple(node.inputs), {k: _value(node.fields[k]) for k in sorted(node.fields)}
    )


def descriptor_to_bytes(descriptor: UffDescriptor) -> bytes:
    """Return a descriptor's serialized message."""
    out = message("Descriptor")
    out.id, out.version, out.optional = descriptor.id, descriptor.version, descriptor.optional
    return out.SerializeToString(deterministic=True)  # type: ignore[no-any-return]


def descriptor_from_bytes(data: bytes) -> UffDescriptor:
    """Return the descriptor of a serialized message."""
    out = _parsed("Descriptor", data)
    return UffDescriptor(out.id, out.version, out.optional)


def value_to_bytes(value: UffValue) -> bytes:
    """Return a value's serialized message."""
    out = message("Data")
    _fill(out, value)
    return out.SerializeToString(deterministic=True)  # type: ignore[no-any-return]


def value_from_bytes(data: bytes) -> UffValue:
    """Return the value of a serialized message; raise protobuf's DecodeError where it is none."""
    return _value(_parsed("Data", data))


def _parsed(name: str, data: bytes) -> Any:
    out = message(name)
    out.ParseFromString(data)
    return out


def _fill(out: Any, value: UffValue) -> None:
    kind, content = value.kind, value.value
    if not value.is_set:
        out.SetInParent()
    elif kind == "dtype":
        out.dtype = DTYPE_NUMBERS.get(content, content)
    elif kind == "blob":
        out.blob = bytes(content.buffer())
    elif kind == "dim_orders":
        _fill_orders(out.dim_orders, content)
    elif kind == "dim_orders_list":
        out.dim_orders_list.SetInParent()
        for item in content:
            _fill_orders(out.dim_orders_list.val.add(), item)
    elif kind.endswith("_list"):
        listed = getattr(out, kind)
        listed.SetInParent()
        listed.val.extend([DTYPE_NUMBERS.get(v, v) for v in content] if kind == "dtype_list" else content)
    else:
        setattr(out, kind, content)


def _fill_orders(out: Any, content: tuple[tuple[int, tuple[int, ...]], ...]) -> None:
    out.SetInParent()
    for key, values in content:
        out.orders[key].val.extend(values)


def _value(data: Any) -> UffValue:
    kind = data.WhichOneof("content")
    if kind is None:
        return UffValue("unset", None)
    content = getattr(data, kind)
    if kind == "dtype":
        return UffValue(kind, DTYPES.get(content, content))
    if kind == "blob":
        return UffValue(kind, Blob.of(content))
    if kind == "dim_orders":
        return UffValue(kind, _orders(content))
    if kind == "dim_orders_list":
        return UffValue(kind, tuple(_orders(item) for item in content.val))
    if kind == "dtype_list":
        return UffValue(kind, tuple(DTYPES.get(v, v) for v in content.val))
    return UffValue(kind, tuple(content.val) if kind.endswith("_list") else content)


def _orders(message: Any) -> tuple[tuple[int, tuple[int, ...]], ...]:
    return tuple((key, tuple(message.orders[key].val)) for key in sorted(message.orders))
