"""Rewritten graphs as files, and what a target objects to in them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from surgeon.diagnostics import Diagnostic, Severity, SurgeonError, error
from surgeon.formats.graphdef import save_graph
from surgeon.graph import Graph
from surgeon.language import Image
from surgeon.request import Request
from surgeon.rewrite import Plan
from surgeon.targets import Target, target_for_output

if TYPE_CHECKING:
    from surgeon.catalog import Catalog
    from surgeon.formats.onnx import Batch, Lowered
    from surgeon.formats.onnx import Watch as ExportWatch


def export_graph(graph: Graph, output: Path, target: Target, catalog: Catalog) -> int:
    """Write a rewritten graph in the format of the output's suffix; return the bytes written.

    Raise SurgeonError.
    """
    return write(graph, output, target, catalog)[0]


def write(
    graph: Graph,
    output: Path,
    target: Target,
    catalog: Catalog,
    plan: Plan | None = None,
    labels: Mapping[int, str] | None = None,
    watch: ExportWatch | None = None,
    **choices: Any,
) -> tuple[int, tuple[Lowered, ...]]:
    """Write a rewritten graph; return the bytes written, and how each plugin node of an ONNX file was."""
    suffix = output.suffix.lower()
    if suffix == ".onnx":
        from surgeon.formats.onnx import export_onnx, write_onnx

        told = _metadata(graph, target, catalog, plan, labels)
        made = export_onnx(graph, plugins=catalog, target=target, metadata=told, watch=watch, **choices)
        return write_onnx(made.model, output), made.plugins
    if suffix == ".uff":
        from surgeon.formats.uff import export_uff, write_uff

        write_uff(export_uff(graph, plugins=catalog, target=_uff_view(target)), output)
    else:
        save_graph(graph, output)
    return output.stat().st_size if output.is_file() else 0, ()


def _metadata(
    graph: Graph, target: Target, catalog: Catalog, plan: Plan | None, labels: Mapping[int, str] | None
) -> dict[str, str]:
    """Return what an ONNX file tells of itself."""
    from surgeon.formats.onnx import metadata_for
    from surgeon.runners.detections import gives_detections

    detections: dict[str, str] = {}
    for ref in graph.output_refs:
        node = graph[ref.node]
        ports = catalog[node.op].output_ports(dict(node.attrs)) if node.op in catalog else ()
        if not detections and gives_detections(ports):
            named = {
                port: str(other)
                for slot, port in enumerate(ports)
                for other in graph.output_refs
                if other == (ref.node, slot)
            }
            detections = named
    return metadata_for(
        recipe=plan.recipe if plan else "",
        digest=plan.digest if plan else "",
        target=target.name,
        image=plan.image if plan else None,
        labels=labels,
        detections=detections,
    )


def onnx_choices(output: Path, rendering: str | None, opset: int | None, batch: Batch) -> dict[str, Any]:
    """Return the choices that were made for ONNX.

    Raise SurgeonError X152 where the output is another format.
    """
    made = {
        key: value
        for key, value in (("rendering", rendering), ("opset", opset), ("batch", batch))
        if value is not None
    }
    if made and output.suffix.lower() != ".onnx":
        names = {"rendering": "--plugins", "opset": "--opset", "batch": "--batch"}
        raise error(
            "X152",
            f"{' and '.join(names[key] for key in made)} mean nothing for '{output}'; expected a '.onnx' "
            "file",
            str(output),
            help=["leave them out, or name the output '.onnx'"],
        )
    return made


def output_target(output: Path, target: Target | str | None) -> Target:
    """Return the target of an output, after checking that the two go together."""
    by_suffix = target_for_output(output)
    chosen = by_suffix if target is None else Request(target=target).resolve().target
    if by_suffix.format != "graphdef" and chosen.format != by_suffix.format:
        raise error(
            "X131",
            f"'{output}' does not fit the target '{chosen.name}'; expected a suffix of its format",
            str(output),
            help=[f"name the output '.pb' or '.pbtxt', or choose a target such as '{by_suffix.name}'"],
        )
    return chosen


def _uff_view(target: Target) -> Any:
    # The exporter asks for a version where a target of any runtime has none.
    return target if target.format == "uff" else None


def find_objections(
    graph: Graph, target: Target, catalog: Catalog, image: Image | None = None
) -> tuple[Diagnostic, ...]:
    """Return what the target's exporter refuses in a rewritten graph, then what its runtime would make of
    it.
    """
    from surgeon.lints import find_problems

    found = find_problems(graph, target, catalog, image)
    if target.format == "onnx":
        from surgeon.formats.onnx import check_export

        return (*check_export(graph, plugins=catalog, target=target), *found)
    if target.format != "uff":
        return found
    from surgeon.formats.uff import export_uff

    try:
        export_uff(graph, plugins=catalog, target=_uff_view(target))
    except SurgeonError as exc:
        return (*exc.diagnostics, *found)
    return found


def check_objections(
    graph: Graph, target: Target, catalog: Catalog, image: Image | None
) -> tuple[Diagnostic, ...]:
    """Return what may go wrong in the target's runtime.

    Raise SurgeonError for what will, and for what cannot be exported.
    """
    from surgeon.lints import find_problems

    found = find_problems(graph, target, catalog, image)
    if errors_in(found):
        raise SurgeonError(*errors_in(find_objections(graph, target, catalog, image)))
    return found


def errors_in(found: Iterable[Diagnostic]) -> tuple[Diagnostic, ...]:
    return tuple(diagnostic for diagnostic in found if diagnostic.severity is Severity.ERROR)
