"""The text form of a graph, printed. :mod:`surgeon.graph.text` states it, and parses."""

from __future__ import annotations

import base64
import json
import re
from typing import TYPE_CHECKING

from surgeon.graph.dtypes import DType
from surgeon.graph.node import Node, Ref
from surgeon.graph.values import (
    AttrValue,
    Func,
    Placeholder,
    RawAttr,
    Shape,
    Tensor,
    TensorDigest,
    TensorRef,
    TensorValue,
)

if TYPE_CHECKING:
    from surgeon.graph.graph import Graph

BARE = re.compile(r"[A-Za-z0-9_./\\-]+\Z")
"""A name that is written without quotes."""

_WHOLE = 1 << 62


def print_graph(graph: Graph, limit: int = 256) -> str:
    """Return the text form; tensors over ``limit`` bytes are abridged (``limit=-1``: none is)."""
    lines = ["graph v1"]
    if graph.versions:
        v = graph.versions
        bad = "".join(f" {b}" for b in v.bad_consumers)
        lines.append(f"versions: {v.producer} {v.min_consumer}{bad}")
    if graph.library:
        lines.append(f"library: {graph.library.hex()}")
    if graph.extra:
        lines.append(f"extra: {graph.extra.hex()}")
    if graph.outputs:
        lines.append("outputs: " + ", ".join(map(_ref, graph.outputs)))
    lines += [print_node(node, limit) for node in graph]
    return "\n".join(lines) + "\n"


def print_node(node: Node, limit: int = 256) -> str:
    """Return one node's line."""
    inputs = ", ".join([_ref(r) for r in node.inputs] + ["^" + _name(c) for c in node.control])
    text = f"{_name(node.name)} = {_name(node.op)}({inputs})"
    if node.attrs:
        text += " {" + ", ".join(f"{_name(k)}: {print_attr(v, limit)}" for k, v in node.attrs.items()) + "}"
    if node.device:
        text += " @" + json.dumps(node.device)
    if node.extra:
        text += f" extra({node.extra.hex()})"
    return text


def print_attr(value: AttrValue, limit: int = 256) -> str:
    """Return the text of one attribute value."""
    match value:
        case bool():
            return "true" if value else "false"
        case DType():
            return value.value
        case int():
            return str(value)
        case float():
            return _float(value)
        case bytes():
            return _bytes(value)
        case Shape():
            return f"shape{value}"
        case TensorValue() | TensorRef() | TensorDigest():
            return _tensor(value, _WHOLE if limit < 0 else limit)
        case tuple():
            return "[" + ", ".join(print_attr(v, limit) for v in value) + "]"
        case Func():
            return (
                f"func({_name(value.name)}) {{"
                + ", ".join(f"{_name(k)}: {print_attr(v, limit)}" for k, v in value.attrs.items())
                + "}"
            )
        case Placeholder():
            return f"placeholder({json.dumps(value.name)})"
        case RawAttr():
            return f"raw({value.data.hex()})"


def _name(name: str) -> str:
    return name if BARE.match(name) else json.dumps(name)


def _ref(ref: Ref) -> str:
    return f"{_name(ref.node)}:{ref.slot}" if ref.slot else _name(ref.node)


def _float(value: float) -> str:
    text = repr(float(value))
    return text if any(c in text for c in ".enai") else text + ".0"


def _bytes(value: bytes) -> str:
    out = []
    for byte in value:
        char = chr(byte)
        out.append("\\" + char if char in '"\\' else char if 32 <= byte < 127 else f"\\x{byte:02x}")
    return '"' + "".join(out) + '"'


def _tensor(value: Tensor, limit: int) -> str:
    head = f"tensor<{value.dtype.value}[{','.join(map(str, value.shape))}]"
    if isinstance(value, TensorDigest):
        return f"{head} sha256 {value.sha256}>"
    if isinstance(value, TensorValue) and isinstance(value.data, tuple):
        return head + (": " + ", ".join(map(_bytes, value.data)) if value.data else "") + ">"
    stored = len(value.data) if isinstance(value, TensorValue) else value.length
    if stored > limit:
        return f"{head} sha256 {value.digest()}>"
    raw = value.data if isinstance(value, TensorValue) else bytes(value.buffer())
    assert isinstance(raw, bytes)
    if not raw:
        return head + ">"
    if value.dtype.value.startswith(("complex", "bfloat")) or stored > 4096:
        return f"{head} base64 {json.dumps(base64.b64encode(raw).decode())}>"
    import numpy as np

    items = np.frombuffer(raw, dtype=value.dtype.numpy())
    if not _prints_exactly(items, raw):
        return f"{head} base64 {json.dumps(base64.b64encode(raw).decode())}>"
    shown = [str(v).lower() if value.dtype is DType.BOOL else _number(v) for v in items]
    return head + ": " + ", ".join(shown) + ">"


def _prints_exactly(items: object, raw: bytes) -> bool:
    """True unless a NaN with a payload, or a bool byte above 1, would be lost in decimal text."""
    import numpy as np

    array = np.asarray(items)
    if array.dtype.kind == "f":
        return bool(np.where(np.isnan(array), np.asarray(np.nan, array.dtype), array).tobytes() == raw)
    return array.dtype.kind != "b" or not set(raw) - {0, 1}


def _number(value: object) -> str:
    import numpy as np

    if isinstance(value, np.floating):
        return _float(float(value)) if isinstance(value, np.float64) else _short(str(value))
    return str(value)


def _short(text: str) -> str:
    return text if any(c in text for c in ".enai") else text + ".0"
