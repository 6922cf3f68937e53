"""Node and attribute messages to and from this package's values, through protobuf."""

from __future__ import annotations

import math
import struct
import sys
from collections.abc import Collection
from typing import Any, cast

from google.protobuf.message import Error as ProtobufError

from surgeon.diagnostics import SurgeonError, error
from surgeon.formats.graphdef.protos import FunctionDefLibrary, GraphDef, NodeDef, VersionDef
from surgeon.graph import (
    AttrScalar,
    AttrValue,
    DType,
    Func,
    Node,
    Placeholder,
    RawAttr,
    Ref,
    Shape,
    Tensor,
    TensorDigest,
    TensorValue,
    Versions,
)
from surgeon.graph.op_sets import CONSTANTS
from surgeon.graph.values import misfit

__all__ = [
    "GraphDef",
    "NodeDef",
    "attr_to_message",
    "constant_error",
    "function_library",
    "node_from_message",
    "node_to_message",
    "versions_from",
    "versions_from_bytes",
    "versions_to",
]

TYPE_NUMBERS = {
    DType.FLOAT32: 1,
    DType.FLOAT64: 2,
    DType.INT32: 3,
    DType.UINT8: 4,
    DType.INT16: 5,
    DType.INT8: 6,
    DType.STRING: 7,
    DType.COMPLEX64: 8,
    DType.INT64: 9,
    DType.BOOL: 10,
    DType.QINT8: 11,
    DType.QUINT8: 12,
    DType.QINT32: 13,
    DType.BFLOAT16: 14,
    DType.QINT16: 15,
    DType.QUINT16: 16,
    DType.UINT16: 17,
    DType.COMPLEX128: 18,
    DType.FLOAT16: 19,
    DType.RESOURCE: 20,
    DType.VARIANT: 21,
    DType.UINT32: 22,
    DType.UINT64: 23,
}
TYPES = {number: dtype for dtype, number in TYPE_NUMBERS.items()}

# Where a TensorProto keeps listed values, and how a stored element is packed. float16 and bfloat16 list their
# bits.
_VALUE_FIELDS = {
    DType.FLOAT32: ("float_val", "f"),
    DType.FLOAT64: ("double_val", "d"),
    DType.INT32: ("int_val", "i"),
    DType.UINT8: ("int_val", "B"),
    DType.INT16: ("int_val", "h"),
    DType.INT8: ("int_val", "b"),
    DType.INT64: ("int64_val", "q"),
    DType.BOOL: ("bool_val", "?"),
    DType.QINT8: ("int_val", "b"),
    DType.QUINT8: ("int_val", "B"),
    DType.QINT32: ("int_val", "i"),
    DType.BFLOAT16: ("half_val", "H"),
    DType.QINT16: ("int_val", "h"),
    DType.QUINT16: ("int_val", "H"),
    DType.UINT16: ("int_val", "H"),
    DType.FLOAT16: ("half_val", "H"),
    DType.UINT32: ("uint32_val", "I"),
    DType.UINT64: ("uint64_val", "Q"),
    DType.COMPLEX64: ("scomplex_val", "f"),
    DType.COMPLEX128: ("dcomplex_val", "d"),
}


def node_from_message(message: Any, tensors: dict[str, Tensor] | None = None, source: str = "") -> Node:
    """Return the node of a NodeDef, which is emptied.

    ``tensors`` gives attributes whose tensor stays in the file. Raise SurgeonError G111 for an empty name or
    op, or an input that cannot be parsed, and G112 for a constant whose shape and values disagree.
    """
    if not message.name or not message.op:
        raise error(
            "G111",
            f"a node has {'no operation' if message.name else 'no name'}"
            f"{': ' + repr(message.name) if message.name else ''}; expected both",
            source or None,
        )
    inputs: list[Ref] = []
    control: list[str] = []
    for text in message.input:
        if text.startswith("^"):
            control.append(text[1:])
            continue
        try:
            inputs.append(Ref.parse(text))
        except ValueError as exc:
            raise error(
                "G111", f"node '{message.name}' has a malformed input: {exc}", source or None
            ) from None
    attrs: dict[str, AttrValue] = {}
    for key, value in sorted(message.attr.items()):
        attrs[sys.intern(key)] = tensors[key] if tensors and key in tensors else attr_from_message(value)
    name, op, device = message.name, sys.intern(message.op), message.device
    if op in CONSTANTS and isinstance(attrs.get("value"), RawAttr):
        _check_constant(name, message.attr["value"].tensor, attrs.get("dtype"), source)
    for field in ("name", "op", "input", "device", "attr"):
        message.ClearField(field)
    extra = message.SerializeToString(deterministic=True) if message.ByteSize() else b""
    return Node(name, op, tuple(inputs), tuple(control), attrs, device, extra)


