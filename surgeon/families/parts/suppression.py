"""Non-maximum suppression in a detector graph.

Its operations, thresholds and sizes, and the boxes that it takes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from surgeon.diagnostics import SurgeonError
from surgeon.families.parts.walk import STEPS, behind, data_inputs, number, trail, upper_bound
from surgeon.graph import DType, Graph, Node, Ref
from surgeon.infer import Inference, evaluate

_SELECTING = frozenset(
    {"Gather", "GatherV2", "Slice", "StridedSlice", "Unpack", "Split", "SplitV", "Enter", "Switch"}
)
_REARRANGING = frozenset(
    {
        "Gather",
        "GatherV2",
        "Pad",
        "PadV2",
        "Slice",
        "Split",
        "SplitV",
        "StridedSlice",
        "Tile",
        "Transpose",
        "Unpack",
    }
)
"""Operations that move numbers to other places; those of loops and arrays keep the first picture's."""

_JOINING = frozenset({"Pack", "Concat", "ConcatV2"})

_MOST_MOVED = 4096
"""Numbers of a window, and of what it is taken from."""

Moved = Callable[[Graph, Ref], Ref | None]
"""Returns the tensor behind another one that a walk follows, None where the walk ends."""


@dataclass(frozen=True)
class Constant:
    """A constant of the graph, and the operation that it decides."""

    value: float
    node: str
    of: str
    may_equal: bool = False
    """Whether a number that is compared with it may equal it."""

    def __str__(self) -> str:
        return f"'{self.node}' is {self.value:g}"


@dataclass(frozen=True)
class Boxes:
    """The boxes that suppression takes.

    ``decoded`` holds all of them, before any is selected. ``computed`` is the tensor behind it that an
    operation computed. ``clips`` names the operations by which they are clipped before suppression.
    """

    decoded: Ref
    computed: Ref
    clips: tuple[str, ...]


def suppressions(graph: Graph) -> tuple[Node, ...]:
    """Return the operations of non-maximum suppression that the graph's outputs need, in graph order."""
    found = [n for n in graph if n.op.startswith("NonMaxSuppression") or n.op == "CombinedNonMaxSuppression"]
    if not found:
        return ()
    needed = graph.ancestors(ref.node for ref in graph.output_refs)
    return tuple(node for node in found if node.name in needed and len(node.inputs) >= 2)


def boxes_of(graph: Graph, node: Node, moved: Moved = behind) -> Boxes:
    """Return the boxes that one operation takes, followed back through selections, clipping and loops.

    ``moved`` says what else the walk passes.
    """
    clips: list[str] = []

    def back(graph: Graph, ref: Ref) -> Ref | None:
        clipped = before_clip(graph, graph[ref.node])
        if clipped is None:
            return moved(graph, ref)
        clips.append(ref.node)
        return clipped

    steps = list(trail(graph, node.inputs[0], back))
    whole = 0
    for position, ref in enumerate(steps):
        op = graph[ref.node].op
        if position + 1 < len(steps) and (op in _SELECTING or op.startswith(("TensorArray", "TensorList"))):
            whole = position + 1
    return Boxes(steps[whole], steps[-1], tuple(clips))


def before_clip(graph: Graph, node: Node) -> Ref | None:
    """Return the boxes before they were clipped coordinate by coordinate and joined again by ``node``, else
    None.
    """
    parts = data_inputs(node)
    if node.op not in ("ConcatV2", "Concat", "Pack") or len(parts) != 4:
        return None
    found: dict[str, Node] = {}
    limits = 0
    for part in parts:
        at = graph[part.node]
        passed = 0
        while at.op in ("Minimum", "Maximum") and at.inputs and passed < 4:
            passed += 1
            at = graph[_unclipped(graph, at).node]
        limits += bool(passed)
        found[at.name] = at
    if limits != 4 or len(found) != 1:
        return None
    split = next(iter(found.values()))
    return behind(graph, Ref(split.name)) if split.op in ("Split", "SplitV", "Unpack") else None


def _unclipped(graph: Graph, node: Node) -> Ref:
    """Return the side of a Minimum or Maximum that is clipped.

    The one that comes from a split or another limit.
    """
    for ref in node.inputs:
        if graph[ref.node].op in ("Split", "SplitV", "Minimum", "Maximum"):
            return ref
    return node.inputs[0]


