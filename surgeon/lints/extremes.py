"""Minimum and Maximum with a constant, for which TensorRT's scale layer has no arithmetic."""

from __future__ import annotations

from collections.abc import Iterator

from surgeon.diagnostics import Diagnostic
from surgeon.graph import Ref
from surgeon.lints.lint import LintContext

CODE = "L107"
TARGETS = ("uff",)


def check(context: LintContext) -> Iterator[Diagnostic]:
    for node in context.of_op("Minimum", "Maximum"):
        if len(node.inputs) == 2 and context.varies(Ref(node.name)):
            constant = next((ref for ref in node.inputs if not context.varies(ref)), None)
            if constant is not None:
                yield Diagnostic(
                    CODE,
                    f"'{node.name}' ({node.op}) takes the constant '{constant}', which TensorRT's parser "
                    "refuses; expected two computed tensors",
                    node.name,
                    ("it says 'Unsupported binary op max with constant right'",),
                    ("write it as Relu or Relu6, or map it to the plugin Clip_TRT",),
                )
