"""What notebooks show of the answers of this room; all other values are drawn by the viewer."""

from __future__ import annotations

from surgeon.api.check import Check
from surgeon.api.convert import Conversion
from surgeon.evaluation import Evaluation
from surgeon.evaluation.page import numbers, summary
from surgeon.viewer import answer_html, draws, html_of, piece_html

__all__ = ["check_html", "conversion_html", "evaluation_html", "html_of"]


@draws(Check)
def check_html(check: Check) -> str:
    """Return what was found out about a recipe as HTML."""
    parameters = check.recipe.parameters.items()
    return answer_html(
        "refused" if check.errors else "fine",
        f"recipe '{check.recipe.name}' for {check.target}",
        {"parameters": ", ".join(f"{name} = {value}" for name, value in parameters)},
        check.plan,
        check.diagnostics,
    )


@draws(Conversion)
def conversion_html(conversion: Conversion) -> str:
    """Return what was written as HTML."""
    facts = {
        "nodes": f"{conversion.nodes_before:,} became {conversion.nodes_after:,}",
        "bytes": f"{conversion.bytes_written:,}",
        "plugins": "; ".join(f"{each.node}: {each.op}, {each.rendering}" for each in conversion.plugins),
    }
    title = f"{conversion.output} for {conversion.target}"
    return answer_html("written", title, facts, None, conversion.diagnostics)


@draws(Evaluation)
def evaluation_html(found: Evaluation) -> str:
    """Return what was measured as HTML: the verdict, each side's loss, and COCO's numbers."""
    return piece_html(summary(found), numbers(found))
