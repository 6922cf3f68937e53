"""The heads of a YOLO detector: its last convolutions, one a map of cells."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from surgeon.families.parts.heads import CONVOLUTIONS
from surgeon.families.parts.walk import operand
from surgeon.graph import Graph, Node, Ref
from surgeon.graph.op_sets import SIZES
from surgeon.infer import Inference

FIRST_CLASS = 5
"""Columns of a box in front of its classes: x, y, width, height and objectness."""

PER_CELL = (3, 5)
"""Boxes of a cell: of YOLO v3 and v4, which have several heads, and of YOLO v2, which has one."""

_ADDITIONS = ("BiasAdd", "Add", "AddV2")

_MOST_BEHIND = 20_000
"""Nodes between the heads and the outputs that a walk passes."""


@dataclass(frozen=True)
class CellHead:
    """One head: ``tensor`` is its map with the bias added, ``conv`` its convolution.

    ``channels`` is the number of numbers of a cell.
    """

    tensor: Ref
    conv: Node
    channels: int

    @property
    def channels_first(self) -> bool:
        """Whether the map is [N, C, H, W]."""
        return self.conv.attrs.get("data_format") == b"NCHW"


def last_convolutions(graph: Graph, varying: set[str]) -> list[Node]:
    """Return the convolutions that an output is computed from without another one in between, in graph order.

    Sizes of tensors are not followed.
    """
    found: set[str] = set()
    seen: set[str] = set()
    waiting = [ref.node for ref in graph.output_refs]
    while waiting and len(seen) < _MOST_BEHIND:
        name = waiting.pop()
        if name in seen or name not in varying:
            continue
        seen.add(name)
        node = graph[name]
        if node.op in CONVOLUTIONS:
            found.add(name)
        elif node.op not in SIZES:
            waiting += [ref.node for ref in node.inputs]
    return [node for node in graph if node.name in found]


def head_of(graph: Graph, inference: Inference, conv: Node) -> CellHead | None:
    """Return the head whose convolution this is; None for a kernel that is larger than 1 x 1, and without a
    bias.
    """
    kernel = inference.spec(conv.inputs[1]).shape.dims
    if conv.op != "Conv2D" or kernel is None or kernel[:2] != (1, 1) or kernel[3] is None:
        return None
    readers = [graph[name] for name in graph.readers[conv.name] if graph[name].op not in SIZES]
    if len(readers) != 1 or readers[0].op not in _ADDITIONS:
        return None
    parts = operand(inference, readers[0])
    if parts is None or parts[0].node != conv.name:
        return None
    return CellHead(Ref(readers[0].name), conv, kernel[3])


def strides_of(heads: list[CellHead], inference: Inference, picture: tuple[int, int]) -> Iterator[int | None]:
    """Yield how many pixels of the network's input a cell of each head covers; None where that is not one
    number.
    """
    for head in heads:
        dims = inference.spec(head.tensor).shape.dims
        sides = (dims[2:] if head.channels_first else dims[1:3]) if dims and len(dims) == 4 else (None, None)
        if None in sides or 0 in sides:
            yield None
            continue
        strides = {
            round(whole / side) for whole, side in zip(picture, map(int, filter(None, sides)), strict=True)
        }
        yield strides.pop() if len(strides) == 1 else None
