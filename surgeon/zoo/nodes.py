"""A writer of NodeDefs that names nodes as TensorFlow 1 named them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np

from surgeon.formats.graphdef.protos import AttrValue, NodeDef, TensorProto, TensorShapeProto

FLOAT, INT32, UINT8, STRING, INT64, BOOL, RESOURCE = 1, 3, 4, 7, 9, 10, 20
_OF_NUMPY = {"float32": FLOAT, "int32": INT32, "uint8": UINT8, "int64": INT64, "bool": BOOL}

Ref = str
Value = Any


class Type(NamedTuple):
    """An attribute that is an element type, by its protobuf number."""

    number: int


class ShapeAttr(NamedTuple):
    """An attribute that is a shape; None is an unknown rank, -1 an unknown size."""

    sizes: tuple[int, ...] | None


class Signature(NamedTuple):
    """The inputs that give an operation's type attributes, and its outputs' types (attribute or number)."""

    types: dict[str, int]
    outputs: tuple[str | int, ...]


def _signatures() -> dict[str, Signature]:
    same = Signature({"T": 0}, ("T",))
    compare = Signature({"T": 0}, (BOOL,))
    arithmetic = (
        "Add AddV2 Sub Mul RealDiv Minimum Maximum Exp Log Round Sqrt Rsqrt Sigmoid Relu Relu6 Softmax MatMul"
    )
    layers = "Conv2D DepthwiseConv2dNative BiasAdd MaxPool ResizeBilinear ResizeNearestNeighbor"
    moving = "Identity StopGradient ZerosLike Squeeze Pack Enter Merge NextIteration Exit"
    table = dict.fromkeys(f"{arithmetic} {layers} {moving}".split(), same)
    table |= dict.fromkeys(["Less", "Greater", "GreaterEqual", "Equal", "NotEqual"], compare)
    table |= dict.fromkeys(["LogicalAnd", "LoopCond"], Signature({}, (BOOL,)))
    table |= dict.fromkeys(["Rank", "Shape", "Size"], Signature({"T": 0}, (INT32,)))
    table |= dict.fromkeys(["NonMaxSuppressionV2"], Signature({}, (INT32,)))
    return table | {
        "All": Signature({"Tidx": 1}, (BOOL,)),
        "ArgMax": Signature({"T": 0, "Tidx": 1}, ("output_type",)),
        "AddN": Signature({"T": 0}, ("T",)),
        "Assert": Signature({}, ()),
        "Cast": Signature({"SrcT": 0}, ("DstT",)),
        "ConcatV2": Signature({"T": 0, "Tidx": -1}, ("T",)),
        "Conv2DBackpropInput": Signature({"T": 2}, ("T",)),
        "CropAndResize": Signature({"T": 0}, (FLOAT,)),
        "DenseToDenseSetOperation": Signature({"T": 0}, (INT64, "T", INT64)),
        "ExpandDims": Signature({"T": 0, "Tdim": 1}, ("T",)),
        "Fill": Signature({"T": 1}, ("T",)),
        "FusedBatchNormV3": Signature({"T": 0, "U": 1}, ("T", "U", "U", "U", "U", "U")),
        "Gather": Signature({"Tparams": 0, "Tindices": 1}, ("Tparams",)),
        "GatherNd": Signature({"Tparams": 0, "Tindices": 1}, ("Tparams",)),
        "GatherV2": Signature({"Tparams": 0, "Tindices": 1, "Taxis": 2}, ("Tparams",)),
        "Max": Signature({"T": 0, "Tidx": 1}, ("T",)),
        "Mean": Signature({"T": 0, "Tidx": 1}, ("T",)),
        "NonMaxSuppressionV3": Signature({"T": 0}, (INT32,)),
        "NonMaxSuppressionV5": Signature({"T": 0}, (INT32, "T", INT32)),
        "Pad": Signature({"T": 0, "Tpaddings": 1}, ("T",)),
        "PadV2": Signature({"T": 0, "Tpaddings": 1}, ("T",)),
        "Placeholder": Signature({}, ("dtype",)),
        "Range": Signature({"Tidx": 0}, ("Tidx",)),
        "Reshape": Signature({"T": 0, "Tshape": 1}, ("T",)),
        "Select": Signature({"T": 1}, ("T",)),
        "Slice": Signature({"T": 0, "Index": 1}, ("T",)),
        "SparseToDense": Signature({"T": 2, "Tindices": 0}, ("T",)),
        "Split": Signature({"T": 1}, ("T",) * 16),
        "StridedSlice": Signature({"T": 0, "Index": 1}, ("T",)),
        "Sum": Signature({"T": 0, "Tidx": 1}, ("T",)),
        "Switch": Signature({"T": 0}, ("T", "T")),
        "TensorArrayGatherV3": Signature({}, ("dtype",)),
        "TensorArrayReadV3": Signature({}, ("dtype",)),
        "TensorArrayScatterV3": Signature({"T": 2}, (FLOAT,)),
        "TensorArraySizeV3": Signature({}, (INT32,)),
        "TensorArrayV3": Signature({}, (RESOURCE, FLOAT)),
        "TensorArrayWriteV3": Signature({"T": 2}, (FLOAT,)),
        "Tile": Signature({"T": 0, "Tmultiples": 1}, ("T",)),
        "TopKV2": Signature({"T": 0}, ("T", INT32)),
        "Transpose": Signature({"T": 0, "Tperm": 1}, ("T",)),
        "Unique": Signature({"T": 0}, ("T", "out_idx")),
        "Unpack": Signature({"T": 0}, ("T",) * 16),
        "Where": Signature({"T": 0}, (INT64,)),
    }


_SIGNATURES = _signatures()


class NodeWriter:
    """Collects nodes; a name that is taken gets the next free suffix, as in TensorFlow's graphs.

    An input is a tensor's name ("node", "node:1" or "^node"). Arguments named ``value`` take a number where a
    constant beside the node is wanted. Operations come in the version of ``date``.
    """

    def __init__(self, date: str) -> None:
        self.date = date
        self.parts: list[bytes] = []
        self.count = 0
        self._names: set[str] = set()
        self._next: dict[str, int] = {}
        self._types: dict[Ref, int] = {}
        self._prefix = ""
        self._pin: str | None = None

    def unique(self, name: str) -> str:
        """Take a name below the current scope and return it in full, with a suffix where it is taken."""
        full = name = self._prefix + name
        number = self._next.get(name, 0)
        while full in self._names:
            number += 1
            full = f"{name}_{number}"
        self._next[name] = number
        self._names.add(full)
        return full

    def reserve(self, *names: str) -> None:
        """Take names of nodes that the exporter made and freezing dropped, so that later suffixes agree."""
        for name in names:
            self.unique(name)

    @contextmanager
    def scope(self, name: str) -> Iterator[str]:
        """Open a new scope and give its prefix, which ends in a slash."""
        before = self._prefix
        self._prefix = self.unique(name) + "/"
        try:
            yield self._prefix
        finally:
            self._prefix = before

    @contextmanager
    def pinned(self, node: str | None) -> Iterator[None]:
        """Give constants made in the block a control input from ``node``."""
        before, self._pin = self._pin, node
        try:
            yield
        finally:
            self._pin = before

    @property
    def pin(self) -> str | None:
        """The node that constants get a control input from, if any."""
        return self._pin

    def type_of(self, ref: Ref) -> int:
        """Return the element type of a tensor; raise KeyError where the node is not written yet."""
        return self._types[ref.removesuffix(":0")]

    def node(self, op: str, full: str, inputs: Sequence[Ref], **attrs: Value) -> Ref:
        """Write a node under its full name, with its type attributes, and return its first output."""
        signature = _SIGNATURES[op]
        data = [ref for ref in inputs if not ref.startswith("^")]
        for name, index in signature.types.items():
            attrs[name] = Type(self.type_of(data[index]))
        for index, output in enumerate(signature.outputs):
            number = attrs[output].number if isinstance(output, str) else output
            self._types[f"{full}:{index}" if index else full] = number
        if op == "Where" and self.date == "2017":
            del attrs["T"]
        self._write(op, full, inputs, attrs)
        return full

    def emit(self, op: str, *inputs: Ref, name: str | None = None, **attrs: Value) -> Ref:
        """Write a node below the current scope and return its first output."""
        return self.node(op, self.unique(name or op), inputs, **attrs)

    def const(self, value: Any, full: str, number: int | None = None, **attrs: Value) -> Ref:
        """Write a constant under its full name; Python floats become float32, integers int32."""
        if isinstance(value, bytes):
            return self._text_const(value, full)
        if number is None:
            array = np.asarray(value)
            array = array.astype({"f": "float32", "i": "int32"}.get(array.dtype.kind, array.dtype))
        else:
            array = np.asarray(value, {FLOAT: "float32", INT32: "int32", INT64: "int64"}[number])
        number = _OF_NUMPY[array.dtype.name]
        self._types[full] = number
        self._const(full, number, _tensor(array, number), attrs)
        return full

    def _text_const(self, text: bytes, full: str) -> Ref:
        self._types[full] = STRING
        tensor = TensorProto(dtype=STRING, tensor_shape=TensorShapeProto())
        tensor.string_val.append(text)
        self._const(full, STRING, tensor, {})
        return full

    def _const(self, full: str, number: int, tensor: Any, attrs: dict[str, Value]) -> None:
        inputs = [f"^{self._pin}"] if self._pin else []
        self._write("Const", full, inputs, {**attrs, "dtype": Type(number), "value": tensor})

    def _write(self, op: str, full: str, inputs: Sequence[Ref], attrs: dict[str, Value]) -> None:
        message = NodeDef(name=full, op=op, input=inputs)
        for key, value in attrs.items():
            _set(message.attr[key], value)
        self.raw(message.SerializeToString(deterministic=True))

    def raw(self, node: bytes) -> None:
        """Append a serialized NodeDef as it is; ``declare`` its outputs where later nodes read them."""
        self.parts.append(b"\x0a" + varint(len(node)) + node)
        self.count += 1

    def declare(self, ref: Ref, number: int) -> Ref:
        """Tell the element type of a tensor whose node was written raw."""
        self._types[ref] = number
        return ref

    def graph(self) -> bytes:
        """Return the serialized GraphDef; frozen graphs carry no version, so neither does this one."""
        return b"".join(self.parts)

    def binary(self, op: str, first: Value, second: Value, name: str | None = None) -> Ref:
        """Write an operation of two operands, one of which may be a number."""
        full = self.unique(name or op)
        if not isinstance(first, str):
            first = self.const(first, f"{full}/x", self.type_of(second))
        elif not isinstance(second, str):
            second = self.const(second, f"{full}/y", self.type_of(first))
        extra = {"incompatible_shape_error": True} if op == "Equal" and self.date == "2019" else {}
        return self.node(op, full, [first, second], **extra)

    def add(self, first: Value, second: Value) -> Ref:
        """Write ``add`` (Add, or AddV2 as of 2019)."""
        return self.binary("AddV2" if self.date == "2019" else "Add", first, second, "add")

    def sub(self, first: Value, second: Value) -> Ref:
        """Write ``sub``."""
        return self.binary("Sub", first, second, "sub")

    def mul(self, first: Value, second: Value) -> Ref:
        """Write ``mul``."""
        return self.binary("Mul", first, second, "mul")

    def div(self, first: Value, second: Value) -> Ref:
        """Write ``truediv``."""
        return self.binary("RealDiv", first, second, "truediv")

    def cast(self, source: Value, number: int = FLOAT, name: str | None = None) -> Ref:
        """Write a cast, before 2019 ``ToFloat`` if it makes floats; a number becomes its constant ``x``."""
        full = self.unique(name or ("ToFloat" if number == FLOAT and self.date != "2019" else "Cast"))
        if not isinstance(source, str):
            source = self.const(source, f"{full}/x")
        extra = {"Truncate": False} if self.date == "2019" else {}
        return self.node("Cast", full, [source], DstT=Type(number), **extra)

    def shape(self, source: Ref) -> Ref:
        """Write ``Shape``."""
        return self.emit("Shape", source, out_type=Type(INT32))

    def element(self, source: Ref, index: int) -> Ref:
        """Write ``strided_slice``: one element of a vector."""
        return self.strided(source, index, index + 1, shrink=True)

    def strided(
        self,
        source: Ref,
        begin: int,
        end: int,
        *,
        shrink: bool = False,
        full: str | None = None,
    ) -> Ref:
        """Write ``strided_slice`` of a vector; without ``shrink`` it goes on to the vector's end."""
        full = full or self.unique("strided_slice")
        bounds = [
            self.const([value], f"{full}/{name}")
            for value, name in ((begin, "stack"), (end, "stack_1"), (1, "stack_2"))
        ]
        return self.node(
            "StridedSlice",
            full,
            [source, *bounds],
            begin_mask=0,
            ellipsis_mask=0,
            end_mask=int(not shrink),
            new_axis_mask=0,
            shrink_axis_mask=int(shrink),
        )

    def pack(self, values: Sequence[Value], name: str = "stack", axis: int = 0) -> Ref:
        """Write Pack; integers become constants named by their index."""
        full = self.unique(name)
        refs = [
            value if isinstance(value, str) else self.const(value, f"{full}/{index}")
            for index, value in enumerate(values)
        ]
        return self.node("Pack", full, refs, N=len(refs), axis=axis)

    def reshape(self, source: Ref, shape: Value, name: str = "Reshape") -> Ref:
        """Write ``Reshape``; a list becomes its constant ``shape``."""
        full = self.unique(name)
        if not isinstance(shape, str):
            shape = self.const(shape, f"{full}/shape")
        return self.node("Reshape", full, [source, shape])

    def concat(self, values: Sequence[Ref], axis: int, name: str = "concat") -> Ref:
        """Write ``concat`` with its constant ``axis``."""
        full = self.unique(name)
        return self.node("ConcatV2", full, [*values, self.const(axis, f"{full}/axis")], N=len(values))

    def expand_dims(self, source: Ref, axis: int) -> Ref:
        """Write ``ExpandDims`` with its constant ``dim``."""
        full = self.unique("ExpandDims")
        return self.node("ExpandDims", full, [source, self.const(axis, f"{full}/dim")])

    def squeeze(self, source: Ref, axis: int, name: str = "Squeeze") -> Ref:
        """Write ``Squeeze`` of one axis."""
        return self.emit("Squeeze", source, name=name, squeeze_dims=[axis])

    def slice(self, source: Ref, begin: Sequence[int], size: Value) -> Ref:
        """Write ``Slice``; lists become its constants."""
        full = self.unique("Slice")
        start = self.const(list(begin), f"{full}/begin")
        if not isinstance(size, str):
            size = self.const(size, f"{full}/size")
        return self.node("Slice", full, [source, start, size])

    def gather(self, source: Ref, indices: Ref) -> Ref:
        """Write ``Gather``, or ``GatherV2`` with its constant ``axis`` as of 2018."""
        if self.date == "2017":
            return self.emit("Gather", source, indices, validate_indices=True)
        full = self.unique("GatherV2")
        extra = {"batch_dims": 0} if self.date == "2019" else {}
        return self.node("GatherV2", full, [source, indices, self.const(0, f"{full}/axis")], **extra)

    def reserve_gather(self, count: int = 1) -> None:
        """Take the names of gathers that freezing dropped."""
        self.reserve(*["Gather" if self.date == "2017" else "GatherV2"] * count)

    def range(self, limit: Value, **attrs: Value) -> Ref:
        """Write ``range`` from zero; a number becomes its constant ``limit``."""
        full = self.unique("range")
        start = self.const(0, f"{full}/start", **attrs)
        if not isinstance(limit, str):
            limit = self.const(limit, f"{full}/limit", **attrs)
        return self.node("Range", full, [start, limit, self.const(1, f"{full}/delta", **attrs)], **attrs)

    def fill(self, shape: Ref, value: Value, full: str) -> Ref:
        """Write Fill under its full name, with its constant ``Const``."""
        extra = {} if self.date == "2017" else {"index_type": Type(INT32)}
        return self.node("Fill", full, [shape, self.const(value, f"{full}/Const")], **extra)

    def unpack(self, source: Ref, count: int, axis: int = 0, *control: Ref) -> list[Ref]:
        """Write ``unstack`` and return its outputs."""
        node = self.emit("Unpack", source, *control, name="unstack", axis=axis, num=count)
        number = self.type_of(node)
        return [self.declare(f"{node}:{index}" if index else node, number) for index in range(count)]

    def split4(self, source: Ref) -> list[Ref]:
        """Write ``split`` of a [N, 4] tensor into its columns and return them."""
        full = self.unique("split")
        node = self.node("Split", full, [self.const(1, f"{full}/split_dim"), source], num_split=4)
        return [node, *(f"{node}:{index}" for index in range(1, 4))]

    def transpose(self, source: Ref) -> Ref:
        """Write ``transpose`` of a matrix; before 2019 the permutation is computed from the rank."""
        if self.date == "2019":
            full = self.unique("transpose")
            return self.node("Transpose", full, [source, self.const([1, 0], f"{full}/perm")])
        with self.scope("transpose") as prefix:
            rank = self.emit("Rank", source)
            last = self.sub(rank, 1)
            full = self.unique("Range")
            start, delta = self.const(0, f"{full}/start"), self.const(1, f"{full}/delta")
            upward = self.node("Range", full, [start, rank, delta])
            order = self.sub(last, upward)
        return self.node("Transpose", prefix[:-1], [source, order])

    def assertion(self, condition: Ref, data: Sequence[Ref | bytes]) -> Ref:
        """Write ``Assert/Assert``; texts, given as bytes, become its constants ``data_0``, ``data_1``, ..."""
        with self.scope("Assert"):
            full = self.unique("Assert")
        refs = [
            self.const(value, f"{full}/data_{index}") if isinstance(value, bytes) else value
            for index, value in enumerate(data)
        ]
        types = [Type(self.type_of(ref)) for ref in refs]
        return self.node("Assert", full, [condition, *refs], T=types, summarize=3)


