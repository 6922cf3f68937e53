"""All rules, found by walking ``surgeon.infer.ops``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from types import MappingProxyType

from surgeon.discovery import by_key, modules_of
from surgeon.infer.rule import Rule


def combine(rules: Iterable[Rule]) -> dict[str, Rule]:
    """Return the rules by op; raise SurgeonError I105 naming both owners where two are for one op."""
    return by_key("inference rules for", ((rule.op, rule, rule.owner) for rule in rules), "I105")


@lru_cache(maxsize=1)
def builtin_rules() -> Mapping[str, Rule]:
    """Return the rules of this package by op."""
    modules = modules_of("surgeon.infer.ops")
    return MappingProxyType(combine(rule.owned(m.__name__) for m in modules for rule in m.RULES))


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
