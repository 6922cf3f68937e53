"""Arithmetic between constants of different shapes, which TensorRT's parser does not do."""

from __future__ import annotations

from collections.abc import Iterator
from math import prod

from surgeon.diagnostics import Diagnostic
from surgeon.graph import Shape
from surgeon.lints.elementwise_ranks import BINARY
from surgeon.lints.lint import LintContext

CODE = "L121"
TARGETS = ("uff",)


def check(context: LintContext) -> Iterator[Diagnostic]:
    for node in context.of_op(*BINARY):
        if len(node.inputs) != 2 or any(context.varies(ref) for ref in node.inputs):
            continue
        left, right = (context.dims(ref) for ref in node.inputs)
        if (
            left is not None
            and right is not None
            and left != right
            and all(prod(d or 1 for d in dims) > 1 for dims in (left, right))
        ):
            yield Diagnostic(
                CODE,
                f"'{node.name}' ({node.op}) takes constants of {Shape(left)} and {Shape(right)}; TensorRT's "
                "parser computes with constants of one shape",
                node.name,
                ("it says 'Constant binary operation with different shape not supported'",),
                ("add the step 'fold-constants' to the recipe",),
            )
