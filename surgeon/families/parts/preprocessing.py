"""How a detector graph makes its network's input from pixels, read off the graph."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

import numpy as np

from surgeon.families.parts.heads import CONVOLUTIONS
from surgeon.families.parts.numbers import plain
from surgeon.families.parts.walk import (
    STEPS,
    behind,
    behind_identities,
    data_inputs,
    number,
    operand,
    source,
    trail,
)
from surgeon.graph import Graph, Node, Ref
from surgeon.graph.op_sets import MERGES, SWITCHES
from surgeon.infer import Inference

_RESIZES = {"ResizeBilinear": "bilinear", "ResizeNearestNeighbor": "nearest"}
_ARITHMETIC = {
    "Mul": "scale",
    "Sub": "subtract",
    "RealDiv": "divide",
    "Div": "divide",
    "Add": "subtract",
    "AddV2": "subtract",
    "BiasAdd": "subtract",
}
_PADS = frozenset(
    {"Pad", "PadV2", "MirrorPad", "Identity", "SpaceToBatchND", "Transpose", "FakeQuantWithMinMaxVars"}
)
_KEPT = frozenset({"Slice", "StridedSlice", "Transpose", "Gather", "GatherV2", "Split", "SplitV", "Tile"})
"""Operations that move numbers and change the picture."""

Amount = float | tuple[float, ...]


@dataclass(frozen=True)
class ResizeChoice:
    """Two resizings of one picture, in the branches of a conditional.

    ``taken`` is which of them a predicate of ``False`` and of ``True`` takes, ``merge`` joins both, and
    ``source`` is the picture in front of the conditional.
    """

    predicate: Ref
    taken: tuple[Node, Node]
    merge: Node
    source: Ref


@dataclass(frozen=True)
class Pixels:
    """What happens to pixels, in the order in which it happens.

    ``steps`` are (kind, amount, node) as in a recipe's image steps. ``resize`` is the resizing operation,
    ``pads`` are what pads the resized picture with zeros, one for all channels or one each, before the steps
    or, where ``pads_late``, after them. ``reversed`` is what reverses the channels, ``gray`` what makes the
    picture gray, with the shares of red, green and blue. ``choice`` is there where the picture's shape
    chooses between two resizings, of which ``resize`` is one. ``problem`` says why the walk ended before the
    picture, at the tensor ``at``.
    """

    steps: tuple[tuple[str, Amount, str], ...] = ()
    resize: Node | None = None
    pads: tuple[Node, ...] = ()
    pads_late: bool = False
    reversed: Node | None = None
    choice: ResizeChoice | None = None
    gray: tuple[Node, tuple[float, float, float]] | None = None
    at: Ref = field(default_factory=lambda: Ref(""))
    problem: str = ""


def first_convolution(graph: Graph, varying: Collection[str], start: Node) -> Node:
    """Return the convolution nearest to the picture on the way back from ``start``, a convolution.

    A MatMul further on belongs to what makes the picture gray.
    """
    found = at = start
    seen = {start.name}
    while True:
        source = next((ref.node for ref in at.inputs if ref.node in varying), None)
        if source is None or source in seen:
            return found
        seen.add(source)
        at = graph[source]
        if at.op in CONVOLUTIONS - {"MatMul"}:
            found = at


def network_input(graph: Graph, inference: Inference, convolution: Node) -> Ref:
    """Return the tensor that the network reads: what the first convolution does, before any padding."""
    at = convolution.inputs[0]
    for _ in range(STEPS):
        node = graph[at.node]
        if node.op in _PADS:
            at = node.inputs[0]
        elif node.op == "ConcatV2" and (padded := _zero_padded(inference, node)) is not None:
            at = padded
        else:
            break
    return at


def _zero_padded(inference: Inference, node: Node) -> Ref | None:
    """Return what a ConcatV2 pads with zeros, where all but one of its parts are that."""
    parts = data_inputs(node)
    rest = [ref for ref in parts if (value := inference.known(ref)) is None or value.any()]
    if len(rest) == len(parts):
        rest = [ref for ref in parts if (value := inference.value(ref)) is None or value.any()]
    return rest[0] if len(rest) == 1 and len(parts) > 1 else None


def pixels_behind(graph: Graph, inference: Inference, start: Ref) -> Pixels:
    """Follow a network's input back to the picture."""
    steps: list[tuple[str, Amount, str]] = []
    resize = reverse = None
    choice: ResizeChoice | None = None
    pads: tuple[Node, ...] = ()
    padded_steps = 0
    gray: tuple[Node, tuple[float, float, float]] | None = None
    at = start
    seen: set[Ref] = set()

    def done(problem: str = "") -> Pixels:
        late = bool(pads) and len(steps) > padded_steps
        return Pixels(tuple(reversed(steps)), resize, pads, late, reverse, choice, gray, at, problem)

    while at not in seen and len(seen) < STEPS:
        seen.add(at)
        node = graph[at.node]
        if not node.inputs or node.op.startswith("Decode"):
            return done()
        if node.op in _RESIZES:
            if resize is not None:
                return done(f"resizes twice, in '{resize.name}' too")
            resize = node
            at = node.inputs[0]
        elif (brightness := _brightness(graph, inference, node)) is not None:
            if gray is not None:
                return done("makes brightness of what is gray already")
            at = brightness[0]
            gray = node, brightness[1]
        elif (padded := _padded(graph, inference, node)) is not None and not pads and resize is None:
            pads, at = padded
            padded_steps = len(steps)
        elif pads and node.op in _ARITHMETIC and padded_steps:
            return done("computes with the picture before it is padded, and more follows after that")
        elif gray is not None and (node.op in _ARITHMETIC or _straight(graph, inference, node) is not None):
            return done("changes colours before their brightness is taken")
        elif node.op in _ARITHMETIC:
            step = _step(inference, node)
            if step is None:
                return done("computes with something that is not a number for each channel")
            kind, amount, name, at = step
            # Steps of an image come after its channels are reversed.
            turned = amount[::-1] if reverse is not None and isinstance(amount, tuple) else amount
            steps.append((kind, turned, name))
        elif (straight := _straight(graph, inference, node)) is not None:
            reverse = node if reverse is None else None
            at = straight
        elif (either := _resize_choice(graph, node)) is not None and resize is None:
            choice, resize, at = either, either.taken[True], either.source
        elif node.op == "Cast":
            at = node.inputs[0]
        elif node.op in MERGES and behind(graph, at) is None:
            return done("is one of two branches of a conditional")
        elif node.op in ("Pad", "PadV2", "MirrorPad"):
            return done(
                "pads the resized picture, as keep_aspect_ratio_resizer with pad_to_max_dimension does"
            )
        elif node.op == "StridedSlice" and (
            _takes_all(inference, node) or (pads and _takes_first(inference, node))
        ):
            # What is padded has room for all that the resizing gives; whoever asks for its size sees that.
            at = node.inputs[0]
        elif node.op in _KEPT or (moved := behind(graph, at)) is None:
            return done(f"is computed by {node.op}")
        else:
            at = moved
    return done("goes round in a circle")


