"""Shapes, tensor types and the values that node attributes hold."""

from __future__ import annotations

import hashlib
import mmap
import os
import weakref
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from surgeon.diagnostics import error
from surgeon.display import plural
from surgeon.graph.dtypes import DType

if TYPE_CHECKING:
    import numpy as np

MATERIALISE_LIMIT = 1 << 31
"""Bytes above which a tensor is not expanded into memory (2 GiB, protobuf's own bound)."""

MAX_RANK = 32
"""Axes that a constant may have (what every version of numpy can hold)."""


@dataclass(frozen=True, slots=True)
class Shape:
    """A tensor's shape: ``dims`` holds an int or None (unknown) per axis.

    ``dims`` is None for unknown rank.
    """

    dims: tuple[int | None, ...] | None = None

    @staticmethod
    def of(*dims: int | None) -> Shape:
        """Return the shape with these dimensions."""
        return Shape(tuple(dims))

    @property
    def rank(self) -> int | None:
        """Number of axes, None if unknown."""
        return None if self.dims is None else len(self.dims)

    @property
    def is_static(self) -> bool:
        """True when every dimension is known."""
        return self.dims is not None and all(d is not None for d in self.dims)

    @property
    def size(self) -> int | None:
        """Number of elements, None unless static."""
        if self.dims is None:
            return None
        count = 1
        for dim in self.dims:
            if dim is None:
                return None
            count *= dim
        return count

    def static(self) -> tuple[int, ...]:
        """Return the dimensions as ints; raise ValueError unless static."""
        if self.dims is None or any(d is None for d in self.dims):
            raise ValueError(f"shape {self} is not static")
        return tuple(d for d in self.dims if d is not None)

    def compatible(self, other: Shape) -> bool:
        """True unless a known rank or dimension differs."""
        if self.dims is None or other.dims is None:
            return True
        return len(self.dims) == len(other.dims) and all(
            a is None or b is None or a == b for a, b in zip(self.dims, other.dims, strict=True)
        )

    def __str__(self) -> str:
        if self.dims is None:
            return "[...]"
        return "[" + ",".join("?" if d is None else str(d) for d in self.dims) + "]"


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """Element type and shape of a tensor; ``dtype`` is None where unknown."""

    dtype: DType | None = None
    shape: Shape = Shape()

    @staticmethod
    def of(dtype: DType | str, *dims: int | None) -> TensorSpec:
        """Return the spec of ``dtype`` with these dimensions."""
        return TensorSpec(DType(dtype), Shape(tuple(dims)))

    def compatible(self, other: TensorSpec) -> bool:
        """True unless a known part of one contradicts the other."""
        return (
            self.dtype is None or other.dtype is None or self.dtype == other.dtype
        ) and self.shape.compatible(other.shape)

    def __str__(self) -> str:
        return f"{self.dtype.value if self.dtype else '?'}{self.shape}"