def node_to_message(node: Node, message: Any, leave_out: Collection[str] = ()) -> None:
    """Fill a NodeDef from a node; attributes named in ``leave_out`` are not written.

    Raise SurgeonError G111 for a name or a value that a NodeDef cannot hold, and G113 for an abridged tensor.
    """
    try:
        message.name, message.op, message.device = node.name, node.op, node.device
        message.input.extend([str(ref) for ref in node.inputs])
        message.input.extend([f"^{name}" for name in node.control])
        for key, value in node.attrs.items():
            if key not in leave_out:
                attr_to_message(value, message.attr[key])
        if node.extra:
            message.MergeFromString(node.extra)
    except (ValueError, struct.error, ProtobufError) as exc:
        raise error(
            "G111",
            f"node '{node.name}' ({node.op}) cannot be written; {exc}",
            help=["names are Unicode text, integers have 64 bits, raw values are AttrValue messages"],
        ) from None


def _check_constant(name: str, message: Any, stated: AttrValue | None, source: str) -> None:
    """Raise SurgeonError G112 where a constant that stayed raw is damaged, or not of the ``stated`` type.

    One that is merely of a kind not modelled passes.
    """
    dtype = TYPES.get(message.dtype)
    if isinstance(stated, DType) and dtype is not stated:
        shown = dtype.value if dtype is not None else f"of the type {message.dtype}"
        raise constant_error(name, f"its attribute 'dtype' is {stated.value}, its value {shown}", source)
    if dtype is None or dtype not in (DType.STRING, *_VALUE_FIELDS) or message.tensor_shape.unknown_rank:
        return
    dims = tuple(dim.size for dim in message.tensor_shape.dim)
    reason = misfit(dtype, dims, _stored(message, dtype))
    content, size = len(message.tensor_content), dtype.itemsize
    if reason is None and content and size and content != math.prod(dims) * size:
        reason = f"it holds {content} bytes; expected {math.prod(dims) * size} for {dtype.value}{list(dims)}"
    if reason is not None:
        raise constant_error(name, reason, source)


def constant_error(name: str, reason: str, source: str) -> SurgeonError:
    """Return SurgeonError G112 for a constant whose value cannot be what its type and shape say."""
    return error(
        "G112",
        f"the constant '{name}' cannot be read: {reason}",
        source or None,
        help=["the file is damaged; export or download it again"],
    )


def _stored(message: Any, dtype: DType) -> int:
    """Return how many elements a TensorProto lists, packed content aside."""
    if dtype is DType.STRING:
        return len(message.string_val)
    name, code = _VALUE_FIELDS[dtype]
    return len(getattr(message, name)) * struct.calcsize(code) // (dtype.itemsize or 1)


def attr_from_message(message: Any) -> AttrValue:
    """Return the value of an AttrValue; what is not modelled comes back as :class:`RawAttr`."""
    kind = message.WhichOneof("value")
    value: AttrValue | None = None
    if kind == "type":
        value = TYPES.get(message.type)
    elif kind in ("i", "b", "s"):
        value = getattr(message, kind)
    elif kind == "f":
        value = _float(message.f)
    elif kind == "shape":
        value = _shape(message.shape)
    elif kind == "tensor":
        value = tensor_from_message(message.tensor)
    elif kind == "list":
        value = _list(message.list)
    elif kind == "func":
        value = _func(message.func)
    elif kind == "placeholder":
        value = Placeholder(message.placeholder)
    return RawAttr(message.SerializeToString(deterministic=True)) if value is None else value


def attr_to_message(value: AttrValue, message: Any) -> None:
    """Fill an AttrValue; raise SurgeonError G113 for a tensor of which only the digest is known."""
    match value:
        case bool():
            message.b = value
        case DType():
            message.type = TYPE_NUMBERS[value]
        case int():
            message.i = value
        case float():
            message.f = value
        case bytes():
            message.s = value
        case Shape():
            _shape_to(value, message.shape)
        case tuple():
            message.list.SetInParent()
            for item in value:
                _list_item(item, message.list)
        case Func():
            message.func.name = value.name
            for key, inner in value.attrs.items():
                attr_to_message(inner, message.func.attr[key])
        case Placeholder():
            message.placeholder = value.name
        case RawAttr():
            message.ParseFromString(value.data)
        case _:
            tensor_to_message(value, message.tensor)


