"""The runner of an original, kept for the next recipe that is tried on the same graph."""

from __future__ import annotations

import weakref
from collections.abc import Sequence

from surgeon.graph import Graph, Ref
from surgeon.runners.tensorflow import TensorFlowRunner

_last_original: tuple[weakref.ref[Graph], tuple[Ref, ...], TensorFlowRunner] | None = None


def original_runner(graph: Graph, fetches: Sequence[Ref]) -> TensorFlowRunner:
    """Return what runs the original, the last one where that was made for the same graph and tensors.

    Several recipes may be tried on one graph, and loading it takes longer than running it. One runner is
    kept, no longer than its graph. Raise SurgeonError as :class:`TensorFlowRunner` does.
    """
    global _last_original
    wanted, last = tuple(dict.fromkeys(fetches)), _last_original
    if last is not None and last[0]() is graph and last[1] == wanted:
        return last[2]
    _last_original = last = None  # its memory is free before the next graph is loaded
    runner = TensorFlowRunner(graph, wanted)
    _last_original = weakref.ref(graph, _forget_original), wanted, runner
    return runner


def _forget_original(graph: weakref.ref[Graph]) -> None:
    global _last_original
    if _last_original is not None and _last_original[0] is graph:
        _last_original = None