def clip_window(graph: Graph, inference: Inference, clip: Node) -> tuple[float | None, ...]:
    """Return ymin, xmin, ymax, xmax of the window to which ``clip`` clips; None for what is no constant.

    ``clip`` joins clipped coordinates, as :func:`boxes_of` names it.
    """
    limits: list[list[float | None]] = [[None, None] for _ in range(4)]
    for place, part in enumerate(data_inputs(clip)):
        at = graph[part.node]
        for _ in range(4):
            if at.op not in ("Minimum", "Maximum"):
                break
            inner = _unclipped(graph, at)
            limit = next((ref for ref in at.inputs if ref != inner), inner)
            limits[place][at.op == "Minimum"] = _element(graph, inference, limit)
            at = graph[inner.node]
    top, left, bottom, right = limits
    agree = top == bottom and left == right
    return (top[0], left[0], bottom[1], right[1]) if agree else (None,) * 4


def _element(graph: Graph, inference: Inference, ref: Ref) -> float | None:
    """Return the constant that a tensor of one element is, or is taken from, else None."""
    place = 0
    for _ in range(STEPS):
        value = inference.known(ref)
        if value is not None:
            return float(value.reshape(-1)[place]) if place < value.size else None
        if graph[ref.node].op == "ZerosLike":
            return 0.0
        source = _source_of(graph, inference, ref, place)
        if source is None:
            return None
        ref, place = source
    return None


def _source_of(graph: Graph, inference: Inference, ref: Ref, place: int) -> tuple[Ref, int] | None:
    """Return the tensor, and the element of it, that one element of a tensor was moved from, one operation
    back; None where the operation computes it, or sizes are not known.

    Elements are counted as they lie in memory. The operation is computed once, on their numbers.
    """
    node, moved = graph[ref.node], behind(graph, ref)
    if moved is not None and node.op not in _REARRANGING:
        return moved, place
    sources = (moved,) if moved is not None else data_inputs(node) if node.op in _JOINING else ()
    if node.op == "Unpack" and not node.attrs.get("axis", 0) and not place and moved is not None:
        return moved, ref.slot  # numbers of a vector, whose size a loop's array may not tell
    numbers: dict[Ref, np.ndarray] = {}
    first = 0
    for source in dict.fromkeys(sources):
        dims = inference.spec(source).shape.dims
        if dims is None or None in dims:
            return None
        shape = tuple(dim for dim in dims if dim is not None)
        numbers[source] = np.arange(first, first + int(np.prod(shape))).reshape(shape)
        first += numbers[source].size
    if not numbers or first > _MOST_MOVED:
        return None
    others = {each for each in node.inputs if each not in numbers}
    known = {each: value for each in others if (value := inference.known(each)) is not None}
    if len(known) != len(others):
        return None
    try:
        found = evaluate(graph, [ref], {**numbers, **known}, inference=inference)[0].reshape(-1)
    except SurgeonError:
        return None
    if place >= found.size:
        return None
    for source, own in numbers.items():
        if own.size and own.flat[0] <= found[place] <= own.flat[-1]:
            return source, int(found[place] - own.flat[0])
    return None


def clipped_after(graph: Graph, nodes: Iterable[Node], ends: Iterable[Ref] | None = None) -> Node | None:
    """Return an operation that joins clipped boxes between suppression and ``ends``, if there is one.

    These are the graph's outputs where none are given.
    """
    behind_suppression = needed_after(graph, nodes, ends)
    return next(
        (node for node in graph if node.name in behind_suppression and before_clip(graph, node) is not None),
        None,
    )


def empty_box_filter(graph: Graph, inference: Inference, node: Node, moved: Moved = behind) -> Node | None:
    """Return the comparison by which boxes without an area are dropped before one operation, if any.

    It compares with 0, and what it compares are not the scores. ``moved`` says what the walk passes besides
    clipping.
    """
    scores = set(trail(graph, node.inputs[1]))

    def back(graph: Graph, ref: Ref) -> Ref | None:
        return before_clip(graph, graph[ref.node]) or moved(graph, ref)

    for ref in trail(graph, node.inputs[0], back):
        gather = graph[ref.node]
        if gather.op not in ("Gather", "GatherV2") or len(gather.inputs) < 2:
            continue
        compared = _comparison(graph, gather.inputs[1])
        if compared is None or compared.op != "Greater" or number(inference, compared.inputs[1]) != 0:
            continue
        if scores.isdisjoint(trail(graph, compared.inputs[0])):
            return compared
    return None


