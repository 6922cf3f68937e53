"""``surgeon.inspect``: what a file consists of."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from surgeon.formats.graphdef import load_graph
from surgeon.graph import Graph
from surgeon.request import PathLike, Request
from surgeon.targets import Target

if TYPE_CHECKING:
    from surgeon.formats.uff import UffModel
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
    """Return what a frozen graph, a SavedModel, a ``.uff`` or an ``.onnx`` file consists of.

    ``depth`` is how many components of a namespace are told apart, ``under`` the one namespace that is looked
    into. For a graph, tell also what the target cannot run and which recipes fit.

    Raise SurgeonError where the file cannot be read, G110 for a namespace that is not there.
    """
    from surgeon.inspection import Depth, inspect_graph, inspect_onnx, inspect_uff

    shown = Depth(depth, under.strip("/"))
    if not isinstance(model, Graph) and Path(model).suffix.lower() == ".onnx":
        return inspect_onnx(Path(model), shown)
    loaded = model if isinstance(model, Graph) else read_model(model)
    work = Request.of(None, None, target=target, plugin_paths=plugin_paths).resolve()
    chosen = work.target
    if not isinstance(loaded, Graph):
        return inspect_uff(loaded, os.fspath(model) if not isinstance(model, Graph) else "", shown)
    return inspect_graph(loaded, chosen, work.catalog, shown, [Path(p) for p in recipe_paths])


def read_model(path: PathLike) -> Graph | UffModel:
    """Read a model of any kind, by its suffix: ``.uff``, else a frozen graph or a SavedModel folder."""
    if Path(path).suffix.lower() == ".uff":
        from surgeon.formats.uff import read_uff

        return read_uff(path)
    return load_graph(path)
