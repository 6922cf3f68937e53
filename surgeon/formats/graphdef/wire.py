"""A bounded scan of protobuf's wire format, to find large byte fields without copying them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5


class WireError(ValueError):
    """The bytes are no protobuf message; ``offset`` says where that shows."""

    def __init__(self, message: str, offset: int) -> None:
        super().__init__(message)
        self.offset = offset


class Field(NamedTuple):
    """One field: its number and wire type, where its tag starts, and where its content is.

    For a varint, ``value`` is the number and ``begin:end`` its bytes.
    """

    number: int
    kind: int
    tag: int
    begin: int
    end: int
    value: int


def read_varint(data: memoryview, at: int, end: int) -> tuple[int, int]:
    """Return (value, next offset); raise WireError where it runs over ``end`` or over 10 bytes."""
    value = shift = 0
    start = at
    while at < end:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & 0xFFFFFFFFFFFFFFFF, at
        shift += 7
        if shift > 63:
            raise WireError("a number has more than 10 bytes", start)
    raise WireError("the data ends inside a number", start)


def fields(data: memoryview, begin: int, end: int) -> Iterator[Field]:
    """Yield the fields of the message in ``data[begin:end]``; raise WireError where it is none."""
    at = begin
    while at < end:
        tag = at
        key, at = read_varint(data, at, end)
        number, kind = key >> 3, key & 7
        if number == 0:
            raise WireError("a field has number 0", tag)
        value = 0
        start = at
        if kind == BYTES:
            value, start = read_varint(data, at, end)
            at = start + value
        elif kind == VARINT:
            value, at = read_varint(data, at, end)
        elif kind == FIXED32:
            at += 4
        elif kind == FIXED64:
            at += 8
        else:
            raise WireError(f"a field has the wire type {kind}", tag)
        if at > end:
            raise WireError(f"field {number} claims {at - start} bytes, {end - start} are left", tag)
        yield Field(number, kind, tag, start, at, value)


def varint(value: int) -> bytes:
    """Return the varint of a number of 64 bits (negative ones as two's complement)."""
    value &= 0xFFFFFFFFFFFFFFFF
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def tag(number: int, kind: int) -> bytes:
    """Return a field's tag."""
    return varint(number << 3 | kind)


def framed(number: int, length: int) -> bytes:
    """Return the tag and length that precede ``length`` bytes of a length-delimited field."""
    return tag(number, BYTES) + varint(length)
