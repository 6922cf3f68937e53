"""Which namespace becomes which node, where the recipe leaves it open."""

from __future__ import annotations

from surgeon.diagnostics import SurgeonError
from surgeon.families.context import Derivation, DerivationContext
from surgeon.families.finding import Finding
from surgeon.language import NamespaceRule
from surgeon.steps.selector import longest_prefix, unmatched
from surgeon.steps.step import StepContext


def derive_roles(context: DerivationContext) -> tuple[dict[str, NamespaceRule], list[Derivation]]:
    """Return the recipe's namespaces with every ``auto`` replaced by the node of the role it plays.

    A namespace that holds the join of box heads becomes the node that feeds the port ``loc``, one that holds
    that of class heads the node that feeds ``conf``. A namespace that the recipe assigns itself is checked
    against the graph. Raise SurgeonError D106 where a namespace holds no such join, and D109 where the recipe
    says the opposite of the graph.
    """
    rules = dict(context.recipe.namespaces)
    derivations: list[Derivation] = []
    open_keys = [key for key, rule in rules.items() if rule.node == "auto" and _present(context, key, rule)]
    if not open_keys:
        _check_assigned(context)
    for key in open_keys:
        port, join = _role(context, key)
        node = _fed(context, port)
        rules[key] = NamespaceRule(node=node, optional=rules[key].optional)
        meaning = f"joins {context.family.joined[port]}"
        derivations.append(Derivation(node, "namespace", key, (meaning, *join.evidence)))
    return {key: rule for key, rule in rules.items() if rule.node != "auto"}, derivations


def _present(context: DerivationContext, key: str, rule: NamespaceRule) -> bool:
    if any(n.name == key or n.name.startswith(key + "/") for n in context.graph):
        return True
    if not rule.optional:
        site = StepContext(context.graph, lambda path: context.recipe.span(*path))
        raise unmatched(site, key, "namespaces", key)
    return False


def _role(context: DerivationContext, namespace: str) -> tuple[str, Finding[str]]:
    """Return the port whose heads a namespace joins, and the join."""
    notes: list[str] = []
    for port, meaning in context.family.joined.items():
        try:
            join = context.family.join(port)
        except SurgeonError as exc:
            first = exc.diagnostics[0]
            notes += [first.message, *first.notes]
            continue
        if _around(context, join) == namespace:
            return port, join
        notes.append(f"{meaning} are joined by '{join.value}'")
    node = next(iter(context.family.joined))
    raise context.fail(
        "D106",
        f"it cannot be told whether '{namespace}' joins {' or '.join(context.family.joined.values())}",
        "namespaces",
        namespace,
        notes=notes,
        help=[f"write the node instead of 'auto': '{namespace}: {_fed(context, node)}'"],
    )


def _fed(context: DerivationContext, port: str) -> str:
    """Return the node that takes the place of the namespace whose result a port gets."""
    return next(reversed(context.feeders(port)), context.detection()[port].partition(":")[0])


def _check_assigned(context: DerivationContext) -> None:
    """Refuse namespaces that the recipe assigns the wrong way round.

    Swapped boxes and scores give no error later.
    """
    try:
        context.detection()
        family = context.family
        joins = {port: family.join(port) for port in family.joined}
        fed = {_fed(context, port): port for port in family.joined}
    except SurgeonError:
        return
    for port, join in joins.items():
        key = _around(context, join)
        rule = context.recipe.namespaces.get(key)
        assigned = fed.get(rule.node) if rule is not None else None
        if rule is None or assigned in (None, port):
            continue
        raise context.fail(
            "D109",
            f"'{key}' becomes '{rule.node}', the node for {family.joined[assigned]}; in the graph it joins "
            f"{family.joined[port]}",
            "namespaces",
            key,
            notes=join.evidence,
            help=["swap the two namespaces, or write 'auto'"],
        )


def _around(context: DerivationContext, join: Finding[str]) -> str:
    """Return the recipe's namespace that holds a join, empty where there is none."""
    return longest_prefix(join.value, {key: key for key in context.recipe.namespaces}) or ""
