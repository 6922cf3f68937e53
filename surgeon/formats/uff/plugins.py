"""Plugin nodes: the operation ``_<Op>`` and fields whose names carry their types."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from surgeon.diagnostics import SurgeonError, error, nearest_note
from surgeon.formats.uff.conversion import ConverterContext, PluginLike, float32
from surgeon.formats.uff.model import FIELD_SUFFIXES, UffNode, UffValue
from surgeon.graph import AttrValue, DType, Node, TensorValue

_OF_THE_GRAPH = frozenset({"dtype", "T", "N", "shape"})
"""Attributes that describe the node in a TensorFlow graph and are no fields."""


def plugin_node(at: ConverterContext, spec: PluginLike) -> list[UffNode]:
    """Return the UFF node of a plugin, and the constant it reads where the target's parser wants an input.

    A field is written by the type the catalog gives it, not by its Python value: the key's suffix decides
    what the plugin's creator receives. An empty list is left out. Raise X114 for an attribute that is no
    field, or a value of another type.
    """
    fields = {}
    for name, value in at.attrs.items():
        if name in spec.fields:
            kind = spec.fields[name].type
            written = _value(at.node, name, kind, value)
            if written.value != ():
                fields[name + FIELD_SUFFIXES[kind]] = written
        elif not (name.startswith("_") or name in _OF_THE_GRAPH):
            raise error(
                "X114",
                f"'{at.node.name}' ({at.node.op}) has the attribute '{name}', which is not a field of that "
                "plugin",
                at.node.name,
                nearest_note(name, spec.fields),
                [f"take it out, or see 'surgeon explain {at.node.op}'"],
            )
    inputs = at.edges()
    if inputs or at.export.target is None or not at.export.target.plugin_needs_input:
        return [at.uff(f"_{spec.creator}", inputs, fields)]
    unused = at.extra_const("unused_input", TensorValue(DType.FLOAT32, (1, 1), bytes(4)))
    return [unused, at.uff(f"_{spec.creator}", [unused.id], fields)]


def port_count(node: Node, spec: PluginLike) -> int:
    """Return the number of a plugin node's outputs."""
    values: Mapping[str, Any] = {name: value for name, value in node.attrs.items() if name in spec.fields}
    return len(spec.output_ports(values))


def _value(node: Node, name: str, kind: str, value: AttrValue) -> UffValue:
    items = value if isinstance(value, tuple) else (value,)
    if kind in ("int", "int[]") and all(isinstance(v, int) for v in items):
        ints = tuple(int(v) for v in items)  # type: ignore[arg-type]
        if all(-(2**31) <= v < 2**31 for v in ints):
            return _one_or_many(node, name, kind, "i", ints, value)
    elif kind in ("float", "float[]") and all(isinstance(v, (int, float)) for v in items):
        return _one_or_many(node, name, kind, "d", tuple(float32(float(v)) for v in items), value)  # type: ignore[arg-type]
    elif kind == "string" and isinstance(value, bytes):
        try:
            return UffValue("s", value.decode("utf-8"))
        except UnicodeDecodeError:
            raise _wrong_value(node, name, kind, value) from None
    raise _wrong_value(node, name, kind, value)


def _one_or_many(
    node: Node, name: str, kind: str, member: str, items: tuple[Any, ...], value: AttrValue
) -> UffValue:
    if kind.endswith("[]"):
        return UffValue(f"{member}_list", items)
    if len(items) != 1:
        raise _wrong_value(node, name, kind, value)
    return UffValue(member, items[0])


def _wrong_value(node: Node, name: str, kind: str, value: AttrValue) -> SurgeonError:
    expected = {
        "int": "an integer of 32 bits",
        "int[]": "a list of integers of 32 bits",
        "float": "a number",
        "float[]": "a list of numbers",
        "string": "text",
    }.get(kind, kind)
    return error(
        "X114",
        f"the field '{name}' of '{node.name}' ({node.op}) is {value!r}; expected {expected}",
        node.name,
        help=["correct it in the recipe"],
    )
