"""The choice of a heat map's highest peaks, by which a CenterNet is told."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from surgeon.families.parts.heads import convolution_behind
from surgeon.families.parts.walk import source
from surgeon.graph import Graph, Node, Ref

_COMPARING = frozenset({"Less", "LessEqual", "Equal", "NotEqual", "Greater", "GreaterEqual", "LogicalNot"})
_APART = _COMPARING | {"Abs", "Sub", "Cast", "Identity"}
_STEPS = 16


@dataclass(frozen=True)
class Peaks:
    """The highest peaks of a map ``scores``, float32[N, H, W, C].

    Peaks are the numbers that ``pool`` leaves as they are, and ``top`` chooses among them. The logistic
    function ``converter`` makes the scores of ``logits``.
    """

    top: Node
    pool: Node
    scores: Ref
    converter: Node
    logits: Ref


def find_peaks(graph: Graph) -> Peaks | None:
    """Return the choice of peaks that the graph's outputs need, None where there is none."""
    found = [node for node in graph if node.op == "TopKV2"]
    if not found or not any(node.op == "MaxPool" for node in graph):
        return None
    needed = graph.ancestors(ref.node for ref in graph.output_refs)
    return next((peaks for node in found if node.name in needed for peaks in _peaks_of(graph, node)), None)


def _peaks_of(graph: Graph, top: Node) -> Iterator[Peaks]:
    chosen = graph[source(graph, top.inputs[0]).node]
    if chosen.op in ("Select", "SelectV2"):
        pairs = [(chosen.inputs[1], chosen.inputs[0])]
    elif chosen.op == "Mul":
        first, second = chosen.inputs
        pairs = [(first, second), (second, first)]
    else:
        return
    for scores, mask in pairs:
        pool = _pool_compared(graph, mask, scores)
        converter = _converter(graph, scores)
        if pool is None or converter is None:
            continue
        logits = converter.inputs[0]
        if convolution_behind(graph, logits) is not None:
            yield Peaks(top, pool, scores, converter, logits)


def _pool_compared(graph: Graph, mask: Ref, scores: Ref) -> Node | None:
    """Return the MaxPool with whose result scores are compared for a mask, None where none is."""
    wanted = source(graph, scores)
    waiting, seen = [mask], {mask}
    compares = False
    pools: list[Node] = []
    while waiting and len(seen) < _STEPS:
        node = graph[waiting.pop().node]
        compares = compares or node.op in _COMPARING
        if node.op == "MaxPool" and source(graph, node.inputs[0]) == wanted:
            pools.append(node)
        elif node.op in _APART:
            fresh = [ref for ref in node.inputs if ref not in seen]
            seen.update(fresh)
            waiting += fresh
    return pools[0] if pools and compares else None


def _converter(graph: Graph, scores: Ref) -> Node | None:
    """Return the logistic function that makes the scores, whatever they are multiplied with after it."""
    node = graph[source(graph, scores).node]
    for _ in range(_STEPS):
        if node.op == "Sigmoid":
            return node
        if node.op not in ("Mul", "Minimum", "Maximum"):
            return None
        sides = [graph[source(graph, ref).node] for ref in node.inputs]
        node = next((side for side in sides if side.op in ("Sigmoid", "Minimum", "Maximum")), sides[0])
    return None
