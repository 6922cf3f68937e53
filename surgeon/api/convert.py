"""``surgeon.convert``: a model rewritten by a recipe, as a file."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from surgeon.api.differences import standard_differences
from surgeon.api.export import check_objections, output_target, write
from surgeon.diagnostics import Diagnostic, warnings_in
from surgeon.display import Displayed
from surgeon.formats import Lowered
from surgeon.formats.format import Watch, chosen_options
from surgeon.garbage import no_garbage_collection
from surgeon.graph import Graph
from surgeon.language import Recipe
from surgeon.request import Options, PathLike, Request, takes_options
from surgeon.rewrite import Plan, apply
from surgeon.targets import Target

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from surgeon.catalog import Catalog
    from surgeon.formats.onnx import Batch


@dataclass(frozen=True)
class Conversion(Displayed):
    """The result of :func:`convert`: the plan that was applied and the file that was written.

    ``diagnostics`` holds the plan's notes and what may go wrong in the target's runtime. For each plugin
    node of an ONNX file, ``plugins`` says whether it was written as a plugin or as standard operators, and
    why.
    """

    plan: Plan
    output: Path
    target: str
    nodes_before: int
    nodes_after: int
    bytes_written: int
    diagnostics: tuple[Diagnostic, ...] = ()
    plugins: tuple[Lowered, ...] = ()

    def __repr__(self) -> str:
        return (
            f"<Conversion: {self.output} for {self.target}, {self.nodes_before} nodes became "
            f"{self.nodes_after}>"
        )

    @property
    def warnings(self) -> tuple[Diagnostic, ...]:
        """What may go wrong in the target's runtime."""
        return warnings_in(self.diagnostics)


@takes_options
def convert(
    recipe: Recipe | PathLike,
    model: Graph | PathLike,
    output: PathLike,
    *,
    rendering: str | None = None,
    opset: int | None = None,
    batch: Batch = None,
    watch: Watch | None = None,
    **options: Unpack[Options],
) -> Conversion:
    """Rewrite a model by a recipe and write it to ``output``, a ``.uff``, ``.onnx``, ``.pb`` or ``.pbtxt``
    file.

    ``recipe`` is a loaded recipe, a recipe's name or its path. ``model`` is a graph, the path of a frozen
    graph or a SavedModel folder. ``target`` defaults to that of the output's suffix. ``parameters`` sets
    the recipe's parameters, to values or to text that is read as YAML, if ``recipe`` is a name or a path.
    ``recipe_paths`` and ``plugin_paths`` are folders with further recipes and plugins. ``anchors``
    overrides the recipe's key: ``plugin``, ``constant`` (one constant with the graph's own anchors) or
    ``auto``. The output may be the input: it is replaced when it is complete.

    The next three are for ``.onnx``. ``rendering`` says how plugin nodes are written: ``native``, as
    TensorRT's plugin nodes; ``standard``, as standard operators; ``auto``, as the former if the target's
    TensorRT has the plugin, otherwise as the latter; ``efficient-nms``, as ``auto`` with EfficientNMS_TRT
    in place of NMS_TRT. ``opset`` is 13 to 17. ``batch`` is the size of the inputs' first axis, or
    ``dynamic`` for an open one; None leaves it. ``watch`` is called with each thing that is done next.

    Raise SurgeonError for every fault of recipe, model or output; nothing is written then. Raise TypeError
    if ``parameters`` come with a loaded recipe.
    """
    path = Path(output)
    options["target"] = target = output_target(path, options.get("target"))
    choices = chosen_options(path, {"rendering": rendering, "opset": opset, "batch": batch})
    if rendering == "standard":
        # No plugin bounds then what suppression can do.
        options["target"] = replace(target, runs_plugins=False)
    work = Request.of(recipe, model, **options).resolve()
    graph = work.graph
    return _written(work.plan, graph, path, target, work.catalog, work.recipe.labels, watch, choices)


def replay(
    plan: Plan,
    model: Graph | PathLike,
    output: PathLike,
    *,
    target: Target | str | None = None,
    plugin_paths: Iterable[PathLike] = (),
    rendering: str | None = None,
    opset: int | None = None,
    batch: Batch = None,
    watch: Watch | None = None,
) -> Conversion:
    """Apply a plan to the model it was made for and write the result; the target is the plan's where it is
    None.

    The other arguments are those of :func:`convert`. Raise SurgeonError S404 where the plan is for another
    graph, and as :func:`convert` does; nothing is written then.
    """
    path = Path(output)
    chosen = output_target(path, target or plan.target or None)
    choices = chosen_options(path, {"rendering": rendering, "opset": opset, "batch": batch})
    work = Request.of(None, model, target=chosen, plugin_paths=plugin_paths).resolve()
    catalog = work.catalog
    return _written(plan, work.graph, path, chosen, catalog, {}, watch, choices)


def _written(
    plan: Plan,
    graph: Graph,
    output: Path,
    target: Target,
    catalog: Catalog,
    labels: Mapping[int, str],
    watch: Watch | None,
    choices: Mapping[str, Any],
) -> Conversion:
    """Apply a plan and write its result."""
    with no_garbage_collection():
        result = apply(plan, graph)
        objections = check_objections(result, target, catalog, plan.image, plan.inference)
    written = write(result, output, target, catalog, plan, labels, watch, graph, **choices)
    return Conversion(
        plan,
        output,
        target.name,
        len(graph),
        len(result),
        written.size,
        (*plan.diagnostics, *objections, *standard_differences(written.plugins, catalog)),
        written.plugins,
    )
