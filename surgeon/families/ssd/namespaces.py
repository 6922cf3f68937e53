"""Which namespaces of a detector a recipe takes out, and the node that takes the place of each."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from surgeon.diagnostics import error
from surgeon.display import plural
from surgeon.families.parts.walk import data_inputs, trail
from surgeon.graph import Graph, Ref
from surgeon.graph.op_sets import IDENTITIES
from surgeon.graph.reach import upstream

DEPTH = 12
"""Components of a name that are looked at."""

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


def replaced_namespaces(graph: Graph, tensors: DetectorTensors) -> tuple[ReplacedNamespace, ...]:
    """Return the namespaces to take out, each as short as it can be without holding a node that stays.

    Raise SurgeonError D147 where it takes more than a few of them: then names do not follow the detector's
    parts.
    """
    heads = (ref.node for ref in (*tensors.boxes, *tensors.scores))
    stay = upstream(graph, heads, stop=tensors.network_input.node)
    anchors, joining = _anchor_nodes(graph, tensors.anchors)
    cores = {
        "Input": upstream(graph, [tensors.network_input.node]) - stay,
        "GridAnchor": anchors,
        "concat_priorbox": joining,
        "concat_box_loc": _joining(graph, tensors.boxes),
        "concat_box_conf": _joining(graph, tensors.scores),
        "NMS": _suppression(graph, tensors),
    }
    found: dict[str, ReplacedNamespace] = {}
    for node, core in cores.items():
        others = [
            name
            for other, names in cores.items()
            if other != node and (node, other) not in _NESTED
            for name in names
        ]
        taken = _prefixes([*stay, *others])
        # What only passes a tensor on is forwarded before namespaces are taken out.
        for name in (each.name for each in graph if each.name in core and each.op not in IDENTITIES):
            namespace = _shortest(name, taken)
            found.setdefault(namespace, ReplacedNamespace(namespace, node, _COMMENTS[node]))
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


def _ahead(graph: Graph, refs: Iterable[Ref]) -> set[str]:
    """Return the nodes that depend on the tensors, their own left out. Membership only."""
    seen: set[str] = set()
    stack = [name for ref in refs for name, _ in graph.data_readers(ref)]
    while stack:
        name = stack.pop()
        if name not in seen:
            seen.add(name)
            stack += [reader for reader in graph.readers[name] if reader not in seen]
    return seen


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
    return _ahead(graph, read) & upstream(graph, ends)


def _prefixes(names: Iterable[str]) -> set[str]:
    """Return every namespace around the names, and the names. Membership only."""
    found: set[str] = set()
    for name in names:
        parts = name.split("/", DEPTH)
        found.update("/".join(parts[:end]) for end in range(1, len(parts) + 1))
    return found


def _shortest(name: str, taken: set[str]) -> str:
    parts = name.split("/", DEPTH)
    return next(
        (prefix for end in range(1, len(parts) + 1) if (prefix := "/".join(parts[:end])) not in taken), name
    )
