"""Plugins' shape rules in the form that inference takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from surgeon.catalog.plugin import PluginSpec
from surgeon.diagnostics import SurgeonError
from surgeon.graph import Node, TensorSpec
from surgeon.infer import Context, Rule


def shape_rule(plugins: Mapping[str, PluginSpec], op: str) -> Rule:
    """Return the rule of one plugin.

    Where the node's fields or inputs are at fault, its outputs are unknown and the fault is a contradiction
    of the inference: whoever wants it as an error asks :meth:`PluginSpec.output_specs`.
    """

    def shape(ctx: Context) -> Sequence[TensorSpec]:
        try:
            return plugins[op].output_specs(dict(ctx.node.attrs), ctx.inputs)
        except SurgeonError as exc:
            for diagnostic in exc.diagnostics:
                ctx.contradict(diagnostic.message)
            return (TensorSpec(),) * count(ctx.node)

    def count(node: Node) -> int:
        try:
            return len(plugins[op].output_ports(dict(node.attrs)))
        except SurgeonError:
            return 1

    return Rule(op, shape, outputs=count, owner=f"plugin {op}")
