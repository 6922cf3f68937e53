"""Which scores go into suppression: thresholds of comparisons in front of it, and of itself."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Set
from types import MappingProxyType

import numpy as np

from surgeon.diagnostics import SurgeonError, error
from surgeon.families.parts.suppression import Constant, Moved, constants_at
from surgeon.families.parts.walk import behind, number, trail
from surgeon.graph import Graph, Node, Ref
from surgeon.graph.op_sets import PLACEHOLDERS
from surgeon.graph.reach import varying
from surgeon.infer import Inference

_OWN_THRESHOLD: Mapping[str, int] = MappingProxyType(
    {
        "NonMaxSuppressionV3": 4,
        "NonMaxSuppressionV4": 4,
        "NonMaxSuppressionV5": 4,
        "CombinedNonMaxSuppression": 5,
    }
)
"""Operations that leave out scores themselves, and the position of the number that scores must exceed."""

_GATHERS: Mapping[str, int] = MappingProxyType({"Gather": 1, "GatherV2": 1, "GatherNd": 1})

_MIRRORED: Mapping[str, str] = MappingProxyType(
    {"Greater": "Less", "GreaterEqual": "LessEqual", "Less": "Greater", "LessEqual": "GreaterEqual"}
)
"""A comparison, and the one that says the same with its sides exchanged."""

_NEGATED: Mapping[str, str] = MappingProxyType(
    {"Greater": "LessEqual", "GreaterEqual": "Less", "Less": "GreaterEqual", "LessEqual": "Greater"}
)

_BELOW_AREAS = -1e9
"""No box of a picture has so small an area, not even one whose corners are exchanged."""

_Condition = tuple[Node, bool]
"""An operation that a filter asks, and whether its answer is negated."""


def score_thresholds(
    graph: Graph,
    inference: Inference,
    nodes: Iterable[Node],
    moved: Moved = behind,
    understood: Collection[str] = (),
) -> Iterator[Constant]:
    """Yield, for each operation, the highest constant that its scores must exceed, or may equal.

    Of equal ones, that of an operation which lets no score equal it. Where some operations let every score
    pass and others do not, those give minus infinity. ``moved`` says what a walk from suppression back to
    scores passes, ``understood`` names conditions that the family knows to be of something else.

    Raise SurgeonError D113 where candidates are chosen by anything else than a lower bound of their scores,
    or an area above 0.
    """
    nodes = tuple(nodes)
    limits = [list(_limits(graph, inference, node, moved, understood)) for node in nodes]
    if not any(limits):
        return
    for node, found in zip(nodes, limits, strict=True):
        yield max(
            found,
            key=lambda each: (each.value, not each.may_equal),
            default=Constant(-np.inf, node.name, node.name),
        )


def compared_scores(
    graph: Graph, inference: Inference, names: Collection[str], scores: Ref, moved: Moved = behind
) -> Iterator[Constant]:
    """Yield the lower bound that each comparison among some nodes finds, of those that compare scores.

    Raise SurgeonError D113 for a comparison of them with something else.
    """
    for node in graph:
        if node.name not in names or node.op not in (*_MIRRORED, "Equal", "NotEqual"):
            continue
        if not any(scores in trail(graph, ref, moved) for ref in node.inputs):
            continue
        limit = _limit(graph, inference, node, False, {scores}, moved)
        if limit is None:
            raise _unknown(graph, node, node, node)
        yield limit


def _limits(
    graph: Graph, inference: Inference, node: Node, moved: Moved, understood: Collection[str]
) -> Iterator[Constant]:
    """Yield the lower bounds of the scores that reach one operation, its own included."""
    if node.op in _OWN_THRESHOLD:
        position = _OWN_THRESHOLD[node.op]
        found = constants_at(graph, inference, node, position)
        if not found and position < len(node.inputs):
            raise _unknown(graph, node, node, graph[node.inputs[position].node])
        yield from found
    scores = list(trail(graph, node.inputs[1], moved))
    held = set(scores)
    for ref in scores:
        gather = graph[ref.node]
        if gather.op not in _GATHERS or len(gather.inputs) < 2:
            continue
        indices = gather.inputs[_GATHERS[gather.op]]
        if indices.node not in _varying(graph) or _all_rows(graph, inference, indices, moved):
            continue
        for condition, negated in _conditions(graph, indices, moved):
            if condition.name in understood:
                continue
            limit = _limit(graph, inference, condition, negated, held, moved)
            if limit is not None:
                yield limit
            elif not _keeps_areas(inference, condition, negated, held, graph):
                raise _unknown(graph, node, gather, condition)


def _limit(
    graph: Graph, inference: Inference, node: Node, negated: bool, held: Set[Ref], moved: Moved
) -> Constant | None:
    """Return the constant above which a comparison finds scores, None where it finds others."""
    if node.op not in _MIRRORED or len(node.inputs) != 2:
        return None
    for op, (compared, other) in ((node.op, node.inputs), (_MIRRORED[node.op], node.inputs[::-1])):
        value = _number(graph, inference, other)
        if value is None or held.isdisjoint(trail(graph, compared, moved)):
            continue
        sense = _NEGATED[op] if negated else op
        if sense in ("Greater", "GreaterEqual"):
            return Constant(value, other.node, node.name, may_equal=sense == "GreaterEqual")
    return None


def _number(graph: Graph, inference: Inference, ref: Ref) -> float | None:
    return next((value for at in trail(graph, ref) if (value := number(inference, at)) is not None), None)


def _keeps_areas(inference: Inference, node: Node, negated: bool, held: Set[Ref], graph: Graph) -> bool:
    """Return whether a condition keeps boxes with an area, as the family's findings tell, or all boxes."""
    if node.op != "Greater" or negated or not held.isdisjoint(trail(graph, node.inputs[0])):
        return False
    least = number(inference, node.inputs[1])
    return least is not None and (least == 0 or least < _BELOW_AREAS)


