"""What suppression costs on a target, as far as it was measured."""

from __future__ import annotations

from collections.abc import Iterator

from surgeon.catalog import Catalog
from surgeon.diagnostics import Diagnostic, Severity
from surgeon.graph import Graph
from surgeon.targets import Target


def suppression_costs(graph: Graph, target: Target, catalog: Catalog) -> Iterator[Diagnostic]:
    """Yield a note (L131) for each plugin node that suppresses boxes in standard operators of TensorRT.

    ``graph`` is a rewritten one. Nothing is yielded for a runtime without NonMaxSuppression, nor for a node
    that the target's runtime takes as it is.
    """
    if not target.matches("onnx@tensorrt"):
        return
    from surgeon.formats.onnx.plugins import expected_lowering

    for lowered in expected_lowering(graph, target, catalog):
        if lowered.rendering == "standard" and catalog[lowered.op].detections:
            yield Diagnostic(
                "L131",
                f"'{lowered.node}' ({lowered.op}) becomes standard operators, which make the host wait: the "
                "size of what NonMaxSuppression gives depends on the picture, and no CUDA graph captures it",
                lowered.node,
                ("on an H200 that took 1.1 ms more than NMS_TRT with 1,917 boxes, and 5 ms with 51,150",),
                ("write 'suppression: native', with the project's native library",),
                Severity.NOTE,
            )
