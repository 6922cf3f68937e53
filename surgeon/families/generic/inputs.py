"""Where numbers enter a network: its inputs, and the tensors behind them that could stand for them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from surgeon.graph import DType, Graph, Ref
from surgeon.graph.op_sets import PASSED_OVER, RESIZES, SIZES
from surgeon.graph.reach import upstream
from surgeon.infer import Inference
from surgeon.infer.open_inputs import OpenInput, open_inputs

_CHAIN = 64
"""Operations that an input is moved past, to where its sizes are known."""

_PREPARES = (
    PASSED_OVER
    | RESIZES
    | set(
        """
        Add AddV2 AdjustContrastv2 Cast Div ExpandDims Maximum Minimum Mul Pad PadV2 RealDiv Reshape ReverseV2
        Slice Squeeze StridedSlice Sub Transpose
        """.split()
    )
)
"""Operations that make a file's numbers an input: they give them another type, size, scale or order."""

_SPECTRA = frozenset({"AudioSpectrogram", "Mfcc"})
"""Operations on sound that no target has, so that a network begins behind them."""


@dataclass(frozen=True)
class NetworkInput:
    """An input of a network, as the graph has it.

    ``tensor`` is where numbers are put in: the input itself, or the first tensor of known sizes behind what
    reads files, texts or queues. ``prepared`` is the tensor behind a placeholder that is float32 and of known
    sizes, where the placeholder is not: a picture that is cast, or resized.
    """

    opened: OpenInput
    tensor: Ref
    prepared: Ref | None = None


def network_inputs(
    graph: Graph, inference: Inference, outputs: Iterable[Ref]
) -> tuple[tuple[NetworkInput, ...], tuple[OpenInput, ...]]:
    """Return what the outputs of a network are computed from, in graph order: arrays, and scalars.

    Where an input pipeline ends, the input is moved on to the first tensor whose sizes are known but for the
    batch, if the data goes through a chain of operations to there, such as a picture that is decoded and
    resized.
    """
    wanted = graph.replace(outputs=outputs)
    numbers = _without_known_sizes(wanted, inference)
    ends = frozenset(wanted.outputs)
    needed = upstream(graph, (ref.node for ref in wanted.outputs))
    arrays: dict[Ref, NetworkInput] = {}
    scalars: list[OpenInput] = []
    for each in open_inputs(wanted):
        if each.is_scalar and not each.is_pipeline:
            scalars.append(each)
            continue
        known = frozenset() if each.is_pipeline else frozenset({DType.FLOAT32})
        first = _behind_spectra(graph, each.ref, needed)
        at = _prepared(numbers, inference, first, needed, known, ends)
        if each.is_pipeline:
            arrays.setdefault(at, NetworkInput(each, at))
        else:
            arrays[each.ref] = NetworkInput(each, each.ref, at if at != each.ref else None)
    return tuple(arrays.values()), tuple(scalars)


def _without_known_sizes(graph: Graph, inference: Inference) -> Graph:
    """Return a graph in which nothing is read for its size where that is known."""
    return graph.replace(
        replace(node, inputs=()) if node.op in SIZES and inference.value(Ref(node.name)) is not None else node
        for node in graph
    )


def _behind_spectra(graph: Graph, first: Ref, needed: set[str]) -> Ref:
    """Return the tensor behind the operations of ``_SPECTRA``, where nothing else reads ``first``."""
    ref = first
    for _ in _SPECTRA:
        readers = [name for name in graph.readers[ref.node] if name in needed]
        if not readers or any(graph[name].op not in _SPECTRA for name in readers):
            break
        ref = Ref(readers[0])
    return ref


def _prepared(
    graph: Graph,
    inference: Inference,
    first: Ref,
    needed: set[str],
    dtypes: frozenset[DType],
    ends: frozenset[Ref],
) -> Ref:
    """Return the tensor behind ``first`` of which all sizes but the batch are known, else ``first``.

    Its element type is one of ``dtypes``, where there are any. Only operations that nothing else feeds are
    passed, and nothing that something else reads, so that the outputs need what comes before no more.
    """
    ref = first
    for _ in range(_CHAIN):
        spec = inference.spec(ref)
        dims = spec.shape.dims
        if ref in ends:
            break
        # The one size of what was read from a file is that of the file, and no batch.
        sized = dims is not None and None not in dims[1:] and (bool(dtypes) or dims != (None,))
        if sized and (not dtypes or spec.dtype in dtypes):
            return ref
        readers = [name for name in graph.readers[ref.node] if name in needed]
        if ref == first:
            readers = [name for name in readers if ref in graph[name].inputs]
        if len(readers) != 1 or graph[readers[0]].op not in _PREPARES:
            break
        if any(inference.value(other) is None for other in graph[readers[0]].inputs if other != ref):
            break
        ref = Ref(readers[0])
    return first
