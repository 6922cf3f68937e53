"""Tensors that cannot go together, whatever runs the graph."""

from __future__ import annotations

from collections.abc import Iterator

from surgeon.diagnostics import Diagnostic
from surgeon.graph import Ref
from surgeon.lints.lint import LintContext

CODE = "L101"
TARGETS = ("uff", "onnx", "graphdef")


def check(context: LintContext) -> Iterator[Diagnostic]:
    for node in context.nodes:
        context.inference.spec(Ref(node.name))
    for name, problem in context.inference.contradictions:
        if name in context.needed:
            node = context.graph[name]
            reads = ", ".join(f"'{ref}' {context.inference.spec(ref)}" for ref in node.inputs[:4])
            yield Diagnostic(
                CODE,
                f"'{name}' ({node.op}) cannot be computed; {problem}",
                name,
                (f"it reads {reads}",) if reads else (),
                (
                    "correct the size of the input, or the namespaces: one may take out a reshape that is "
                    "needed",
                ),
            )
