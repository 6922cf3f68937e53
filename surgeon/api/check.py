"""``surgeon.check``: a recipe held against a model and a target."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from surgeon.api.costs import suppression_costs
from surgeon.api.differences import expected_differences
from surgeon.api.export import find_objections
from surgeon.api.left_out import masks_left_out
from surgeon.deprecation import RenamedAttribute
from surgeon.diagnostics import Diagnostic, Severity, SurgeonError, errors_in, warnings_in
from surgeon.display import Displayed
from surgeon.graph import Graph
from surgeon.language import Recipe
from surgeon.request import Options, PathLike, Request, takes_options
from surgeon.rewrite import Plan
from surgeon.targets import Target

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from surgeon.catalog import Catalog


@dataclass(frozen=True)
class Check(Displayed):
    """The result of :func:`check`.

    ``plan`` is None if no model was given. ``diagnostics`` holds what the target's exporter or runtime
    would refuse, what may go wrong there, the plan's notes, and what suppression costs. The recipe converts
    the model if ``errors`` is empty.
    """

    recipe: Recipe
    target: str
    plan: Plan | None = None
    diagnostics: tuple[Diagnostic, ...] = ()

    problems = RenamedAttribute("errors", removal="0.2.0")

    def __repr__(self) -> str:
        return (
            f"<Check of the recipe '{self.recipe.name}' for {self.target}: "
            f"{'refused' if self.errors else 'fine'}>"
        )

    @property
    def errors(self) -> tuple[Diagnostic, ...]:
        """What the target's exporter or runtime would refuse."""
        return errors_in(self.diagnostics)

    @property
    def warnings(self) -> tuple[Diagnostic, ...]:
        """What may go wrong in the target's runtime."""
        return warnings_in(self.diagnostics)


@takes_options
def check(
    recipe: Recipe | PathLike,
    model: Graph | PathLike | None = None,
    **options: Unpack[Options],
) -> Check:
    """Validate a recipe; with a model, also plan it and compare the result with what the target can run.

    Nothing is written. The arguments are those of :func:`convert`. Raise SurgeonError if the recipe is
    invalid or cannot be planned; the exporter's objections are returned.
    """
    work = Request.of(recipe, model, **options).resolve()
    target, catalog = work.target, work.catalog
    _check_plugins(work.recipe, catalog, target)
    if model is None:
        return Check(work.recipe, target.name)
    plan = work.plan
    assert plan.result is not None
    objections = find_objections(plan.result, target, catalog, plan.image, plan.inference)
    literals = _literals(plan.planned or work.recipe, plan, catalog, target)
    costs = suppression_costs(plan.result, target, catalog)
    differences = expected_differences(plan.result, target, catalog)
    left_out = masks_left_out(work.recipe, plan, catalog)
    warnings = (*warnings_in(objections), *literals, *left_out)
    diagnostics = (*errors_in(objections), *warnings, *plan.diagnostics, *differences, *costs)
    return Check(work.recipe, target.name, plan, diagnostics)


def _literals(recipe: Recipe, plan: Plan, catalog: Catalog, target: Target) -> tuple[Diagnostic, ...]:
    """Return warnings of fields that differ from what the graph says, and of what no field can say."""
    from surgeon.families import DerivationContext
    from surgeon.families.fields import review_fields

    assert plan.source is not None and plan.result is not None
    context = DerivationContext(recipe, plan.source, catalog, target.most_rows)
    makers = plan.decoding.makers if plan.decoding is not None else ()
    names = [name for name in recipe.nodes if name in plan.result or name in makers]
    review = review_fields(context, names)
    literals = (
        Diagnostic(
            "D160",
            str(literal),
            recipe.span("nodes", literal.derived.node, "fields", literal.derived.field),
            literal.derived.evidence,
            ("write 'auto', unless the difference is meant",),
            Severity.WARNING,
        )
        for literal in review.differences
    )
    return (*literals, *review.diagnostics)


def _check_plugins(recipe: Recipe, catalog: Catalog, target: Target) -> None:
    """Raise SurgeonError for plugins that the catalog or the target does not have, and for fields they
    lack.
    """
    from surgeon.catalog.availability import release_with

    problems: list[Diagnostic] = []
    for name, node in recipe.nodes.items():
        if node.plugin is None:
            continue
        try:
            where = recipe.span("nodes", name, "plugin")
            spec = catalog.get_plugin(node.plugin, where)
            release = release_with(catalog, spec.op, target, name, where)
        except SurgeonError as exc:
            problems += exc.diagnostics
            continue
        known = {field.name for field in spec.fields_of(release)}
        given = {
            key: value for key, value in (node.fields or {}).items() if value != "auto" or key not in known
        }
        try:
            spec.complete(given, version=release, where=_places(recipe, name))
        except SurgeonError as exc:
            auto = {f"'{key}'" for key, value in (node.fields or {}).items() if value == "auto"}
            problems += [
                d for d in exc.diagnostics if d.code != "C103" or not any(a in d.message for a in auto)
            ]
    if problems:
        raise SurgeonError(*problems)


def _places(recipe: Recipe, name: str) -> Any:
    return lambda key: recipe.span("nodes", name, "fields", key)
