"""A report as JSON that the page's script draws: two graphs as columns, with tables of what occurs often."""

from __future__ import annotations

import json
from collections.abc import Hashable, Iterable, Mapping
from typing import Any

from surgeon.catalog import PluginSpec
from surgeon.diagnostics import SurgeonError
from surgeon.graph import AttrValue, Change, Node, Tensor, TensorSpec, print_attr
from surgeon.graph.op_sets import CONSTANTS
from surgeon.graph.values import TensorDigest
from surgeon.viewer.change_report import ChangeReport, GraphReport
from surgeon.viewer.html_parts import shortened, value_of
from surgeon.viewer.markup import Markup
from surgeon.viewer.namespace_report import MAX_DEPTH
from surgeon.viewer.node_status import NodeReport, Provenance

MOST_NODES = 60_000
"""Nodes of one graph that the page draws; of a larger graph it draws the plugins and the first others."""

_MOST_ATTRIBUTES = 64
_MOST_INPUTS = 4096


class _Table:
    """Values numbered in the order in which they are first met."""

    def __init__(self) -> None:
        self.values: list[Any] = []
        self._numbers: dict[Hashable, int] = {}

    def number(self, key: Hashable, value: Any = None) -> int:
        """Return the number of a value; ``value`` is what is written for a key that is not itself plain."""
        if key not in self._numbers:
            self._numbers[key] = len(self.values)
            self.values.append(key if value is None else value)
        return self._numbers[key]


class _Tables:
    def __init__(self) -> None:
        self.ops, self.specs, self.attributes, self.marks, self.changes = (_Table() for _ in range(5))


def drawing_data(report: ChangeReport) -> dict[str, Any]:
    """Return a report as plain values.

    ``graphs`` holds one or two graphs. A graph's ``names`` are pairs of how many components a name shares
    with the one before it and the rest; ``ops``, ``outputs``, ``attributes``, ``marks`` and ``changes`` are
    numbers in ``tables``; ``inputs`` are numbers of nodes, or pairs of node and slot; ``ports`` names the
    ports of the inputs of plugin nodes.
    """
    tables = _Tables()
    keys = ("before", "after")[-len(report.graphs) :]
    graphs = {key: _graph(graph, tables) for key, graph in zip(keys, report.graphs, strict=True)}
    used = {op for graph in report.graphs for op in graph.ops}
    return {
        "kind": report.kind,
        "depth": MAX_DEPTH,
        "graphs": graphs,
        "tables": {
            "ops": tables.ops.values,
            "specs": tables.specs.values,
            "attributes": tables.attributes.values,
            "marks": tables.marks.values,
            "changes": tables.changes.values,
        },
        "constants": sorted(CONSTANTS),
        "plugins": {op: _plugin(op, report.after) for op in report.after.catalog if op in used},
        "replaced": {
            name: [[top, count] for top, count in counts.items()] for name, counts in report.replaced.items()
        },
        "derived": {
            node: {field: [value_of(each.value), list(each.evidence)] for field, each in fields.items()}
            for node, fields in report.derived.items()
        },
    }


