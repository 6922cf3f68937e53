"""What stands between heads and suppression in an EfficientDet of google/automl."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from surgeon.families.parts.head_concat import is_join, joins_behind
from surgeon.families.parts.suppression import suppressions
from surgeon.families.parts.walk import behind, trail
from surgeon.graph import DType, Graph, Node, Ref, TensorRef, TensorValue
from surgeon.graph.reach import upstream

_COORDINATES = 4


@dataclass(frozen=True)
class Choice:
    """Which scores go into suppression.

    ``scores`` are the logits of all classes, float32[N, P, C], ``probabilities`` what is suppressed, and
    ``converter`` makes them. ``best`` takes the best class of each anchor, ``pairs`` the best pairs of anchor
    and class. ``by_class`` is the comparison by which rows of one class are taken, where one suppression
    follows for each.
    """

    scores: Ref
    probabilities: Ref
    converter: Node
    best: Node | None
    pairs: Node | None
    by_class: Node | None


@dataclass(frozen=True)
class Decoding:
    """How boxes are made: ``corners`` (ymin, xmin, ymax, xmax) are joined in ``boxes``, float32[N, K, 4], and
    computed from ``codes`` and ``anchors`` of the same K rows. ``encodings`` are all codes, float32[N, P, 4],
    ``constant`` all anchors, float32[P, 4].
    """

    boxes: Ref
    corners: tuple[Ref, ...]
    codes: Ref
    anchors: Ref
    encodings: Ref
    constant: Node


def gathered(graph: Graph, ref: Ref) -> Ref | None:
    """Return the tensor whose numbers ``ref`` holds, one operation back, by indices and of a TopKV2, too."""
    node = graph.get(ref.node)
    if node is not None and node.op in ("GatherNd", "TopKV2") and node.inputs and ref.slot == 0:
        return node.inputs[0]
    return behind(graph, ref)


def suppression_of(graph: Graph) -> tuple[Node, ...] | str:
    """Return the operations that suppress boxes, or why the graph is another one."""
    found = suppressions(graph)
    if not found:
        return "no operation of it suppresses overlapping boxes (NonMaxSuppression)"
    return found


def score_choice(graph: Graph, node: Node) -> Choice | str:
    """Return which scores one suppression takes, or why they are made in another way."""
    passed = list(trail(graph, node.inputs[1], gathered))
    probabilities = passed[-1]
    converter = graph[probabilities.node]
    if converter.op != "Sigmoid":
        return f"its scores '{probabilities}' are made by {converter.op}; expected Sigmoid"
    by_class = next(
        (found for ref in passed if (found := _compared(graph, graph[ref.node])) is not None), None
    )
    steps = list(trail(graph, converter.inputs[0], gathered))
    best = graph[steps[-1].node] if graph[steps[-1].node].op == "Max" else None
    pairs = next((graph[ref.node] for ref in steps if graph[ref.node].op == "GatherNd"), None)
    if best is not None:
        steps = list(trail(graph, best.inputs[0], gathered))
    if best is None and pairs is None and by_class is None:
        return f"'{node.name}' suppresses one class by its scores alone; expected the best class or pairs"
    if not is_join(graph, graph[steps[-1].node]):
        return f"its scores come from '{steps[-1]}', which joins no heads"
    return Choice(steps[-1], probabilities, converter, best, pairs, by_class)


def _compared(graph: Graph, gather: Node) -> Node | None:
    """Return the comparison of classes with a number, where a GatherNd takes the rows that are equal."""
    where = graph[gather.inputs[1].node] if gather.op == "GatherNd" and len(gather.inputs) == 2 else None
    equal = graph[where.inputs[0].node] if where is not None and where.op == "Where" else None
    return equal if equal is not None and equal.op == "Equal" else None


def decoding_of(graph: Graph, varying: Collection[str], node: Node, scores: Ref) -> Decoding | str:
    """Return how the boxes of one suppression are made, or why that is done in another way."""
    *_, boxes = trail(graph, node.inputs[0], gathered)
    pack = graph[boxes.node]
    if pack.op != "Pack" or len(pack.inputs) != _COORDINATES or pack.attrs.get("axis") in (0, None):
        return f"its boxes '{boxes}' ({pack.op}) do not join four coordinates on the last axis"
    joins: dict[str, None] = {}
    between: dict[str, None] = {}
    for corner in pack.inputs:
        found, passed = joins_behind(graph, varying, corner)
        joins.update(dict.fromkeys(join.name for join in found if join.name != scores.node))
        between.update(passed)
    if len(joins) != 1 or not any(graph[name].op == "Exp" for name in between):
        return f"its boxes '{boxes}' are no exponentials of what one join of heads gives"
    (join,) = joins
    split = [graph[name] for name in between if _gives_codes(graph, graph[name], join)]
    behind_corners = upstream(graph, (ref.node for ref in pack.inputs))
    constants = [each for each in graph if each.name in behind_corners and _is_anchors(each)]
    if len(split) != 1 or len(constants) != 1:
        return f"its boxes '{boxes}' are not decoded against one constant of anchors"
    anchors = Ref(constants[0].name)
    for name in graph.readers[constants[0].name]:
        if name in behind_corners and graph[name].op == "GatherV2" and graph[name].inputs[0] == anchors:
            anchors = Ref(name)
            break
    return Decoding(boxes, pack.inputs, split[0].inputs[0], anchors, Ref(join), constants[0])


def _gives_codes(graph: Graph, node: Node, join: str) -> bool:
    """Return whether a node takes encodings apart into their four numbers."""
    if node.op != "Unpack" or node.attrs.get("num") != _COORDINATES:
        return False
    *_, last = trail(graph, node.inputs[0], gathered)
    return last.node == join


def _is_anchors(node: Node) -> bool:
    value = node.attrs.get("value")
    if node.op != "Const" or not isinstance(value, TensorValue | TensorRef):
        return False
    shape = value.shape[1:] if len(value.shape) == 3 and value.shape[0] == 1 else value.shape
    return value.dtype is DType.FLOAT32 and len(shape) == 2 and shape[1] == _COORDINATES
