"""Nodes that scripts make: ``create_node``, ``create_plugin_node``, ``update_node``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from surgeon.compat.messages import dtype_number, new_node
from surgeon.compat.remarks import know_script, script_place
from surgeon.diagnostics import error
from surgeon.formats.uff.model import FIELD_SUFFIXES
from surgeon.graph import DType

_INT, _FLOAT, _TEXT = (FIELD_SUFFIXES[kind] for kind in ("int", "float", "string"))
_INTS, _FLOATS = (FIELD_SUFFIXES[kind] for kind in ("int[]", "float[]"))


def create_node(name: str, op: str | None = None, trt_plugin: bool = False, **kwargs: Any) -> Any:
    """Return a new NodeDef.

    ``op`` is ``name`` where it is not given. The other arguments become attributes, and ``inputs`` the node's
    inputs; with ``trt_plugin`` (or ``_do_suffix``, its name in TensorRT 5.0) the key of an attribute ends in
    its type, such as ``numClasses_u_int``. Raise SurgeonError P103 for a value that no attribute can hold.
    """
    place = script_place()
    if place is not None:
        know_script(place.file)
    return update_node(new_node(), name, op or name, trt_plugin, **kwargs)


def create_plugin_node(name: str, op: str | None = None, **kwargs: Any) -> Any:
    """Return a new NodeDef of a plugin, as :func:`create_node` with ``trt_plugin``."""
    return create_node(name, op, True, **kwargs)


def update_node(
    node: Any, name: str | None = None, op: str | None = None, trt_plugin: bool = False, **kwargs: Any
) -> Any:
    """Change a NodeDef in place, and return it.

    Inputs, lists and dimensions are appended to what the node has. Raise SurgeonError P103 for a value that
    no attribute can hold.
    """
    suffixed = trt_plugin or bool(kwargs.pop("_do_suffix", False))
    node.name, node.op = name or node.name, op or node.op
    for key, value in kwargs.items():
        if key == "inputs":
            node.input.extend([value] if isinstance(value, str) else value)
        else:
            _set_attr(node, key, value, suffixed)
    return node


def _set_attr(node: Any, key: str, value: Any, suffixed: bool) -> None:
    """Put a value into an attribute, under a key that says its type where ``suffixed``."""
    number = dtype_number(value)
    if number is None and key == "dtype" and isinstance(value, str):
        number = dtype_number(_named(value))
    if number is not None:
        node.attr[key].type = number
        return
    if key == "shape":
        _append_shape(node, value)
        return
    if isinstance(value, np.ndarray):
        _set_tensor(node.attr[key].tensor, value)
        return
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, int):  # True is an int here, as every script's fields expect
        node.attr[key + _INT * suffixed].i = int(value)
    elif isinstance(value, float):
        node.attr[key + _FLOAT * suffixed].f = value
    elif isinstance(value, (str, bytes)):
        node.attr[key + _TEXT * suffixed].s = value.encode() if isinstance(value, str) else value
    elif isinstance(value, (list, tuple)):
        _append_list(node, key, value, suffixed)
    else:
        raise _no_attribute(node, key, value)


def _named(name: str) -> DType | None:
    return DType(name) if name in {dtype.value for dtype in DType} else None


def _append_shape(node: Any, value: Iterable[Any]) -> None:
    """Append dimensions to a shape; an unknown one (None) is 0, as scripts' graphs have it."""
    dims = node.attr["shape"].shape.dim
    node.attr["shape"].shape.SetInParent()
    if isinstance(value, (int, np.integer)):
        value = [value]
    for dim in value:
        dims.add().size = 0 if dim is None else int(dim)


def _append_list(node: Any, key: str, value: Iterable[Any], suffixed: bool) -> None:
    items = [item.item() if isinstance(item, np.generic) else item for item in value]
    if any(not isinstance(item, (int, float)) for item in items):
        raise _no_attribute(node, key, value)
    if any(isinstance(item, float) for item in items):
        node.attr[key + _FLOATS * suffixed].list.f.extend(float(item) for item in items)
        return
    listed = node.attr[key + _INTS * suffixed].list
    listed.SetInParent()
    listed.i.extend(int(item) for item in items)


def _set_tensor(tensor: Any, value: np.ndarray) -> None:
    """Put shape and bytes of an array into a TensorProto, whose element type the attribute ``dtype`` says."""
    for dim in value.shape:
        tensor.tensor_shape.dim.add().size = dim
    tensor.tensor_content = np.ascontiguousarray(value).tobytes()


def _no_attribute(node: Any, key: str, value: object) -> Exception:
    return error(
        "P103",
        f"the field '{key}' of '{node.name}' ({node.op}) is {value!r}, of the type {type(value).__name__}; "
        "expected a number, text, an array, an element type, or a list of numbers",
        script_place(),
        help=["give the field as one of these, such as a list of numbers for several values"],
    )


def shape(node: Any) -> list[int]:
    """Return the dimensions of a node: its constant's where it has one, else those of its ``shape``."""
    attrs: Mapping[str, Any] = node.attr
    if "value" in attrs and attrs["value"].HasField("tensor"):
        return [dim.size for dim in attrs["value"].tensor.tensor_shape.dim]
    return [dim.size for dim in attrs["shape"].shape.dim] if "shape" in attrs else []


def extract_numpy_array(node: Any) -> np.ndarray:
    """Return the value of a constant node as an array of its shape.

    Raise SurgeonError P104 where the node is no constant.
    """
    from surgeon.compat.constants import constant_value

    return constant_value(node).array()
