"""``surgeon.plan``: the edits that a recipe makes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from surgeon.graph import Graph
from surgeon.language import Recipe
from surgeon.request import Options, PathLike, Request, takes_options
from surgeon.rewrite import Plan

if TYPE_CHECKING:
    from typing_extensions import Unpack


@takes_options
def plan(
    recipe: Recipe | PathLike,
    model: Graph | PathLike,
    **options: Unpack[Options],
) -> Plan:
    """Return the edits that a recipe makes to a model, without making them.

    The arguments are those of :func:`convert`; ``target`` defaults to ``uff@tensorrt-8.5``. The plan's
    ``result`` is the rewritten graph. Raise SurgeonError for every fault of recipe or model.
    """
    return Request.of(recipe, model, **options).resolve().plan