def _padded(graph: Graph, inference: Inference, node: Node) -> tuple[tuple[Node, ...], Ref] | None:
    """Return what pads a picture with zeros, and the picture before that; None for another operation.

    It is one Pad, or a Pack of the channels of an Unpack, each padded by itself.
    """
    if node.op in ("Pad", "PadV2"):
        zero = node.op == "Pad" or (len(node.inputs) > 2 and number(inference, node.inputs[2]) == 0)
        return ((node,), node.inputs[0]) if zero and len(node.inputs) > 1 else None
    if node.op != "Pack" or len(node.inputs) < 2:
        return None
    channels = [(graph[ref.node], _padded(graph, inference, graph[ref.node])) for ref in node.inputs]
    pads = tuple(pad for pad, found in channels if pad.op != "Pack" and found is not None)
    sources = {pad.inputs[0].node for pad in pads}
    slots = [pad.inputs[0].slot for pad in pads]
    if len(pads) != len(node.inputs) or len(sources) != 1 or slots != list(range(len(pads))):
        return None
    split = graph[sources.pop()]
    same_axis = split.attrs.get("axis", 0) == node.attrs.get("axis", 0)
    return (pads, split.inputs[0]) if split.op == "Unpack" and same_axis else None


def _straight(graph: Graph, inference: Inference, node: Node) -> Ref | None:
    """Return the picture whose three channels ``node`` reverses; None for another operation.

    It is a ReverseV2, a slice such as ``x[..., ::-1]``, or a Pack of an Unpack's channels from the last to
    the first.
    """
    if (node.op == "ReverseV2" and _turns_channels(inference, node)) or (
        node.op == "StridedSlice" and _turns_last(inference, node)
    ):
        return node.inputs[0]
    if node.op != "Pack" or len(node.inputs) != 3 or len({ref.node for ref in node.inputs}) != 1:
        return None
    split = graph[node.inputs[0].node]
    same_axis = split.attrs.get("axis", 0) == node.attrs.get("axis", 0)
    backwards = [ref.slot for ref in node.inputs] == [2, 1, 0]
    return split.inputs[0] if split.op == "Unpack" and same_axis and backwards else None


