"""Reports of what became of every node: of a plan, of two graphs, of one, and of a file."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from surgeon.catalog import Catalog, load_catalog
from surgeon.formats import Specs, open_model
from surgeon.graph import (
    Add,
    Change,
    Drop,
    Edit,
    Graph,
    GraphDiff,
    Node,
    Rewire,
    SetAttr,
    SetOp,
    SetOutputs,
    diff_graphs,
)
from surgeon.rewrite import Plan
from surgeon.viewer.change_report import ChangeReport, GraphReport, StepReport
from surgeon.viewer.node_status import NodeReport, NodeStatus, Provenance
from surgeon.viewer.node_trace import trace_nodes

_EDITS: Mapping[type[Edit], str] = {
    Drop: "taken out",
    Add: "put in",
    Rewire: "rewired",
    SetAttr: "attributes set",
    SetOp: "ops changed",
    SetOutputs: "outputs declared",
}


def report_plan(plan: Plan, *, title: str = "", catalog: Catalog | None = None) -> ChangeReport:
    """Return the report of a plan; raise ValueError for one read from a file, which has no graphs."""
    if plan.source is None or plan.result is None:
        raise ValueError("the plan was read from a file; its report needs the graphs, which planning gives")
    catalog = catalog or load_catalog()
    trace = trace_nodes(plan)
    changes = {change.name: change.changes for change in diff_graphs(plan.source, plan.result).changed}
    before: dict[str, NodeReport] = {}
    after = {name: NodeReport(plan.result[name], provenance) for name, provenance in trace.added.items()}
    for node in plan.source:
        if node.name in trace.removed:
            before[node.name] = NodeReport(node, trace.removed[node.name])
            continue
        name = trace.names[node.name]
        rewritten = plan.result[name]
        if name == node.name:
            parts = changes.get(name, ())
            provenance = Provenance(_status(parts))
            if parts and name in trace.edited:
                provenance = replace(trace.edited[name], status=provenance.status)
            before[name] = NodeReport(node, provenance, parts)
            after[name] = NodeReport(rewritten, provenance, parts)
        else:
            parts = _renamed_changes(node, rewritten)
            provenance = replace(trace.renamed[name], into=name)
            back = replace(provenance, reason=f"was '{node.name}'", into=node.name)
            before[node.name] = NodeReport(node, provenance, parts)
            after[name] = NodeReport(rewritten, back, parts)
    in_order = {node.name: after[node.name] for node in plan.result}
    derivations = (replace(each, node=trace.put_in.get(each.node, each.node)) for each in plan.derivations)
    return ChangeReport(
        "plan",
        title or Path(plan.source.source).name,
        GraphReport(plan.result, in_order, catalog),
        GraphReport(plan.source, before, catalog),
        plan.recipe,
        plan.target,
        report_steps(plan),
        tuple(derivations),
    )


def report_graph(
    graph: Graph, *, title: str = "", catalog: Catalog | None = None, stated: Specs | None = None
) -> ChangeReport:
    """Return the report of one graph, to which nothing happens."""
    nodes = {node.name: NodeReport(node) for node in graph}
    report = GraphReport(graph, nodes, catalog or load_catalog(), stated)
    return ChangeReport("graph", title or Path(graph.source).name, report)


def report_file(path: str | os.PathLike[str], *, catalog: Catalog | None = None) -> ChangeReport:
    """Return the report of a model's file (``.uff``, ``.onnx``, or a graph of TensorFlow).

    Nothing happens to such a model.
    """
    graph, stated = open_model(path).graph(catalog)
    return report_graph(graph, catalog=catalog, stated=stated)


def report_difference(
    a: Graph,
    b: Graph,
    difference: GraphDiff | None = None,
    *,
    title: str = "",
    catalog: Catalog | None = None,
    stated: tuple[Specs | None, Specs | None] = (None, None),
) -> ChangeReport:
    """Return the report of two graphs: what only one has, and what differs.

    ``difference`` is theirs where it is known.
    """
    catalog = catalog or load_catalog()
    difference = diff_graphs(a, b) if difference is None else difference
    changes = {change.name: change.changes for change in difference.changed}
    dropped = Provenance(NodeStatus.DROPPED, "only in the first graph")
    added = Provenance(NodeStatus.ADDED, "only in the second graph")

    def report(node: Node, other: Graph, alone: Provenance) -> NodeReport:
        if node.name not in other:
            return NodeReport(node, alone)
        parts = changes.get(node.name, ())
        return NodeReport(node, Provenance(_status(parts)), parts)

    before = {node.name: report(node, b, dropped) for node in a}
    after = {node.name: report(node, a, added) for node in b}
    names = (Path(graph.source).name or f"a graph of {len(graph)} nodes" for graph in (a, b))
    return ChangeReport(
        "diff",
        title or " and ".join(names),
        GraphReport(b, after, catalog, stated[1]),
        GraphReport(a, before, catalog, stated[0]),
        moved=difference.moved,
        others=difference.others,
    )


def report_steps(plan: Plan) -> tuple[StepReport, ...]:
    """Return the steps of a plan, also of one that was read from a file."""
    return tuple(
        StepReport(
            step.step,
            step.label,
            step.span,
            step.skipped,
            step.nodes,
            dict(Counter(_EDITS[type(edit)] for edit in step.edits)),
        )
        for step in plan.steps
    )


def _status(changes: Iterable[Change]) -> NodeStatus:
    """Return the status of a node that both graphs have."""
    kinds = {change.what for change in changes}
    if not kinds:
        return NodeStatus.KEPT
    return NodeStatus.REWIRED if kinds <= {"inputs", "control"} else NodeStatus.CHANGED


def _renamed_changes(node: Node, rewritten: Node) -> tuple[Change, ...]:
    """Return what differs between a node and the one that has another name now."""
    changed = diff_graphs(Graph([node]), Graph([replace(rewritten, name=node.name)])).changed
    return changed[0].changes if changed else ()
