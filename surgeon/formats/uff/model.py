"""The content of a UFF file as values."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from surgeon.graph import DType, Graph, Tensor, TensorValue

INCREMENT = 0x7FFFFFFF
DECREMENT = -0x80000000

DTYPE_NUMBERS: Mapping[DType, int] = MappingProxyType(
    {
        DType.INT8: 0x10008,
        DType.INT16: 0x10010,
        DType.INT32: 0x10020,
        DType.INT64: 0x10040,
        DType.FLOAT16: 0x20010,
        DType.FLOAT32: 0x20020,
    }
)
"""The element types UFF has, and their numbers in the file."""

DTYPES: Mapping[int, DType] = MappingProxyType({number: dtype for dtype, number in DTYPE_NUMBERS.items()})

FIELD_SUFFIXES: Mapping[str, str] = MappingProxyType(
    {
        "int": "_u_int",
        "float": "_u_float",
        "int[]": "_u_ilist",
        "float[]": "_u_flist",
        "string": "_u_str",
        "bool": "_u_bool",
    }
)
"""What the key of a plugin field ends in, by the field's type; no plugin of the catalog has a bool."""

_FORMATS: Mapping[str, tuple[int, ...]] = MappingProxyType(
    {
        "NC+": (0, 1, 2, INCREMENT),
        "N+C": (0, 2, INCREMENT, 1),
        "KC+": (0, 1, 2, INCREMENT),
        "+CK": (2, INCREMENT, 1, 0),
        "+KC": (2, INCREMENT, 0, 1),
        "NC": (0, 1),
        "CN": (1, 0),
        "KC": (0, 1),
        "CK": (1, 0),
    }
)


@dataclass(frozen=True, slots=True)
class UffValue:
    """One value of a UFF field: ``kind`` names the member of the file's ``Data`` message that holds it.

    ``s`` str, ``d`` float, ``b`` bool, ``i`` int, ``ref`` str, ``blob`` :class:`Blob`, ``dtype``
    :class:`DType` (an int where the file's number is none of UFF's), ``s_list``, ``d_list``, ``b_list``,
    ``i_list`` and ``dtype_list`` tuples of those, ``dim_orders`` a tuple of (key, ints) pairs,
    ``dim_orders_list`` a tuple of such. ``unset`` has the value None: NVIDIA's converter leaves an attribute
    so that it cannot express, such as a list of types.
    """

    kind: str
    value: Any

    @property
    def is_set(self) -> bool:
        """True where the file has a value."""
        return self.kind != "unset"

    @staticmethod
    def ints(values: tuple[int, ...]) -> UffValue:
        """Return a list of integers."""
        return UffValue("i_list", tuple(values))


@dataclass(frozen=True, slots=True, eq=False)
class Blob:
    """Raw bytes that stay where they are: those of a constant, or a slice of a mapped file."""

    tensor: Tensor

    @property
    def nbytes(self) -> int:
        """Number of bytes."""
        return self.tensor.nbytes

    def buffer(self) -> memoryview:
        """Return the bytes, little-endian and in C order."""
        return self.tensor.buffer()

    def digest(self) -> str:
        """Return the SHA-256 of the bytes, in hexadecimal."""
        return hashlib.sha256(self.buffer()).hexdigest()

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Blob):
            return NotImplemented
        return self.nbytes == other.nbytes and self.buffer() == other.buffer()

    def __hash__(self) -> int:
        return hash(self.nbytes)

    @staticmethod
    def of(data: bytes) -> Blob:
        """Return a blob of bytes in memory."""
        return Blob(TensorValue(DType.UINT8, (len(data),), data))


@dataclass(frozen=True, slots=True)
class UffNode:
    """One node: its id, operation, the ids it reads, and its fields."""

    id: str
    operation: str
    inputs: tuple[str, ...] = ()
    fields: Mapping[str, UffValue] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class UffDescriptor:
    """A set of operations that the reader of the file must know."""

    id: str
    version: int = 1
    optional: bool = False


CORE = UffDescriptor("tensorflow_extension")
CUSTOM = UffDescriptor("custom")


@dataclass(frozen=True)
class UffModel:
    """A UFF file: nodes with what they read before them, and the data that fields refer to by name.

    ``data`` holds weights as blobs (``weights_<node>``) and dimension orders (``orders_<format>_<format>``).
    ``graph`` is the graph the model came from; it is asked before writing whether its file still holds the
    same bytes.
    """

    nodes: tuple[UffNode, ...]
    data: Mapping[str, UffValue] = field(default_factory=dict)
    descriptors: tuple[UffDescriptor, ...] = (CORE,)
    version: int = 1
    descriptor_core_version: int = 1
    graph_id: str = "main"
    graph: Graph | None = field(default=None, compare=False, repr=False)

    def resolve(self, value: UffValue) -> UffValue | None:
        """Return what a ``ref`` stands for (None where the file lacks it), and any other value as it is."""
        return self.data.get(value.value) if value.kind == "ref" else value


def field_name(key: str) -> str:
    """Return the name of a plugin field without the suffix that carries its type."""
    suffix = next((suffix for suffix in FIELD_SUFFIXES.values() if key.endswith(suffix)), "")
    return key.removesuffix(suffix)


def orders(*formats: str) -> tuple[str, UffValue]:
    """Return the name and the value of the dimension orders of some inputs, such as ``N+C`` and ``+CK``."""
    listed = tuple(((-1, _FORMATS[name]),) for name in formats)
    return "orders_" + "_".join(formats), UffValue("dim_orders_list", listed)
