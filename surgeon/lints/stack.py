"""Stacks of computed tensors: TensorRT's parser stacks constants only."""

from __future__ import annotations

from collections.abc import Iterator

from surgeon.diagnostics import Diagnostic
from surgeon.lints.lint import LintContext

CODE = "L119"
TARGETS = ("uff",)


def check(context: LintContext) -> Iterator[Diagnostic]:
    for node in context.of_op("Pack"):
        computed = next((ref for ref in node.inputs if context.varies(ref)), None)
        if computed is not None:
            yield Diagnostic(
                CODE,
                f"'{node.name}' (Pack) stacks '{computed}' {context.inference.spec(computed)}; TensorRT's "
                "parser stacks constants",
                node.name,
                ("it says 'stack only support for Constants nodes as input for now'",),
                ("give each tensor the new axis by ExpandDims, and join them by ConcatV2",),
            )
