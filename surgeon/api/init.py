"""``surgeon.init``: a recipe written for a graph."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from surgeon.api.costs import suppression_costs
from surgeon.api.export import find_objections
from surgeon.diagnostics import Diagnostic, SurgeonError, errors_in
from surgeon.families.generic.network import GenericNetwork
from surgeon.formats import all_formats
from surgeon.graph import Graph
from surgeon.graph.foreign import naming_foreign
from surgeon.infer import known_ops
from surgeon.language import Recipe, parse_recipe
from surgeon.request import PathLike, Request
from surgeon.rewrite import Plan
from surgeon.rewrite import plan as _plan
from surgeon.rewrite.input_specs import GivenSpec
from surgeon.targets import Target, load_target

if TYPE_CHECKING:
    from surgeon.authoring import AuthoredRecipe
    from surgeon.catalog import Catalog


def init(
    model: Graph | PathLike,
    output: PathLike | None = None,
    *,
    pipeline_config: PathLike | None = None,
    labels: PathLike | Mapping[int, str] | None = None,
    name: str | None = None,
    unchecked: bool = False,
    target: Target | str | None = None,
    plugin_paths: Iterable[PathLike] = (),
    input_specs: Mapping[str, GivenSpec] | None = None,
    constants: Mapping[str, Any] | None = None,
    force: bool = False,
) -> AuthoredRecipe:
    """Write a recipe for a frozen graph.

    For a single-shot detector of the Object Detection API it holds every value, read off the graph. For any
    other network it is a start: inputs, outputs, the steps that the graph needs, and what was left out.

    ``output`` is a ``.yaml`` file; None writes nothing. An existing file with other content is replaced
    only with ``force``. Beside the recipe, ``init`` writes ``recipe.schema.json``, with which an editor
    completes and checks the recipe; the recipe's first line names it.

    A ``pipeline_config`` is compared with the graph, which wins; a label map that it names is used if it
    lies beside it. ``labels`` is the path of a label map, or the names of the classes by number, from 1
    on. ``input_specs`` and ``constants`` say of inputs what they say to :func:`convert`; the recipe of a
    network that is no detector holds them as steps.

    Unless ``unchecked``, the recipe is planned on the graph first and checked for ``target`` (by default,
    that of :func:`check`). What the target refuses, and each number that the graph does not tell and the
    recipe leaves open, is among the result's ``errors``; the recipe is written all the same. That of a
    network which is no detector then ends with a comment on them.

    Raise SurgeonError S225 and S226 for inputs that are none and values that do not fit, D140 to D143 for a
    config or label map that cannot be read, D146 if the graph computes nothing, D147 if a part of a detector
    is not recognised, D148 if the recipe of a detector cannot be planned, and D149, E105 and E120 for the
    output. Nothing is written then.
    """
    from surgeon.atomic import check_replaceable, check_writable, write_text
    from surgeon.authoring import author, check_output, read_witnesses
    from surgeon.formats.graphdef import check_unchanged
    from surgeon.language.schema import MODELINE, SCHEMA_FILE

    path = None if output is None else check_output(Path(output))
    schema = None if path is None or _is_device(path) else path.parent / SCHEMA_FILE
    work = Request.of(None, model, target=target, plugin_paths=plugin_paths).resolve()
    catalog, graph = work.catalog, work.graph
    named = path.stem if name is None and path is not None else name or ""
    witnesses = read_witnesses(None if pipeline_config is None else Path(pipeline_config), labels)
    try:
        made = author(
            graph,
            catalog,
            name=named,
            witnesses=witnesses,
            most_rows=work.target.most_rows,
            modeline=MODELINE if schema is not None else "",
            input_specs=input_specs or {},
            constants=constants or {},
        )
        if not unchecked and not made.errors:
            made = made.planned(_found(made, graph, catalog, work.target))
            if made.errors and made.family == GenericNetwork.name:
                made = made.refused(work.target.name, _accepting(made.recipe, graph, catalog, work.target))
    except SurgeonError as exc:
        raise naming_foreign(exc, graph) from None
    check_unchanged(graph)
    if path is None:
        return made
    check_replaceable(path, made.text.encode("utf-8"), force=force)
    if schema is not None:
        check_writable(path)
        write_schema(schema, catalog, force)
    write_text(path, made.text)
    return replace(made, recipe=parse_recipe(made.text, str(path)))


def _is_device(path: Path) -> bool:
    """Return whether a path is that of a pipe or a device, beside which nothing is written."""
    return os.path.exists(path) and not os.path.isfile(path)


def write_schema(path: Path, catalog: Catalog, force: bool) -> None:
    """Write the schema that a recipe's first line names.

    Raise SurgeonError E120 for a file of that name that is no recipe schema, unless ``force``.
    """
    from surgeon.atomic import check_replaceable, write_text
    from surgeon.language.schema import is_schema, schema_text

    text = schema_text(catalog)
    earlier = path.read_bytes() if os.path.isfile(path) else b""
    if not is_schema(earlier):
        check_replaceable(path, text.encode("utf-8"), force=force, follow_links=False)
    write_text(path, text, follow_links=False)


def _found(made: AuthoredRecipe, graph: Graph, catalog: Catalog, target: Target) -> tuple[Diagnostic, ...]:
    """Return what a target objects to in a recipe.

    Of the recipe for a network that is no detector, which is a start in any case, that is also why it cannot
    be planned; for any other raise SurgeonError D148.
    """
    try:
        return _objections(_planned(made.recipe, graph, catalog, target), catalog, target)
    except SurgeonError as exc:
        if made.family != GenericNetwork.name:
            raise
        return tuple(each for each in exc.diagnostics if each.code != "D148")


def _accepting(recipe: Recipe, graph: Graph, catalog: Catalog, target: Target) -> Iterator[str]:
    """Yield the default targets of other formats that are written for runtimes and refuse nothing.

    None where an operation is left that is neither TensorFlow's, as far as is known, nor a plugin's.
    """
    for form in all_formats().values():
        if form.name == target.format or form.rewritable:
            continue
        other = load_target(form.default_target)
        try:
            plan = _planned(recipe, graph, catalog, other)
            objections = _objections(plan, catalog, other)
        except SurgeonError:
            continue
        assert plan.result is not None
        known = all(node.op in known_ops() or node.op in catalog for node in plan.result)
        if known and not errors_in(objections):
            yield other.name


def _planned(recipe: Recipe, graph: Graph, catalog: Catalog, target: Target) -> Plan:
    """Return a recipe's plan; raise SurgeonError D148 where there is none."""
    try:
        return _plan(recipe, graph, target=target, catalog=catalog)
    except SurgeonError as exc:
        failed = Diagnostic(
            "D148",
            "the recipe for this graph cannot be planned",
            graph.source or None,
            (),
            ("write it all the same with --unchecked, and correct it by hand",),
        )
        raise SurgeonError(failed, *exc.diagnostics) from None


def _objections(plan: Plan, catalog: Catalog, target: Target) -> tuple[Diagnostic, ...]:
    """Return what planning and a target object to in a recipe's result."""
    assert plan.result is not None
    objections = find_objections(plan.result, target, catalog, plan.image, plan.inference)
    return (*plan.diagnostics, *objections, *suppression_costs(plan.result, target, catalog))
