"""Tensors that cannot go together, whatever runs the graph."""

from __future__ import annotations

from collections.abc import Iterator

from surgeon.diagnostics import Diagnostic
from surgeon.graph import Ref
from surgeon.lints.lint import Subject

CODE = "L101"
TARGETS = ("uff", "onnx", "graphdef")


def check(at: Subject) -> Iterator[Diagnostic]:
    for node in at.nodes:
        at.inference.spec(Ref(node.name))
    for name, problem in at.inference.contradictions:
        if name in at.needed:
            node = at.graph[name]
            reads = ", ".join(f"'{ref}' {at.inference.spec(ref)}" for ref in node.inputs[:4])
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
