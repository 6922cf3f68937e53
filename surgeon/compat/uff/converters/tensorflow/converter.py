"""What single operations become, and the hooks that scripts know."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from surgeon.compat.constants import constant_value
from surgeon.compat.messages import clean
from surgeon.compat.uff.model.utils import convert_to_str
from surgeon.diagnostics import error
from surgeon.formats.graphdef.messages import attr_from_message
from surgeon.formats.uff.constants import in_uff_type
from surgeon.formats.uff.model import CORE, CUSTOM, DTYPE_NUMBERS, Blob, UffModel, UffNode, UffValue
from surgeon.formats.uff.model import orders as dimension_orders
from surgeon.graph import AttrValue, DType, Node, Shape, Tensor, TensorValue

STRING = 7
"""What the converter writes for the element type of texts, which UFF does not have: TensorFlow's own
number.
"""

Function = Callable[..., Sequence[str]]
"""``(name, tf_node, inputs, uff_graph, **kwargs)``: adds nodes, and returns the names of what to convert
next.

``kwargs`` has the nodes of the graph by name as ``tf_nodes``.
"""


class UffGraph:
    """The UFF nodes and data of one conversion."""

    def __init__(self) -> None:
        self.nodes: dict[str, UffNode] = {}
        self.data: dict[str, UffValue] = {}

    def add(self, name: str, operation: str, inputs: Iterable[str] = (), **fields: UffValue | None) -> None:
        """Add a node; fields that are None are left out."""
        given = {key: value for key, value in fields.items() if value is not None}
        self.nodes[name] = UffNode(name, operation, tuple(inputs), given)

    def const(self, name: str, tensor: Tensor) -> None:
        """Add a constant; its bytes go to the referenced data. A node that has the name stays."""
        if name in self.nodes:
            return
        dtype: DType | int = tensor.dtype
        if tensor.dtype is DType.STRING and isinstance(tensor, TensorValue):
            data = b"".join(text if isinstance(text, bytes) else b"" for text in tensor.data)
            dtype, blob = STRING, Blob.of(data)
        elif tensor.dtype in DTYPE_NUMBERS:
            blob = Blob(tensor)
        else:
            tensor = in_uff_type(Node(name, "Const"), tensor)
            dtype, blob = tensor.dtype, Blob(tensor)
        key, number = f"weights_{name}", 0
        while key in self.data:
            key, number = f"weights_{name}_{number}", number + 1
        self.data[key] = UffValue("blob", blob)
        self.add(
            name,
            "Const",
            dtype=UffValue("dtype", dtype),
            shape=UffValue.ints(tensor.shape),
            values=UffValue("ref", key),
        )

    def orders(self, *formats: str) -> UffValue:
        """Return a reference to the dimension orders of inputs."""
        key, value = dimension_orders(*formats)
        self.data[key] = value
        return UffValue("ref", key)

    def model(self) -> UffModel:
        """Return the content of the file."""
        custom = any(node.operation.startswith("_") for node in self.nodes.values())
        return UffModel(tuple(self.nodes.values()), self.data, (CORE, CUSTOM) if custom else (CORE,))


class TensorFlowToUFFConverter:
    """What scripts register with and patch; the functions are looked up here at every use."""

    registry_: ClassVar[dict[str, Function]] = {}

    @classmethod
    def register(cls, ops: str | Sequence[str]) -> Callable[[Function], Function]:
        """Mark a function as the converter of operations."""

        def mark(function: Function) -> Function:
            cls.registry_.update(dict.fromkeys([ops] if isinstance(ops, str) else ops, function))
            return function

        return mark

    @staticmethod
    def convert_tf2numpy_const_node(tf_node: Any) -> np.ndarray:
        """Return a constant as an array; raise SurgeonError P104 for any other node."""
        return constant_value(tf_node).array()

    @staticmethod
    def get_tf_int_list(attr: Any) -> list[int]:
        """Return the integers of a list attribute."""
        return list(attr.list.i)

    @staticmethod
    def split_node_name_and_output(name: str) -> tuple[str, int]:
        """Return the node and the port that an input names."""
        port = name.rpartition(":")[2]
        return clean(name), int(port) if ":" in name and port.isdigit() else 0

    @staticmethod
    def apply_fused_padding(
        tf_node: Any, inputs: list[str], tf_nodes: Mapping[str, Any]
    ) -> tuple[list[str], list[int] | None, dict[str, str]]:
        """Return inputs, padding and further fields of an operation that pads.

        SAME is the field ``implicit_padding``. A Pad that a VALID operation reads, and that pads height and
        width alike at both ends, becomes the padding. Raise SurgeonError X104 for any other mode.
        """
        mode = convert_to_str(tf_node.attr["padding"].s)
        if mode == "SAME":
            return inputs, None, {"implicit_padding": "same"}
        if mode != "VALID":
            raise error(
                "X104",
                f"'{tf_node.name}' ({tf_node.op}) has the padding '{mode}'; UFF has SAME and VALID",
                tf_node.name,
                help=["put a Pad in front of it, or use a recipe, which writes explicit padding"],
            )
        pad = tf_nodes.get(inputs[0])
        amounts = None if pad is None or pad.op != "Pad" else _amounts(pad, tf_nodes)
        if pad is None or amounts is None:
            return inputs, None, {}
        first = 2 if tf_node.attr["data_format"].s == b"NCHW" else 1
        others = [pair for at, pair in enumerate(amounts) if at not in (first, first + 1)]
        if any(before != after for before, after in amounts) or any(pair != (0, 0) for pair in others):
            return inputs, None, {}
        padding = [before for before, _ in amounts[first : first + 2]]
        return [source_of(pad.input[0], tf_nodes), *inputs[1:]], padding, {}


def _amounts(pad: Any, tf_nodes: Mapping[str, Any]) -> list[tuple[int, int]] | None:
    """Return the pairs by which a Pad pads four axes, or None where they are computed."""
    source = tf_nodes.get(clean(pad.input[1])) if len(pad.input) > 1 else None
    if source is None or source.op != "Const":
        return None
    value = constant_value(source).array()
    if value.shape != (4, 2):
        return None
    return [(int(before), int(after)) for before, after in value]


def source_of(spelling: str, tf_nodes: Mapping[str, Any]) -> str:
    """Return the node that an input leads to: an Identity is passed over, once."""
    name = clean(spelling)
    node = tf_nodes.get(name)
    return clean(node.input[0]) if node is not None and node.op == "Identity" and node.input else name


def attrs_of(node: Any) -> dict[str, AttrValue]:
    """Return the attributes of a node but its constant, as values, by name."""
    return {key: attr_from_message(node.attr[key]) for key in sorted(node.attr)}


def field_of(value: AttrValue) -> UffValue | None:
    """Return an attribute as the field of a custom node; an empty list is none, and what UFF lacks is
    unset.
    """
    if isinstance(value, tuple):
        return _list_field(value) if value else None
    if isinstance(value, bool):
        return UffValue("b", value)
    if isinstance(value, DType):
        return _dtype_field(value)
    if isinstance(value, int):
        return UffValue("i", value)
    if isinstance(value, float):
        return UffValue("d", value)
    if isinstance(value, bytes):
        return UffValue("s", str(value))  # b'SIGMOID', quotes included: what the incumbent writes
    if isinstance(value, Shape):
        return UffValue.ints(sizes(value)) if value.dims else None
    return UffValue("unset", None)


def _dtype_field(dtype: DType) -> UffValue:
    if dtype in DTYPE_NUMBERS:
        return UffValue("dtype", dtype)
    return UffValue("dtype", STRING) if dtype is DType.STRING else UffValue("unset", None)


def _list_field(values: tuple[Any, ...]) -> UffValue:
    first = values[0]
    if isinstance(first, bool):
        return UffValue("b_list", values)
    if isinstance(first, int) and not isinstance(first, DType):
        return UffValue.ints(values)
    if isinstance(first, float):
        return UffValue("d_list", values)
    if isinstance(first, bytes):
        return UffValue("s_list", tuple(map(str, values)))
    return UffValue("unset", None)


def sizes(shape: Shape) -> tuple[int, ...]:
    """Return the dimensions of a shape, -1 for an unknown one."""
    return tuple(-1 if dim is None else dim for dim in shape.dims or ())
