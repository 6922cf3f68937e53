"""A topK of NMS_TRT above the number of anchors, with which the plugin reads past its scores."""

from __future__ import annotations

from collections.abc import Iterator

from surgeon.diagnostics import Diagnostic
from surgeon.graph import Node
from surgeon.lints.lint import LintContext

CODE = "L113"
TARGETS = ("uff", "onnx@tensorrt")


def check(context: LintContext) -> Iterator[Diagnostic]:
    for node in context.of_op("NMS_TRT", "NMSDynamic_TRT"):
        top, anchors = node.attrs.get("topK"), _anchors(context, node)
        if not isinstance(top, int) or anchors is None or top <= anchors:
            continue
        yield Diagnostic(
            CODE,
            f"the topK {top} of '{node.name}' ({node.op}) is above the number of anchors, {anchors}; the "
            "plugin reads past the scores then, and gives wrong detections without a message",
            node.name,
            ("seen on a GPU with TensorRT 8.5.3.1",),
            (f"write 'topK: {anchors}', or 'auto': there are no more boxes",),
        )


def _anchors(context: LintContext, node: Node) -> int | None:
    """Return how many anchors the node's priors, [N, 2, 4 P, 1], hold; None where that is not known."""
    prior = context.port(node, "prior")
    dims = None if prior is None else context.dims(prior)
    length = dims[2] if dims is not None and len(dims) == 4 else None
    return None if length is None else length // 4
