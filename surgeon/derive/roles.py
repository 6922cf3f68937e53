"""Which namespace becomes which node, where the recipe leaves it open."""

from __future__ import annotations

from surgeon.derive.heads import role_of
from surgeon.derive.subject import Derivation, Subject
from surgeon.diagnostics import SurgeonError
from surgeon.language import NamespaceRule, Recipe


def derive_roles(subject: Subject) -> tuple[dict[str, NamespaceRule], list[Derivation]]:
    """Return the recipe's namespaces with every ``auto`` replaced by the node of the role it plays.

    A namespace that joins boxes becomes the node that feeds the port ``loc``, one that joins class scores the node
    that feeds ``conf``. A namespace that the recipe assigns itself is checked against the graph. Raise SurgeonError
    D106 where a role cannot be told, D108 where two namespaces play one role, and D109 where the recipe says the
    opposite of the graph.
    """
    recipe = subject.recipe
    resolved = dict(recipe.namespaces)
    found: list[Derivation] = []
    open_keys = [key for key, rule in resolved.items() if rule.node == "auto" and _present(subject, key, rule)]
    if not open_keys:
        _check_assigned(subject, recipe)
        return {k: r for k, r in resolved.items() if r.node != "auto"}, found
    _, ports = subject.detection()
    taken: dict[str, str] = {}
    for key in open_keys:
        role, evidence = role_of(subject, key)
        if role in taken:
            raise subject.fail("D108", f"the namespaces '{taken[role]}' and '{key}' both join {_meaning(role)}", "namespaces", key,
                               notes=evidence, help=["write the nodes instead of 'auto'"])  # fmt: skip
        taken[role] = key
        resolved[key] = NamespaceRule(node=ports[role], optional=resolved[key].optional)
        found.append(Derivation(ports[role], "namespace", key, (f"joins {_meaning(role)}", *evidence)))
    return {k: r for k, r in resolved.items() if r.node != "auto"}, found


def _present(subject: Subject, key: str, rule: NamespaceRule) -> bool:
    if any(n.name == key or n.name.startswith(key + "/") for n in subject.graph):
        return True
    if not rule.optional:
        from surgeon.steps.selector import unmatched
        from surgeon.steps.step import Site

        raise unmatched(Site(subject.graph, lambda path: subject.recipe.span(*path)), key, "namespaces", key)
    return False


def _check_assigned(subject: Subject, recipe: Recipe) -> None:
    """Refuse namespaces that the recipe assigns the wrong way round: swapped boxes and scores give no error later."""
    try:
        _, ports = subject.detection()
    except SurgeonError:
        return
    for key, rule in recipe.namespaces.items():
        role = next((port for port in ("loc", "conf") if ports.get(port) == rule.node), None)
        if role is None:
            continue
        try:
            actual, evidence = role_of(subject, key)
        except SurgeonError:
            continue
        if actual != role:
            raise subject.fail("D109", f"'{key}' becomes '{rule.node}', the node for {_meaning(role)}; in the graph it joins "
                               f"{_meaning(actual)}", "namespaces", key, notes=evidence,
                               help=["swap the two namespaces, or write 'auto'"])  # fmt: skip


def _meaning(role: str) -> str:
    return "boxes" if role == "loc" else "class scores"
