"""Rewritten graphs as files, and what a target objects to in them."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from surgeon.atomic import checked
from surgeon.catalog.detections import with_stated
from surgeon.diagnostics import Diagnostic, SurgeonError, errors_in
from surgeon.formats import FileFacts, Written, all_formats, format_of, target_for_output
from surgeon.formats.format import Watch, check_target
from surgeon.formats.graphdef import check_unchanged
from surgeon.graph import Graph
from surgeon.graph.foreign import naming_foreign
from surgeon.language import Image
from surgeon.request import Request
from surgeon.rewrite import Plan
from surgeon.stages import tell_stage
from surgeon.targets import Target

if TYPE_CHECKING:
    from surgeon.catalog import Catalog
    from surgeon.infer import Inference


def write(
    graph: Graph,
    output: Path,
    target: Target,
    catalog: Catalog,
    plan: Plan,
    labels: Mapping[int, str],
    watch: Watch | None = None,
    original: Graph | None = None,
    **options: Any,
) -> Written:
    """Write a rewritten graph in the format of the output's suffix; ``options`` are the format's own.

    Raise SurgeonError, E107 among others where the file of ``original``, which the plan was made for, or of
    the rewritten graph was written in place since it was read.
    """
    tell_stage("writing", str(output))
    form = format_of(output)
    facts = _facts(graph, target, catalog, plan, labels) if form.states_facts else FileFacts()
    graphs = (graph,) if original is None else (original, graph)
    try:
        with checked(partial(check_unchanged, *graphs)):
            return form.write(graph, output, target, catalog, facts, watch, **options)
    except SurgeonError as exc:
        raise naming_foreign(exc, graph) from None


def _facts(
    graph: Graph, target: Target, catalog: Catalog, plan: Plan, labels: Mapping[int, str]
) -> FileFacts:
    """Return what a file may tell of itself."""
    nodes = (graph[ref.node] for ref in graph.output_refs)
    giving = (catalog.detections(node.op, node.name, node.attrs) for node in nodes)
    ports = with_stated(next(filter(None, giving), {}), plan.detections)
    detections = {port: str(ref) for port, ref in ports.items() if ref in graph.output_refs}
    return FileFacts(plan.recipe, plan.digest, target.name, plan.image, labels, detections)


def output_target(output: Path, target: Target | str | None) -> Target:
    """Return the target of an output, after checking that the two go together."""
    by_suffix = target_for_output(output)
    if target is None:
        return by_suffix
    chosen = Request(target=target).resolve().target
    check_target(output, chosen)
    return chosen


def find_objections(
    graph: Graph,
    target: Target,
    catalog: Catalog,
    image: Image | None = None,
    inference: Inference | None = None,
) -> tuple[Diagnostic, ...]:
    """Return what the target's exporter refuses in a rewritten graph, then what its runtime would make of
    it; one reason alone where that says why the target cannot hold the network at all.
    """
    from surgeon.lints import all_lints, find_problems

    tell_stage("looking for what the target refuses", target.name)
    found = find_problems(graph, target, catalog, image, inference)
    lints = all_lints()
    decisive = tuple(each for each in found if each.code in lints and lints[each.code].decides)
    if decisive:
        return decisive
    objections = (*all_formats()[target.format].check(graph, target, catalog), *found)
    if not errors_in(objections):
        return objections
    return naming_foreign(SurgeonError(*objections), graph).diagnostics


def check_objections(
    graph: Graph, target: Target, catalog: Catalog, image: Image | None, inference: Inference | None
) -> tuple[Diagnostic, ...]:
    """Return what may go wrong in the target's runtime.

    Raise SurgeonError for what will, and for what cannot be exported.
    """
    from surgeon.lints import find_problems

    tell_stage("looking for what the target refuses", target.name)
    found = find_problems(graph, target, catalog, image, inference)
    if errors_in(found):
        objections = find_objections(graph, target, catalog, image, inference)
        raise naming_foreign(SurgeonError(*errors_in(objections)), graph)
    return found
