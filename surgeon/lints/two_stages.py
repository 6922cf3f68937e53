"""A second stage in UFF, which has no axis for the regions of a picture."""

from __future__ import annotations

from collections.abc import Iterator

from surgeon.diagnostics import Diagnostic
from surgeon.graph.reach import upstream
from surgeon.lints.lint import LintContext

CODE = "L123"
TARGETS = ("uff",)
DECIDES = True

_CROPS = "CropAndResizeDynamic"


def check(context: LintContext) -> Iterator[Diagnostic]:
    for node in context.of_op(_CROPS):
        regions = context.port(node, "rois")
        behind = upstream(context.graph, [] if regions is None else [regions.node])
        first = next(
            (each for each in context.nodes if each.name in behind and _suppresses(context, each.op)), None
        )
        if first is None:
            continue
        yield Diagnostic(
            CODE,
            f"the network has a second stage: '{node.name}' ({node.op}) cuts out regions that '{first.name}' "
            "finds; UFF has one axis for pictures and regions together, so it cannot hold them",
            node.name,
            (),
            ("convert to ONNX: --target onnx@tensorrt-8.5, or a later one",),
        )
        return


def _suppresses(context: LintContext, op: str) -> bool:
    return op in context.catalog and {"loc", "conf"} <= {port.name for port in context.catalog[op].inputs}
