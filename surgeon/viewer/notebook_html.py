"""What a notebook shows of a value: a piece of HTML with its own style, for ``_repr_html_``."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import singledispatch
from typing import Any

from surgeon.authoring import Authored
from surgeon.catalog import Catalog, PluginSpec
from surgeon.diagnostics import Diagnostic, Span, SurgeonError
from surgeon.display import number, size
from surgeon.graph import Graph, GraphDiff, Node
from surgeon.inspection import Inspection, Namespace
from surgeon.language import Recipe
from surgeon.rewrite import Plan
from surgeon.targets import Target
from surgeon.verification import Verdict, Verification
from surgeon.viewer import html_recipe as recipe_pieces
from surgeon.viewer.assets import asset
from surgeon.viewer.change_report import NamespaceStory, Story, count_ops, place, steps_of, tell, tell_graph
from surgeon.viewer.html_change_report import (
    changes,
    counts,
    derivations,
    namespaces,
    operations,
    plain_namespaces,
    put_in,
    sizes,
    steps,
    tensors,
)
from surgeon.viewer.html_parts import badge, folding_table, lines_of, name_of, ops_of, table
from surgeon.viewer.html_verification import verdict, verification
from surgeon.viewer.markup import Markup, element
from surgeon.viewer.node_status import Fate

_DEPTH = 3


@singledispatch
def html_of(value: object) -> str:
    """Return a value as HTML; one that there is no picture of as its text."""
    return str(element("pre", repr(value)))


def _draws(kind: type) -> Callable[[Callable[[Any], str]], Callable[[Any], str]]:
    """Register a function of this file for values of a type."""

    def register(function: Callable[[Any], str]) -> Callable[[Any], str]:
        html_of.register(kind, function)
        return function

    return register


@_draws(Graph)
def graph_html(graph: Graph) -> str:
    """Return a graph as HTML: its size, inputs, outputs, operations and namespaces."""
    return story_html(tell_graph(graph))


@_draws(Story)
def story_html(story: Story) -> str:
    """Return a story as HTML: what there is, before and after, what was put in, and the namespaces."""
    title = element("p", element("b", story.title or "Graph"), f": {sizes(story.after)}")
    if story.kind == "graph":
        return _piece(title, tensors(story), operations(story), namespaces(story, _DEPTH))
    return _piece(
        title,
        counts(story),
        put_in(story),
        namespaces(story, _DEPTH),
        changes(story.changed) if story.kind == "diff" else None,
    )


@_draws(Plan)
def plan_html(plan: Plan) -> str:
    """Return a plan as HTML: before and after, what is put in, each step, the fate of each namespace, what
    was derived.

    A plan read from a file has no graphs; its steps and derivations are shown.
    """
    target = f" for {plan.target}" if plan.target else ""
    head = element("p", element("b", f"Plan of the recipe '{plan.recipe}'"), target)
    if plan.source is None or plan.result is None:
        return _piece(head, steps(steps_of(plan)), derivations(plan.derivations), diagnostics(plan.remarks))
    story = tell(plan)
    return _piece(
        head,
        counts(story),
        put_in(story),
        steps(story.steps),
        namespaces(story, _DEPTH),
        derivations(plan.derivations),
        diagnostics(plan.remarks),
    )


@_draws(Verification)
def verification_html(found: Verification) -> str:
    """Return a verification as HTML: its outcome, each verdict, and the differences that nothing explains."""
    return _piece(verification(found))


@_draws(Verdict)
def verdict_html(found: Verdict) -> str:
    """Return one verdict as HTML: its outcome and its comparisons."""
    return _piece(verdict(found, {}))


@_draws(Recipe)
def recipe_html(recipe: Recipe) -> str:
    """Return a recipe as HTML: what it takes out and puts in, with the lines that say so."""
    head = element(
        "p", element("b", f"Recipe '{recipe.name}'"), f": {recipe.summary}" if recipe.summary else ""
    )
    return _piece(
        head, recipe_pieces.namespaces(recipe), recipe_pieces.nodes(recipe), recipe_pieces.rest(recipe)
    )


@_draws(PluginSpec)
def plugin_html(spec: PluginSpec) -> str:
    """Return what a plugin is as HTML: its ports and fields."""
    return _piece(recipe_pieces.plugin(spec))


@_draws(GraphDiff)
def difference_html(found: GraphDiff) -> str:
    """Return how two graphs differ as HTML.

    Counts, the nodes that only one has, and what differs in the others.
    """
    counted = {"removed": found.removed, "added": found.added, "changed": found.changed, "moved": found.moved}
    head = element(
        "p",
        *(badge(f"{number(len(nodes))} {what}", _COLOURS[what]) for what, nodes in counted.items() if nodes),
        *(badge(text, "note") for text in found.others),
        *([] if found else [badge("no difference", "good")]),
    )
    outputs = [", ".join(map(str, refs)) or "none declared" for refs in found.outputs or ()]
    return _piece(
        head,
        table(["outputs of the first", "outputs of the second"], [outputs] if outputs else []),
        _alone("added", found.added),
        _alone("removed", found.removed),
        changes(found.changed) if found.changed else None,
    )


_COLOURS = {"removed": "dropped", "added": "added", "changed": "changed", "moved": "note"}


def _alone(what: str, nodes: Iterable[Node]) -> Markup:
    """Return the nodes that only one graph has, counted by top-level namespace."""
    groups: dict[str, list[Node]] = {}
    for node in nodes:
        groups.setdefault(node.name.partition("/")[0], []).append(node)
    rows = [
        (badge(what, _COLOURS[what]), name_of(top), number(len(group)), ops_of(count_ops(group)))
        for top, group in groups.items()
    ]
    head = ["", "namespace or node", "nodes", "operations"]
    return folding_table(f"namespaces of which nodes were {what}", head, rows, shown=12, right=(2,))


@_draws(Catalog)
def catalog_html(catalog: Catalog) -> str:
    """Return the plugins of a catalog as HTML."""
    rows = [
        (name_of(op), spec.title, "TensorRT" if spec.library == "tensorrt" else spec.library)
        for op, spec in catalog.items()
    ]
    return _piece(
        element("p", element("b", f"{len(rows)} plugins")),
        folding_table("plugins", ["plugin", "", "library"], rows, shown=12),
    )


@_draws(Target)
def target_html(target: Target) -> str:
    """Return a target as HTML: its title and what to know about it."""
    notes = [*target.notes, *([target.deprecated] if target.deprecated else [])]
    return _piece(element("p", element("b", target.name), f": {target.title}"), lines_of(notes))


@_draws(Authored)
def authored_html(made: Authored) -> str:
    """Return a recipe that was written for a graph as HTML: its text and the remarks."""
    return _piece(
        element("p", element("b", f"Recipe '{made.name}'"), f": {made.summary}"),
        diagnostics(made.remarks) if made.remarks else None,
        element("details", element("summary", "its text"), element("pre", made.text)),
    )


@_draws(Diagnostic)
def diagnostic_html(found: Diagnostic) -> str:
    """Return one diagnostic as HTML."""
    return diagnostics_html([found])


@_draws(SurgeonError)
def error_html(found: SurgeonError) -> str:
    """Return the diagnostics of an error as HTML."""
    return diagnostics_html(found.diagnostics)


@_draws(Inspection)
def inspection_html(found: Inspection) -> str:
    """Return what a file consists of as HTML.

    Its namespaces as a tree that folds, with bars for the sizes of constants.
    """
    kind = {"uff": "UFF file", "onnx": "ONNX file"}.get(found.format, "frozen graph")
    counted = f"{number(found.nodes)} nodes, {size(found.constant_bytes)} of constants"
    title = element("p", element("b", found.source or kind), f": {kind}, {counted}")
    facts = {
        **found.told,
        **{f"input {name}": text for name, text in found.inputs.items()},
        **{f"output {name}": text for name, text in found.outputs.items()},
    }
    cannot = [
        (name_of(one.namespace or "(outside)"), number(one.nodes), ops_of(one.ops), one.remedy)
        for one in found.unsupported
    ]
    return _piece(
        title,
        table(["", ""], list(facts.items())),
        plain_namespaces(nested(found.namespaces)),
        table([f"what {found.target} cannot run", "nodes", "operations", "what to do"], cannot, right=(1,)),
        table(["recipes that fit", ""], [(element("b", fit.recipe), fit.summary) for fit in found.fits]),
    )


def nested(listed: Sequence[Namespace]) -> tuple[NamespaceStory, ...]:
    """Return namespaces that are listed each before what is inside it as a tree."""
    found: dict[int, list[NamespaceStory]] = {}
    for one in reversed(listed):
        inside = tuple(reversed(found.pop(one.depth + 1, ())))
        told = NamespaceStory(
            one.name, 0, one.nodes, one.constant_bytes, {Fate.KEPT: one.nodes}, {}, {}, inside
        )
        found.setdefault(one.depth, []).append(told)
    return tuple(reversed(found.get(1, ())))


def answer_html(
    ended: str, title: str, facts: Mapping[str, str], plan: Plan | None, found: Iterable[Diagnostic]
) -> str:
    """Return what was found out about a recipe as HTML.

    A word for how it ended, facts, the plan and diagnostics.
    """
    rows = [(name, text) for name, text in facts.items() if text]
    return _piece(
        element("p", badge(ended, {"refused": "error"}.get(ended, "good")), element("b", title)),
        table(["", ""], rows),
        diagnostics(listed) if (listed := list(found)) else None,
        counts(tell(plan)) if plan and plan.source and plan.result else None,
        derivations(plan.derivations) if plan and plan.derivations else None,
    )


def diagnostics_html(found: Iterable[Diagnostic]) -> str:
    """Return diagnostics as HTML, each with its source line, notes and help."""
    return _piece(diagnostics(found))


def _piece(*parts: object) -> str:
    return str(element("div", element("style", Markup(asset("pieces.css"))), *parts, class_="surgeon"))


def diagnostics(found: Iterable[Diagnostic]) -> Markup:
    """Return diagnostics, the gravest first."""
    order = ("error", "warning", "note")
    items = [_diagnostic(one) for one in sorted(found, key=lambda d: order.index(d.severity.value))]
    return element("ul", *items, class_="diagnostics") if items else element("p", "None.", class_="muted")


def _diagnostic(one: Diagnostic) -> Markup:
    where = one.where
    source = None
    if isinstance(where, Span) and where.text:
        start, end = where.column - 1, where.column - 1 + max(1, where.length)
        source = element(
            "pre",
            f"{where.line:>5} | ",
            where.text[:start],
            element("mark", where.text[start:end]),
            where.text[end:],
        )
    at = place(where) if isinstance(where, Span) else where
    return element(
        "li",
        element(
            "p",
            badge(one.severity.value, one.severity.value),
            " ",
            element("b", one.code),
            " ",
            element("span", at, class_="muted"),
        ),
        element("p", one.message),
        source,
        lines_of(one.notes),
        *(element("p", element("b", "help: "), text) for text in one.help),
        class_=f"is-{one.severity.value}",
    )