def location(node: str) -> list[str]:
    """Return the attribute ``_class`` that places a node with another."""
    return [f"loc:@{node.partition(':')[0]}"]


def varint(value: int) -> bytes:
    """Return a number as protobuf writes lengths."""
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)


def _tensor(array: np.ndarray, number: int) -> Any:
    shape = TensorShapeProto(dim=[{"size": size} for size in array.shape])
    tensor = TensorProto(dtype=number, tensor_shape=shape)
    if array.size > 1:
        tensor.tensor_content = array.astype(array.dtype.newbyteorder("<")).tobytes()
    elif array.size:
        field = {FLOAT: "float_val", INT32: "int_val", INT64: "int64_val", BOOL: "bool_val"}[number]
        getattr(tensor, field).append(array.reshape(-1)[0].item())
    return tensor


def _set(attr: Any, value: Value) -> None:
    if isinstance(value, Type):
        attr.type = value.number
    elif isinstance(value, ShapeAttr):
        attr.shape.CopyFrom(_shape(value.sizes))
    elif isinstance(value, bool):
        attr.b = value
    elif isinstance(value, int):
        attr.i = value
    elif isinstance(value, float):
        attr.f = value
    elif isinstance(value, str):
        attr.s = value.encode()
    elif isinstance(value, TensorProto):
        attr.tensor.CopyFrom(value)
    else:
        attr.list.CopyFrom(_list(value))


def _shape(sizes: tuple[int, ...] | None) -> Any:
    if sizes is None:
        return TensorShapeProto(unknown_rank=True)
    return TensorShapeProto(dim=[{"size": size} for size in sizes])


def _list(values: Sequence[Value]) -> Any:
    message = AttrValue.ListValue()
    for value in values:
        if isinstance(value, Type):
            message.type.append(value.number)
        elif isinstance(value, int):
            message.i.append(value)
        else:
            message.s.append(value.encode())
    return message
