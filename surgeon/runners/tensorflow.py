"""Graphs in a session of TensorFlow 1, on the CPU and quiet."""

from __future__ import annotations

import weakref
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from types import ModuleType
from typing import Any

import numpy as np

from surgeon.diagnostics import error
from surgeon.formats.graphdef import to_bytes
from surgeon.graph import DType, Graph, Node, Ref, Shape, TensorRef, TensorSpec
from surgeon.graph.op_sets import CONSTANTS, PLACEHOLDERS, UNSET_PLACEHOLDERS
from surgeon.infer import Inference
from surgeon.optional import no_stderr, quiet, require
from surgeon.runners.channels_last import with_channels_last
from surgeon.runners.runner import ModelInfo, Runner

Arrays = Mapping[Ref, np.ndarray]

_TIMEOUT = 600
"""Seconds after which one run is given up."""

_WEIGHTS = frozenset({DType.FLOAT32, DType.FLOAT64, DType.FLOAT16})
"""Types of weights that are fed."""


class TensorFlowRunner(Runner):
    """Runs a graph of TensorFlow's own operations.

    ``fetches`` are its outputs; only what they depend on is loaded. The batch axis of placeholders is
    left open. Layers with channels first are computed with channels last, as a CPU can. No graph
    optimizer runs, so that a tensor has the same value whatever else is in the graph. Weights that are in
    a file stay there and are fed at each run: loaded with the graph, TensorFlow would hold them several
    times. The session is closed by :meth:`close`, or with the last reference to the runner. Raise
    SurgeonError E108 where TensorFlow is missing and V106 where it refuses the graph.
    """

    def __init__(self, graph: Graph, fetches: Sequence[Ref]) -> None:
        self.fetches = tuple(dict.fromkeys(fetches))
        self.name, self.info = graph.source or "the graph", ModelInfo()
        self.outputs = tuple(map(str, self.fetches))
        self._graph = with_channels_last(_loadable(graph, self.fetches))
        self._weights = {Ref(node.name): value for node in self._graph if (value := _weight(node))}
        with quiet():
            with no_stderr():
                tensorflow = require("tensorflow", "running a graph")
            self._v1: ModuleType = tensorflow.compat.v1
            self._session = self._load()
        self._closing = weakref.finalize(self, self._session.close)
        self._closing.atexit = False

    def close(self) -> None:
        """Close the session; nothing can be run then."""
        self._closing()

    @cached_property
    def inputs(self) -> Mapping[str, TensorSpec]:  # type: ignore[override]
        """The placeholders that must be fed, in graph order."""
        inference = Inference(self._graph)
        return {n.name: inference.spec(Ref(n.name)) for n in self._graph if n.op in UNSET_PLACEHOLDERS}

    def run(self, feeds: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Return the outputs; raise SurgeonError V106 where TensorFlow cannot compute them."""
        values = self.fetch(self.fetches, {Ref.parse(name): value for name, value in feeds.items()})
        return {str(ref): value for ref, value in values.items()}

    def fetch(self, fetches: Sequence[Ref], feeds: Arrays) -> dict[Ref, np.ndarray]:
        """Return the values of some tensors that the outputs depend on, with any tensors fed.

        Raise SurgeonError V106 where TensorFlow cannot compute them, or not within ten minutes.
        """
        if not fetches:
            return {}
        options = self._v1.RunOptions(timeout_in_ms=1000 * _TIMEOUT)
        computed, fed = _computed(self._graph, fetches, feeds)
        given = {_name(ref): value.array() for ref, value in self._weights.items() if ref.node in computed}
        given.update({_name(ref): value for ref, value in feeds.items() if ref in fed})
        try:
            with quiet():
                values = self._session.run([_name(ref) for ref in fetches], given, options=options)
        except Exception as exc:  # TensorFlow raises its own errors, and ValueError or TypeError for feeds
            raise self._refused("run", exc) from None
        return dict(zip(fetches, map(np.asarray, values), strict=True))

    def _load(self) -> Any:
        v1 = self._v1
        lean = self._graph.replace(
            Node(node.name, "Placeholder", attrs={"dtype": value.dtype, "shape": Shape(value.shape)})
            if (value := self._weights.get(Ref(node.name)))
            else node
            for node in self._graph
        )
        data = to_bytes(lean)
        config = v1.ConfigProto(device_count={"GPU": 0}, allow_soft_placement=True)
        config.graph_options.rewrite_options.disable_meta_optimizer = True
        definition = v1.GraphDef()
        try:
            definition.ParseFromString(data)
            loaded = v1.Graph()
            with loaded.as_default():
                v1.import_graph_def(definition, name="")
            return v1.Session(graph=loaded, config=config)
        except Exception as exc:  # as above
            raise self._refused("load", exc) from None

    def _refused(self, verb: str, exc: Exception) -> Exception:
        reason = " ".join(str(getattr(exc, "message", exc)).split()) or type(exc).__name__
        return error(
            "V106",
            f"TensorFlow cannot {verb} the graph: {reason:.400}",
            self._graph.source or None,
            help=["correct what it names; 'surgeon inspect' shows the graph's nodes"],
        )


def _name(ref: Ref) -> str:
    return f"{ref.node}:{ref.slot}"


def _weight(node: Node) -> TensorRef | None:
    """Return the value of a constant that can be fed instead, else None.

    A control edge may tie a constant to a loop, where nothing can be fed.
    """
    value = node.attrs.get("value")
    if node.op in CONSTANTS and not node.control and isinstance(value, TensorRef) and value.dtype in _WEIGHTS:
        return value
    return None


def _computed(graph: Graph, fetches: Iterable[Ref], feeds: Collection[Ref]) -> tuple[set[str], set[Ref]]:
    """Return the nodes that compute ``fetches`` from ``feeds``, and the feeds that they read; membership
    only.
    """
    computed: set[str] = set()
    read: set[Ref] = set()
    waiting = list(fetches)
    while waiting:
        ref = waiting.pop()
        if ref in feeds:
            read.add(ref)
            continue
        if ref.node in computed:
            continue
        computed.add(ref.node)
        node = graph[ref.node]
        waiting += [*node.inputs, *map(Ref, node.control)]
    return computed, read


def _loadable(graph: Graph, fetches: Sequence[Ref]) -> Graph:
    """Return what ``fetches`` need, free of devices, of colocation with what is left out, and of fixed
    batches.
    """
    needed = graph.ancestors(ref.node for ref in fetches)
    return graph.replace((_released(node) for node in graph if node.name in needed), ())


def _released(node: Node) -> Node:
    if node.device or "_class" in node.attrs:
        node = replace(node.with_attr("_class", None), device="")
    shape = node.attrs.get("shape")
    if node.op in PLACEHOLDERS and isinstance(shape, Shape) and shape.dims:
        return node.with_attr("shape", Shape((None, *shape.dims[1:])))
    return node
