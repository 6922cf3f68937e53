"""Where numbers enter a network: its placeholders, and the first tensors behind files, queues and texts."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from surgeon.graph import DType, Graph, Ref
from surgeon.graph.op_sets import is_input
from surgeon.graph.reach import upstream
from surgeon.infer import Inference

_NOT_FED = frozenset({DType.STRING, DType.RESOURCE, DType.VARIANT, None})
"""Element types of what no engine can be fed with."""

_READS = re.compile(
    r"(Multi|MultiDevice)?IteratorGetNext\w*|QueueDequeue\w*|Reader(Read|ReadUpTo)(V2)?|ReadFile|Unstage|"
    r"InfeedDequeue\w*|DatasetToSingleElement|PyFunc\w*|EagerPyFunc"
)
"""Operations that bring data into a graph without being fed."""

_CHAIN = 64
"""Operations that an input is moved past, to where its sizes are known."""


@dataclass(frozen=True)
class NetworkInput:
    """A tensor that numbers are put into; ``behind`` is what reads files, texts or queues before it.

    ``prepared`` is the tensor behind a placeholder that is float32 and of known sizes, where the placeholder
    is not: a picture that is cast, or resized.
    """

    tensor: Ref
    behind: str = ""
    prepared: Ref | None = None


def sources(graph: Graph) -> tuple[str, ...]:
    """Return the nodes by which data comes into a graph, in graph order: those fed, and those that read."""
    return tuple(node.name for node in graph if is_input(node) or _READS.fullmatch(node.op))


def network_inputs(graph: Graph, inference: Inference, outputs: Iterable[Ref]) -> tuple[NetworkInput, ...]:
    """Return what the outputs of a network are computed from, in graph order.

    A placeholder of numbers is an input itself. Of texts, files and queues it is the first tensor of numbers
    behind them: the one whose sizes are known but for the batch, where the data goes through a chain of
    operations to there, such as a picture that is decoded and resized.
    """
    outputs = tuple(outputs)
    needed = upstream(graph, (ref.node for ref in outputs))
    found: dict[Ref, NetworkInput] = {}
    for name in sources(graph):
        if name not in needed:
            continue
        for first in _first_numbers(graph, inference, name, needed):
            if first.node == name and is_input(graph[name]):
                prepared = _prepared(graph, inference, first, needed, frozenset({DType.FLOAT32}))
                found[first] = NetworkInput(first, "", prepared if prepared != first else None)
                continue
            at = _prepared(graph, inference, first, needed)
            if at != first and _still_reads(graph, outputs, name, at.node):
                at = first
            found.setdefault(at, NetworkInput(at, name))
    return tuple(found.values())


def _first_numbers(graph: Graph, inference: Inference, name: str, needed: set[str]) -> Iterator[Ref]:
    """Yield the first tensors of numbers at or behind a node that data comes from."""
    waiting = [Ref(name, slot) for slot in _slots_read(graph, name, needed)]
    passed = set(waiting)
    while waiting:
        ref = waiting.pop(0)
        if inference.spec(ref).dtype not in _NOT_FED:
            yield ref
            continue
        for reader in _data_readers(graph, ref, needed):
            behind = [Ref(reader, slot) for slot in _slots_read(graph, reader, needed)]
            waiting += [each for each in behind if each not in passed]
            passed.update(behind)


def _slots_read(graph: Graph, name: str, needed: set[str]) -> list[int]:
    """Return the outputs of a node that needed nodes read, or 0 where it is an output of the graph."""
    slots = {
        ref.slot
        for reader in graph.readers[name]
        if reader in needed
        for ref in graph[reader].inputs
        if ref.node == name
    }
    return sorted(slots) or [0]


def _data_readers(graph: Graph, ref: Ref, needed: set[str]) -> list[str]:
    return [reader for reader in graph.readers[ref.node] if reader in needed and ref in graph[reader].inputs]


def _prepared(
    graph: Graph,
    inference: Inference,
    first: Ref,
    needed: set[str],
    dtypes: frozenset[DType] = frozenset(),
) -> Ref:
    """Return the tensor behind ``first`` of which all sizes but the batch are known, else ``first``.

    Its element type is one of ``dtypes``, where these are given. Only operations that nothing else feeds are
    passed.
    """
    ref = first
    for _ in range(_CHAIN):
        spec = inference.spec(ref)
        if spec.shape.dims and None not in spec.shape.dims[1:] and (not dtypes or spec.dtype in dtypes):
            return ref
        readers = _data_readers(graph, ref, needed)
        others = [other for reader in readers for other in graph[reader].inputs if other != ref]
        if len(readers) != 1 or any(inference.value(other) is None for other in others):
            return first
        ref = Ref(readers[0])
    return first


def _still_reads(graph: Graph, outputs: Iterable[Ref], source: str, cut: str) -> bool:
    """Return whether outputs depend on a source past the node ``cut``."""
    return source in upstream(graph, (ref.node for ref in outputs), stop=cut)
