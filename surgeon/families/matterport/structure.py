"""The parts of Matterport's Mask R-CNN, found by walking along the graph."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass

import numpy as np

from surgeon.graph import Graph, Node, Ref, TensorRef, TensorValue
from surgeon.graph.op_sets import CONSTANTS, IDENTITIES, PLACEHOLDERS

_PASSED = IDENTITIES | {"StopGradient"}
_GATHERS = ("Gather", "GatherV2")
_OUTWARDS = ("Pad", "PadV2", "Pack", "ExpandDims", "Reshape")
_STACKED = ("Pack", "ExpandDims", "Reshape")


class Unlike(Exception):
    """A graph that is built otherwise; the text says where."""


@dataclass(frozen=True)
class Pyramid:
    """A layer that cuts each region out of the feature map that fits its size.

    ``regions`` is float32[N, R, 4] (y1, x1, y2, x2), ``maps`` are the feature maps, the finest first, and
    ``levels`` their numbers. ``side`` is height and width of what is cut out, ``pooled`` the result in the
    order of the regions: [N, R, h, w, C], or [N, R, C, h, w] with ``channels_first``. ``crops`` are the names
    of what cuts.
    """

    regions: Ref
    maps: tuple[Ref, ...]
    levels: tuple[int, ...]
    side: tuple[int, int]
    pooled: Ref
    channels_first: bool
    crops: tuple[str, ...]


@dataclass(frozen=True)
class Proposals:
    """The layer that makes regions of anchors.

    ``scores`` are those of background and object, [N, A, 2], ``foreground`` [N, A] the latter alone;
    ``deltas`` the encodings [N, A, 4] and ``scaled`` these by their ``deviations``; ``anchors`` [N, A, 4].
    ``best`` names what takes the best candidates, ``suppression`` what suppresses; ``regions`` is the result.
    """

    scores: Ref
    foreground: Ref
    deltas: Ref
    scaled: Ref
    deviations: tuple[float, ...]
    anchors: Ref
    best: str
    suppression: str
    regions: Ref


@dataclass(frozen=True)
class DetectionPart:
    """The layer that makes detections of regions.

    ``probabilities`` are [N, R, C], ``deltas`` [N, R, C, 4] with their ``deviations``. ``labels`` int[R],
    ``scores`` float32[R] and ``boxes`` float32[R, 4] belong to the best class of each region. ``table`` is
    the result, float32[1, K, 6].
    """

    probabilities: Ref
    deltas: Ref
    deviations: tuple[float, ...]
    labels: Ref
    scores: Ref
    boxes: Ref
    suppression: str
    table: Ref


def constant(graph: Graph, ref: Ref) -> np.ndarray | None:
    """Return the value of a constant, behind identities and a loop's entry; None for what is computed."""
    node = graph.get(passed(graph, ref, _PASSED | {"Enter"}).node)
    value = node.attrs.get("value") if node is not None and node.op in CONSTANTS else None
    return value.array() if isinstance(value, TensorValue | TensorRef) else None


def passed(graph: Graph, ref: Ref, ops: Collection[str]) -> Ref:
    """Return what lies behind operations of these kinds, along their first input."""
    node = graph.get(ref.node)
    seen: set[str] = set()
    while node is not None and node.op in ops and node.inputs and node.name not in seen:
        if node.op == "Pack" and len(node.inputs) > 1:
            break
        seen.add(node.name)
        ref = node.inputs[0]
        node = graph.get(ref.node)
    return ref


def pyramids(graph: Graph) -> list[Pyramid]:
    """Return the layers that cut out regions, the one that needs no other first.

    Raise Unlike where regions are cut out in another way.
    """
    joined: dict[str, list[Node]] = {}
    for node in graph:
        if node.op == "CropAndResize":
            joined.setdefault(_joining(graph, node).name, []).append(node)
    if not joined:
        raise Unlike("nothing cuts regions out of feature maps (CropAndResize)")
    found = [_pyramid(graph, graph[name], crops) for name, crops in joined.items()]
    behind = {each.pooled: graph.ancestors([each.regions.node]) for each in found}
    return sorted(found, key=lambda each: sum(other.pooled.node in behind[each.pooled] for other in found))


