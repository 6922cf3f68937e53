"""What a recipe leaves out of what the graph gives."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

from surgeon.catalog import Catalog
from surgeon.catalog.detections import gives_detections, masks_among, with_stated
from surgeon.diagnostics import Diagnostic, Severity, SurgeonError
from surgeon.language import Recipe
from surgeon.rewrite import Plan


def masks_left_out(recipe: Recipe, plan: Plan, catalog: Catalog) -> Iterator[Diagnostic]:
    """Yield a warning (D163) where the graph gives a mask for each detection, and the recipe none."""
    from surgeon.families import nearest_family

    if plan.source is None or plan.result is None:
        return
    nodes = (plan.result[ref.node] for ref in plan.result.output_refs)
    giving = (catalog.detections(node.op, node.name, node.attrs) for node in nodes)
    parts = with_stated(next(filter(None, giving), {}), plan.detections)
    if not gives_detections(parts) or masks_among(parts) is not None:
        return
    with suppress(SurgeonError):  # the graph does not tell its outputs
        masks = masks_among(nearest_family(plan.source).outputs.value)
        if masks is not None:
            yield Diagnostic(
                "D163",
                f"the graph gives a mask for each detection, '{masks[1]}', and the recipe gives "
                "none; masks are not compared",
                recipe.span("outputs"),
                (),
                ("add the masks to 'outputs' and to 'detections'", "or leave it so where boxes are enough"),
                Severity.WARNING,
            )
