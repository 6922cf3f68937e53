"""An Identity as an output, which the parser of TensorRT 5 refuses."""

from __future__ import annotations

from collections.abc import Iterator

from surgeon.diagnostics import Diagnostic
from surgeon.lints.lint import LintContext

CODE = "L110"
TARGETS = ("uff@tensorrt-5",)


def check(context: LintContext) -> Iterator[Diagnostic]:
    for ref in context.graph.output_refs:
        node = context.graph[ref.node]
        source = context.source(ref)
        if node.op == "Identity" and context.graph[source.node].op not in context.catalog:
            yield Diagnostic(
                CODE,
                f"the output '{ref}' is an Identity, which the parser of "
                f"{context.target.title.removeprefix('UFF for ')} "
                'refuses ("Unsupported operation Identity"); expected what it repeats',
                node.name,
                help=(f"declare '{source}' as the output",),
            )
