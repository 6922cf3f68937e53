"""A topK of NMS_TRT above the number of anchors, with which the plugin reads past its scores."""

from __future__ import annotations

from collections.abc import Iterator

from surgeon.diagnostics import Diagnostic
from surgeon.graph import Node
from surgeon.lints.lint import Subject

CODE = "L113"
TARGETS = ("uff", "onnx@tensorrt")


def check(at: Subject) -> Iterator[Diagnostic]:
    for node in at.of_op("NMS_TRT", "NMSDynamic_TRT"):
        top, anchors = node.attrs.get("topK"), _anchors(at, node)
        if not isinstance(top, int) or anchors is None or top <= anchors:
            continue
        yield Diagnostic(
            CODE,
            f"the topK {top} of '{node.name}' ({node.op}) is above the number of anchors, {anchors}; the "
            "plugin reads "
            "past the scores then, and gives wrong detections without a message",
            node.name,
            ("seen on a GPU with TensorRT 8.5.3.1",),
            (f"write 'topK: {anchors}', or 'auto': there are no more boxes",),
        )


def _anchors(at: Subject, node: Node) -> int | None:
    """Return how many anchors the node's priors, [N, 2, 4 P, 1], hold; None where that is not known."""
    prior = at.port(node, "prior")
    dims = None if prior is None else at.dims(prior)
    length = dims[2] if dims is not None and len(dims) == 4 else None
    return None if length is None else length // 4
