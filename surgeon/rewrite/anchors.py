"""The graph's own anchors as one constant, in the place of the recipe's anchor plugin and of what joins its
outputs.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast, get_args

from surgeon.diagnostics import SurgeonError
from surgeon.families import FITTED, Derivation, DerivationContext
from surgeon.families.fields import placed
from surgeon.graph import DType, TensorValue
from surgeon.language import NamespaceRule, NodeDefinition
from surgeon.language.recipe import Anchors
from surgeon.rewrite.choices import check_choice
from surgeon.steps.step import NodeSpec

UNFIT = ("D111", "D118")
"""Codes of fields that cannot be derived because the plugin cannot make the graph's anchors."""


def chosen(anchors: str) -> Anchors:
    """Return what the caller wants to make the anchors.

    Raise SurgeonError S410 for a text that means nothing.
    """
    return cast(Anchors, check_choice(anchors, get_args(Anchors), "anchors"))


def makers(context: DerivationContext) -> list[str]:
    """Return the recipe's nodes that make the anchors which the detection node reads, and nothing else.

    The nearest first.
    """
    ports = context.detection()
    table = context.recipe.nodes
    found = [base for base in [_base(ports.get(context.family.anchor_port, ""))] if base in table]
    for name in found:
        found += [
            base
            for base in map(_base, _inputs(table[name]))
            if base in table and base not in found and table[base].op != "Placeholder"
        ]
    read = {_base(text) for name, node in table.items() if name not in found for text in _inputs(node)}
    return [name for i, name in enumerate(found) if i == 0 or name not in read]


def _inputs(node: NodeDefinition) -> tuple[str, ...]:
    return tuple(node.inputs.values()) if isinstance(node.inputs, Mapping) else node.inputs or ()


def _base(text: str) -> str:
    return text.partition(":")[0]


def constant_or_plugin(
    context: DerivationContext, wanted: Anchors, unfit: Mapping[str, SurgeonError]
) -> SurgeonError | None:
    """Return why the anchors have to be a constant, None where the plugin stays.

    ``unfit`` holds, by node, why fields could not be derived. It counts under ``auto``, for a node that makes
    the anchors and leaves fields open that are fitted to them.
    """
    if wanted != "auto" or not unfit:
        return None
    for name in makers(context):
        fields = context.recipe.nodes[name].fields or {}
        if name in unfit and any(fields.get(key) == "auto" for key in FITTED):
            return unfit[name]
    return None


def with_constant(
    context: DerivationContext,
    nodes: Mapping[str, NodeSpec],
    namespaces: Mapping[str, NamespaceRule],
    reason: SurgeonError | None,
) -> tuple[dict[str, NodeSpec], dict[str, NamespaceRule], Derivation]:
    """Return nodes and namespaces with one Const for all that makes the anchors, as the family gives them.

    The Const has the name of the node that fed the port. Raise
    SurgeonError S409 where the recipe has no such port, and what the graph's anchors raise (D112 to D117).
    """
    replaced = _replaced(context)
    name = replaced[0]
    span = context.recipe.place("anchors") or context.recipe.span("nodes", replaced[-1])
    try:
        anchors = context.family.anchor_constant()
    except SurgeonError as exc:
        raise placed(exc, context, "nodes", replaced[-1]) from None
    tensor = TensorValue.of(anchors.value, DType.FLOAT32)
    new = NodeSpec(name, "Const", {"dtype": DType.FLOAT32, "value": tensor}, (), spec=tensor.spec, span=span)
    kept = {key: node for key, node in nodes.items() if key not in replaced}
    rules = {
        key: NamespaceRule(node=name, optional=rule.optional) if rule.node in replaced else rule
        for key, rule in namespaces.items()
    }
    why = () if reason is None else (reason.diagnostics[0].message, *reason.diagnostics[0].notes[:1])
    shown = Derivation(
        name,
        "anchors",
        "constant",
        (
            *why,
            f"{tensor.spec} in place of " + ", ".join(f"'{node}'" for node in replaced),
            *anchors.evidence,
        ),
    )
    return {**kept, name: new}, rules, shown


def _replaced(context: DerivationContext) -> list[str]:
    found = makers(context)
    if not found:
        ports, port = context.detection(), context.family.anchor_port
        reader = f"the port '{port}' reads '{ports[port]}'" if port in ports else f"no port '{port}'"
        raise context.fail(
            "S409",
            f"the anchors cannot be a constant: {reader}; expected a node of the recipe that makes them",
            "anchors",
            notes=[f"ports: {', '.join(ports)}"],
            help=[f"declare '{port}' in the detection node's inputs, or write 'anchors: plugin'"],
        )
    return found
