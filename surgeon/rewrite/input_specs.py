"""Shapes, types and constants that a caller gives for inputs by name."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any, TypeAlias, TypeVar

from surgeon.diagnostics import SurgeonError, error, nearest_note
from surgeon.graph import DType, Shape, TensorSpec
from surgeon.language.document import parse_document, to_plain
from surgeon.steps.set_shape import InputSpec

GivenSpec: TypeAlias = "TensorSpec | str | Sequence[int | None]"
"""Shape and type of an input: ``1x224x224x3:float32``, sizes (None where unknown), or a spec."""

Value = TypeVar("Value")

_SIZE = re.compile(r"[0-9]{1,18}|\?")
_SPEC_HELP = "write the sizes as 1x224x224x3, '?' where one is unknown, '[]' for a scalar; then ':float32'"


def input_spec_of(name: str, given: GivenSpec) -> InputSpec:
    """Return the shape and type that are given for an input; raise SurgeonError S226 if they are none."""
    if isinstance(given, TensorSpec):
        return InputSpec(shape=given.shape.dims, dtype=given.dtype)
    if not isinstance(given, str):
        sizes = tuple(given)
        if all(size is None or (type(size) is int and 0 <= size < 1 << 63) for size in sizes):
            return InputSpec(shape=sizes, dtype=None)
        raise _wrong_spec(name, f"{sizes!r:.80} are no sizes")
    text, colon, type_name = given.partition(":")
    dtype = None
    if colon:
        if type_name not in DType._value2member_map_:
            near = nearest_note(type_name, [each.value for each in DType])
            raise _wrong_spec(name, f"'{type_name}' is no element type", near)
        dtype = DType(type_name)
    inner = text.strip().removeprefix("[").removesuffix("]").strip()
    if not inner:
        if not text.strip() and dtype is None:
            raise _wrong_spec(name, "it is empty")
        return InputSpec(shape=() if text.strip() else None, dtype=dtype)
    sizes_read = [size.strip() for size in re.split("[x,]", inner)]
    if not all(_SIZE.fullmatch(size) for size in sizes_read):
        raise _wrong_spec(name, f"'{text}' is no shape")
    return InputSpec(shape=tuple(None if size == "?" else int(size) for size in sizes_read), dtype=dtype)


def spec_text(name: str, given: GivenSpec) -> str:
    """Return a shape and type as text, which :func:`input_spec_of` reads; raise as that does."""
    spec = input_spec_of(name, given)
    sizes = "" if spec.shape is None else Shape(spec.shape)
    return f"{sizes}{'' if spec.dtype is None else ':' + spec.dtype.value}"


def plain_value(value: Any) -> Any:
    """Return a constant's value without numpy."""
    return value.tolist() if hasattr(value, "tolist") else value


def constant_value(name: str, value: Any) -> Any:
    """Return a constant's value; a text is read as YAML."""
    if not isinstance(value, str):
        return plain_value(value)
    return to_plain(parse_document(value or '""', f"--constant {name}"))


def each_once(given: Iterable[tuple[str, Value]], flag: str) -> dict[str, Value]:
    """Return what is given by name, ``NAME:0`` as ``NAME``.

    Raise SurgeonError S225 where two entries name one input.
    """
    once: dict[str, Value] = {}
    for written, value in given:
        name = written.removesuffix(":0")
        if name in once:
            raise given_twice(name, written, flag)
        once[name] = value
    return once


def given_twice(name: str, other: str, flag: str) -> SurgeonError:
    also = f", as '{name}' and as '{other}'" if name != other else ""
    return error(
        "S225",
        f"the input '{name}' is given twice{also}; expected each input once",
        f"{flag} {other}",
        help=["leave out one of the two"],
    )


def _wrong_spec(name: str, problem: str, notes: Sequence[str] = ()) -> SurgeonError:
    message = f"the shape given for the input '{name}' cannot be read: {problem}; expected sizes and a type"
    return error("S226", message, f"--input {name}", notes, [_SPEC_HELP])
