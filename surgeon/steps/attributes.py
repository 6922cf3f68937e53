"""Values that a recipe writes, as values of node attributes."""

from __future__ import annotations

import re
from typing import Any

from surgeon.graph import (
    AttrScalar,
    AttrValue,
    DType,
    Shape,
    TensorDigest,
    TensorRef,
    TensorSpec,
    TensorValue,
)
from surgeon.steps.placing import tensor_of
from surgeon.steps.step import StepContext

KINDS = ("int", "float", "bool", "string", "dtype", "shape", "tensor")
"""Kinds that a recipe may state: ``{dtype: float32}``."""

_TYPE_KEY = re.compile(r"(dtype|T[a-z]*|SrcT|DstT|Index|index_type|out_type|out_idx|output_type)\Z")


def attr_value(
    context: StepContext, key: str, value: Any, present: AttrValue | None, *path: str | int
) -> AttrValue:
    """Return the attribute value that YAML's ``value`` means for the attribute ``key``.

    The kind is the one stated (``{dtype: float32}``), else that of the ``present`` value, else that of the
    key's name (``T``, ``dtype``, ``shape``), else the YAML value's own. Raise SurgeonError S208 where the
    value is not of it.
    """
    what = f"the attribute '{key}'"
    if isinstance(value, dict):
        if len(value) != 1 or next(iter(value)) not in KINDS:
            raise context.fail(
                "S208",
                f"{what} cannot be {value!r:.60}; expected a value, or one kind and its value",
                *path,
                help=["kinds: " + ", ".join(KINDS) + "; for example {dtype: float32}"],
            )
        kind, value = next(iter(value.items()))
        if kind != "shape" and kind != "tensor" and isinstance(value, list | tuple):
            return tuple(_scalar(context, kind, item, what, *path) for item in value)
        return _scalar(context, kind, value, what, *path)
    if isinstance(present, TensorValue | TensorRef | TensorDigest):
        return tensor_of(context, value, what, present.dtype, *path)
    if isinstance(present, tuple):
        items = value if isinstance(value, list | tuple) else None
        if items is None:
            raise context.fail(
                "S208", f"{what} cannot be {value!r:.60}; expected a list, as it is now", *path
            )
        kind = kind_of(present[0]) if present else _kind_of_items(items)
        return tuple(_scalar(context, kind, item, what, *path) for item in items)
    if present is not None:
        known = kind_of(present)
        if known is None:
            raise context.fail(
                "S208",
                f"{what} is of a kind that a recipe cannot write ({type(present).__name__})",
                *path,
                help=["take it away with null"],
            )
        return _scalar(context, known, value, what, *path)
    return _of_new_key(context, key, value, what, *path)


def kind_of(value: AttrValue) -> str | None:
    """Return the kind of a value that is not a list; None for functions and other unknown values."""
    match value:
        case bool():
            return "bool"
        case DType():
            return "dtype"
        case int():
            return "int"
        case float():
            return "float"
        case bytes():
            return "string"
        case Shape():
            return "shape"
        case TensorValue() | TensorRef() | TensorDigest():
            return "tensor"
    return None


def _of_new_key(context: StepContext, key: str, value: Any, what: str, *path: str | int) -> AttrValue:
    if isinstance(value, str) and _TYPE_KEY.match(key) and value in {d.value for d in DType}:
        return DType(value)
    if key == "shape" and isinstance(value, list | tuple):
        return _scalar(context, "shape", value, what, *path)
    if key == "value":
        return tensor_of(context, value, what, None, *path)
    if isinstance(value, list | tuple):
        kind = _kind_of_items(value)
        return tuple(_scalar(context, kind, item, what, *path) for item in value)
    return _scalar(context, _kind_of_items([value]), value, what, *path)


def _kind_of_items(items: Any) -> str | None:
    if any(isinstance(item, str) for item in items):
        return "string"
    if any(isinstance(item, bool) for item in items):
        return "bool"
    return "float" if any(isinstance(item, float) for item in items) else "int"


def _scalar(context: StepContext, kind: str | None, value: Any, what: str, *path: str | int) -> AttrScalar:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if kind == "tensor":
        return tensor_of(context, value, what, None, *path)
    if kind == "bool" and isinstance(value, bool):
        return value
    if kind == "int" and number and value == value and abs(value) < 1 << 63 and int(value) == value:
        return int(value)
    if kind == "float" and number and _fits_float(value):
        return float(value)
    if kind == "string" and isinstance(value, str | bytes):
        return value.encode() if isinstance(value, str) else value
    if kind == "dtype" and isinstance(value, str) and value in {d.value for d in DType}:
        return DType(value)
    if kind == "shape" and isinstance(value, list | tuple) and all(_is_dim(d) for d in value):
        return Shape(tuple(None if d is None else int(d) for d in value))
    expected = {
        "bool": "true or false",
        "int": "a whole number of 64 bits",
        "float": "a number",
        "string": "text",
        "dtype": "an element type such as float32",
        "shape": "a list of dimensions, null where unknown",
    }.get(kind or "", "a number, text, true, false, or a list of one of them")
    raise context.fail("S208", f"{what} cannot be {value!r:.60}; expected {expected}", *path)


def _fits_float(value: int | float) -> bool:
    try:
        float(value)
    except OverflowError:
        return False
    return True


def _is_dim(value: Any) -> bool:
    return value is None or (isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 63)


def declared_spec(attrs: Any) -> TensorSpec:
    """Return the spec that a node's ``dtype`` and ``shape`` attributes declare."""
    dtype, shape = attrs.get("dtype"), attrs.get("shape")
    return TensorSpec(
        dtype if isinstance(dtype, DType) else None, shape if isinstance(shape, Shape) else Shape()
    )
