"""Which input of a detection plugin holds boxes, scores and anchors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from surgeon.catalog import Catalog, PluginSpec
from surgeon.compat.migration.final_graph import FinalGraph
from surgeon.compat.migration.history import History
from surgeon.diagnostics import SurgeonError
from surgeon.families import Family, recognise_detector
from surgeon.graph import Graph, Node, Ref
from surgeon.graph.op_sets import PLACEHOLDERS


@dataclass(frozen=True)
class Roles:
    """A plugin's inputs by port, in the script's order, and what shows it; no evidence where it is the
    script's word.
    """

    ports: Mapping[str, Ref]
    evidence: tuple[str, ...] = ()


def roles_of(
    node: Node,
    spec: PluginSpec,
    final: FinalGraph,
    history: History,
    joins: Mapping[str, str],
    catalog: Catalog,
) -> Roles:
    """Return what each input of a node is: by ``joins``, the nodes of the model that join heads, by port,
    else as the script says.
    """
    inputs = [ref for ref in node.inputs if final.nodes[ref.node].op not in PLACEHOLDERS]
    behind = {ref: _upstream(final, ref, catalog) for ref in inputs}
    anchors = [ref for ref in inputs if not any(final.nodes[name].op in PLACEHOLDERS for name in behind[ref])]
    found: dict[str, Ref] = {}
    evidence: list[str] = []
    if len(anchors) == 1:
        found["prior"] = anchors[0]
        evidence.append(f"'{anchors[0]}' depends on no picture: anchors")
    for port, join in joins.items():
        holder = _holder(history, join)
        readers = [ref for ref in inputs if ref not in anchors and holder in behind[ref]]
        if len(readers) == 1:
            found[port] = readers[0]
            evidence.append(f"'{readers[0]}' comes from '{join}': {port}")
    if set(found) == set(spec.order_ports) and len(set(found.values())) == len(found) == len(inputs):
        return Roles({port: ref for ref in inputs for port in found if found[port] == ref}, tuple(evidence))
    order = node.attrs.get(spec.order_field or "")
    places = order if isinstance(order, tuple) and len(order) == len(spec.order_ports) else (0, 2, 1)
    by_place = {place: port for port, place in zip(spec.order_ports, places, strict=True)}
    named = {by_place[at]: ref for at, ref in enumerate(inputs) if at in by_place}
    return Roles(named)


def joining_nodes(graph: Graph) -> dict[str, str]:
    """Return the node of the model that joins the heads of boxes and of scores, by port."""
    family = recognise_detector(graph)
    found: dict[str, str] = {}
    if not isinstance(family, Family):
        return found
    for port in family.joined:
        try:
            found[port] = family.joining_node(port)
        except SurgeonError:
            continue
    return found


def _holder(history: History, join: str) -> str:
    """Return what a node of the model is called in the end, or what took its place."""
    for edit in history.collapses:
        join = history.members(edit).get(join, join)
    return history.last_name(join)


def _upstream(final: FinalGraph, ref: Ref, catalog: Catalog) -> set[str]:
    """Return the nodes that a tensor depends on, past no plugin that ignores its inputs. Membership only."""
    seen: set[str] = set()
    waiting = [ref.node]
    while waiting:
        name = waiting.pop()
        if name in seen or name not in final.nodes:
            continue
        seen.add(name)
        node = final.nodes[name]
        if name not in final.plugins or not ignores_inputs(catalog[node.op]):
            waiting += [source.node for source in node.inputs]
    return seen


def has_many_outputs(spec: PluginSpec) -> bool:
    """Return whether one edge from a plugin stands in UFF for as many outputs as its fields say."""
    return any(port.repeat is not None for port in spec.outputs)


def ignores_inputs(spec: PluginSpec) -> bool:
    """Return whether nothing that a plugin reads changes what it gives."""
    return not spec.inputs or all(port.unused for port in spec.inputs)
