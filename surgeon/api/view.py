"""``surgeon.view``: before and after, for a person."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from surgeon.api.export import find_objections
from surgeon.api.work import PathLike, catalog_of, graph_of, recipe_of, target_of
from surgeon.graph import Graph
from surgeon.language import Recipe
from surgeon.rewrite import plan as _plan
from surgeon.targets import Target

if TYPE_CHECKING:
    from surgeon.verification import Verification
    from surgeon.viewer import Story


def view(
    model: Graph | PathLike,
    recipe: Recipe | PathLike | None = None,
    *,
    html: PathLike | None = None,
    target: Target | str | None = None,
    parameters: Mapping[str, Any] | None = None,
    recipe_paths: Iterable[PathLike] = (),
    plugin_paths: Iterable[PathLike] = (),
    anchors: str | None = None,
    verification: Verification | PathLike | None = None,
) -> Story:
    """Return the story of a model, or of what a recipe makes of it, and write it as one HTML page to
    ``html``.

    Without a recipe ``model`` may be a ``.uff`` or ``.onnx`` file, too.

    ``verification`` is what :func:`verify` returned, or the file that ``surgeon verify --json`` wrote; its
    pictures go into the page. The other arguments are those of :func:`plan`; without a recipe only the model
    is shown.

    Raise SurgeonError as :func:`plan` does, W101 to W103 for the verification, E105 and W107 for the page.
    Raise TypeError where a verification is given without a recipe.
    """
    from surgeon.atomic import write_text
    from surgeon.viewer import (
        Page,
        check_page,
        check_recipe,
        read_verification,
        render_page,
        tell,
        tell_file,
        tell_graph,
    )

    if html is not None:
        check_page(html, model, recipe, verification)
    catalog = catalog_of(plugin_paths)
    if recipe is None:
        if verification is not None:
            raise TypeError("a verification goes with a recipe")
        page = Page(
            tell_graph(model, catalog=catalog)
            if isinstance(model, Graph)
            else tell_file(model, catalog=catalog)
        )
    else:
        beside = None
        if isinstance(verification, str | os.PathLike):
            beside = Path(verification).parent
            verification = read_verification(Path(verification))
        chosen = target_of(target)
        made = _plan(
            recipe_of(recipe, parameters, recipe_paths),
            graph_of(model),
            target=chosen,
            catalog=catalog,
            anchors=anchors,
        )
        assert made.result is not None
        if verification is not None:
            check_recipe(verification, made.recipe)
        found = find_objections(made.result, chosen, catalog, made.image)
        page = Page(tell(made, catalog=catalog), (*made.remarks, *found), verification, beside)
    if html is not None:
        write_text(html, render_page(page))
    return page.story
