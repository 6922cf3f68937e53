"""What a notebook shows of a value: a piece of HTML with its own style, for ``_repr_html_``."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import singledispatch
from typing import Any

from surgeon.authoring import AuthoredRecipe
from surgeon.catalog import Catalog, PluginSpec
from surgeon.diagnostics import Diagnostic, SurgeonError
from surgeon.display import number, size
from surgeon.graph import Graph, GraphDiff, Node
from surgeon.inspection import Inspection, Namespace
from surgeon.language import Recipe
from surgeon.rewrite import Plan
from surgeon.targets import Target
from surgeon.verification import Verdict, Verification
from surgeon.viewer import html_recipe
from surgeon.viewer.assets import asset
from surgeon.viewer.change_report import ChangeReport, count_ops
from surgeon.viewer.html_change_report import (
    added,
    changes,
    counts,
    derivations,
    operations,
    sizes,
    steps,
    tensors,
)
from surgeon.viewer.html_diagnostics import diagnostics
from surgeon.viewer.html_namespaces import namespaces
from surgeon.viewer.html_parts import badge, folding_table, lines_of, name_of, ops_of, table
from surgeon.viewer.html_verification import verdict, verification
from surgeon.viewer.markup import Markup, element
from surgeon.viewer.namespace_report import NamespaceReport
from surgeon.viewer.node_status import NodeStatus
from surgeon.viewer.reporting import report_graph, report_plan, report_steps

_DEPTH = 3
_COLOURS = {"removed": "dropped", "added": "added", "changed": "changed", "moved": "note"}


@singledispatch
def html_of(value: object) -> str:
    """Return a value as HTML; one that there is no picture of as its text."""
    return str(element("pre", repr(value)))


def draws(kind: type) -> Callable[[Callable[[Any], str]], Callable[[Any], str]]:
    """Return a decorator that registers a function for values of a type."""

    def register(function: Callable[[Any], str]) -> Callable[[Any], str]:
        html_of.register(kind, function)
        return function

    return register


@draws(Graph)
def graph_html(graph: Graph) -> str:
    """Return a graph as HTML: its size, inputs, outputs, operations and namespaces."""
    return report_html(report_graph(graph))


@draws(ChangeReport)
def report_html(report: ChangeReport) -> str:
    """Return a report as HTML: what there is, before and after, what was put in, and the namespaces."""
    title = element("p", element("b", report.title or "Graph"), f": {sizes(report.after)}")
    tree = namespaces(report.namespaces, report.kind, _DEPTH)
    if report.kind == "graph":
        return piece_html(title, tensors(report), operations(report), tree)
    changed = changes(report.changed) if report.kind == "diff" else None
    return piece_html(title, counts(report), added(report), tree, changed)


@draws(Plan)
def plan_html(plan: Plan) -> str:
    """Return a plan as HTML: before and after, each step, the fate of each namespace, what was derived.

    It says what is put in, too. A plan read from a file has no graphs; its steps and derivations are shown.
    """
    target = f" for {plan.target}" if plan.target else ""
    head = element("p", element("b", f"Plan of the recipe '{plan.recipe}'"), target)
    tail = (derivations(plan.derivations), diagnostics(plan.diagnostics))
    if plan.source is None or plan.result is None:
        return piece_html(head, steps(report_steps(plan)), *tail)
    report = report_plan(plan)
    tree = namespaces(report.namespaces, report.kind, _DEPTH)
    return piece_html(head, counts(report), added(report), steps(report.steps), tree, *tail)


@draws(Verification)
def verification_html(result: Verification) -> str:
    """Return a verification as HTML: its outcome, each verdict, and the differences that nothing explains."""
    return piece_html(verification(result))


@draws(Verdict)
def verdict_html(result: Verdict) -> str:
    """Return one verdict as HTML: its outcome and its comparisons."""
    return piece_html(verdict(result, {}))


@draws(Recipe)
def recipe_html(recipe: Recipe) -> str:
    """Return a recipe as HTML: what it takes out and puts in, with the lines that say so."""
    summary = f": {recipe.summary}" if recipe.summary else ""
    return piece_html(
        element("p", element("b", f"Recipe '{recipe.name}'"), summary),
        html_recipe.namespaces(recipe),
        html_recipe.nodes(recipe),
        html_recipe.rest(recipe),
    )


@draws(PluginSpec)
def plugin_html(spec: PluginSpec) -> str:
    """Return what a plugin is as HTML: its ports and fields."""
    return piece_html(html_recipe.plugin(spec))


@draws(GraphDiff)
def difference_html(difference: GraphDiff) -> str:
    """Return how two graphs differ as HTML.

    It has counts, the nodes that only one of the graphs has, and what differs in the others.
    """
    parts = {
        "removed": difference.removed,
        "added": difference.added,
        "changed": difference.changed,
        "moved": difference.moved,
    }
    head = element(
        "p",
        *(badge(f"{number(len(nodes))} {what}", _COLOURS[what]) for what, nodes in parts.items() if nodes),
        *(badge(text, "note") for text in difference.others),
        None if difference else badge("no difference", "good"),
    )
    outputs = [", ".join(map(str, refs)) or "none declared" for refs in difference.outputs or ()]
    return piece_html(
        head,
        table(["outputs of the first", "outputs of the second"], [outputs] if outputs else []),
        _alone("added", difference.added),
        _alone("removed", difference.removed),
        changes(difference.changed) if difference.changed else None,
    )


def _alone(what: str, nodes: Iterable[Node]) -> Markup:
    """Return the nodes that only one graph has, counted by top-level namespace."""
    groups: dict[str, list[Node]] = {}
    for node in nodes:
        groups.setdefault(node.name.partition("/")[0], []).append(node)
    rows = [
        (badge(what, _COLOURS[what]), name_of(top), number(len(group)), ops_of(count_ops(group)))
        for top, group in groups.items()
    ]
    head = ["change", "namespace or node", "nodes", "operations"]
    return folding_table(f"namespaces of which nodes were {what}", head, rows, shown=12, right=(2,))


@draws(Catalog)
def catalog_html(catalog: Catalog) -> str:
    """Return the plugins of a catalog as HTML."""
    rows = [
        (name_of(op), spec.title, "TensorRT" if spec.library == "tensorrt" else spec.library)
        for op, spec in catalog.items()
    ]
    return piece_html(
        element("p", element("b", f"{len(rows)} plugins")),
        folding_table("plugins", ["plugin", "title", "library"], rows, shown=12),
    )


@draws(Target)
def target_html(target: Target) -> str:
    """Return a target as HTML: its title and what to know about it."""
    notes = [*target.notes, *([target.deprecated] if target.deprecated else [])]
    return piece_html(element("p", element("b", target.name), f": {target.title}"), lines_of(notes))


@draws(AuthoredRecipe)
def authored_html(authored: AuthoredRecipe) -> str:
    """Return a recipe that was written for a graph as HTML: its text and the diagnostics."""
    return piece_html(
        element("p", element("b", f"Recipe '{authored.name}'"), f": {authored.summary}"),
        diagnostics(authored.diagnostics) if authored.diagnostics else None,
        element("details", element("summary", "its text"), element("pre", authored.text)),
    )


@draws(Diagnostic)
def diagnostic_html(diagnostic: Diagnostic) -> str:
    """Return one diagnostic as HTML."""
    return diagnostics_html([diagnostic])


@draws(SurgeonError)
def error_html(error: SurgeonError) -> str:
    """Return the diagnostics of an error as HTML."""
    return diagnostics_html(error.diagnostics)


@draws(Inspection)
def inspection_html(inspection: Inspection) -> str:
    """Return what a file consists of as HTML.

    It shows the namespaces as a tree that folds, with bars for the sizes of constants.
    """
    extent = f"{number(inspection.nodes)} nodes, {size(inspection.constant_bytes)} of constants"
    facts = {
        **inspection.told,
        **{f"input {name}": text for name, text in inspection.inputs.items()},
        **{f"output {name}": text for name, text in inspection.outputs.items()},
    }
    unsupported = [
        (name_of(row.namespace or "(outside)"), number(row.nodes), ops_of(row.ops), row.remedy)
        for row in inspection.unsupported
    ]
    titles = [f"what {inspection.target} cannot run", "nodes", "operations", "what to do"]
    recipes = [(element("b", fit.recipe), fit.summary) for fit in inspection.fits]
    return piece_html(
        element("p", element("b", inspection.source or inspection.kind), f": {inspection.kind}, {extent}"),
        table(["", ""], list(facts.items())),
        namespaces(nested(inspection.namespaces), "graph"),
        table(titles, unsupported, right=(1,)),
        table(["recipes that fit", "summary"], recipes),
        *map(html_of, inspection.diagnostics),
    )


def nested(listed: Sequence[Namespace]) -> tuple[NamespaceReport, ...]:
    """Return namespaces that are listed each before what is inside it as a tree."""
    levels: dict[int, list[NamespaceReport]] = {}
    for namespace in reversed(listed):
        inside = tuple(reversed(levels.pop(namespace.depth + 1, ())))
        statuses = {NodeStatus.KEPT: namespace.nodes}
        report = NamespaceReport(
            namespace.name, 0, namespace.nodes, namespace.constant_bytes, statuses, {}, {}, inside
        )
        levels.setdefault(namespace.depth, []).append(report)
    return tuple(reversed(levels.get(1, ())))


def answer_html(
    outcome: str,
    title: str,
    facts: Mapping[str, str],
    plan: Plan | None,
    listed: Sequence[Diagnostic],
) -> str:
    """Return what was found out about a recipe as HTML.

    It has a word for the outcome, facts, the plan and diagnostics.
    """
    return piece_html(
        element("p", badge(outcome, "error" if outcome == "refused" else "good"), element("b", title)),
        table(["", ""], [(name, text) for name, text in facts.items() if text]),
        diagnostics(listed) if listed else None,
        counts(report_plan(plan)) if plan and plan.source and plan.result else None,
        derivations(plan.derivations) if plan and plan.derivations else None,
    )


def diagnostics_html(listed: Iterable[Diagnostic]) -> str:
    """Return diagnostics as HTML, each with its source line, notes and help."""
    return piece_html(diagnostics(listed))


def piece_html(*parts: object) -> str:
    """Return parts as HTML that brings its style."""
    return str(element("div", element("style", Markup(asset("pieces.css"))), *parts, class_="surgeon"))