def _conditions(graph: Graph, ref: Ref, moved: Moved) -> Iterator[_Condition]:
    """Yield what must hold, or must not, for an index to be among ``ref``; the operation that computes the
    indices where they are not the true places of a mask.
    """
    *_, last = trail(graph, ref, _behind_mask(moved))
    waiting: list[_Condition] = [(graph[last.node], False)]
    while waiting:
        node, negated = waiting.pop()
        joins = node.op == ("LogicalOr" if negated else "LogicalAnd")
        if joins or node.op == "LogicalNot":
            sources = (list(trail(graph, each, moved))[-1] for each in node.inputs)
            waiting += [(graph[source.node], negated != (node.op == "LogicalNot")) for source in sources]
        else:
            yield node, negated


def _behind_mask(moved: Moved) -> Callable[[Graph, Ref], Ref | None]:
    def back(graph: Graph, ref: Ref) -> Ref | None:
        node = graph[ref.node]
        return node.inputs[0] if node.op in ("Cast", "Where") and node.inputs else moved(graph, ref)

    return back


def _all_rows(graph: Graph, inference: Inference, indices: Ref, moved: Moved) -> bool:
    """Return whether indices only sort all rows: those of a TopKV2 that takes as many as there are."""
    *_, last = trail(graph, indices, behind)
    node = graph[last.node]
    if node.op != "TopKV2" or last.slot != 1:
        return False
    (*_, rows), (*_, taken) = (inference.spec(ref).shape.dims or (None,) for ref in (node.inputs[0], last))
    return rows is not None and rows == taken


def _varying(graph: Graph) -> set[str]:
    """Return the nodes whose numbers depend on the picture (membership only)."""
    return graph.kept(
        (score_thresholds, "varying"),
        lambda: varying(graph, (node.name for node in graph if node.op in PLACEHOLDERS)),
    )


def _unknown(graph: Graph, node: Node, gather: Node, condition: Node) -> SurgeonError:
    reads = ", ".join(f"'{ref}'" for ref in condition.inputs[:4])
    return error(
        "D113",
        f"'{gather.name}' ({gather.op}) chooses what '{node.name}' suppresses by '{condition.name}' "
        f"({condition.op}); expected scores that are compared with a constant they must exceed",
        graph.source or None,
        [f"'{condition.name}' reads {reads}"] if reads else [],
        ["name tensors in front of the choice as outputs of the graph, or write the recipe by hand"],
    )