def tensor_from_message(message: Any) -> Tensor | None:
    """Return the value of a TensorProto, or None where it holds what is not modelled."""
    dtype = TYPES.get(message.dtype)
    shape = _shape(message.tensor_shape)
    if dtype is None or shape is None or not shape.is_static:
        return None
    dims = shape.static()
    fields = {field.name for field, _ in message.ListFields()} - {"dtype", "tensor_shape"}
    values = (
        "string_val" if dtype is DType.STRING else _VALUE_FIELDS[dtype][0] if dtype in _VALUE_FIELDS else ""
    )
    if not values or len(fields) > 1 or misfit(dtype, dims, _stored(message, dtype)):
        return None
    if dtype is DType.STRING:
        return None if fields - {values} else TensorValue(dtype, dims, tuple(message.string_val))
    size = dtype.itemsize or 1
    if fields == {"tensor_content"}:
        content = message.tensor_content
        return TensorValue(dtype, dims, content) if len(content) == math.prod(dims) * size else None
    if fields - {values}:
        return None
    listed = getattr(message, values)
    try:
        data = struct.pack(f"<{len(listed)}{_VALUE_FIELDS[dtype][1]}", *listed)
    except struct.error:
        return None
    return TensorValue(dtype, dims, data) if len(data) % size == 0 else None


def tensor_to_message(value: Tensor, message: Any) -> None:
    """Fill a TensorProto.

    It gets listed values where the tensor stores fewer than its shape has, else the packed content.
    """
    message.dtype = TYPE_NUMBERS[value.dtype]
    _shape_to(Shape(value.shape), message.tensor_shape)
    if isinstance(value, TensorDigest):
        raise error(
            "G113",
            f"the tensor {value.spec} is known by its digest only; its value was left out of the text form",
            help=["print the graph with all values (limit -1)"],
        )
    if not isinstance(value, TensorValue):
        message.tensor_content = bytes(value.buffer())
        return
    if isinstance(value.data, tuple):
        message.string_val.extend(value.data)
        return
    if value.stored >= value.count and len(value.data) > 16:
        message.tensor_content = value.data
        return
    name, code = _VALUE_FIELDS[value.dtype]
    form = f"<{len(value.data) // struct.calcsize(code)}{code}"
    listed = struct.unpack(form, value.data)
    if struct.pack(form, *listed) == value.data:
        getattr(message, name).extend(listed)
    else:  # a signalling NaN, or a bool byte above 1, which only packed content keeps
        message.tensor_content = bytes(value.buffer())


def versions_from(message: Any) -> Versions:
    """Return the value of a VersionDef."""
    return Versions(message.producer, message.min_consumer, tuple(message.bad_consumers))


def versions_from_bytes(data: bytes) -> Versions:
    """Return the value of a serialized VersionDef."""
    return versions_from(VersionDef.FromString(data))


def versions_to(value: Versions) -> Any:
    """Return a VersionDef."""
    return VersionDef(
        producer=value.producer, min_consumer=value.min_consumer, bad_consumers=value.bad_consumers
    )


def function_library(data: bytes) -> Any:
    """Return the FunctionDefLibrary of a graph's ``library``."""
    return FunctionDefLibrary.FromString(data)


def _float(value: float) -> float:
    # One NaN object for all: NaN differs from itself, an object does not.
    return math.nan if value != value else value


def _shape(message: Any) -> Shape | None:
    if message.unknown_rank:
        return Shape(None) if not message.dim else None
    dims: list[int | None] = []
    for dim in message.dim:
        if dim.name or dim.size < -1:
            return None
        dims.append(None if dim.size == -1 else dim.size)
    return Shape(tuple(dims))


def _shape_to(shape: Shape, message: Any) -> None:
    message.SetInParent()
    if shape.dims is None:
        message.unknown_rank = True
        return
    for dim in shape.dims:
        message.dim.add().size = -1 if dim is None else dim


def _func(message: Any) -> Func | None:
    attrs = {key: attr_from_message(value) for key, value in sorted(message.attr.items())}
    return Func(message.name, attrs)


def _list(message: Any) -> tuple[AttrScalar, ...] | None:
    kinds = [descriptor.name for descriptor, _ in message.ListFields()]
    if not kinds:
        return ()
    if len(kinds) > 1:
        return None
    kind = kinds[0]
    values = getattr(message, kind)
    items: list[AttrValue | None]
    if kind in ("i", "b", "s"):
        return tuple(values)
    if kind == "f":
        items = [_float(v) for v in values]
    elif kind == "type":
        items = [TYPES.get(v) for v in values]
    elif kind == "shape":
        items = [_shape(v) for v in values]
    elif kind == "tensor":
        items = [tensor_from_message(v) for v in values]
    else:
        items = [_func(v) for v in values]
    known = [item for item in items if item is not None]
    return cast("tuple[AttrScalar, ...]", tuple(known)) if len(known) == len(items) else None


def _list_item(item: AttrScalar, message: Any) -> None:
    match item:
        case bool():
            message.b.append(item)
        case DType():
            message.type.append(TYPE_NUMBERS[item])
        case int():
            message.i.append(item)
        case float():
            message.f.append(item)
        case bytes():
            message.s.append(item)
        case Shape():
            _shape_to(item, message.shape.add())
        case Func():
            added = message.func.add()
            added.name = item.name
            for key, value in item.attrs.items():
                attr_to_message(value, added.attr[key])
        case _:
            tensor_to_message(item, message.tensor.add())
