"""Weights that depend on the picture: TensorRT's layers take them as constants."""

from __future__ import annotations

from collections.abc import Iterator

from surgeon.diagnostics import Diagnostic
from surgeon.lints.lint import LintContext

CODE = "L105"
TARGETS = ("uff",)

_NORM = {1: "scale", 2: "offset", 3: "mean", 4: "variance"}
_WEIGHTS = {
    "Conv2D": {1: "filter"},
    "DepthwiseConv2dNative": {1: "filter"},
    "Conv2DBackpropInput": {1: "filter"},
    "FusedBatchNorm": _NORM,
    "FusedBatchNormV2": _NORM,
    "FusedBatchNormV3": _NORM,
}


def check(context: LintContext) -> Iterator[Diagnostic]:
    for node in context.of_op(*_WEIGHTS):
        for position, what in _WEIGHTS[node.op].items():
            source = context.source(node.inputs[position]) if position < len(node.inputs) else None
            if source is not None and context.varies(source):
                yield Diagnostic(
                    CODE,
                    f"the {what} of '{node.name}' ({node.op}) is '{source}' "
                    f"({context.graph[source.node].op}), which depends on the picture; TensorRT's layer "
                    "takes constants",
                    node.name,
                    (),
                    ("map the namespace to a plugin, or export to ONNX",),
                )
