"""What a notebook shows of a value: a piece of HTML with its own style, for ``_repr_html_``."""

from __future__ import annotations

from collections.abc import Iterable

from surgeon.diagnostics import Diagnostic, Span
from surgeon.graph import Graph
from surgeon.rewrite import Plan
from surgeon.verify import Verification
from surgeon.view.assets import asset
from surgeon.view.markup import Markup, element
from surgeon.view.pieces import badge, lines_of
from surgeon.view.story import place, steps_of, tell, tell_graph
from surgeon.view.story_pieces import counts, derivations, namespaces, operations, put_in, sizes, steps, tensors
from surgeon.view.verification_pieces import verification

_DEPTH = 3


def graph_html(graph: Graph) -> str:
    """Return a graph as HTML: its size, inputs, outputs, operations and namespaces."""
    story = tell_graph(graph)
    return _piece(element("p", element("b", story.title or "Graph"), f": {sizes(story.after)}"),
                  tensors(story), operations(story), namespaces(story, _DEPTH))  # fmt: skip


def plan_html(plan: Plan) -> str:
    """Return a plan as HTML: before and after, what is put in, each step, the fate of each namespace, what was derived.

    A plan read from a file has no graphs; its steps and derivations are shown.
    """
    target = f" for {plan.target}" if plan.target else ""
    head = element("p", element("b", f"Plan of the recipe '{plan.recipe}'"), target)
    if plan.source is None or plan.result is None:
        return _piece(head, steps(steps_of(plan)), derivations(plan.derivations), diagnostics(plan.remarks))
    story = tell(plan)
    return _piece(head, counts(story), put_in(story), steps(story.steps), namespaces(story, _DEPTH),
                  derivations(plan.derivations), diagnostics(plan.remarks))  # fmt: skip


def verification_html(found: Verification) -> str:
    """Return a verification as HTML: its outcome, each verdict, and the differences that nothing explains."""
    return _piece(verification(found))


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
        source = element("pre", f"{where.line:>5} | ", where.text[:start], element("mark", where.text[start:end]), where.text[end:])
    at = place(where) if isinstance(where, Span) else where
    return element(
        "li",
        element("p", badge(one.severity.value, one.severity.value), " ", element("b", one.code), " ", element("span", at, class_="muted")),
        element("p", one.message), source, lines_of(one.notes), *(element("p", element("b", "help: "), text) for text in one.help),
        class_=f"is-{one.severity.value}",
    )  # fmt: skip
