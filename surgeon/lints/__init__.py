"""Lints: what a target's runtime would refuse or compute wrongly in a rewritten graph; a file for each, found
by discovery.

A lint's file has ``CODE``, ``TARGETS`` (patterns of the targets it is for, as
:meth:`surgeon.targets.Target.matches` takes them) and ``check(at: Subject)``, which yields diagnostics.
"""

from surgeon.lints.lint import Lint, Subject, all_lints, find_problems

__all__ = ["Lint", "Subject", "all_lints", "find_problems"]