class MappedFile:
    """A read-only memory map of a file; it stays readable after the path is replaced."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        with open(path, "rb") as handle:
            stat = os.fstat(handle.fileno())
            self.size = stat.st_size
            self._opened = stat
            self._map = mmap.mmap(handle.fileno(), 0, access=mmap.ACCESS_READ) if self.size else b""
            self._descriptor = os.dup(handle.fileno())
        weakref.finalize(self, os.close, self._descriptor)

    @cached_property
    def view(self) -> memoryview:
        """The whole content, without a copy."""
        return memoryview(self._map)

    def changed(self) -> bool:
        """True when the file was written in place since it was mapped.

        A replaced or removed one is unharmed, unless it was written before. A program that sets the time of
        the last change back is found by the time of the last change of the file's own record.
        """
        before, now = self._opened, os.fstat(self._descriptor)
        if (now.st_size, now.st_mtime_ns) != (before.st_size, before.st_mtime_ns):
            return True
        return now.st_ctime_ns != before.st_ctime_ns and self._has_same_names(now)

    def _has_same_names(self, now: os.stat_result) -> bool:
        """Return whether the file is where it was: another name, or none, changes its record, too."""
        try:
            there = os.stat(self.path)
        except OSError:
            return False
        return os.path.samestat(there, now) and now.st_nlink == self._opened.st_nlink

    def part(self, begin: int, end: int) -> memoryview:
        """Return a part of the content, without a copy.

        Raise SurgeonError E107 where the file was cut off before ``end``: reading would end the process.
        """
        if os.fstat(self._descriptor).st_size < end:
            raise error(
                "E107",
                f"'{self.path}' was cut off while it was read; expected it to stay as it was, so nothing was "
                "written",
                help=["wait until no other program writes to it, then run the command again"],
            )
        return self.view[begin:end]

    def drop_pages(self) -> None:
        """Tell the system that pages read so far are not needed again."""
        if isinstance(self._map, mmap.mmap) and hasattr(mmap, "MADV_DONTNEED"):
            self._map.madvise(mmap.MADV_DONTNEED)


def _element_count(shape: tuple[int, ...]) -> int:
    count = 1
    for dim in shape:
        count *= dim
    return count


def misfit(dtype: DType, shape: tuple[int, ...], stored: int) -> str | None:
    """Return why ``stored`` elements cannot be a constant of this type and shape, or None where they can.

    Negative dimensions, more than ``MAX_RANK`` axes, and values over 2 GiB are refused; zero dimensions count
    as one there, so that no product of the others overflows. Fewer elements than the shape has are allowed.
    """
    if len(shape) > MAX_RANK:
        return f"it has {len(shape)} axes; expected at most {MAX_RANK}"
    if any(dim < 0 for dim in shape):
        return f"its shape is {list(shape)}; expected no negative dimension"
    size = _element_count(tuple(max(dim, 1) for dim in shape)) * (dtype.itemsize or 8)
    if size > MATERIALISE_LIMIT:
        return f"its shape {list(shape)} takes {size} bytes; expected at most {MATERIALISE_LIMIT}"
    if stored > _element_count(shape):
        return (
            f"it holds {plural(stored, 'value')}; "
            f"expected at most {_element_count(shape)} for its shape {list(shape)}"
        )
    return None


class _TensorBase:
    """What every constant's value offers, wherever its bytes are."""

    __slots__ = ()
    dtype: DType
    shape: tuple[int, ...]

    @property
    def spec(self) -> TensorSpec:
        """Element type and shape."""
        return TensorSpec(self.dtype, Shape(self.shape))

    @property
    def count(self) -> int:
        """Number of elements."""
        return _element_count(self.shape)

    @property
    def nbytes(self) -> int:
        """Bytes of the full value (strings: of the stored elements)."""
        raise NotImplementedError

    def buffer(self) -> memoryview:
        """Return the full value's little-endian bytes in C order; raise ValueError for strings."""
        raise NotImplementedError

    def array(self) -> np.ndarray:
        """Return the value as a read-only array; raise ValueError where it would need over 2 GiB."""
        import numpy as np

        return np.frombuffer(self.buffer(), dtype=self.dtype.numpy()).reshape(self.shape)

    def digest(self) -> str:
        """Return the SHA-256 of :meth:`buffer`, in hexadecimal."""
        return hashlib.sha256(self.buffer()).hexdigest()

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, _TensorBase):
            return NotImplemented
        if (self.dtype, self.shape) != (other.dtype, other.shape):
            return False
        if isinstance(self, TensorDigest) or isinstance(other, TensorDigest):
            return self.digest() == other.digest()
        if isinstance(self, TensorValue) and isinstance(other, TensorValue):
            if self.data == other.data or self.count * 8 >= MATERIALISE_LIMIT:
                return self.data == other.data
            return (
                self.strings() == other.strings()
                if self.dtype is DType.STRING
                else self.buffer() == other.buffer()
            )
        return self.nbytes == other.nbytes and self.buffer() == other.buffer()

    def __hash__(self) -> int:
        return hash((self.dtype, self.shape))


