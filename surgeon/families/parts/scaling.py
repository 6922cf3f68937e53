"""Boxes brought to another scale, coordinate by coordinate: relative to a window, or in pixels of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from surgeon.families.parts.walk import behind, data_inputs, trail
from surgeon.graph import Graph, Node, Ref

Scale = Literal["relative", "pixels"]

_SPLITS = ("Split", "SplitV", "Unpack")


@dataclass(frozen=True)
class Scaling:
    """Boxes that ``node`` joins of coordinates, each multiplied by a factor.

    ``boxes`` is the tensor before that. ``to`` is ``relative`` where the factors come from a division, as
    those by the sides of a window do, else ``pixels``.
    """

    node: str
    boxes: Ref
    to: Scale


def scaling_at(graph: Graph, ref: Ref) -> Scaling | None:
    """Return how the operation of ``ref`` scales boxes, None where it does not.

    Boxes may be moved to the corner of a window first.
    """
    node = graph[ref.node]
    parts = data_inputs(node) if node.op in ("ConcatV2", "Concat", "Pack") else ()
    if len(parts) != 4:
        return None
    splits: set[str] = set()
    divided = []
    for part in parts:
        sides = _sides(graph, graph[part.node])
        if sides is None:
            return None
        coordinate, factor = sides
        splits.add(coordinate.node)
        *_, origin = trail(graph, factor)
        divided.append(graph[origin.node].op in ("RealDiv", "Div", "Reciprocal"))
    if len(splits) != 1 or len(set(divided)) != 1:
        return None
    split = graph[splits.pop()]
    boxes = split.inputs[1 if split.op == "Split" else 0]
    shifted = graph[boxes.node]
    if shifted.op == "Sub":
        boxes = shifted.inputs[0]
    return Scaling(node.name, boxes, "relative" if divided[0] else "pixels")


def behind_scaling(graph: Graph, ref: Ref) -> Ref | None:
    """Return the boxes before they were scaled, else what :func:`behind` returns."""
    scaling = scaling_at(graph, ref)
    return behind(graph, ref) if scaling is None else scaling.boxes


def _sides(graph: Graph, node: Node) -> tuple[Ref, Ref] | None:
    """Return coordinate and factor of a product of a split's output with something else."""
    if node.op != "Mul" or len(node.inputs) != 2:
        return None
    first, second = node.inputs
    split = [graph[side.node].op in _SPLITS for side in node.inputs]
    if split[0] == split[1]:
        return None
    return (first, second) if split[0] else (second, first)
