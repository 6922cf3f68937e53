"""The plugin nodes of rewritten graphs and of files, with their fields."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from surgeon.catalog import FieldSpec, PluginSpec
from surgeon.catalog.fields import FieldValue, Unfit
from surgeon.diagnostics import Span
from surgeon.graph import Graph


@dataclass(frozen=True)
class PluginUse:
    """A plugin node: its name, the plugin's op (the catalog's, or the creator's name where it is none of
    that), its fields.

    Ints, floats, texts and tuples of them are the values. ``version`` and ``namespace`` are those that the
    parser will ask for, None where that is open. ``where`` is the place in the recipe that made the node.
    """

    node: str
    op: str
    fields: Mapping[str, FieldValue] = field(default_factory=dict)
    where: Span | None = None
    version: str | None = None
    namespace: str | None = None

    @property
    def place(self) -> Span | str:
        """The place for a diagnostic: that of the recipe, else the node."""
        return self.where or self.node


def plugin_uses(
    graph: Graph, catalog: Mapping[str, PluginSpec], places: Mapping[str, Span] | None = None
) -> tuple[PluginUse, ...]:
    """Return the plugin nodes of a rewritten graph, in its order; ``places`` gives the places of nodes by
    name.

    Values are what the plugin will hold: floats of 32 bits, by the types of the catalog.
    """
    uses = []
    for node in graph:
        if node.op in catalog:
            spec = catalog[node.op]
            fields = {
                name: _held(spec.fields[name], value)
                for name, value in node.attrs.items()
                if name in spec.fields
            }
            uses.append(PluginUse(node.name, node.op, fields, (places or {}).get(node.name)))
    return tuple(uses)


def ops_by_creator(catalog: Mapping[str, PluginSpec]) -> dict[str, str]:
    """Return the catalog's op for each creator's name."""
    return {spec.creator: op for op, spec in catalog.items()}


def _held(spec: FieldSpec, value: object) -> FieldValue:
    try:
        return spec.convert(value)
    except Unfit:
        return value  # type: ignore[return-value]  # what is wrong with it is said where it is compared
