"""``surgeon.view``: before and after, for a person."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from surgeon.api.export import find_objections
from surgeon.graph import Graph
from surgeon.language import Recipe
from surgeon.request import Options, PathLike, Request, takes_options
from surgeon.stages import tell_stage

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from surgeon.verification import Verification
    from surgeon.viewer import ChangeReport


@takes_options
def view(
    model: Graph | PathLike,
    recipe: Recipe | PathLike | None = None,
    *,
    html: PathLike | None = None,
    verification: Verification | PathLike | None = None,
    **options: Unpack[Options],
) -> ChangeReport:
    """Return the report of a model, or of a recipe's changes to it, and write it to ``html`` as one page.

    Without a recipe, the report shows only the model, which may then be a ``.uff`` or ``.onnx`` file, too.
    ``verification`` is the result of :func:`verify`, or the file that ``surgeon verify --json`` wrote; its
    pictures go into the page. The other arguments are those of :func:`plan`.

    Raise SurgeonError as :func:`plan` does, W101 to W103 for the verification, E105, E120 and W107 for the
    page. Raise TypeError for a verification without a recipe.
    """
    from surgeon.atomic import write_text
    from surgeon.viewer import (
        Page,
        check_page,
        check_recipe,
        read_verification,
        render_page,
        report_file,
        report_graph,
        report_plan,
    )

    if html is not None:
        check_page(html, model, recipe, verification)
    work = Request.of(recipe, model, **options).resolve()
    catalog = work.catalog
    if recipe is None:
        if verification is not None:
            raise TypeError("a verification goes with a recipe")
        page = Page(
            report_graph(model, catalog=catalog)
            if isinstance(model, Graph)
            else report_file(model, catalog=catalog)
        )
    else:
        beside = None
        if isinstance(verification, str | os.PathLike):
            beside = Path(verification).parent
            verification = read_verification(Path(verification))
        target, made = work.target, work.plan
        assert made.result is not None
        if verification is not None:
            check_recipe(verification, made.recipe)
        found = find_objections(made.result, target, catalog, made.image, made.inference)
        page = Page(report_plan(made, catalog=catalog), (*made.diagnostics, *found), verification, beside)
    if html is not None:
        tell_stage("drawing the page")
        write_text(html, render_page(page))
    return page.report
