"""A toy holds names of up to eight letters."""

from __future__ import annotations

from collections.abc import Iterator

from surgeon.diagnostics import Diagnostic, Severity
from surgeon.lints.lint import LintContext

CODE = "Z901"
TARGETS = ("toy",)


def check(context: LintContext) -> Iterator[Diagnostic]:
    """Yield a warning for each name that is too long."""
    for node in context.nodes:
        if len(node.name) > 8:
            yield Diagnostic(CODE, "the name is too long for a toy", node.name, severity=Severity.WARNING)
