"""What a file of a target computes otherwise than the references of plugins do."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from surgeon.catalog import Catalog
from surgeon.diagnostics import Diagnostic, Severity
from surgeon.formats import Lowered, all_formats
from surgeon.graph import Graph
from surgeon.targets import Target


def standard_differences(lowered: Iterable[Lowered], catalog: Catalog) -> Iterator[Diagnostic]:
    """Yield a note (X172) for each plugin whose standard operators differ from it, with its nodes.

    ``lowered`` says how plugin nodes are written.
    """
    from surgeon.formats.onnx.lowering import standard_difference

    nodes: dict[str, list[str]] = {}
    for each in lowered:
        if each.rendering == "standard":
            nodes.setdefault(each.op, []).append(each.node)
    for op, names in nodes.items():
        difference = standard_difference(catalog, op)
        if not difference:
            continue
        more = f" and {len(names) - 1} more" if len(names) > 1 else ""
        yield Diagnostic(
            "X172",
            f"'{names[0]}'{more} ({op}): standard operators differ from the plugin: {difference}",
            names[0],
            ("'surgeon verify' computes what the plugin does, unless it runs the file",),
            ("run the file against the original, too: 'surgeon verify RECIPE MODEL --onnx FILE'",),
            Severity.NOTE,
        )


def expected_differences(graph: Graph, target: Target, catalog: Catalog) -> Iterator[Diagnostic]:
    """Return what :func:`standard_differences` does for a rewritten graph that a target's file will hold."""
    lowered = all_formats()[target.format].expected_lowering(graph, target, catalog)
    return standard_differences(lowered, catalog)
