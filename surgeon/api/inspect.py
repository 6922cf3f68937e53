"""``surgeon.inspect``: what a file consists of."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from surgeon.formats import format_of
from surgeon.formats.graphdef.model_file import GraphDefFile
from surgeon.graph import Graph
from surgeon.request import PathLike, Request
from surgeon.stages import tell_stage
from surgeon.targets import Target

if TYPE_CHECKING:
    from surgeon.inspection import Inspection


def inspect(
    model: Graph | PathLike,
    *,
    depth: int = 1,
    under: str = "",
    target: Target | str | None = None,
    recipe_paths: Iterable[PathLike] = (),
    plugin_paths: Iterable[PathLike] = (),
) -> Inspection:
    """Return what a frozen graph, a SavedModel, a ``.uff`` or an ``.onnx`` file contains.

    ``depth`` is the number of components by which namespaces are told apart; ``under`` restricts the
    result to one namespace. For a graph, the result also says what the target cannot run and which recipes
    fit.

    Raise SurgeonError if the file cannot be read, G110 for a namespace that does not exist.
    """
    from surgeon.inspection import Depth, inspect_model

    tell_stage("reading the model", "" if isinstance(model, Graph) else str(model))
    form = format_of("" if isinstance(model, Graph) else model)
    file = GraphDefFile(model) if isinstance(model, Graph) else form.open(model)
    work = Request.of(None, None, target=target, plugin_paths=plugin_paths).resolve()
    folders = [Path(each) for each in recipe_paths]
    return inspect_model(file, form, work.target, Depth(depth, under.strip("/")), work.catalog, folders)
