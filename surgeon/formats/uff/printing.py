"""A UFF model for a person: a line per node, and a summary."""

from __future__ import annotations

import json
from typing import Any

from surgeon.formats.format import frequencies
from surgeon.formats.uff.model import DECREMENT, INCREMENT, UffModel, UffNode, UffValue, field_name

_ORDERS = {INCREMENT: "INC", DECREMENT: "DEC"}


def print_uff(model: UffModel) -> str:
    """Return the text form.

    It has descriptors, a line per node, then a line per piece of referenced data (``@name``).
    """
    lines = [f"uff v{model.version} core v{model.descriptor_core_version} graph '{model.graph_id}'"]
    lines += [f"descriptor {d.id} v{d.version}{' optional' if d.optional else ''}" for d in model.descriptors]
    lines += [_node(node) for node in model.nodes]
    lines += [f"@{key} = {_value(value)}" for key, value in model.data.items()]
    return "\n".join(lines) + "\n"


def _node(node: UffNode) -> str:
    text = f"{node.id} = {node.operation}({', '.join(node.inputs)})"
    if node.fields:
        text += " {" + ", ".join(f"{key}: {_value(node.fields[key])}" for key in sorted(node.fields)) + "}"
    return text


def _value(value: UffValue) -> str:
    content = value.value
    if not value.is_set:
        return "unset"
    if value.kind == "ref":
        return f"@{content}"
    if value.kind == "blob":
        data = content.buffer() if content.nbytes <= 32 else None
        return (
            f"blob<{content.nbytes} bytes: "
            f"{data.hex() if data is not None else 'sha256 ' + content.digest()[:16]}>"
        )
    if value.kind == "dim_orders_list":
        return "[" + ", ".join(map(_orders, content)) + "]"
    if value.kind == "dim_orders":
        return _orders(content)
    if isinstance(content, tuple):
        return "[" + ", ".join(map(_scalar, content)) + "]"
    return _scalar(content)


def _orders(content: tuple[tuple[int, tuple[int, ...]], ...]) -> str:
    return " ".join(
        ("" if key == -1 else f"{key}: ") + "[" + ", ".join(_ORDERS.get(v, str(v)) for v in values) + "]"
        for key, values in content
    )


def _scalar(content: Any) -> str:
    if isinstance(content, bool):
        return "true" if content else "false"
    if isinstance(content, str) and type(content) is str:
        return json.dumps(content)
    return str(content)


def describe(model: UffModel) -> dict[str, Any]:
    """Return a summary as plain values.

    It counts operations, and has inputs, outputs, plugins with their fields, and the size of the weights.

    ``ops`` is sorted by count, then name; ``outputs`` names each MarkOutput node and what it marks; a
    plugin's fields stand under their bare names, and its outputs beyond the first are called ``<name>_1``,
    ``<name>_2`` in the engine.
    """
    return {
        "format": "uff",
        "version": model.version,
        "descriptors": [d.id for d in model.descriptors],
        "nodes": len(model.nodes),
        "ops": frequencies(node.operation for node in model.nodes),
        "inputs": [_input(node) for node in model.nodes if node.operation == "Input"],
        "outputs": [
            {"name": n.id, "marks": list(n.inputs)} for n in model.nodes if n.operation == "MarkOutput"
        ],
        "plugins": [_plugin(node) for node in model.nodes if node.operation.startswith("_")],
        "weight_bytes": sum(value.value.nbytes for value in model.data.values() if value.kind == "blob"),
    }


def _input(node: UffNode) -> dict[str, Any]:
    dtype, shape = node.fields.get("dtype"), node.fields.get("shape")
    return {
        "name": node.id,
        "dtype": str(dtype.value) if dtype and dtype.is_set else None,
        "shape": list(shape.value) if shape and isinstance(shape.value, tuple) else None,
    }


def _plugin(node: UffNode) -> dict[str, Any]:
    return {
        "name": node.id,
        "op": node.operation[1:],
        "inputs": list(node.inputs),
        "fields": {field_name(key): _plain(value) for key, value in sorted(node.fields.items())},
    }


def _plain(value: UffValue) -> Any:
    if isinstance(value.value, tuple):
        return list(value.value)
    return str(value.value) if value.kind == "dtype" else value.value
