"""Which namespaces of a detector a recipe takes out, and the node that takes the place of each."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from surgeon.diagnostics import error
from surgeon.display import plural
from surgeon.families.parts.namespaces import ahead_of, shortest_namespaces
from surgeon.families.parts.walk import data_inputs, trail
from surgeon.graph import Graph, Ref
from surgeon.graph.op_sets import CONSTANTS
from surgeon.graph.reach import upstream
from surgeon.steps.selector import longest_prefix

MOST = 100
"""Namespaces that a recipe names; over that, the names of the graph say nothing."""

_JOINS = ("Concat", "ConcatV2")

_NESTED = (("GridAnchor", "concat_priorbox"), ("NMS", "GridAnchor"), ("NMS", "concat_priorbox"))
"""A node whose namespace may hold another's: the longer key then wins."""

_COMMENTS = {
    "Input": "the picture, resized and scaled",
    "GridAnchor": "the anchors",
    "concat_priorbox": "where they are joined",
    "concat_box_loc": "joins the boxes of all feature maps",
    "concat_box_conf": "joins the class scores of all feature maps",
    "NMS": "decoding of boxes, and suppression",
}


@dataclass(frozen=True)
class DetectorTensors:
    """The tensors at which a detector is tensors.

    ``boxes`` and ``scores`` are what the heads give and two operations join; ``encodings`` and ``logits``
    what the postprocessor reads of that. ``anchors`` is None where no tensor holds them.
    """

    network_input: Ref
    anchors: Ref | None
    boxes: tuple[Ref, ...]
    scores: tuple[Ref, ...]
    encodings: Ref
    logits: Ref


@dataclass(frozen=True)
class ReplacedNamespace:
    """A namespace and the recipe's node that takes its place; ``comment`` says what it holds."""

    namespace: str
    node: str
    comment: str


def shared_constants(graph: Graph, namespaces: Iterable[ReplacedNamespace]) -> tuple[str, ...]:
    """Return the constants inside namespaces that nodes read which are not taken out with them.

    Optimisers make one constant of all that are equal, wherever they are read.
    """
    taken = {each.namespace: each.node for each in namespaces}
    nodes = {node.name: longest_prefix(node.name, taken) for node in graph}
    return tuple(
        node.name
        for node in graph
        if node.op in CONSTANTS
        and nodes[node.name] is not None
        and any(nodes[reader] != nodes[node.name] for reader in graph.readers[node.name])
    )


def replaced_namespaces(
    graph: Graph, tensors: DetectorTensors, *, shared: bool = False
) -> tuple[ReplacedNamespace, ...]:
    """Return the namespaces to take out, each as short as it can be without holding a node that stays.

    Where constants may be ``shared``, a namespace may hold one that stays.
    Raise SurgeonError D147 where it takes more than a few of them: then names do not follow the detector's
    parts.
    """
    heads = (ref.node for ref in (*tensors.boxes, *tensors.scores))
    stay = upstream(graph, heads, stop=tensors.network_input.node)
    constants = {node.name for node in graph if node.op in CONSTANTS} if shared else set()
    anchors, joining = _anchor_nodes(graph, tensors.anchors)
    cores = {
        "Input": upstream(graph, [tensors.network_input.node]) - stay,
        "GridAnchor": anchors,
        "concat_priorbox": joining,
        "concat_box_loc": _joining(graph, tensors.boxes),
        "concat_box_conf": _joining(graph, tensors.scores),
        "NMS": _suppression(graph, tensors),
    }
    cores = {node: core - constants for node, core in cores.items()}
    found = {
        namespace: ReplacedNamespace(namespace, node, _COMMENTS[node])
        for namespace, node in shortest_namespaces(graph, cores, stay - constants, _NESTED).items()
    }
    if len(found) > MOST:
        raise error(
            "D147",
            f"the detector's parts are spread over {plural(len(found), 'namespace')}; expected a few, such "
            "as "
            "'Preprocessor'",
            graph.source or None,
            [f"for example {', '.join(repr(name) for name in list(found)[:6])}"],
            ["write the recipe by hand: docs/recipes.md"],
        )
    return tuple(found.values())


def _joining(graph: Graph, parts: Sequence[Ref]) -> set[str]:
    """Return the operation that joins exactly these tensors."""
    return {
        name
        for name, _ in graph.data_readers(parts[0])
        if graph[name].op in _JOINS and data_inputs(graph[name]) == tuple(parts)
    }


def _anchor_nodes(graph: Graph, anchors: Ref | None) -> tuple[set[str], set[str]]:
    """Return the nodes that give the anchors, and the one that joins them, if any."""
    if anchors is None:
        return set(), set()
    passed = [ref.node for ref in trail(graph, anchors)]
    last = graph[passed[-1]]
    parts = data_inputs(last) if last.op in _JOINS else ()
    joined = {ref.node for part in parts for ref in trail(graph, part)}
    return (joined, {last.name}) if joined else (set(passed), set())


def _suppression(graph: Graph, tensors: DetectorTensors) -> set[str]:
    """Return the nodes from what the postprocessor reads up to the suppression."""
    read = [ref for ref in (tensors.encodings, tensors.logits, tensors.anchors) if ref is not None]
    ends = (node.name for node in graph if "NonMaxSuppression" in node.op)
    return ahead_of(graph, read) & upstream(graph, ends)
