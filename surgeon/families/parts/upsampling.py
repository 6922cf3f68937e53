"""Enlargement of feature maps by repetition, which TensorRT has as a plugin only, found by what it
computes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from surgeon.diagnostics import SurgeonError
from surgeon.graph import Graph, Node, Ref
from surgeon.infer import Inference, evaluate

_STEPS = 8
_MOVES = ("Reshape", "ExpandDims", "Identity", "Squeeze")


@dataclass(frozen=True)
class Upsampling:
    """Nodes that repeat each pixel of ``source``, ``factor`` times in height and width, and give ``result``.

    ``channels_first`` says that the maps are [N, C, H, W], else [N, H, W, C].
    """

    nodes: tuple[str, ...]
    source: Ref
    result: Ref
    factor: int
    channels_first: bool
    evidence: tuple[str, ...]


def upsamplings(graph: Graph, inference: Inference, needed: set[str]) -> tuple[Upsampling, ...]:
    """Return the enlargements by repetition among the ``needed`` nodes, in graph order.

    What looks like one is evaluated on numbers that differ all over, and counts where each pixel is repeated
    exactly.
    """
    found = []
    for node in graph:
        if node.name in needed and node.op in ("Reshape", "ResizeNearestNeighbor"):
            one = _upsampling(graph, inference, node)
            if one is not None:
                found.append(one)
    return tuple(found)


def _upsampling(graph: Graph, inference: Inference, last: Node) -> Upsampling | None:
    passed = list(_repetition(graph, inference, last))
    if not passed:
        return None
    source, result = graph[passed[-1]].inputs[0], Ref(last.name)
    before, after = inference.spec(source).shape.dims, inference.spec(result).shape.dims
    if (
        before is None
        or after is None
        or len(before) != 4
        or len(after) != 4
        or None in before
        or None in after
    ):
        return None
    small, large = [int(n or 0) for n in before], [int(n or 0) for n in after]
    high, wide = (2, 3) if small[1] == large[1] and last.op != "ResizeNearestNeighbor" else (1, 2)
    factor = large[high] // max(1, small[high])
    grown = [n * factor if axis in (high, wide) else n for axis, n in enumerate(small)]
    if (
        factor < 2
        or large != grown
        or not _repeats(graph, inference, source, result, small, factor, (high, wide))
    ):
        return None
    evidence = (
        f"'{source}' is {inference.spec(source)}, '{result}' {inference.spec(result)}",
        f"each pixel is repeated {factor} times in height and width",
    )
    return Upsampling(tuple(passed), source, result, factor, high == 2, evidence)


def _repetition(graph: Graph, inference: Inference, last: Node) -> Iterator[str]:
    """Yield the nodes from ``last`` back to the tensor that is repeated.

    Nothing where no operation repeats.
    """
    if last.op == "ResizeNearestNeighbor":
        if not last.attrs.get("align_corners") and not last.attrs.get("half_pixel_centers"):
            yield last.name
        return
    passed: list[str] = []
    end = 0
    at = last
    for _ in range(_STEPS):
        repeats = _repeats_numbers(inference, at)
        if not repeats and at.op not in _MOVES:
            break
        passed.append(at.name)
        end = len(passed) if repeats or (end and at.op in _MOVES) else end
        # A tensor of rank 4 before a repetition is the one that is repeated.
        rank = inference.spec(at.inputs[0]).shape.rank
        if end and rank == 4:
            break
        at = graph[at.inputs[0].node]
    yield from passed[:end]


def _repeats_numbers(inference: Inference, node: Node) -> bool:
    """True for an operation that repeats numbers.

    Several times the same tensor stacked, or a product with ones.
    """
    if node.op == "Pack":
        return len(node.inputs) > 1 and len(dict.fromkeys(node.inputs)) == 1
    if node.op == "Mul":
        ones = inference.known(node.inputs[1])
        return ones is not None and ones.size > 1 and bool((ones == 1).all())
    return False


def _repeats(
    graph: Graph,
    inference: Inference,
    source: Ref,
    result: Ref,
    small: list[int],
    factor: int,
    axes: tuple[int, int],
) -> bool:
    given = np.arange(np.prod(small), dtype=np.float32).reshape(small)
    try:
        computed = evaluate(graph, [result], {source: given}, inference=inference)[0]
    except SurgeonError:
        return False
    return np.array_equal(computed, given.repeat(factor, axis=axes[0]).repeat(factor, axis=axes[1]))
