"""One node as Model Explorer draws it: its label, edges, outputs and attributes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from surgeon.diagnostics import SurgeonError
from surgeon.display import number, size, some
from surgeon.graph import Node
from surgeon.graph.op_sets import CONSTANTS
from surgeon.viewer.change_report import ChangeReport, GraphReport
from surgeon.viewer.drawing_data import attributes_of, specs_of
from surgeon.viewer.explorer_layers import namespace_of, path_of
from surgeon.viewer.html_parts import value_of
from surgeon.viewer.node_status import NodeReport, NodeStatus, status_word

CONTROL = "control"
"""The output that a control edge comes from."""

_MOST_REPLACED = 12


def node_json(
    node_report: NodeReport, graph: GraphReport, report: ChangeReport, is_signal: bool
) -> dict[str, Any]:
    """Return a node of a graph; ``is_signal`` says that control edges come from it."""
    node = node_report.node
    outputs = _outputs(node, graph)
    if is_signal:
        outputs.append({"id": CONTROL, "attrs": _pairs({"tensor_shape": CONTROL})})
    data = {
        "id": node.name,
        # Model Explorer leaves nodes out that are labelled like this, unless its settings say otherwise.
        "label": "Const" if node.op in CONSTANTS else path_of(node.name)[-1],
        "namespace": namespace_of(node.name),
        "attrs": _pairs(_attributes(node_report, graph, report)),
        "incomingEdges": [
            {"sourceNodeId": source, "sourceNodeOutputId": output, "targetNodeInputId": str(index)}
            for index, source, output in _edges(node, graph)
        ],
        "inputsMetadata": [
            {"id": str(index), "attrs": _pairs({"__tensor_tag": CONTROL})}
            for index in range(len(node.inputs), len(node.inputs) + len(node.control))
        ],
        "outputsMetadata": outputs,
    }
    return {key: value for key, value in data.items() if value or key in ("id", "label", "namespace")}


def count_nodes(count: int) -> str:
    """Return a number of nodes in words."""
    return f"{number(count)} node{'' if count == 1 else 's'}"


def _edges(node: Node, graph: GraphReport) -> Iterator[tuple[int, str, str]]:
    for index, ref in enumerate(node.inputs):
        if ref.node in graph.nodes:
            yield index, ref.node, str(ref.slot)
    for index, name in enumerate(node.control, len(node.inputs)):
        if name in graph.nodes:
            yield index, name, CONTROL


def _outputs(node: Node, graph: GraphReport) -> list[dict[str, Any]]:
    ports = _ports(node, graph)
    outputs = []
    for slot, spec in enumerate(specs_of(graph, node.name)):
        tag = {"__tensor_tag": ports[slot]} if slot < len(ports) and ports[slot] else {}
        name = node.name if slot == 0 else f"{node.name}:{slot}"
        # The key is Model Explorer's, and what stands there is written on the edges: the element type belongs
        # to it.
        attributes = {**tag, "tensor_name": name, "tensor_shape": str(spec)}
        outputs.append({"id": str(slot), "attrs": _pairs(attributes)})
    return outputs


def _ports(node: Node, graph: GraphReport) -> tuple[str, ...]:
    if node.op not in graph.catalog:
        return ()
    try:
        return graph.catalog[node.op].output_ports(dict(node.attrs))
    except SurgeonError:
        return ()  # a field is wrong; the diagnostics say so


def _attributes(node_report: NodeReport, graph: GraphReport, report: ChangeReport) -> dict[str, str]:
    node = node_report.node
    is_second = graph is report.after
    derived = report.derived.get(node.name, {}) if is_second else {}
    attributes = {"Operation": node.op}
    if node.op in graph.catalog:
        attributes["Plugin"] = graph.catalog[node.op].title
    if report.kind != "graph":
        attributes["Fate"] = status_word(node_report.provenance.status.value, report.kind)
        attributes.update(_history(node_report, report.replaced.get(node.name, {}) if is_second else {}))
    for change in node_report.changes:
        attributes[f"Changed {change.label}"] = f"{change.before or 'none'} → {change.after or 'none'}"
    if node_report.constant_bytes:
        attributes["Constant"] = size(node_report.constant_bytes)
    for key, text in (*attributes_of(node_report, graph), *_defaults(node, graph)):
        evidence = f" (derived: {'; '.join(derived[key].evidence)})" if key in derived else ""
        attributes[f"{key} (attribute)" if key in attributes else key] = f"{text}{evidence}"
    return attributes


def _defaults(node: Node, graph: GraphReport) -> Iterator[tuple[str, str]]:
    """Give the fields of a plugin node that are not written: they have the plugin's default."""
    for name, spec in graph.catalog[node.op].fields.items() if node.op in graph.catalog else ():
        if name not in node.attrs and spec.default is not None:
            yield name, f"{value_of(spec.default)} (default)"


def _history(node_report: NodeReport, replaced: Mapping[str, int]) -> Iterator[tuple[str, str]]:
    """Give why something became of a node, and what it took the place of."""
    provenance = node_report.provenance
    if provenance.reason:
        yield "Why", provenance.reason
    if provenance.into is not None:
        was = provenance.status is NodeStatus.RENAMED and provenance.reason.startswith("was ")
        yield "Was" if was else "Became", provenance.into
    if replaced:
        namespaces = [f"{name} ({count_nodes(count)})" for name, count in replaced.items()]
        yield "Took the place of", some(namespaces, _MOST_REPLACED)
    if provenance.step:
        yield "Step", provenance.step
    if provenance.span is not None:
        yield "Recipe line", provenance.location


def _pairs(values: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"key": key, "value": value} for key, value in values.items()]
