"""Which tensors of a graph are worth computing: its outputs without training and without whole numbers."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass

from surgeon.graph import DType, Graph, Node, Ref
from surgeon.graph.op_sets import is_sink
from surgeon.graph.reach import before_identities, downstream, upstream, varying
from surgeon.infer import Inference
from surgeon.infer.open_inputs import open_inputs

FLOATS = frozenset({DType.FLOAT16, DType.BFLOAT16, DType.FLOAT32, DType.FLOAT64})

WHOLE = frozenset({DType.BOOL, DType.STRING}) | {
    dtype for dtype in DType if dtype.value.startswith(("int", "uint"))
}
"""Element types of what follows a network: numbers of classes, masks, ids and texts."""

LOSSES = frozenset(
    {
        "SoftmaxCrossEntropyWithLogits",
        "SparseSoftmaxCrossEntropyWithLogits",
        "CTCLoss",
        "CTCLossV2",
    }
)
"""Operations of training whose first input is what the network computes."""

_TRAINING = re.compile(
    r"L2Loss|InTopK(V2)?|BroadcastGradientArgs|SymbolicGradient|(?!MaxPool)\w+Grad(V\d)?|"
    r"FakeQuant\w+Gradient"
)

_ALIKE = frozenset({"IdentityN", "Split", "SplitV", "Unpack"})
"""Operations of which every output is as good an end as the first."""

MOST_SOURCES = 3
"""Tensors of floating point that one tail of whole numbers may be computed from."""

_TAIL = 200
"""Nodes that a walk back through a tail passes."""


@dataclass(frozen=True)
class NetworkOutput:
    """A tensor to compute.

    ``ends`` are the tensors that the graph ends with and ``tail`` the nodes from ``tensor`` to them, both
    empty where the graph ends with ``tensor`` itself.
    """

    tensor: Ref
    ends: tuple[Ref, ...] = ()
    tail: tuple[str, ...] = ()


@dataclass(frozen=True)
class NetworkOutputs:
    """The tensors to compute, in graph order, and the ends that were left out, each with the reason."""

    outputs: tuple[NetworkOutput, ...]
    left_out: tuple[tuple[Ref, str], ...] = ()


def network_outputs(graph: Graph, inference: Inference) -> NetworkOutputs:
    """Return what a network computes from its inputs.

    Outputs that the graph declares stay, except whole numbers at the end. Of a graph that declares none, ends
    that belong to training are left out, and single numbers for a whole batch beside other outputs.
    """
    inputs = open_inputs(graph)
    # Ends that depend on a switch or a rate alone are parts of training, too.
    arrays = [each for each in inputs if not each.is_scalar]
    depending = varying(graph, [each.ref.node for each in arrays or inputs])
    return _Search(graph, inference, {each.ref for each in inputs}, depending).outputs()


def without_random(found: NetworkOutputs, random: Collection[Ref]) -> NetworkOutputs:
    """Return the outputs without those among ``random``, and all of them where no other is left."""
    kept = tuple(each for each in found.outputs if each.tensor not in random)
    if not kept:
        return found
    gone = [each.tensor for each in found.outputs if each.tensor in random]
    return NetworkOutputs(kept, (*found.left_out, *((ref, "it is drawn at random") for ref in gone)))


class _Search:
    def __init__(self, graph: Graph, inference: Inference, inputs: set[Ref], depending: set[str]) -> None:
        self.graph, self.inference = graph, inference
        self.inputs, self.depending = inputs, depending
        self.left_out: list[tuple[Ref, str]] = []

    def outputs(self) -> NetworkOutputs:
        ends = list(dict.fromkeys(self.graph.output_refs))
        if not self.graph.outputs:
            ends = self._without_training([each for end in ends for each in self._all_outputs(end)])
        return NetworkOutputs(tuple(self._cut(ends)), tuple(self.left_out))

    def _all_outputs(self, end: Ref) -> list[Ref]:
        """Return an end, with the other outputs of its node where these are of its kind."""
        if self.graph[end.node].op not in _ALIKE:
            return [end]
        return [Ref(end.node, slot) for slot in range(max(1, self.inference.outputs(end.node)))]

    def _without_training(self, ends: list[Ref]) -> list[Ref]:
        """Return the ends that a network is used for; note why others are left out."""
        graph = self.graph
        training = downstream(graph, [node.name for node in graph if _trains(node)])
        # Predicates of branches end in bools that nothing reads; nobody would look for them.
        ends = [ref for ref in ends if not self._is_predicate(ref)] or ends
        kept = self._keep(ends, "it depends on no input", lambda ref: ref.node in self.depending)
        kept = self._keep(kept, "it is an input as it came in", lambda ref: not self._is_input(ref))
        used = self._keep(kept, "it belongs to training", lambda ref: ref.node not in training)
        if used == kept and kept and all(ref.node in training for ref in kept):
            # The graph ends with its losses alone: what they are computed from is the network's output.
            logits = [node.inputs[0] for node in graph if node.op in LOSSES and node.inputs]
            found = [ref for ref in dict.fromkeys(logits) if ref.node in self.depending]
            if found:
                self.left_out += [(ref, "it belongs to training") for ref in kept]
                return found
        return self._keep(
            used, "it is one number for the whole batch, such as a loss", lambda ref: self._rank(ref) != 0
        )

    def _keep(self, ends: list[Ref], reason: str, keeps: Callable[[Ref], bool]) -> list[Ref]:
        """Return the ends that ``keeps`` holds for, and all of them where it holds for none."""
        kept = dict.fromkeys(ref for ref in ends if keeps(ref))
        if not kept:
            return ends
        self.left_out += [(ref, reason) for ref in ends if ref not in kept]
        return list(kept)

    def _is_predicate(self, ref: Ref) -> bool:
        return self.inference.spec(ref).dtype is DType.BOOL and ref.node not in self.depending

    def _is_input(self, ref: Ref) -> bool:
        return before_identities(self.graph, ref) in self.inputs

    def _rank(self, ref: Ref) -> int | None:
        return self.inference.spec(ref).shape.rank

    def _cut(self, ends: list[Ref]) -> Iterator[NetworkOutput]:
        """Yield the outputs: of whole numbers, what they are computed from."""
        found: dict[Ref, tuple[list[Ref], dict[str, None]]] = {}
        for end in ends:
            sources, tail = self._before_whole_numbers(end)
            for source in sources:
                ends_of, nodes = found.setdefault(source, ([], {}))
                if source != end:
                    ends_of.append(end)
                    nodes.update(dict.fromkeys(tail))
        own = frozenset(ends)
        needed = upstream(self.graph, (ref.node for ref, (cut, _) in found.items() if not cut))
        for ref, (cut, tail_nodes) in found.items():
            if cut and ref.node in needed and ref not in own:
                # Another output is computed from it, too, such as the softmax of the same numbers.
                self.left_out += [(end, f"it is whole numbers computed from '{ref}'") for end in cut]
                continue
            yield NetworkOutput(ref, tuple(cut), tuple(tail_nodes))

    def _before_whole_numbers(self, end: Ref) -> tuple[tuple[Ref, ...], tuple[str, ...]]:
        """Return the tensors of floating point that an end of whole numbers comes from, and the nodes after.

        The end itself, and no nodes, where it holds floating point or comes from whole numbers alone, or from
        an input as it came in.
        """
        found: dict[Ref, None] = {}
        tail: dict[str, None] = {}
        waiting, passed = [end], {end}
        while waiting:
            ref = waiting.pop(0)
            if len(tail) > _TAIL:
                return (end,), ()
            tail[ref.node] = None
            for source in self.graph[ref.node].inputs:
                if source in passed or source.node not in self.depending:
                    continue
                passed.add(source)
                if self.is_whole(source):
                    waiting.append(source)
                elif self.inference.spec(source).dtype in FLOATS and not self._is_input(source):
                    found[source] = None
                else:
                    return (end,), ()
        if not self.is_whole(end) or not 0 < len(found) <= MOST_SOURCES:
            return (end,), ()
        return tuple(found), tuple(tail)

    def is_whole(self, ref: Ref) -> bool:
        """Return whether a tensor holds whole numbers, or such numbers that were cast."""
        node = self.graph[ref.node]
        if node.op == "Cast" and node.inputs and node.inputs[0].node in self.depending:
            source = self.inference.spec(node.inputs[0]).dtype
            return source in WHOLE or self.inference.spec(ref).dtype in WHOLE
        return self.inference.spec(ref).dtype in WHOLE


def _trains(node: Node) -> bool:
    return node.op in LOSSES or is_sink(node.op) or _TRAINING.fullmatch(node.op) is not None