def _turns_channels(inference: Inference, node: Node) -> bool:
    """Return whether a ReverseV2 turns the axis of three channels alone: rows and columns are longer."""
    axes = inference.known(node.inputs[1]) if len(node.inputs) == 2 else None
    if axes is None or axes.size != 1:
        return False
    axis, dims = int(axes.reshape(-1)[0]), inference.spec(node.inputs[0]).shape.dims
    if dims is None:
        return axis in (-1, 3)
    if not -len(dims) <= axis < len(dims):
        return False
    return dims[axis] == 3 or (dims[axis] is None and axis in (-1, len(dims) - 1))


def _turns_last(inference: Inference, node: Node) -> bool:
    """Return whether a StridedSlice takes everything, the last axis from the end."""
    strides = inference.known(node.inputs[3]) if len(node.inputs) == 4 else None
    if strides is None or strides.reshape(-1)[-1:].tolist() != [-1] or (strides.reshape(-1)[:-1] != 1).any():
        return False
    masks: dict[str, int] = {}
    for name in ("new_axis", "ellipsis", "begin", "end", "shrink_axis"):
        value = node.attrs.get(f"{name}_mask", 0)
        masks[name] = value if isinstance(value, int) else 0
    whole = masks["begin"] & masks["end"] | masks["ellipsis"]
    rank = inference.spec(node.inputs[0]).shape.rank
    named = bool(masks["ellipsis"]) or strides.size == rank
    last = 1 << strides.size - 1
    taken = whole & last and not masks["ellipsis"] & last and whole == 2 * last - 1
    return bool(taken) and named and not masks["new_axis"] | masks["shrink_axis"]


def _resize_choice(graph: Graph, merge: Node) -> ResizeChoice | None:
    """Return the two resizings between which a conditional chooses; None for another operation.

    Both resize one picture in one way, so that they differ in their sizes alone.
    """
    if merge.op not in MERGES or len(merge.inputs) != 2:
        return None
    taken: dict[int, Node] = {}
    entries: set[tuple[Ref, ...]] = set()
    for branch in merge.inputs:
        resize = graph[source(graph, branch).node]
        if resize.op not in _RESIZES:
            return None
        switch = next((ref for ref in trail(graph, resize.inputs[0]) if graph[ref.node].op in SWITCHES), None)
        if switch is None:
            return None
        taken[switch.slot] = resize
        # Each branch may take the picture by a Switch of its own; the predicates are one, past identities.
        picture, predicate = graph[switch.node].inputs
        entries.add((picture, behind_identities(graph, predicate)))
    if set(taken) != {0, 1} or len(entries) != 1:
        return None
    ways = {
        (each.op, each.attrs.get("half_pixel_centers"), each.attrs.get("align_corners"))
        for each in taken.values()
    }
    if len(ways) != 1:
        return None
    ((picture, predicate),) = entries
    return ResizeChoice(predicate, (taken[0], taken[1]), merge, picture)


