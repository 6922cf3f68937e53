"""All rules, found by walking ``surgeon.infer.ops``."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterable, Mapping
from functools import lru_cache
from types import MappingProxyType

from surgeon.diagnostics import error
from surgeon.infer.rule import Rule


def combine(rules: Iterable[Rule]) -> dict[str, Rule]:
    """Return the rules by op; raise SurgeonError I105 naming both owners where two are for one op."""
    table: dict[str, Rule] = {}
    for rule in rules:
        other = table.setdefault(rule.op, rule)
        if other is not rule:
            raise error(
                "I105",
                f"op '{rule.op}' has two inference rules, of '{other.owner}' and '{rule.owner}'; expected "
                "one",
                help=["take one of the two away, or give the plugin's op another name"],
            )
    return table


@lru_cache(maxsize=1)
def builtin_rules() -> Mapping[str, Rule]:
    """Return the rules of this package by op."""
    package = importlib.import_module("surgeon.infer.ops")
    found: list[Rule] = []
    for info in sorted(pkgutil.iter_modules(package.__path__), key=lambda i: i.name):
        module = importlib.import_module(f"{package.__name__}.{info.name}")
        found.extend(rule.owned(module.__name__) for rule in module.RULES)
    return MappingProxyType(combine(found))


def with_extra(rules: Mapping[str, Rule] | None) -> Mapping[str, Rule]:
    """Return the package's rules and ``rules``; raise SurgeonError I105 for an op that has one already."""
    if not rules:
        return builtin_rules()
    return combine(
        [*builtin_rules().values(), *(r.owned("a rule given by the caller") for r in rules.values())]
    )


def known_ops() -> dict[str, bool]:
    """Return every op that has a rule, sorted, and whether it has a numpy kernel."""
    return {op: rule.kernel is not None for op, rule in sorted(builtin_rules().items())}
