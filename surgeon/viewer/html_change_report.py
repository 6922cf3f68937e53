"""Parts of a report as HTML: numbers, what was put in, steps, changes, and what was derived."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from surgeon.display import number, size, some
from surgeon.families import Derivation
from surgeon.graph import NodeChange
from surgeon.viewer.change_report import ChangeReport, GraphReport, StepReport
from surgeon.viewer.html_parts import (
    badge,
    bar,
    folding_table,
    lines_of,
    name_of,
    place_of,
    shortened,
    spec_of,
    table,
    value_of,
)
from surgeon.viewer.markup import Markup, element, join
from surgeon.viewer.node_status import NodeReport

MOST_CHANGED = 400
"""Nodes that differ and are listed one by one."""

_LABELS = {"graph": ("nodes",), "plan": ("before", "after"), "diff": ("first", "second")}


def count_rows(report: ChangeReport) -> list[tuple[str, ...]]:
    """Return what is counted, and the count in each graph."""
    graphs = report.graphs
    return [
        ("nodes", *(number(len(each.graph)) for each in graphs)),
        ("constants", *(size(each.constant_bytes) for each in graphs)),
        ("kinds of operations", *(number(len(each.ops)) for each in graphs)),
        ("plugin nodes", *(number(len(each.plugins)) for each in graphs)),
    ]


def counts(report: ChangeReport) -> Markup:
    """Return nodes, bytes of constants and kinds of operations, before and after."""
    return table(["", *_LABELS[report.kind]], count_rows(report), right=(1, 2))


def tensors(report: ChangeReport) -> Markup:
    """Return the graph's inputs and outputs, before and after."""
    single = len(report.graphs) == 1
    rows = [
        (what if single else f"{what} {label}", name_of(name), spec_of(spec))
        for graph, label in zip(report.graphs, _LABELS[report.kind], strict=True)
        for what, specs in (("input", graph.inputs), ("output", graph.outputs))
        for name, spec in specs
    ]
    return table(["kind", "tensor", "type and shape"], rows)


def operations(report: ChangeReport) -> Markup:
    """Return how often each operation occurs, before and after, with bars.

    The plugins come first, then the most frequent operations.
    """
    graphs = report.graphs
    ops = dict.fromkeys(op for graph in reversed(graphs) for op in graph.ops)
    most = {op: max(graph.ops.get(op, 0) for graph in graphs) for op in ops}
    longest = max(most.values(), default=1)
    rows = [
        (
            _op(op, report.after),
            *(bar(graph.ops.get(op, 0), longest, number(graph.ops.get(op, 0))) for graph in graphs),
        )
        for op in sorted(ops, key=lambda op: (op not in report.after.catalog, -most[op]))
    ]
    return folding_table("operations", ["operation", *_LABELS[report.kind]], rows, shown=12, right=(1, 2))


def added(report: ChangeReport) -> Markup:
    """Return the nodes that were put in: what they replace, and the recipe's line."""
    rows = [_added(node_report, report) for node_report in report.added]
    return table(["node", "operation", "in the place of", "fields", "recipe"], rows)


def _added(node_report: NodeReport, report: ChangeReport) -> Sequence[object]:
    node = node_report.node
    namespaces = report.replaced.get(node.name, {})
    return (
        name_of(node.name),
        _op(node.op, report.after),
        element("span", some([f"{name} ({number(count)})" for name, count in namespaces.items()], 6)),
        _fields(node_report, report),
        place_of(node_report.provenance.span),
    )


def _fields(node_report: NodeReport, report: ChangeReport) -> Markup:
    node = node_report.node
    catalog = report.after.catalog
    if node.op not in catalog:
        return Markup("")
    derived = report.derived.get(node.name, {})
    fields = [
        join(key, " ", element("b", value_of(value)), badge("derived", "derived") if key in derived else "")
        for key, value in node.attrs.items()
        if key in catalog[node.op].fields
    ]
    return element("span", *(element("span", field, class_="field") for field in fields))


def steps(reports: Sequence[StepReport]) -> Markup:
    """Return the plan's steps, the edits of each, and how many nodes are left."""
    rows = [(step.label, _edits(step), number(step.nodes), place_of(step.span)) for step in reports]
    return table(["step", "edits", "nodes left", "recipe"], rows, right=(2,))


def _edits(step: StepReport) -> str:
    if step.skipped:
        return f"skipped: {step.skipped}"
    return ", ".join(f"{number(count)} {kind}" for kind, count in step.edits.items()) or "nothing to do"


def changes(changed: Sequence[NodeChange]) -> Markup:
    """Return the nodes that both graphs have and that differ, and in what."""
    arrow = element("span", " → ", class_="muted")
    rows = [
        (
            name_of(node.name),
            element("code", node.op),
            change.label,
            join(_attribute(change.before), arrow, _attribute(change.after)),
        )
        for node in changed[:MOST_CHANGED]
        for change in node.changes
    ]
    listed = folding_table("changes", ["node", "operation", "what", "first → second"], rows, shown=12)
    left = len(changed) - MOST_CHANGED
    more = element("p", f"{number(left)} further nodes are not listed.", class_="muted") if left > 0 else None
    return join(listed or element("p", "None.", class_="muted"), more)


def _attribute(text: str | None) -> Markup:
    if text is None:
        return element("span", "not there", class_="muted")
    return element("code", shortened(text))


def derivations(derived: Iterable[Derivation]) -> Markup:
    """Return derived values by node, each with its evidence."""
    groups: dict[str, list[Derivation]] = {}
    for derivation in derived:
        groups.setdefault(derivation.node, []).append(derivation)
    rows = [
        (
            "" if i else element("b", name_of(node)),
            name_of(derivation.field),
            element("code", value_of(derivation.value)),
            lines_of(derivation.evidence),
        )
        for node, members in groups.items()
        for i, derivation in enumerate(members)
    ]
    if not rows:
        return element("p", "Nothing was derived: every value is written in the recipe.", class_="muted")
    return table(["node", "field", "value", "evidence"], rows)


def sizes(graph: GraphReport) -> str:
    """Return how many nodes a graph has, and how many bytes of constants."""
    return f"{number(len(graph.graph))} nodes, {size(graph.constant_bytes)} of constants"


def _op(op: str, graph: GraphReport) -> Markup:
    return badge(op, "plugin") if op in graph.catalog else element("code", op)