def _brightness(
    graph: Graph, inference: Inference, node: Node
) -> tuple[Ref, tuple[float, float, float]] | None:
    """Return the colours of which ``node`` makes the brightness, as ``tf.image.rgb_to_grayscale`` does, and
    the shares of red, green and blue; None for another operation.

    It is a MatMul with the shares, or the Sum of a product with them over the last axis.
    """
    if node.op == "MatMul" and len(node.inputs) == 2:
        if node.attrs.get("transpose_a") or node.attrs.get("transpose_b"):
            return None
        colours, shares = node.inputs
    elif node.op == "Sum" and len(node.inputs) == 2:
        product, axis = graph[node.inputs[0].node], inference.known(node.inputs[1])
        rank = inference.spec(node.inputs[0]).shape.rank
        last = (-1,) if rank is None else (-1, rank - 1)
        parts = operand(inference, product) if product.op == "Mul" else None
        if parts is None or axis is None or axis.size != 1 or int(axis.reshape(-1)[0]) not in last:
            return None
        colours, shares = parts
    else:
        return None
    value = inference.known(shares)
    if value is None or value.size != 3 or value.dtype.kind != "f" or not np.isfinite(value).all():
        return None
    red, green, blue = (plain(float(share)) for share in value.reshape(-1))
    return colours, (red, green, blue)


def _takes_all(inference: Inference, node: Node) -> bool:
    """Return whether a StridedSlice takes every number in its order: 'x[None]', or 'x[0]' of one picture."""
    if len(node.inputs) != 4:
        return False
    begins, strides = (inference.known(node.inputs[position]) for position in (1, 3))
    dims = inference.spec(node.inputs[0]).shape.dims
    if begins is None or strides is None:
        return False
    names = ("new_axis", "ellipsis", "begin", "end", "shrink_axis")
    given = {name: node.attrs.get(f"{name}_mask", 0) for name in names}
    masks = {name: mask if isinstance(mask, int) else 0 for name, mask in given.items()}
    taken = 0
    for place, (begin, stride) in enumerate(zip(begins.reshape(-1), strides.reshape(-1), strict=True)):
        bit = {name for name, mask in masks.items() if mask >> place & 1}
        if "new_axis" in bit:
            continue
        if "ellipsis" in bit:
            return not masks["shrink_axis"] >> place
        if "shrink_axis" in bit:
            if dims is None or dims[taken] != 1 or begin not in (0, -1):
                return False
        elif not ({"begin", "end"} <= bit and stride == 1):
            return False
        taken += 1
    return True


def _takes_first(inference: Inference, node: Node) -> bool:
    """Return whether a StridedSlice takes the first of each axis and those that follow it, up to a bound."""
    if len(node.inputs) != 4:
        return False
    begins, strides = (inference.known(node.inputs[position]) for position in (1, 3))
    masks = ("ellipsis_mask", "new_axis_mask", "shrink_axis_mask")
    if begins is None or strides is None or any(node.attrs.get(mask) for mask in masks):
        return False
    return not begins.any() and bool((strides == 1).all())


def _step(inference: Inference, node: Node) -> tuple[str, Amount, str, Ref] | None:
    """Return one operation on pixels as (kind, amount, node of the constant, what it is applied to)."""
    parts = operand(inference, node)
    if parts is None:
        return None
    tensor, constant = parts
    kind = _ARITHMETIC[node.op]
    if node.op in ("Sub", "RealDiv", "Div") and constant != node.inputs[1]:
        return None
    if node.attrs.get("data_format") == b"NCHW":
        return None
    value = inference.known(constant)
    if (
        value is None
        or value.dtype.kind not in "iuf"
        or value.size not in (1, 3)
        or (value.size == 3 and value.shape[-1] != 3)
    ):
        return None
    flat = value.reshape(-1).astype(np.float32)
    if not np.isfinite(flat).all() or (kind == "divide" and not flat.all()):
        return None
    sign = -1.0 if node.op in ("Add", "AddV2", "BiasAdd") else 1.0
    numbers = tuple(plain(sign * float(v)) for v in flat)
    return kind, numbers[0] if len(numbers) == 1 else numbers, constant.node, tensor
