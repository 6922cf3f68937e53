"""``surgeon.plan``: the edits that a recipe makes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from surgeon.api.work import PathLike, catalog_of, graph_of, recipe_of, target_of
from surgeon.graph import Graph
from surgeon.language import Recipe
from surgeon.rewrite import Plan
from surgeon.rewrite import plan as _plan
from surgeon.targets import Target

if TYPE_CHECKING:
    pass


def plan(
    recipe: Recipe | PathLike,
    model: Graph | PathLike,
    *,
    target: Target | str | None = None,
    parameters: Mapping[str, Any] | None = None,
    recipe_paths: Iterable[PathLike] = (),
    plugin_paths: Iterable[PathLike] = (),
    anchors: str | None = None,
) -> Plan:
    """Return the edits that a recipe makes to a model, without making them.

    The arguments are those of :func:`convert`; the target is ``uff@tensorrt-8.5`` where none is given. The
    plan's ``result`` is the rewritten graph. Raise SurgeonError for whatever is wrong with recipe or model.
    """
    catalog = catalog_of(plugin_paths)
    ready = recipe_of(recipe, parameters, recipe_paths)
    return _plan(ready, graph_of(model), target=target_of(target), catalog=catalog, anchors=anchors)