def script_json(data: Mapping[str, Any]) -> Markup:
    """Return plain values as JSON that may stand in a ``<script>`` element, whatever the names in it are."""
    text = json.dumps(data, separators=(",", ":"), allow_nan=False)
    return Markup(text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026"))


def _graph(graph: GraphReport, tables: _Tables) -> dict[str, Any]:
    drawn = _drawn(graph)
    numbers = {report.node.name: index for index, report in enumerate(drawn)}
    columns: dict[str, list[Any]] = {
        "names": _shared_names([report.node.name for report in drawn]),
        "ops": [tables.ops.number(report.node.op) for report in drawn],
        "inputs": [_inputs(report.node, numbers) for report in drawn],
        "control": [
            [numbers[name] for name in report.node.control[:_MOST_INPUTS] if name in numbers]
            for report in drawn
        ],
        "outputs": [
            [tables.specs.number(str(spec)) for spec in specs_of(graph, report.node.name)] for report in drawn
        ],
        "attributes": [
            [tables.attributes.number(pair, list(pair)) for pair in attributes_of(report, graph)]
            for report in drawn
        ],
        "marks": [tables.marks.number(report.provenance, _provenance(report.provenance)) for report in drawn],
        "changes": [
            [tables.changes.number(change, _change(change)) for change in report.changes] for report in drawn
        ],
    }
    return {
        **columns,
        "ports": {
            numbers[report.node.name]: _ports(report.node, graph.catalog[report.node.op])
            for report in drawn
            if report.node.op in graph.catalog
        },
        "total": len(graph.nodes),
        "results": [numbers[ref.node] for ref in graph.graph.output_refs if ref.node in numbers],
    }


def _ports(node: Node, spec: PluginSpec) -> list[str]:
    """Return the name of the port at which each input of a plugin node is; empty where none is known."""
    order = node.attrs.get(spec.order_field) if spec.order_field else None
    if isinstance(order, tuple):
        ports = dict(zip(order, spec.order_ports, strict=False))
        return [ports.get(edge, "") for edge in range(len(node.inputs))]
    names = [port.name for port in spec.inputs]
    # The last port of a variadic plugin takes all inputs that are left.
    return [names[min(edge, len(names) - 1)] if names else "" for edge in range(len(node.inputs))]


def _drawn(graph: GraphReport) -> list[NodeReport]:
    """Return the nodes that are drawn: of too many, the plugins and the first others."""
    reports = list(graph.nodes.values())
    if len(reports) <= MOST_NODES:
        return reports
    plugins_first = sorted(reports, key=lambda report: report.node.op not in graph.catalog)
    names = {report.node.name for report in plugins_first[:MOST_NODES]}
    return [report for report in reports if report.node.name in names]


def _shared_names(names: Iterable[str]) -> list[list[Any]]:
    """Return, for each name, how many components it shares with the one before it, and the rest."""
    pairs: list[list[Any]] = []
    previous: list[str] = []
    for name in names:
        parts = name.split("/")
        shared = 0
        while shared < min(len(previous), len(parts) - 1) and previous[shared] == parts[shared]:
            shared += 1
        pairs.append([shared, "/".join(parts[shared:])])
        previous = parts
    return pairs


def _inputs(node: Node, numbers: Mapping[str, int]) -> list[Any]:
    return [
        [numbers[ref.node], ref.slot] if ref.slot else numbers[ref.node]
        for ref in node.inputs[:_MOST_INPUTS]
        if ref.node in numbers
    ]


def specs_of(graph: GraphReport, name: str) -> tuple[TensorSpec, ...]:
    """Return element type and shape of each output of a node; none where they are not known."""
    try:
        return graph.specs(name)
    except SurgeonError:
        return ()  # a plugin node whose fields are wrong has no shapes; the diagnostics say why


def attributes_of(report: NodeReport, graph: GraphReport) -> list[tuple[str, str]]:
    """Return fields or attributes of a node for people, the first of many, long ones cut short."""
    node = report.node
    fields = graph.catalog[node.op].fields if node.op in graph.catalog else {}
    attributes = list(node.attrs.items())[:_MOST_ATTRIBUTES]
    pairs = [(key, shortened(_value(value, is_field=key in fields))) for key, value in attributes]
    return [*pairs, ("device", node.device)] if node.device else pairs


def _value(value: AttrValue, is_field: bool) -> str:
    if is_field:
        return value_of(value)
    if isinstance(value, Tensor) and (isinstance(value, TensorDigest) or value.count > 8):
        return f"{value.spec}"
    return print_attr(value, limit=64)


def _provenance(provenance: Provenance) -> list[Any]:
    return [
        provenance.status.value,
        provenance.reason,
        provenance.into,
        provenance.step,
        provenance.location,
    ]


def _change(change: Change) -> list[Any]:
    sides = (change.before, change.after)
    return [change.label, *(None if text is None else shortened(text) for text in sides)]


def _plugin(op: str, graph: GraphReport) -> dict[str, Any]:
    spec = graph.catalog[op]
    return {
        "title": spec.title,
        "summary": spec.summary,
        "fields": {name: field.summary for name, field in spec.fields.items()},
        "outputs": [port.name for port in spec.outputs],
    }
