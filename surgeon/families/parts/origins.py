"""Where the numbers of a tensor come from, through operations that move, join, choose or scale them."""

from __future__ import annotations

from surgeon.families.parts.walk import MOVED, data_inputs
from surgeon.graph import Graph, Node, Ref
from surgeon.graph.op_sets import MERGES

_FIRST = frozenset({"Cast", "ClipByValue", "Max", "MirrorPad", "Neg", "ReverseV2", "Transpose"})
_ALL = frozenset(
    {"Add", "AddV2", "Sub", "Mul", "RealDiv", "Div", "Minimum", "Maximum", "Concat", "ConcatV2", "Pack"}
)
_CHOICES = frozenset({"Select", "SelectV2"})
_SCATTERED = frozenset({"ScatterNd", "TensorListPushBack"})


def origins(graph: Graph, ref: Ref) -> frozenset[Ref]:
    """Return every tensor whose numbers ``ref`` may hold, moved, joined, chosen, clipped or scaled; ``ref``
    is one of them.

    Indices, conditions and sizes are no numbers of the result: they are not followed. Linear in nodes and
    edges; loops are passed once.
    """
    seen: set[Ref] = set()
    waiting = [ref]
    while waiting:
        at = waiting.pop()
        if at in seen or at.node not in graph:
            continue
        seen.add(at)
        waiting += _carried(graph[at.node], at.slot)
    return frozenset(seen)


def _carried(node: Node, slot: int) -> tuple[Ref, ...]:
    """Return the inputs whose numbers one output of an operation holds; none where it computes them."""
    match node.op:
        case "IdentityN":
            return node.inputs[slot : slot + 1]
        case "TopKV2":
            return node.inputs[:1] if slot == 0 else ()
        case "NonMaxSuppressionV5":
            return node.inputs[1:2] if slot == 1 else ()
        case "CombinedNonMaxSuppression":
            return node.inputs[slot : slot + 1] if slot < 2 else ()
        case op if op in MOVED:
            return node.inputs[MOVED[op] : MOVED[op] + 1]
        case op if op in _FIRST:
            return node.inputs[:1]
        case op if op in MERGES:
            return node.inputs
        case op if op in _ALL:
            return data_inputs(node)
        case op if op in _CHOICES:
            return node.inputs[1:]
        case op if op in _SCATTERED:
            return node.inputs[1:2]
    return ()
