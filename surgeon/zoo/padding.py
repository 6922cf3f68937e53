"""Nodes that make a graph large and change nothing it computes."""

from __future__ import annotations

from surgeon.zoo.nodes import FLOAT, NodeWriter, Ref, varint

_BLOCK = 100
# A map entry of NodeDef.attr: key "T", value type DT_FLOAT.
_FLOAT_ATTR = b"\x2a\x07\x0a\x01T\x12\x02\x30\x01"


def write_live_nodes(g: NodeWriter, source: Ref, count: int) -> Ref:
    """Write a chain of Relu, Abs and Identity nodes, which keep what Relu6 gives; return its end."""
    scope = "FeatureExtractor/MobilenetV1/Padding/block"
    return g.declare(_chain(g, source, count, scope, ("Relu", "Abs", "Identity")), FLOAT)


def write_dead_nodes(g: NodeWriter, source: Ref, count: int) -> None:
    """Write ``count`` nodes in namespaces below Postprocessor that no output needs."""
    made = 0
    while made < count:
        size = min(_BLOCK, count - made)
        _chain(g, source, size, f"Postprocessor/Unused_{made // _BLOCK}/block", ("Neg", "Exp", "Square"))
        made += size


def _chain(g: NodeWriter, source: Ref, count: int, scope: str, operations: tuple[str, ...]) -> Ref:
    for index in range(count):
        op = operations[index % len(operations)]
        name = f"{scope}_{index // _BLOCK}/{op}_{index % _BLOCK}"
        g.raw(_field(1, name) + _field(2, op) + _field(3, source) + _FLOAT_ATTR)
        source = name
    return source


def _field(number: int, text: str) -> bytes:
    data = text.encode()
    return bytes([number << 3 | 2]) + varint(len(data)) + data