def _readers(graph: Graph, ref: Ref, ops: Collection[str]) -> Iterator[Node]:
    """Yield the readers of a tensor that are of these kinds and read it first."""
    for name, position in graph.data_readers(ref):
        node = graph[name]
        if position == 0 and node.op in ops:
            yield node


def _joining(graph: Graph, crop: Node) -> Node:
    at = Ref(crop.name)
    for reader in _readers(graph, at, ("Transpose",)):
        at = Ref(reader.name)
    joins = [graph[name] for name, _ in graph.data_readers(at) if graph[name].op == "ConcatV2"]
    if len(joins) != 1:
        raise Unlike(f"'{crop.name}' ({crop.op}) is not joined with the regions of other feature maps")
    return joins[0]


def _pyramid(graph: Graph, join: Node, crops: list[Node]) -> Pyramid:
    crops = sorted(crops, key=lambda crop: _level(graph, crop)[1])
    sources = {_level(graph, crop)[0] for crop in crops}
    if len(sources) != 1 or len(crops) < 2:
        raise Unlike(
            f"'{join.name}' joins regions that '{crops[0].name}' and others cut out of several lists"
        )
    first = all(graph[crop.inputs[0].node].op == "Transpose" for crop in crops)
    maps = tuple(graph[crop.inputs[0].node].inputs[0] if first else crop.inputs[0] for crop in crops)
    size = constant(graph, crops[0].inputs[3])
    if size is None:
        raise Unlike(f"the size of what '{crops[0].name}' cuts out is not constant")
    return Pyramid(
        sources.pop(),
        maps,
        tuple(_level(graph, crop)[1] for crop in crops),
        (int(size[0]), int(size[1])),
        _in_order(graph, join),
        first,
        tuple(crop.name for crop in crops),
    )


def _level(graph: Graph, crop: Node) -> tuple[Ref, int]:
    """Return the list that a crop's regions are of, and the number of the level that they are on."""
    chosen = graph.get(passed(graph, crop.inputs[1], _PASSED).node)
    where = graph.get(chosen.inputs[1].node) if chosen is not None and chosen.op == "GatherNd" else None
    equal = graph.get(where.inputs[0].node) if where is not None and where.op == "Where" else None
    if chosen is None or equal is None or equal.op != "Equal":
        raise Unlike(f"'{crop.name}' ({crop.op}) does not take the regions of one level of a pyramid")
    numbers = [constant(graph, ref) for ref in equal.inputs]
    level = next((int(value) for value in numbers if value is not None and value.size == 1), None)
    if level is None:
        raise Unlike(f"'{equal.name}' does not compare a level with a number")
    return passed(graph, chosen.inputs[0], _PASSED), level


def _in_order(graph: Graph, join: Node) -> Ref:
    """Return what is joined, in the order of the regions and with the batch again."""
    for gather in _readers(graph, Ref(join.name), _GATHERS):
        for batched in _readers(graph, Ref(gather.name), ("Reshape", "ExpandDims")):
            return Ref(batched.name)
    raise Unlike(f"what '{join.name}' joins is not put back in the order of the regions")


def proposals(graph: Graph, regions: Ref) -> Proposals:
    """Return the layer that makes these regions; raise Unlike where it is another."""
    stacked = graph[regions.node]
    if stacked.op == "Pack" and len(stacked.inputs) > 1:
        raise Unlike(
            f"'{regions.node}' stacks the regions of {len(stacked.inputs)} pictures, each computed by "
            "itself; export the model of an inference configuration with IMAGES_PER_GPU = 1"
        )
    padded = graph.get(passed(graph, regions, _STACKED).node)
    if padded is None or padded.op not in ("Pad", "PadV2"):
        raise Unlike(f"the regions '{regions}' are not filled up with zeros")
    rows = graph.get(passed(graph, padded.inputs[0], _PASSED).node)
    kept = graph.get(rows.inputs[1].node) if rows is not None and rows.op in _GATHERS else None
    if kept is None or not kept.op.startswith("NonMaxSuppression"):
        raise Unlike(f"the regions '{regions}' are not what a suppression leaves")
    gather = graph.get(passed(graph, kept.inputs[1], ("StridedSlice", "Pack", *_PASSED)).node)
    best = passed(graph, gather.inputs[1], ("StridedSlice",)) if gather and gather.op in _GATHERS else None
    top = graph.get(best.node) if best is not None else None
    if best is None or top is None or not top.op.startswith("TopK") or best.slot != 1:
        raise Unlike(f"the scores of '{kept.name}' are not the best of all anchors")
    deltas = anchors = None
    for each in _gathered_by(graph, best):
        taken = passed(graph, each.inputs[0], ("StridedSlice",))
        node = graph[taken.node]
        if node.op == "Mul":
            deltas = taken
        elif node.op in PLACEHOLDERS | CONSTANTS | IDENTITIES:
            anchors = passed(graph, taken, IDENTITIES)
    if deltas is None or anchors is None:
        raise Unlike(f"'{top.name}' does not take encodings and anchors with the best scores")
    encodings, deviations = _by_constant(graph, deltas)
    foreground = top.inputs[0]
    column = graph[foreground.node]
    if column.op != "StridedSlice":
        raise Unlike(f"'{top.name}' does not compare one column of scores")
    return Proposals(
        column.inputs[0],
        foreground,
        encodings,
        deltas,
        deviations,
        anchors,
        top.name,
        kept.name,
        regions,
    )


