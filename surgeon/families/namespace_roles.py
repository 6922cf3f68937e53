"""Which namespace becomes which node, where the recipe leaves it open."""

from __future__ import annotations

from collections.abc import Mapping

from surgeon.diagnostics import SurgeonError
from surgeon.families.context import Derivation, DerivationContext
from surgeon.families.finding import Finding
from surgeon.families.parts.heads import convolution_behind, named_role
from surgeon.families.parts.walk import data_inputs
from surgeon.language import NamespaceRule
from surgeon.steps.selector import longest_prefix, unmatched
from surgeon.steps.step import StepContext


def derive_roles(context: DerivationContext) -> tuple[dict[str, NamespaceRule], list[Derivation]]:
    """Return the recipe's namespaces with every ``auto`` replaced by the node of the role it plays.

    A namespace that holds the join of box heads becomes the node that feeds the port ``loc``, one that holds
    that of class heads the node that feeds ``conf``. Where the graph tells one of the two joins, the one
    namespace left gets the other port if the names of its convolutions say so too. A namespace that the
    recipe assigns itself is checked against the graph. Raise SurgeonError D106 where it cannot be told what a
    namespace joins, and D109 where the recipe says the opposite of the graph.
    """
    rules = dict(context.recipe.namespaces)
    derivations: list[Derivation] = []
    open_keys = [key for key, rule in rules.items() if rule.node == "auto" and _present(context, key, rule)]
    if not open_keys:
        _check_assigned(context)
    roles: dict[str, tuple[str, Finding[str]]] = {}
    untold: dict[str, SurgeonError] = {}
    for key in open_keys:
        try:
            roles[key] = _role(context, key)
        except SurgeonError as exc:
            untold[key] = exc
    for key, problem in untold.items():
        role = _left(context, key) if len(untold) == 1 else None
        if role is None:
            raise problem
        roles[key] = role
    for key in open_keys:
        port, join = roles[key]
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
        if _around(context, join.value) == namespace:
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


def _left(context: DerivationContext, namespace: str) -> tuple[str, Finding[str]] | None:
    """Return the one port whose join the graph does not tell, for the one namespace left, if the names of the
    convolutions that this joins say the same, else None.
    """
    joins = _joins(context)
    ports = [port for port in context.family.joined if port not in joins]
    if not joins or len(ports) != 1:
        return None
    port = ports[0]
    named, evidence = _named(context, namespace)
    if named != port or any(rule.node == _fed(context, port) for rule in context.recipe.namespaces.values()):
        return None
    known = [f"{context.family.joined[other]} are joined by '{name}'" for other, name in joins.items()]
    return port, Finding(namespace, (*evidence, *known))


def _joins(context: DerivationContext) -> dict[str, str]:
    """Return the node that joins the heads of each port, as far as the graph tells it."""
    found: dict[str, str] = {}
    for port in context.family.joined:
        try:
            found[port] = context.family.joining_node(port)
        except SurgeonError:
            continue
    return found


def _named(context: DerivationContext, namespace: str) -> tuple[str | None, tuple[str, ...]]:
    """Return the port that the names of the convolutions joined in a namespace agree on, and these."""
    keys = {key: key for key in context.recipe.namespaces}
    concats = (node for node in context.graph if node.op in ("ConcatV2", "Concat"))
    joins = [node for node in concats if longest_prefix(node.name, keys) == namespace]
    heads = (convolution_behind(context.graph, ref) for join in joins for ref in data_inputs(join))
    names = [head.name for head in heads if head is not None]
    roles = {role for role in map(named_role, names) if role is not None}
    if len(roles) != 1:
        return None, ()
    return roles.pop(), (f"{len(names)} convolutions, such as '{names[0]}', are joined",)


def _fed(context: DerivationContext, port: str) -> str:
    """Return the node that takes the place of the namespace whose result a port gets."""
    return next(reversed(context.feeders(port)), context.detection()[port].partition(":")[0])


def _check_assigned(context: DerivationContext) -> None:
    """Refuse namespaces that the recipe assigns the wrong way round.

    Swapped boxes and scores give no error later. Names are asked only where the graph tells no join.
    """
    try:
        context.detection()
        fed = {_fed(context, port): port for port in context.family.joined}
    except SurgeonError:
        return
    joins = _joins(context)
    for port, name in joins.items():
        key = _around(context, name)
        if _is_swapped(context, fed, key, port):
            raise _swapped(context, fed, key, port, context.family.join(port).evidence)
    if not joins:
        for key in context.recipe.namespaces:
            role, evidence = _named(context, key)
            if role is not None and _is_swapped(context, fed, key, role):
                raise _swapped(context, fed, key, role, evidence)


def _is_swapped(context: DerivationContext, fed: Mapping[str, str], key: str, port: str) -> bool:
    """Return whether a namespace with the heads of one port becomes another's node."""
    rule = context.recipe.namespaces.get(key)
    assigned = fed.get(rule.node) if rule is not None else None
    return assigned is not None and assigned != port and port in context.family.joined


def _swapped(
    context: DerivationContext, fed: Mapping[str, str], key: str, port: str, evidence: tuple[str, ...]
) -> SurgeonError:
    """Return SurgeonError D109: a namespace with the heads of one port becomes another's node."""
    node, joined = context.recipe.namespaces[key].node, context.family.joined
    return context.fail(
        "D109",
        f"'{key}' becomes '{node}', the node for {joined[fed[node]]}; in the graph it joins {joined[port]}",
        "namespaces",
        key,
        notes=evidence,
        help=["swap the two namespaces, or write 'auto'"],
    )


def _around(context: DerivationContext, name: str) -> str:
    """Return the recipe's namespace that holds a node, empty where there is none."""
    return longest_prefix(name, {key: key for key in context.recipe.namespaces}) or ""