def empty_boxes_dropped_after(
    graph: Graph, inference: Inference, nodes: Iterable[Node], ends: Iterable[Ref] | None = None
) -> Node | None:
    """Return the operation that tells the boxes without an area among those that suppression leaves.

    It compares areas with 0, or takes them for truth values, between suppression and ``ends``, the graph's
    outputs where none are given. None where nothing does.
    """
    behind_suppression = needed_after(graph, nodes, ends)
    for node in graph:
        if node.name not in behind_suppression or not node.inputs:
            continue
        compares = node.op == "Greater" and number(inference, node.inputs[1]) == 0
        converts = node.op == "Cast" and node.attrs.get("DstT") is DType.BOOL
        if (compares or converts) and _is_area(graph, node.inputs[0]):
            return node
    return None


def _is_area(graph: Graph, ref: Ref) -> bool:
    """Return whether a tensor is the product of two differences."""
    *_, last = trail(graph, ref)
    product = graph[last.node]
    if product.op != "Mul" or len(product.inputs) != 2:
        return False
    sides = [[*trail(graph, side)][-1] for side in product.inputs]
    return all(graph[side.node].op == "Sub" for side in sides)


def iou_thresholds(graph: Graph, inference: Inference, nodes: Iterable[Node]) -> Iterator[Constant]:
    """Yield the overlap above which each operation drops a box, as far as it is constant."""
    for node in nodes:
        if node.op == "NonMaxSuppression":
            told = node.attrs.get("iou_threshold", 0.5)
            if isinstance(told, float):
                yield Constant(told, "iou_threshold", node.name)
            continue
        position = 4 if node.op == "CombinedNonMaxSuppression" else 3
        yield from constants_at(graph, inference, node, position)


def soft_sigmas(graph: Graph, inference: Inference, nodes: Iterable[Node]) -> Iterator[Constant]:
    """Yield the sigma of each soft suppression; 0 is the ordinary one."""
    for node in nodes:
        if node.op == "NonMaxSuppressionV5":
            yield from constants_at(graph, inference, node, 5)


def most_per_class(graph: Graph, inference: Inference, nodes: Iterable[Node]) -> Iterator[Constant]:
    """Yield how many boxes each operation keeps at most."""
    for node in nodes:
        if len(node.inputs) > 2:
            bound = upper_bound(graph, inference, node.inputs[2])
            if bound is not None:
                yield Constant(bound[0], bound[1].node, node.name)


def most_in_all(
    graph: Graph, inference: Inference, nodes: Iterable[Node], ends: Iterable[Ref] | None = None
) -> Iterator[Constant]:
    """Yield the bounds on the number of boxes of a picture.

    The constant of each Minimum between suppression and ``ends``, the graph's outputs where none are given.
    """
    nodes = tuple(nodes)
    for node in nodes:
        if node.op == "CombinedNonMaxSuppression":
            yield from constants_at(graph, inference, node, 3)
    seen = needed_after(graph, nodes, ends)
    for node in graph:
        if node.op == "Minimum" and node.name in seen:
            known = [
                (number(inference, ref), ref)
                for ref in node.inputs
                if inference.spec(ref).dtype in (DType.INT32, DType.INT64)
            ]
            found = [Constant(value, ref.node, node.name) for value, ref in known if value is not None]
            if found:
                yield min(found, key=lambda constant: constant.value)


def needed_after(graph: Graph, nodes: Iterable[Node], ends: Iterable[Ref] | None = None) -> set[str]:
    """Return the nodes between some and the outputs, or other ends, these included. Membership only."""
    needed = graph.ancestors(ref.node for ref in (graph.output_refs if ends is None else ends))
    seen = {node.name for node in nodes}
    queue = list(seen)
    while queue:
        for reader in graph.readers[queue.pop()]:
            if reader not in seen and reader in needed:
                seen.add(reader)
                queue.append(reader)
    return seen


def constants_at(graph: Graph, inference: Inference, node: Node, position: int) -> list[Constant]:
    """Return the constant that one input of an operation is, or holds; empty where it is none."""
    if position >= len(node.inputs):
        return []
    for ref in trail(graph, node.inputs[position]):
        value = number(inference, ref)
        if value is not None:
            return [Constant(value, ref.node, node.name)]
    return []


def _comparison(graph: Graph, ref: Ref) -> Node | None:
    """Return the comparison whose true places are the indices ``ref``."""

    def back(graph: Graph, ref: Ref) -> Ref | None:
        node = graph[ref.node]
        return node.inputs[0] if node.op in ("Cast", "Where") and node.inputs else behind(graph, ref)

    *_, last = trail(graph, ref, back)
    node = graph[last.node]
    return node if node.op in ("Greater", "GreaterEqual") and len(node.inputs) == 2 else None
