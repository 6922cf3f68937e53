"""What a converter of one TensorFlow op sees, and how converters are found."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from types import ModuleType
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from surgeon.diagnostics import SurgeonError, error
from surgeon.discovery import discover
from surgeon.display import plural
from surgeon.formats.uff.model import Blob, UffNode, UffValue
from surgeon.graph import DType, Node, Ref, Tensor
from surgeon.targets import Target

if TYPE_CHECKING:
    import numpy as np


class FieldLike(Protocol):
    """A plugin's field: ``type`` is one of int, float, int[], float[], string."""

    @property
    def type(self) -> str: ...


class PluginLike(Protocol):
    """What the exporter asks of a plugin.

    That is its creator, its fields by name, and its output ports for given field values.
    """

    @property
    def creator(self) -> str: ...

    @property
    def fields(self) -> Mapping[str, Any]: ...

    def output_ports(self, fields: Mapping[str, Any]) -> Sequence[str]: ...


class Export(Protocol):
    """The export under way, as far as converters see it."""

    target: Target | None

    def node(self, ref: Ref) -> Node: ...
    def resolve(self, ref: Ref) -> Ref: ...
    def edges(self, reader: Node, refs: Sequence[Ref]) -> list[str]: ...
    def fresh(self, name: str) -> str: ...
    def put(self, key: str, value: UffValue) -> UffValue: ...
    def input_shape(self, node: Node) -> tuple[int, ...]: ...
    def rank(self, ref: Ref) -> int | None: ...
    def varies(self, ref: Ref) -> bool: ...
    def readers(self, node: Node) -> tuple[list[str], list[str]]: ...
    @property
    def channels_last(self) -> bool: ...


T = TypeVar("T")


class ConverterContext:
    """One node while it is converted: its attributes, the edges it reads, and constants among them."""

    __slots__ = ("attrs", "export", "node")

    def __init__(self, node: Node, export: Export) -> None:
        self.node = node
        self.attrs = node.attrs
        self.export = export

    # Edges

    def edge(self, position: int) -> str:
        """Return the id that input ``position`` has in the file; raise X105 where UFF cannot name it."""
        return self.export.edges(self.node, (self.ref(position),))[0]

    def edges(self, begin: int = 0, end: int | None = None) -> list[str]:
        """Return the ids of inputs ``begin`` to ``end``; a complete run of a plugin's outputs is one edge."""
        return self.export.edges(self.node, self.node.inputs[begin:end])

    def ref(self, position: int) -> Ref:
        """Return input ``position``, identities passed over; raise X104 where the node has no such input."""
        if not -len(self.node.inputs) <= position < len(self.node.inputs):
            raise self.refused(
                f"has {len(self.node.inputs)} data inputs; expected one at position {position}"
            )
        return self.export.resolve(self.node.inputs[position])

    def producer(self, position: int) -> Node | None:
        """Return the node whose output 0 is input ``position``, or None where it is another output."""
        ref = self.ref(position)
        return self.export.node(ref) if ref.slot == 0 else None

    def of(self, node: Node) -> ConverterContext:
        """Return the same view of another node."""
        return ConverterContext(node, self.export)

    # Constants

    def tensor(self, position: int) -> Tensor | None:
        """Return the value of input ``position`` where it is a constant."""
        node = self.producer(position)
        return constant_of(node) if node is not None and node.op == "Const" else None

    def constant(self, position: int) -> np.ndarray | None:
        """Return input ``position`` as an array where it is a constant."""
        tensor = self.tensor(position)
        if tensor is None or tensor.dtype.itemsize is None:
            return None
        try:
            return tensor.array()
        except ValueError:
            return None

    def ints(self, position: int, what: str) -> tuple[int, ...]:
        """Return a constant input as integers; raise X102 where it is computed."""
        value = self.constant(position)
        if value is None or value.dtype.kind not in "iu":
            raise self.not_constant(position, what)
        return tuple(int(v) for v in value.reshape(-1))

    def not_constant(self, position: int, what: str) -> SurgeonError:
        """Return X102: an input that must be a constant is computed, or is of another kind."""
        ref = self.ref(position)
        is_ = f"the {what} of '{self.node.name}' ({self.node.op}) is '{ref}' ({self.export.node(ref).op})"
        return error(
            "X102",
            f"{is_}; UFF needs a constant",
            self.node.name,
            help=[
                "where it depends on the input's sizes alone, fix them ('shape:' of the input node, step "
                "'pin-batch'), and add the step 'fold-constants'",
                "else put a constant in its place ('op: Const' with its 'value' under 'nodes'), or map the "
                "node's namespace to a plugin",
            ],
        )

    def integer(self, position: int, what: str) -> int:
        """Return a constant input that is one integer; raise X102 or X104."""
        values = self.ints(position, what)
        if len(values) != 1:
            raise self.refused(f"has {plural(len(values), 'value')} as its {what}; expected 1")
        return values[0]

    def axis(self, value: int, more: int = 0) -> int:
        """Return an axis of a tensor with ``more`` axes than input 0, counted from the front.

        Raise X104 where the rank is unknown.
        """
        if value >= 0:
            return value
        rank = self.export.rank(self.ref(0))
        if rank is None or value + rank + more < 0:
            known = "is unknown" if rank is None else f"is {rank}"
            raise self.refused(
                f"has the axis {value} of a tensor whose rank {known}; the parser counts axes from the front",
                "write the axis as a number from 0",
            )
        return value + rank + more

    # Attributes

    def attr(self, key: str, kind: type[T], default: T) -> T:
        """Return an attribute of a Python type, or TensorFlow's default where it is not written.

        Raise X104 for an attribute of another type.
        """
        value = self.attrs.get(key)
        if value is None:
            return default
        if not isinstance(value, kind):
            raise self.refused(f"has the attribute '{key}' as {value!r}; expected {kind.__name__}")
        return value

    def number(self, key: str, default: float) -> float:
        """Return a real attribute, rounded to the 32 bits that TensorFlow keeps."""
        value = self.attrs.get(key, default)
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise self.refused(f"has the attribute '{key}' as {value!r}; expected a number")
        return float32(float(value))

    def int_list(self, key: str, default: tuple[int, ...] = ()) -> tuple[int, ...]:
        """Return an attribute that lists integers."""
        value = self.attr(key, tuple, default)
        if not all(isinstance(v, int) for v in value):
            raise self.refused(f"has the attribute '{key}' as {value!r}; expected integers")
        return value

    def text(self, key: str, default: str) -> str:
        """Return a text attribute."""
        return self.attr(key, bytes, default.encode()).decode("utf-8", "replace")

    def dtype(self, key: str, default: DType = DType.FLOAT32) -> DType:
        """Return an attribute that is an element type; raise X109 where UFF has no such type."""
        from surgeon.formats.uff.constants import uff_dtype

        return uff_dtype(self.node, self.attr(key, DType, default))

    @property
    def data_format(self) -> str:
        """NHWC or NCHW; raise X104 for any other layout."""
        name = self.text("data_format", "NHWC")
        if name not in ("NHWC", "NCHW"):
            raise self.refused(f"has the layout '{name}'; UFF has NHWC and NCHW")
        return name

    @property
    def activations(self) -> str:
        """UFF's name for :attr:`data_format`."""
        return "N+C" if self.data_format == "NHWC" else "NC+"

    def spatial(self, values: Sequence[int], what: str) -> tuple[int, int]:
        """Return height and width of a list of four, by the layout.

        Raise X104 unless batch and channel are 1.
        """
        if len(values) != 4:
            raise self.refused(f"has {list(values)} as its {what}; expected four numbers")
        at = (1, 2) if self.data_format == "NHWC" else (2, 3)
        if any(v != 1 for i, v in enumerate(values) if i not in at):
            raise self.refused(f"has {list(values)} as its {what}; UFF keeps batch and channel at 1")
        return values[at[0]], values[at[1]]

    # Results

    def uff(
        self, operation: str, inputs: Iterable[str], fields: Mapping[str, UffValue] | None = None
    ) -> UffNode:
        """Return the UFF node that stands for this node."""
        return UffNode(self.node.name, operation, tuple(inputs), dict(fields or {}))

    def extra_const(self, name: str, tensor: Tensor) -> UffNode:
        """Return a constant that the file needs and the graph lacks.

        It has a name of its own below this node's.
        """
        return const_node(self.export, self.export.fresh(f"{self.node.name}/{name}"), tensor)

    def orders(self, *formats: str) -> UffValue:
        """Return the reference to the dimension orders of the inputs."""
        from surgeon.formats.uff.model import orders

        return self.export.put(*orders(*formats))

    def refused(self, what: str, *help: str) -> SurgeonError:
        """Return X104: what the node has and UFF cannot say."""
        return error("X104", f"'{self.node.name}' ({self.node.op}) {what}", self.node.name, help=help)


