"""Which namespace becomes which node, where the recipe leaves it open."""

from __future__ import annotations

from surgeon.diagnostics import SurgeonError
from surgeon.families.context import Derivation, Subject
from surgeon.families.parts.heads import Head, Role, head_at, named_role
from surgeon.language import NamespaceRule, Recipe
from surgeon.steps.selector import longest_prefix


def derive_roles(subject: Subject) -> tuple[dict[str, NamespaceRule], list[Derivation]]:
    """Return the recipe's namespaces with every ``auto`` replaced by the node of the role it plays.

    A namespace that joins boxes becomes the node that feeds the port ``loc``, one that joins class scores the
    node that feeds ``conf``. A namespace that the recipe assigns itself is checked against the graph. Raise
    SurgeonError D106 where a role cannot be told, D108 where two namespaces play one role, and D109 where the
    recipe says the opposite of the graph.
    """
    recipe = subject.recipe
    resolved = dict(recipe.namespaces)
    found: list[Derivation] = []
    open_keys = [
        key for key, rule in resolved.items() if rule.node == "auto" and _present(subject, key, rule)
    ]
    if not open_keys:
        _check_assigned(subject, recipe)
        return {k: r for k, r in resolved.items() if r.node != "auto"}, found
    taken: dict[str, str] = {}
    for key in open_keys:
        role, evidence = role_of(subject, key)
        if role in taken:
            raise subject.fail(
                "D108",
                f"the namespaces '{taken[role]}' and '{key}' both join {_meaning(role)}",
                "namespaces",
                key,
                notes=evidence,
                help=["write the nodes instead of 'auto'"],
            )
        taken[role] = key
        node = subject.fed(role)
        resolved[key] = NamespaceRule(node=node, optional=resolved[key].optional)
        found.append(Derivation(node, "namespace", key, (f"joins {_meaning(role)}", *evidence)))
    return {k: r for k, r in resolved.items() if r.node != "auto"}, found


def _present(subject: Subject, key: str, rule: NamespaceRule) -> bool:
    if any(n.name == key or n.name.startswith(key + "/") for n in subject.graph):
        return True
    if not rule.optional:
        from surgeon.steps.selector import unmatched
        from surgeon.steps.step import StepContext

        raise unmatched(
            StepContext(subject.graph, lambda path: subject.recipe.span(*path)), key, "namespaces", key
        )
    return False


def _check_assigned(subject: Subject, recipe: Recipe) -> None:
    """Refuse namespaces that the recipe assigns the wrong way round.

    Swapped boxes and scores give no error later.
    """
    try:
        fed = {port: subject.fed(port) for port in ("loc", "conf")}
    except SurgeonError:
        return
    for key, rule in recipe.namespaces.items():
        role = next((port for port, node in fed.items() if node == rule.node), None)
        if role is None:
            continue
        try:
            actual, evidence = role_of(subject, key)
        except SurgeonError:
            continue
        if actual != role:
            raise subject.fail(
                "D109",
                f"'{key}' becomes '{rule.node}', the node for {_meaning(role)}; in the graph it joins "
                f"{_meaning(actual)}",
                "namespaces",
                key,
                notes=evidence,
                help=["swap the two namespaces, or write 'auto'"],
            )


def _meaning(role: str) -> str:
    return "boxes" if role == "loc" else "class scores"


def heads(subject: Subject, new: str) -> list[Head]:
    """Return the heads that a node's namespaces join, in order.

    Raise SurgeonError D103 where one cannot be found.
    """
    found = []
    for ref in subject.joined(new):
        head = head_at(subject.graph, subject.inference, ref)
        if head is not None:
            found.append(head)
    if not found:
        raise subject.fail(
            "D103",
            f"the namespaces of '{new}' join nothing that comes from a convolution",
            "nodes",
            new,
            notes=[f"they read: {', '.join(map(str, subject.joined(new)[:6])) or 'nothing'}"],
            help=["write the value instead of 'auto', or correct the namespaces"],
        )
    return found


def role_of(subject: Subject, namespace: str) -> tuple[Role, tuple[str, ...]]:
    """Return whether a namespace joins boxes or class scores, with the evidence.

    Three witnesses: the names of the convolutions, the length of the last axis (4 for boxes), and what reads
    the result. Raise SurgeonError D106 where they contradict each other or say nothing.
    """
    probe = Subject(subject.recipe, subject.graph, namespace, {namespace: namespace})
    probe.__dict__["inference"] = subject.inference
    found = heads(probe, namespace)
    by_name: dict[Role, list[str]] = {"loc": [], "conf": []}
    for head in found:
        named = named_role(head.conv)
        if named is not None:
            by_name[named].append(head.conv)
    lasts = [(h.tensor, (subject.inference.spec(h.tensor).shape.dims or (None,))[-1]) for h in found]
    evidence = [
        f"{len(found)} convolutions, such as '{found[0].conv}', are joined",
        f"'{lasts[0][0]}' is {subject.inference.spec(lasts[0][0])}",
    ]
    if by_name["loc"] and by_name["conf"]:
        raise _contradiction(
            subject, namespace, [f"boxes: {by_name['loc'][0]}", f"classes: {by_name['conf'][0]}"]
        )
    role: Role | None = "loc" if by_name["loc"] else "conf" if by_name["conf"] else None
    if role == "loc" and any(n not in (4, None) for _, n in lasts):
        raise _contradiction(subject, namespace, ["the names say boxes, the last axis is not 4", *evidence])
    if role is None:
        role = _by_reader(subject, namespace)
        evidence.append(f"its readers {'decode boxes' if role == 'loc' else 'convert scores'}")
    return role, tuple(evidence)


def _by_reader(subject: Subject, namespace: str) -> Role:
    """Tell boxes from scores by the first arithmetic behind them.

    Sigmoid or Softmax is for scores, Exp for boxes.
    """
    graph = subject.graph
    members = [n.name for n in graph if longest_prefix(n.name, {namespace: True})]
    queue = [(name, 0) for name in members]
    seen = set(members)
    hits: dict[Role, int] = {}
    while queue and len(seen) < 20_000:
        name, depth = queue.pop(0)
        for reader in graph.readers[name]:
            if reader in seen or depth > 24:
                continue
            seen.add(reader)
            op = graph[reader].op
            if op in ("Sigmoid", "Softmax"):
                hits.setdefault("conf", depth)
            elif op == "Exp":
                hits.setdefault("loc", depth)
            elif op not in ("Shape", "NonMaxSuppressionV2", "NonMaxSuppressionV3"):
                queue.append((reader, depth + 1))
    if not hits:
        raise _contradiction(subject, namespace, ["no name, shape or reader tells boxes from scores"])
    return min(hits, key=lambda role: hits[role])


def _contradiction(subject: Subject, namespace: str, notes: list[str]) -> Exception:
    return subject.fail(
        "D106",
        f"it cannot be told whether '{namespace}' joins boxes or class scores",
        "namespaces",
        namespace,
        notes=notes,
        help=[f"write the node instead of 'auto': '{namespace}: concat_box_loc'"],
    )
