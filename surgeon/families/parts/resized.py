"""To what sizes a graph resizes and pads pictures, computed for pictures of some sizes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from surgeon.diagnostics import SurgeonError
from surgeon.families.parts.preprocessing import Pixels
from surgeon.graph import Graph, Node, Ref
from surgeon.graph.op_sets import IDENTITIES
from surgeon.graph.reach import upstream
from surgeon.infer import evaluate


def resized_and_padded(
    graph: Graph, node: Node, pixels: Pixels, height: int, width: int
) -> list[np.ndarray] | None:
    """Return the height and width to which ``node`` resizes a picture, and what each of the paddings adds.

    A picture without a batch is one to which the graph adds it. Of two resizings, the one that the picture's
    shape chooses counts. None where the graph does not tell.
    """
    at, added = node.inputs[0], False
    while graph[at.node].op in ("ExpandDims", *IDENTITIES):
        added = added or graph[at.node].op == "ExpandDims"
        at = graph[at.node].inputs[0]
    dims = (height, width, 3) if added else (1, height, width, 3)
    paddings = [pad.inputs[1] for pad in pixels.pads]
    choice = pixels.choice
    try:
        if choice is None:
            return _evaluated(graph, [node.inputs[1], *paddings], at, dims)
        (chosen,) = _evaluated(graph, [choice.predicate], choice.source, dims)
        (size,) = _evaluated(graph, [choice.taken[bool(chosen)].inputs[1]], choice.source, dims)
        inner = (*dims[:-3], *(int(side) for side in size), dims[-1])
        return [size, *_evaluated(graph, paddings, Ref(choice.merge.name), inner)]
    except SurgeonError:
        return None


def _evaluated(graph: Graph, wanted: Sequence[Ref], fed: Ref, dims: Sequence[int]) -> list[np.ndarray]:
    """Return the values of tensors for a black picture of these sizes."""
    # Control edges tie constants to the rounds of the loop around, which is not run.
    needed = upstream(graph, (ref.node for ref in wanted), stop=fed.node) | {fed.node}
    alone = graph.replace(
        replace(each, control=(), inputs=() if each.name == fed.node else each.inputs)
        for each in graph
        if each.name in needed
    )
    return evaluate(alone, wanted, {fed: np.zeros(dims, np.float32)})