def constant_of(node: Node) -> Tensor | None:
    """Return a Const node's value, or None where it is not modelled."""
    value = node.attrs.get("value")
    return value if hasattr(value, "nbytes") else None  # type: ignore[return-value]


def const_node(export: Export, name: str, tensor: Tensor) -> UffNode:
    """Return a UFF constant; its bytes go to the referenced data."""
    ref = export.put(f"weights_{name}", UffValue("blob", Blob(tensor)))
    fields = {"dtype": UffValue("dtype", tensor.dtype), "shape": UffValue.ints(tensor.shape), "values": ref}
    return UffNode(name, "Const", (), fields)


def float32(value: float) -> float:
    """Return the nearest 32-bit value; infinite where it is too large."""
    try:
        return float(struct.unpack("<f", struct.pack("<f", value))[0])
    except OverflowError:
        return float("inf") if value > 0 else float("-inf")


Converter = Callable[[ConverterContext], "list[UffNode]"]

F = TypeVar("F", bound=Converter)


def converts(*ops: str) -> Callable[[F], F]:
    """Mark a function as the converter of some TensorFlow ops; it returns UFF nodes, what they read first."""

    def mark(function: F) -> F:
        function.converts = ops  # type: ignore[attr-defined]
        return function

    return mark


@lru_cache(maxsize=1)
def converters() -> Mapping[str, Converter]:
    """Return every converter by TensorFlow op: whatever stands in ``surgeon/formats/uff/ops``."""
    return discover("surgeon.formats.uff.ops", "UFF converters for", converters_in)


def converters_in(module: ModuleType) -> Iterator[tuple[str, Converter]]:
    """Yield the converters that a module defines, each with its op."""
    for function in vars(module).values():
        if getattr(function, "__module__", None) == module.__name__:
            for op in getattr(function, "converts", ()):
                yield op, function
