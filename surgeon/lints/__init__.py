"""Lints: what a target's runtime would refuse or compute wrongly in a rewritten graph.

Each is a file that discovery finds, here or in a module that another package names by an entry point of the
group ``surgeon.lints``. It has ``CODE``, ``TARGETS`` (patterns of the targets it is for, as
:meth:`surgeon.targets.Target.matches` takes them) and ``check(context: LintContext)``, which yields
diagnostics.
"""

from surgeon.lints.lint import Lint, LintContext, all_lints, find_problems

__all__ = ["Lint", "LintContext", "all_lints", "find_problems"]