@dataclass(frozen=True, slots=True, eq=False)
class TensorValue(_TensorBase):
    """A constant held in memory.

    ``data`` holds little-endian elements in C order, or a tuple of byte strings for ``string``. It may hold
    fewer elements than ``shape``: the last one then stands for the rest, and none at all for zeros (as in a
    TensorProto).
    """

    dtype: DType
    shape: tuple[int, ...]
    data: bytes | tuple[bytes, ...]

    @property
    def nbytes(self) -> int:
        return (
            sum(map(len, self.data))
            if isinstance(self.data, tuple)
            else self.count * (self.dtype.itemsize or 0)
        )

    @property
    def stored(self) -> int:
        """Number of elements in ``data``."""
        return (
            len(self.data) if isinstance(self.data, tuple) else len(self.data) // (self.dtype.itemsize or 1)
        )

    def buffer(self) -> memoryview:
        if isinstance(self.data, tuple):
            raise ValueError("a string tensor has no buffer")
        missing = self.count - self.stored
        if missing <= 0:
            return memoryview(self.data)
        size = self.dtype.itemsize or 1
        if self.count * size > MATERIALISE_LIMIT:
            raise ValueError(f"{self.spec} would need {self.count * size} bytes")
        return memoryview(self.data + (self.data[-size:] or bytes(size)) * missing)

    def strings(self) -> list[bytes]:
        """Return all elements of a string tensor, the last stored one repeated.

        Raise ValueError for other types.
        """
        if not isinstance(self.data, tuple):
            raise ValueError(f"a {self.dtype.value} tensor has no strings")
        return list(self.data) + [self.data[-1] if self.data else b""] * (self.count - len(self.data))

    def array(self) -> np.ndarray:
        import numpy as np

        if isinstance(self.data, tuple):
            if self.count > MATERIALISE_LIMIT // 8:
                raise ValueError(f"{self.spec} would need over 2 GiB")
            items = self.strings()
            out = np.empty(len(items), dtype=object)
            out[:] = items
            return out.reshape(self.shape)
        if self.stored <= 1 < self.count:
            size = self.dtype.itemsize or 1
            one = np.frombuffer(self.data or bytes(size), dtype=self.dtype.numpy()).reshape(())
            return np.broadcast_to(one, self.shape)
        return np.frombuffer(self.buffer(), dtype=self.dtype.numpy()).reshape(self.shape)

    def digest(self) -> str:
        if isinstance(self.data, tuple):
            items = self.strings() if self.count <= 1 << 20 else self.data
            return hashlib.sha256(b"".join(len(s).to_bytes(8, "little") + s for s in items)).hexdigest()
        if self.nbytes > len(self.data) and self.nbytes > 1 << 26:
            return hashlib.sha256(b"repeated last element" + self.data).hexdigest()
        return hashlib.sha256(self.buffer()).hexdigest()

    @staticmethod
    def of(array: object, dtype: DType | None = None) -> TensorValue:
        """Return the value of an array or of what ``numpy.asarray`` takes, as ``dtype`` if given."""
        import numpy as np

        if dtype is DType.STRING:
            flat = np.asarray(array, dtype=object)
            return TensorValue(
                dtype, flat.shape, tuple(s if isinstance(s, bytes) else str(s).encode() for s in flat.flat)
            )
        value = np.asarray(array) if dtype is None else np.asarray(array, dtype=dtype.numpy())
        kind = dtype or DType.of(value.dtype)
        if kind is DType.STRING:
            return TensorValue.of(value, DType.STRING)
        return TensorValue(
            kind, value.shape, np.ascontiguousarray(value).astype(kind.numpy(), copy=False).tobytes()
        )


@dataclass(frozen=True, slots=True, eq=False)
class TensorRef(_TensorBase):
    """A constant left in its file: ``length`` bytes at ``offset``, little-endian, C order."""

    file: MappedFile
    offset: int
    length: int
    dtype: DType
    shape: tuple[int, ...]

    @property
    def nbytes(self) -> int:
        return self.length

    def buffer(self) -> memoryview:
        return self.file.part(self.offset, self.offset + self.length)


@dataclass(frozen=True, slots=True, eq=False)
class TensorDigest(_TensorBase):
    """A constant of which only the SHA-256 is known: what parsing an abridged text form gives."""

    dtype: DType
    shape: tuple[int, ...]
    sha256: str

    @property
    def nbytes(self) -> int:
        return self.count * (self.dtype.itemsize or 0)

    def buffer(self) -> memoryview:
        raise ValueError("the value was left out of the text form")

    def digest(self) -> str:
        return self.sha256


Tensor: TypeAlias = TensorValue | TensorRef | TensorDigest


@dataclass(frozen=True, slots=True)
class Func:
    """A reference to a function of the library, with its attributes."""

    name: str
    attrs: Mapping[str, AttrValue]


@dataclass(frozen=True, slots=True)
class Placeholder:
    """An attribute that stands for one of the enclosing function's attributes."""

    name: str


@dataclass(frozen=True, slots=True)
class RawAttr:
    """An attribute that this package does not model, as its serialized AttrValue."""

    data: bytes


AttrScalar: TypeAlias = bool | int | float | bytes | DType | Shape | Tensor | Func
AttrValue: TypeAlias = AttrScalar | Placeholder | RawAttr | tuple[AttrScalar, ...]


def attr_list(values: Iterable[AttrScalar]) -> tuple[AttrScalar, ...]:
    """Return a list attribute; raise TypeError unless all items are of one kind."""
    items = tuple(values)
    if len({type(v) if not isinstance(v, _TensorBase) else _TensorBase for v in items}) > 1:
        raise TypeError("a list attribute holds values of one kind")
    return items
