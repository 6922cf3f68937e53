"""The graph that a script ends with, as values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from surgeon.catalog import Catalog
from surgeon.compat.constants import element_type
from surgeon.compat.messages import clean
from surgeon.formats.graphdef.messages import TYPE_NUMBERS, node_from_message
from surgeon.formats.graphdef.protos import NodeDef
from surgeon.formats.uff.model import field_name
from surgeon.graph import AttrValue, Node, Ref
from surgeon.steps.collapse import SHAPE_ONLY


@dataclass(frozen=True)
class FinalGraph:
    """What the outputs of a script's graph depend on.

    ``nodes`` are in the script's order and read what is there; inputs of names that no node has are in
    ``dangling``, by the reader. Control edges, which no converter writes, are left out. A plugin's
    attributes are its fields, without the suffixes of their types; ``strange`` holds what else its node
    has. ``bypassed`` gives by plugin the tensors that it reads through operations which move no number,
    such as Squeeze, and what they come from; the node reads that directly.
    """

    nodes: Mapping[str, Node]
    outputs: tuple[str, ...]
    dangling: Mapping[str, tuple[str, ...]]
    strange: Mapping[str, Mapping[str, AttrValue]]
    bypassed: Mapping[str, Mapping[Ref, Ref]]


def final_graph(graphdef: Any, outputs: Sequence[str], catalog: Catalog) -> FinalGraph:
    """Return what the outputs of a GraphDef depend on.

    Raise SurgeonError G111 and G112 for nodes that are damaged.
    """
    messages: dict[str, Any] = {}
    for message in graphdef.node:
        messages.setdefault(message.name, message)
    needed = _needed(messages, outputs)
    nodes: dict[str, Node] = {}
    dangling: dict[str, tuple[str, ...]] = {}
    strange: dict[str, Mapping[str, AttrValue]] = {}
    for name, message in messages.items():
        if name not in needed:
            continue
        node = node_from_message(_copy(message))
        lost = tuple(str(ref) for ref in node.inputs if ref.node not in messages)
        if lost:
            dangling[name] = lost
        inputs = tuple(ref for ref in node.inputs if ref.node in messages)
        node = node.with_inputs(inputs, ())
        if node.op in catalog:
            node, other = _plugin(node, catalog)
            if other:
                strange[name] = other
        nodes[name] = node
    bypassed: dict[str, dict[Ref, Ref]] = {}
    for name, node in nodes.items():
        passed = _bypassed(node, nodes, catalog)
        if passed:
            bypassed[name] = passed
    for name, passed in bypassed.items():
        node = nodes[name]
        nodes[name] = node.with_inputs(tuple(passed.get(ref, ref) for ref in node.inputs))
    return FinalGraph(nodes, tuple(outputs), dangling, strange, bypassed)


def _bypassed(node: Node, nodes: Mapping[str, Node], catalog: Catalog) -> dict[Ref, Ref]:
    """Return the inputs of a plugin that come from another one through operations that move no number."""
    found: dict[Ref, Ref] = {}
    for ref in node.inputs if node.op in catalog else ():
        source = ref
        for _ in nodes:
            if nodes[source.node].op not in SHAPE_ONLY or not nodes[source.node].inputs:
                break
            source = nodes[source.node].inputs[0]
        if source != ref and nodes[source.node].op in catalog:
            found[ref] = source
    return found


def terminal_plugins(graphdef: Any, made: Iterable[str]) -> list[str]:
    """Return which of the nodes that a script made nothing reads."""
    read = {clean(source) for node in graphdef.node for source in node.input}
    there = {node.name: node for node in graphdef.node}
    return [name for name in dict.fromkeys(made) if name in there and name not in read and there[name].input]


def _needed(messages: Mapping[str, Any], outputs: Iterable[str]) -> set[str]:
    """Return the nodes that outputs depend on by data. Membership only."""
    found: set[str] = set()
    waiting = list(outputs)
    while waiting:
        name = waiting.pop()
        if name in found or name not in messages:
            continue
        found.add(name)
        waiting += [clean(source) for source in messages[name].input if not source.startswith("^")]
    return found


def _copy(message: Any) -> Any:
    """Return a copy of a NodeDef as this package's, its constant's element type stated."""
    copy = NodeDef.FromString(message.SerializeToString())
    if "value" in copy.attr and copy.attr["value"].HasField("tensor") and not copy.attr["value"].tensor.dtype:
        number = TYPE_NUMBERS[element_type(copy)]
        copy.attr["value"].tensor.dtype = number
        copy.attr["dtype"].type = number
    return copy


def _plugin(node: Node, catalog: Catalog) -> tuple[Node, dict[str, AttrValue]]:
    """Return a plugin's node with its fields for attributes, and the other attributes."""
    known = catalog[node.op].fields
    fields: dict[str, AttrValue] = {}
    other: dict[str, AttrValue] = {}
    for key, value in node.attrs.items():
        name = field_name(key)
        if name in known:
            fields[name] = value
        else:
            other[name] = value
    return Node(node.name, node.op, node.inputs, (), fields), other
