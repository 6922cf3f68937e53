"""An Identity as an output, which the parser of TensorRT 5 refuses."""

from __future__ import annotations

from collections.abc import Iterator

from surgeon.diagnostics import Diagnostic
from surgeon.lints.lint import Subject

CODE = "L110"
TARGETS = ("uff@tensorrt-5",)


def check(at: Subject) -> Iterator[Diagnostic]:
    for ref in at.graph.output_refs:
        node = at.graph[ref.node]
        source = at.source(ref)
        if node.op == "Identity" and at.graph[source.node].op not in at.catalog:
            yield Diagnostic(
                CODE,
                f"the output '{ref}' is an Identity, which the parser of "
                f"{at.target.title.removeprefix('UFF for ')} "
                'refuses ("Unsupported operation Identity"); expected what it repeats',
                node.name,
                help=(f"declare '{source}' as the output",),
            )
