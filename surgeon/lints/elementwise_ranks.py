"""Arithmetic between computed tensors of different rank.

TensorRT broadcasts along axes of 1, and adds no axis.
"""

from __future__ import annotations

from collections.abc import Iterator

from surgeon.diagnostics import Diagnostic, Severity
from surgeon.graph import Shape
from surgeon.lints.lint import LintContext

CODE = "L106"
TARGETS = ("uff",)

BINARY = ("Add", "AddV2", "Sub", "Mul", "Div", "RealDiv", "Minimum", "Maximum", "Pow", "BiasAdd", "BiasAddV1")
"""Operations that become UFF's Binary."""


def check(context: LintContext) -> Iterator[Diagnostic]:
    for node in context.of_op(*BINARY):
        if len(node.inputs) != 2 or not all(context.varies(ref) for ref in node.inputs):
            continue
        left, right = (context.dims(ref) for ref in node.inputs)
        if left is None or right is None or len(left) == len(right):
            continue
        yield Diagnostic(
            CODE,
            f"'{node.name}' ({node.op}) takes {Shape(left)} and {Shape(right)}; TensorRT wants as many axes "
            "of both",
            node.name,
            (f"they are '{node.inputs[0]}' and '{node.inputs[1]}'",),
            ("put a Reshape with axes of 1 before it, or export the model with keepdims",),
            Severity.WARNING,
        )
