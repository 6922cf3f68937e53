"""Numbers that are made for inputs, of a range that the graph tells."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

import numpy as np

from surgeon.graph import Graph, Node, Ref, TensorSpec
from surgeon.graph.op_sets import LOOP_ENTRIES, PASSED_OVER, SWITCHES
from surgeon.infer import Inference

DRAWS = 3
"""How often numbers are made."""

_MOVES = PASSED_OVER | SWITCHES | LOOP_ENTRIES | {"Cast", "ExpandDims", "Reshape", "Squeeze", "StridedSlice"}
_MOVED = _MOVES | {"Transpose", "Tile", "Pack", "ConcatV2"}
"""Operations behind which a number means what it meant."""

_HIDES = 100.0
"""A factor from which a mask drives a softmax into saturation."""


class Meaning(str, Enum):
    """What the numbers of an input mean."""

    PICTURE = "picture"
    NUMBERS = "numbers"
    INDEX = "index"
    MASK = "mask"
    SWITCH = "switch"


@dataclass(frozen=True)
class MadeInput:
    """An input that numbers are made for, whole ones from ``low`` to ``high``, both included."""

    spec: TensorSpec
    meaning: Meaning
    low: int = 0
    high: int = 1

    def draw(self, number: int, random: np.random.Generator) -> np.ndarray:
        """Return the array of a draw, the first of which has number 0.

        The first draw has floats from 0 to 1, no masked element, and scalars at rest: 1.0 and False. Later
        draws have floats from -1 to 1 and from 0 to 10, for a picture to 255, and masks of 0 and 1.
        """
        assert self.spec.dtype is not None
        shape, dtype = self.spec.shape.static(), np.dtype(self.spec.dtype.numpy())
        if self.meaning is Meaning.SWITCH:
            value = dtype.kind != "b" if not number else random.random() if dtype.kind == "f" else number % 2
            return np.full(shape, value, dtype)
        if self.meaning is Meaning.MASK:
            # A mask of one element hides all or nothing.
            mask = np.ones(shape) if not number or not shape else random.integers(0, 1, shape, endpoint=True)
            if shape:
                mask[..., :1] = 1
            return mask.astype(dtype)
        if dtype.kind != "f":
            return random.integers(self.low, self.high, shape, endpoint=True).astype(dtype)
        if not number:
            return random.random(shape, np.float32).astype(dtype)
        if number % 2 == 0:
            most = 255 if self.meaning is Meaning.PICTURE else 10
            return random.uniform(0, most, shape).astype(dtype)
        return random.uniform(-1, 1, shape).astype(dtype)


def made_input(
    graph: Graph, inference: Inference, ref: Ref, spec: TensorSpec, length: int | None
) -> MadeInput:
    """Return what numbers are made for a tensor of a static shape.

    An index stays within every table that it selects from, and below the depth of a OneHot. Whole numbers in
    a list are lengths up to ``length``, where that is known and they select nothing.
    """
    assert spec.dtype is not None
    kind, dims = np.dtype(spec.dtype.numpy()).kind, spec.shape.static()
    if not dims and kind in "bf":
        return MadeInput(spec, Meaning.SWITCH)
    sizes: list[int] = []
    for node, slot in _readers(graph, ref):
        if slot == 1 and _is_mask(graph, inference, node):
            return MadeInput(spec, Meaning.MASK)
        sizes += _sizes(inference, node, slot)
    if kind == "f":
        picture = len(dims) == 4 and dims[-1] in (1, 3, 4)
        return MadeInput(spec, Meaning.PICTURE if picture else Meaning.NUMBERS)
    if sizes:
        return MadeInput(spec, Meaning.INDEX, 0, max(0, min(sizes) - 1))
    if spec.dtype.numpy() == np.uint8:
        return MadeInput(spec, Meaning.PICTURE, 0, 255)
    if kind in "iu" and len(dims) == 1 and length is not None:
        return MadeInput(spec, Meaning.INDEX, 1, max(1, length))
    return MadeInput(spec, Meaning.NUMBERS)


def _readers(graph: Graph, ref: Ref) -> Iterator[tuple[Node, int]]:
    """Yield each node that reads a tensor's numbers, moved or cast or as they are, with the place where."""
    seen: set[str] = set()
    waiting = [ref.node]
    while waiting:
        name = waiting.pop()
        for reader in graph.readers[name]:
            node = graph[reader]
            for slot, source in enumerate(node.inputs):
                if source.node != name:
                    continue
                yield node, slot
                if node.op in _MOVED and reader not in seen:
                    seen.add(reader)
                    waiting.append(reader)


def _sizes(inference: Inference, node: Node, slot: int) -> Iterator[int]:
    """Yield how many rows a node selects from by the indices at one of its inputs, where that is known."""
    if node.op in ("Gather", "GatherV2", "ResourceGather") and slot == 1:
        dims = inference.spec(node.inputs[0]).shape.dims
        axis = inference.value(node.inputs[2]) if len(node.inputs) > 2 else np.int32(0)
        if dims and axis is not None and -len(dims) <= int(axis) < len(dims):
            size = dims[int(axis)]
            if size is not None:
                yield size
    elif node.op == "OneHot" and slot == 0:
        depth = inference.value(node.inputs[1])
        if depth is not None:
            yield int(depth)
    elif node.op == "ReverseSequence" and slot == 1:
        dims, along = inference.spec(node.inputs[0]).shape.dims, node.attrs.get("seq_dim")
        size = dims[along] if dims and isinstance(along, int) and along < len(dims) else None
        if size is not None:
            yield size + 1


def _is_mask(graph: Graph, inference: Inference, node: Node) -> bool:
    """Return whether a node is ``1 - mask`` that is multiplied by a large number."""
    if node.op != "Sub":
        return False
    one = inference.value(node.inputs[0])
    if one is None or not np.all(one == 1):
        return False
    for reader, slot in _readers(graph, Ref(node.name)):
        if reader.op == "Mul":
            factor = inference.value(reader.inputs[1 - slot])
            if factor is not None and factor.size and float(np.abs(factor).min()) >= _HIDES:
                return True
    return False
