"""Walks back along a graph's data, through operations that move numbers and change none, loops included."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType

from surgeon.graph import Graph, Node, Ref
from surgeon.graph.op_sets import IDENTITIES, LOOP_ENDS, MERGES
from surgeon.infer import Inference

STEPS = 512
"""Tensors that one walk passes."""

MOVED: Mapping[str, int] = MappingProxyType(
    {
        "Identity": 0,
        "Reshape": 0,
        "Squeeze": 0,
        "ExpandDims": 0,
        "Transpose": 0,
        "Slice": 0,
        "StridedSlice": 0,
        "Gather": 0,
        "GatherV2": 0,
        "Unpack": 0,
        "Split": 1,
        "SplitV": 0,
        "Pad": 0,
        "PadV2": 0,
        "Tile": 0,
        "StopGradient": 0,
        "PreventGradient": 0,
        "CheckNumerics": 0,
        "Snapshot": 0,
        "EnsureShape": 0,
        "Enter": 0,
        "Exit": 0,
        "Switch": 0,
        "NextIteration": 0,
        "RefEnter": 0,
        "RefExit": 0,
        "RefSwitch": 0,
        "RefNextIteration": 0,
        "FakeQuantWithMinMaxVars": 0,
        "FakeQuantWithMinMaxArgs": 0,
        "TensorListFromTensor": 0,
        "TensorListGetItem": 0,
        "TensorListSetItem": 2,
        "TensorListStack": 0,
        "TensorArrayReadV2": 2,
        "TensorArrayReadV3": 2,
        "TensorArrayScatterV2": 2,
        "TensorArrayScatterV3": 2,
        "TensorArrayGatherV2": 2,
        "TensorArrayGatherV3": 2,
        "TensorArrayWriteV2": 2,
        "TensorArrayWriteV3": 2,
    }
)
"""Operations whose output holds numbers of one input, and the position of that input.

A TensorArray's flow stands for what was written to it.
"""

_PASSED_ROUND = LOOP_ENDS | IDENTITIES | {"Switch", "RefSwitch"}


def behind(graph: Graph, ref: Ref) -> Ref | None:
    """Return the tensor whose numbers ``ref`` holds, one operation back.

    None where the operation computes them.
    """
    node = graph.get(ref.node)
    if node is None:
        return None
    if node.op == "IdentityN":
        return node.inputs[ref.slot] if ref.slot < len(node.inputs) else None
    position = MOVED.get(node.op)
    if position is not None:
        return node.inputs[position] if position < len(node.inputs) else None
    if node.op == "Pack" and len(node.inputs) == 1:
        return node.inputs[0]
    if node.op in MERGES:
        # A loop's variable is what the last round left; the merge of a conditional may be either side.
        left = next((source for source in node.inputs if graph[source.node].op in LOOP_ENDS), None)
        if left is not None and _unchanged(graph, node, left):
            return next((source for source in node.inputs if source != left), None)
        return left
    return None


def _unchanged(graph: Graph, variable: Node, left: Ref) -> bool:
    """Return whether the rounds of a loop pass a variable on as it is."""
    at = graph[left.node]
    for _ in range(STEPS):
        if at.op not in _PASSED_ROUND or not at.inputs:
            return False
        at = graph[at.inputs[0].node]
        if at.name == variable.name:
            return True
    return False


def trail(graph: Graph, ref: Ref, back: Callable[[Graph, Ref], Ref | None] = behind) -> Iterator[Ref]:
    """Yield ``ref`` and what is behind it, as far as numbers are only moved.

    At most ``STEPS`` tensors, each once.
    """
    seen: set[Ref] = set()
    at: Ref | None = ref
    while at is not None and at not in seen and len(seen) < STEPS:
        seen.add(at)
        yield at
        at = back(graph, at)


def source(graph: Graph, ref: Ref) -> Ref:
    """Return the last tensor of a trail: the one that an operation computed."""
    *_, last = trail(graph, ref)
    return last


def behind_identities(graph: Graph, ref: Ref) -> Ref:
    """Return the tensor that an output of a function or a graph only passes on."""
    passing = (at for at in trail(graph, ref) if graph[at.node].op not in IDENTITIES | {"IdentityN"})
    return next(passing, ref)


def data_inputs(node: Node) -> tuple[Ref, ...]:
    """Return the inputs of a joining operation that are joined: those of ConcatV2 without its axis."""
    if node.op == "ConcatV2":
        return node.inputs[:-1]
    return node.inputs[1:] if node.op == "Concat" else node.inputs


def number(inference: Inference, ref: Ref) -> float | None:
    """Return a constant of one element, else None."""
    value = inference.known(ref)
    if value is None or value.size != 1 or value.dtype.kind not in "iuf":
        return None
    return float(value.reshape(-1)[0])


def upper_bound(graph: Graph, inference: Inference, ref: Ref) -> tuple[float, Ref] | None:
    """Return the constant that bounds a number from above, and its tensor.

    Itself, or one side of a Minimum.
    """
    for at in trail(graph, ref, _bounded(inference)):
        value = number(inference, at)
        if value is not None:
            return value, at
    return None


def _bounded(inference: Inference) -> Callable[[Graph, Ref], Ref | None]:
    def back(graph: Graph, ref: Ref) -> Ref | None:
        node = graph[ref.node]
        if node.op == "Minimum":
            return next((source for source in node.inputs if number(inference, source) is not None), None)
        if node.op == "Cast":
            return node.inputs[0] if node.inputs else None
        return behind(graph, ref)

    return back


def operand(inference: Inference, node: Node) -> tuple[Ref, Ref] | None:
    """Return (tensor, constant) of an operation of two inputs one of which is constant, else None."""
    if len(node.inputs) != 2:
        return None
    first, second = node.inputs
    known = [inference.known(ref) is not None for ref in (first, second)]
    if known == [False, True]:
        return first, second
    return (second, first) if known == [True, False] else None
