"""Plugin fields: what one is, and the check of one value."""

from __future__ import annotations

import math
import numbers
import struct
from dataclasses import dataclass
from typing import Literal, TypeAlias

FieldType = Literal["int", "float", "int[]", "float[]", "string"]
FieldValue: TypeAlias = "int | float | str | bytes | tuple[int, ...] | tuple[float, ...]"
Version: TypeAlias = "tuple[int, ...]"

MAX_ITEMS = 65_536
"""Bound on the items of one list field."""

_NAMES = {
    "int": "an int",
    "float": "a float",
    "int[]": "a list of ints",
    "float[]": "a list of floats",
    "string": "a string",
}


class Unfit(Exception):
    """A value does not fit its field: the diagnostic code, and what is wrong and was expected."""

    def __init__(self, code: str, problem: str) -> None:
        super().__init__(problem)
        self.code = code
        self.problem = problem


@dataclass(frozen=True)
class FieldSpec:
    """One field of a plugin creator.

    Bounds and ``choices`` hold for each item of a list. ``length_multiple`` is what the length of a list must
    be a multiple of. The field exists in TensorRT ``since <= version < until``; None is no bound.
    ``derivable`` says that the plugin's ``derive.py`` can find the value in a graph. ``source`` says where
    the facts come from. From TensorRT ``required_since`` on the creator refuses to do without the field;
    where that is None it is not known to.
    """

    name: str
    type: FieldType
    summary: str
    required: bool = True
    default: FieldValue | None = None
    length: int | None = None
    min_length: int | None = None
    max_length: int | None = None
    length_multiple: int | None = None
    minimum: float | None = None
    maximum: float | None = None
    exclusive_minimum: float | None = None
    choices: tuple[int | float | str, ...] | None = None
    since: Version | None = None
    until: Version | None = None
    required_since: Version | None = None
    derivable: bool = False
    source: str = ""

    @property
    def is_list(self) -> bool:
        """True for a field of several values."""
        return self.type.endswith("[]")

    def exists_in(self, version: Version | None) -> bool:
        """Return whether TensorRT ``version`` has the field; True where the version is None."""
        return within(version, self.since, self.until)

    def convert(self, value: object) -> FieldValue:
        """Return ``value`` as the plugin would hold it: ints as they are, floats rounded to float32, lists as
        tuples.

        Raise Unfit with C104 for a wrong type, C105 for a value out of range, C106 for a wrong length.
        """
        if not self.is_list:
            return self._one(value)
        if not isinstance(value, list | tuple):
            raise Unfit("C104", f"is {show(value)}; expected {_NAMES[self.type]}")
        self._check_length(len(value))
        return tuple(self._one(item, f"item {i} ") for i, item in enumerate(value))  # type: ignore[return-value]

    def describe(self) -> str:
        """Return type, length and range as a phrase, such as ``list of 3 ints, each 0 to 2``."""
        length = f"{self.length} " if self.length is not None else ""
        kind = self.type.removesuffix("[]")
        text = f"list of {length}{kind}s" if self.is_list else kind
        bounds = self._range()
        return f"{text}, {'each ' if self.is_list else ''}{bounds}" if bounds else text

    def _check_length(self, count: int) -> None:
        least = self.min_length or 0
        most = self.max_length if self.max_length is not None else MAX_ITEMS
        if self.length is not None and count != self.length:
            raise Unfit("C106", f"has {_items(count)}; expected {self.length}")
        if count < least:
            raise Unfit("C106", f"has {_items(count)}; expected at least {least}")
        if count > most:
            raise Unfit("C106", f"has {_items(count)}; expected at most {most}")
        if self.length_multiple and count % self.length_multiple:
            raise Unfit("C106", f"has {_items(count)}; expected a multiple of {self.length_multiple}")

    def _one(self, value: object, place: str = "") -> int | float | str:
        kind = self.type.removesuffix("[]")
        if kind == "string":
            if not isinstance(value, str | bytes):
                raise Unfit("C104", f"{place}is {show(value)}; expected {_NAMES[self.type]}")
            text = value.decode("utf-8", "replace") if isinstance(value, bytes) else value
            self._check_range(text, place)
            return text
        if kind == "int":
            if not isinstance(value, numbers.Integral):
                raise Unfit("C104", f"{place}is {show(value)}; expected {_NAMES[self.type]}")
            number = int(value)
            if not -(1 << 31) <= number < 1 << 31:
                raise Unfit("C105", f"{place}is {show(number)}; expected an int of 32 bits")
            self._check_range(number, place)
            return number
        if not isinstance(value, numbers.Real) or isinstance(value, bool):
            raise Unfit("C104", f"{place}is {show(value)}; expected {_NAMES[self.type]}")
        rounded = float32(value)
        if rounded is None:
            raise Unfit("C105", f"{place}is {show(value)}; expected a finite number that float32 can hold")
        self._check_range(float(value), place)
        return rounded

    def _check_range(self, value: int | float | str, place: str) -> None:
        if self.choices is not None and value not in self.choices:
            raise Unfit("C105", f"{place}is {show(value)}; expected {self._range()}")
        if isinstance(value, str):
            return
        low = self.minimum is not None and value < self.minimum
        floor = self.exclusive_minimum is not None and value <= self.exclusive_minimum
        high = self.maximum is not None and value > self.maximum
        if low or floor or high:
            raise Unfit("C105", f"{place}is {show(value)}; expected {self._range()}")

    def _range(self) -> str:
        if self.choices is not None:
            return " or ".join(show(c) for c in self.choices)
        parts = []
        if self.exclusive_minimum is not None:
            parts.append(f"more than {self.exclusive_minimum:g}")
        if self.minimum is not None and self.maximum is not None:
            return f"{self.minimum:g} to {self.maximum:g}"
        if self.minimum is not None:
            parts.append(f"at least {self.minimum:g}")
        if self.maximum is not None:
            parts.append(f"at most {self.maximum:g}")
        return " and ".join(parts)


def within(version: Version | None, since: Version | None, until: Version | None) -> bool:
    """Return whether ``since <= version < until``; None is no bound, and no version is within any."""
    return version is None or ((since is None or version >= since) and (until is None or version < until))


def float32(value: numbers.Real | float) -> float | None:
    """Return the float32 nearest to ``value``, None where that is not finite."""
    try:
        rounded: float = struct.unpack("<f", struct.pack("<f", float(value)))[0]
    except (OverflowError, ValueError):
        return None
    return rounded if math.isfinite(rounded) else None


def show(value: object) -> str:
    """Return a value for a message: short, with its kind where that may be the fault."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, numbers.Integral):
        number = int(value)
        return str(number) if abs(number) < 1 << 64 else f"an int of {number.bit_length()} bits"
    if isinstance(value, numbers.Real):
        return repr(float(value))
    if isinstance(value, str | bytes):
        text = value.decode("utf-8", "replace") if isinstance(value, bytes) else value
        return f"'{text:.40}'"
    if isinstance(value, list | tuple):
        return f"a list of {len(value)}"
    return "nothing" if value is None else f"of the kind '{type(value).__name__}'"


def _items(count: int) -> str:
    return f"{count} item" if count == 1 else f"{count} items"
