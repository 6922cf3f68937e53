"""What a network is for, where its structure shows it."""

from __future__ import annotations

from collections.abc import Iterator

from surgeon.families.finding import Finding
from surgeon.families.generic.outputs import NetworkOutput
from surgeon.graph import Graph, Node, Ref
from surgeon.graph.op_sets import PASSED_OVER
from surgeon.infer import Inference

_RESHAPED = PASSED_OVER | {"Reshape", "Squeeze"}
_SQUARE_ROOTS = frozenset({"Rsqrt", "Sqrt"})
_STEPS = 16


def task(graph: Graph, inference: Inference, output: NetworkOutput) -> Finding[str] | None:
    """Return what an output says the network is for, with the nodes that show it; None where nothing does.

    A softmax or an ArgMax over the last axis tells classes, of the whole input where the output is
    float32[N, C], of every pixel where it is float32[N, H, W, C]. Vectors float32[N, D] of length 1 are
    embeddings.
    """
    dims = inference.spec(output.tensor).shape.dims
    if dims is None or dims[-1:] in ((), (None,), (1,)):
        return None
    evidence = _classes(graph, inference, output, len(dims))
    if evidence is not None:
        if len(dims) == 2:
            return Finding(f"classifier of {dims[1]} classes", evidence)
        if len(dims) == 4 and dims[1:3] != (1, 1):
            return Finding(f"segmentation network of {dims[3]} classes", evidence)
        return None
    if len(dims) == 2 and (length := _unit_length(graph, output.tensor)) is not None:
        return Finding(f"network of embeddings of {dims[1]} numbers", length)
    return None


def _classes(graph: Graph, inference: Inference, output: NetworkOutput, rank: int) -> tuple[str, ...] | None:
    """Return what shows that the last axis holds classes."""
    for name in output.tail:
        node = graph[name]
        if node.op != "ArgMax" or len(node.inputs) < 2 or node.inputs[0] != output.tensor:
            continue
        axis = inference.value(node.inputs[1])
        if axis is not None and axis.size == 1 and int(axis.reshape(())) in (-1, rank - 1):
            return (f"'{name}' (ArgMax) takes the largest of each",)
    for node in _behind(graph, output.tensor):
        if node.op == "Softmax":
            return (f"'{node.name}' (Softmax)",)
    return None


def _behind(graph: Graph, ref: Ref) -> Iterator[Node]:
    """Yield the node of a tensor and those before it, past what only gives numbers another shape."""
    for _ in range(_STEPS):
        node = graph[ref.node]
        yield node
        if node.op not in _RESHAPED or not node.inputs or node.inputs[0].node not in graph:
            return
        ref = node.inputs[0]


def _unit_length(graph: Graph, ref: Ref) -> tuple[str, ...] | None:
    """Return what shows that vectors are divided by their length: by the root of a sum of their squares."""
    *_, node = _behind(graph, ref)
    if node.op not in ("Mul", "RealDiv", "Div") or len(node.inputs) != 2:
        return None
    for vector, factor in (node.inputs, node.inputs[::-1]):
        root = graph[factor.node]
        if root.op not in _SQUARE_ROOTS or (root.op == "Rsqrt") != (node.op == "Mul"):
            continue
        below = root.inputs[0] if root.inputs else None
        for _ in range(3):
            if below is None:
                break
            term = graph[below.node]
            if term.op == "Sum" and _squares(graph, term, vector):
                return (f"'{node.name}' ({node.op}) divides by '{root.name}' ({root.op}), the length",)
            if term.op not in ("Maximum", "Add", "AddV2"):
                break
            below = next((each for each in term.inputs if graph[each.node].op != "Const"), None)
    return None


def _squares(graph: Graph, total: Node, vector: Ref) -> bool:
    """Return whether a Sum adds the squares of a vector."""
    square = graph[total.inputs[0].node] if total.inputs else None
    return square is not None and (
        (square.op == "Square" and square.inputs == (vector,))
        or (square.op == "Mul" and square.inputs == (vector, vector))
    )
