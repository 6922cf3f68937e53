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
    problems: dict[str, list[str]] = {}
    for name, problem in context.inference.contradictions:
        problems.setdefault(name, []).append(problem)
    for node in context.nodes:
        for problem in problems.get(node.name, ()):
            reads = ", ".join(f"'{ref}' {context.inference.spec(ref)}" for ref in node.inputs[:4])
            yield Diagnostic(
                CODE,
                f"'{node.name}' ({node.op}) cannot be computed; {problem}",
                node.name,
                (f"it reads {reads}",) if reads else (),
                (
                    "correct the size of the input, or the namespaces: one may take out a reshape that is "
                    "needed",
                ),
            )
