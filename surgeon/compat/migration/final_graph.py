"""The graph that a script ends with, as values."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from surgeon.catalog import Catalog, PluginSpec
from surgeon.compat.constants import element_type
from surgeon.compat.messages import clean
from surgeon.compat.remarks import word_place
from surgeon.diagnostics import error
from surgeon.formats.graphdef.messages import TYPE_NUMBERS, node_from_message
from surgeon.formats.graphdef.protos import NodeDef
from surgeon.formats.uff.model import field_name
from surgeon.graph import AttrValue, Graph, Node, Ref
from surgeon.graph.op_sets import PLACEHOLDERS
from surgeon.graph.reach import upstream
from surgeon.steps.collapse import SHAPE_ONLY


@dataclass(frozen=True)
class FinalGraph:
    """What the outputs of a script's graph depend on.

    ``nodes`` are in the script's order and read what is there; inputs of names that no node has are in
    ``dangling``, by the reader. Control edges, which no converter writes, are left out. A plugin's
    attributes are its fields, without the suffixes of their types; ``strange`` holds what else its node
    has. ``bypassed`` gives by plugin the tensors that it reads through operations which move no number,
    such as Squeeze, and what they come from; the node reads that directly. ``plugins`` are the nodes that
    the script made plugins, and ``surplus`` holds inputs for which a plugin has no port.
    """

    nodes: Mapping[str, Node]
    outputs: tuple[str, ...]
    dangling: Mapping[str, tuple[str, ...]]
    strange: Mapping[str, Mapping[str, AttrValue]]
    bypassed: Mapping[str, Mapping[Ref, Ref]]
    plugins: frozenset[str]
    surplus: Mapping[str, tuple[Ref, ...]]


def final_graph(
    graphdef: Any, outputs: Sequence[str], catalog: Catalog, is_new: Callable[[str, str], bool]
) -> FinalGraph:
    """Return what the outputs of a GraphDef depend on.

    ``is_new`` tells whether the script gave a node, by its name, this operation: TensorFlow has some of the
    names of plugins, too.

    Raise SurgeonError G111 and G112 for nodes that are damaged, P135 for two of one name.
    """
    messages: dict[str, Any] = {}
    names = Counter(message.name for message in graphdef.node)
    for message in graphdef.node:
        messages.setdefault(message.name, message)
    needed = _needed(messages, outputs)
    twice = next((name for name in messages if names[name] > 1 and name in needed), None)
    if twice is not None:
        raise error(
            "P135",
            f"two nodes of the script's graph are named '{twice}'; names must be unique",
            word_place(twice),
            help=["give the new node another name, or remove the one that is there"],
        )
    nodes: dict[str, Node] = {}
    dangling: dict[str, tuple[str, ...]] = {}
    strange: dict[str, Mapping[str, AttrValue]] = {}
    plugins: set[str] = set()
    for name, message in messages.items():
        if name not in needed:
            continue
        node = node_from_message(_copy(message))
        lost = tuple(str(ref) for ref in node.inputs if ref.node not in messages)
        if lost:
            dangling[name] = lost
        inputs = tuple(ref for ref in node.inputs if ref.node in messages)
        node = node.with_inputs(inputs, ())
        plugin = plugin_of(node.op, catalog) if is_new(name, node.op) else None
        if plugin is not None:
            plugins.add(name)
            node, other = _plugin(node, catalog[plugin])
            if other:
                strange[name] = other
        nodes[name] = node
    surplus: dict[str, tuple[Ref, ...]] = {}
    for name in nodes:
        ports = _port_count(catalog[nodes[name].op]) if name in plugins else None
        if ports is None or len(nodes[name].inputs) <= ports:
            continue
        if all(_is_junk(ref, nodes) for ref in nodes[name].inputs[ports:]):
            surplus[name] = nodes[name].inputs[ports:]
            nodes[name] = nodes[name].with_inputs(nodes[name].inputs[:ports])
    bypassed: dict[str, dict[Ref, Ref]] = {}
    for name, node in nodes.items():
        passed = _bypassed(node, nodes, plugins)
        if passed:
            bypassed[name] = passed
    for name, passed in bypassed.items():
        node = nodes[name]
        nodes[name] = node.with_inputs(tuple(passed.get(ref, ref) for ref in node.inputs))
    return FinalGraph(nodes, tuple(outputs), dangling, strange, bypassed, frozenset(plugins), surplus)


def _is_junk(ref: Ref, nodes: Mapping[str, Node]) -> bool:
    """Return whether a tensor is the network's input or depends on none, such as a namespace's constants."""
    names = upstream(Graph(nodes.values()), [ref.node])
    return nodes[ref.node].op in PLACEHOLDERS or not any(nodes[name].op in PLACEHOLDERS for name in names)


def _port_count(spec: PluginSpec) -> int | None:
    """Return how many tensors a plugin reads; None where that is open, or their order is a field's."""
    if spec.order_field or any(port.variadic for port in spec.inputs):
        return None
    return len(spec.inputs)


def _bypassed(node: Node, nodes: Mapping[str, Node], plugins: Container[str]) -> dict[Ref, Ref]:
    """Return the inputs of a plugin that come from another one through operations that move no number."""
    found: dict[Ref, Ref] = {}
    for ref in node.inputs if node.name in plugins else ():
        source = ref
        for _ in nodes:
            if nodes[source.node].op not in SHAPE_ONLY or not nodes[source.node].inputs:
                break
            source = nodes[source.node].inputs[0]
        if source != ref and source.node in plugins:
            found[ref] = source
    return found


def likely_outputs(graphdef: Any, made: Iterable[str], catalog: Catalog) -> list[str]:
    """Return which of the nodes that a script made give detections, else which of them nothing reads."""
    made = list(dict.fromkeys(made))
    ops = {node.name: node.op for node in graphdef.node}
    detecting = [name for name in made if ops.get(name) in catalog and catalog[ops[name]].detections]
    if detecting:
        return detecting
    read = {clean(source) for node in graphdef.node for source in node.input}
    there = {node.name: node for node in graphdef.node}
    return [name for name in made if name in there and name not in read and there[name].input]


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


def plugin_of(op: str, catalog: Catalog) -> str | None:
    """Return what recipes call the plugin that scripts name by its creator; None where there is none."""
    if op in catalog:
        return op
    return next((each for each in catalog if each.startswith(op) and catalog[each].creator == op), None)


def _plugin(node: Node, spec: PluginSpec) -> tuple[Node, dict[str, AttrValue]]:
    """Return a plugin's node with its fields for attributes, and the other attributes."""
    known = spec.fields
    fields: dict[str, AttrValue] = {}
    other: dict[str, AttrValue] = {}
    for key, value in node.attrs.items():
        name = field_name(key)
        if name in known:
            fields[name] = value
        else:
            other[name] = value
    return Node(node.name, spec.op, node.inputs, (), fields), other