def _gathered_by(graph: Graph, index: Ref) -> Iterator[Node]:
    """Yield what takes rows by these indices, of a batch or of its one picture."""
    for at in (index, *(Ref(node.name) for node in _readers(graph, index, ("StridedSlice",)))):
        for name, position in graph.data_readers(at):
            if position == 1 and graph[name].op in _GATHERS:
                yield graph[name]


def _by_constant(graph: Graph, product: Ref) -> tuple[Ref, tuple[float, ...]]:
    """Return what is multiplied, and the constant that it is multiplied by."""
    for ref, other in zip(graph[product.node].inputs, reversed(graph[product.node].inputs), strict=True):
        value = constant(graph, other)
        if value is not None and value.size == 4:
            return ref, tuple(float(number) for number in value.reshape(-1))
    raise Unlike(f"'{product}' does not multiply encodings by a constant")


def detection_part(graph: Graph) -> DetectionPart:
    """Return the layer that makes detections of regions; raise Unlike where there is none."""
    for node in graph:
        if node.op == "ConcatV2" and len(node.inputs) == 4:
            found = _columns(graph, node)
            if found is not None:
                return found
    raise Unlike("nothing joins boxes, best classes and scores of regions")


def _columns(graph: Graph, join: Node) -> DetectionPart | None:
    """Return the layer whose last join this is: of boxes, classes and scores; None for any other."""
    added = ("StridedSlice", "ExpandDims", "Cast", *_PASSED)
    boxes, labels, scores = (
        graph.get(passed(graph, ref, added if at else _PASSED).node) for at, ref in enumerate(join.inputs[:3])
    )
    if any(each is None or each.op not in _GATHERS for each in (boxes, labels, scores)):
        return None
    assert boxes is not None and labels is not None and scores is not None
    best, own = labels.inputs[0], scores.inputs[0]
    if graph[best.node].op != "ArgMax" or graph[own.node].op != "GatherNd":
        return None
    source, index = graph[own.node].inputs
    others = [
        graph[name]
        for name, position in graph.data_readers(index)
        if position == 1 and graph[name].op == "GatherNd" and name != own.node
    ]
    if len(others) != 1:
        return None
    products = [graph[name] for name, _ in graph.data_readers(Ref(others[0].name))]
    if len(products) != 1 or products[0].op != "Mul":
        return None
    _, deviations = _by_constant(graph, Ref(products[0].name))
    behind = graph.ancestors([join.name])
    suppressing = [
        node.name
        for node in graph
        if node.name in behind
        and node.op.startswith("NonMaxSuppression")
        and best.node in graph.ancestors([node.name])
    ]
    if len(suppressing) != 1:
        return None
    return DetectionPart(
        passed(graph, source, ("StridedSlice",)),
        passed(graph, others[0].inputs[0], ("StridedSlice",)),
        deviations,
        best,
        own,
        boxes.inputs[0],
        suppressing[0],
        _filled_up(graph, Ref(join.name)),
    )


def _filled_up(graph: Graph, rows: Ref) -> Ref:
    """Return the rows with those that are added to them, and with the batch."""
    at = rows
    while reader := next(_readers(graph, at, _OUTWARDS), None):
        at = Ref(reader.name)
    return at
