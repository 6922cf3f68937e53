"""Graphs in a session of TensorFlow 1, on the CPU and quiet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import ModuleType
from typing import Any

import numpy as np

from surgeon.diagnostics import error
from surgeon.formats.graphdef import to_bytes
from surgeon.graph import Graph, Node, Ref, Shape
from surgeon.graph.op_sets import PLACEHOLDERS, UNSET_PLACEHOLDERS
from surgeon.optional import no_stderr, quiet, require

_TIMEOUT = 600
"""Seconds after which one run is given up."""


class Session:
    """What TensorFlow computes of a graph.

    Only what ``fetches`` depend on is loaded. The batch axis of placeholders is left open. No graph optimizer
    runs, so that a tensor has the same value whatever else is in the graph. Raise SurgeonError E108 where
    TensorFlow is missing and V106 where it refuses the graph.
    """

    def __init__(self, graph: Graph, fetches: Sequence[Ref]) -> None:
        self._graph = _loadable(graph, fetches)
        self._source = graph.source
        data = to_bytes(self._graph)
        with quiet():
            with no_stderr():
                tensorflow = require("tensorflow", "running a graph")
            self._v1: ModuleType = tensorflow.compat.v1
            self._session = self._load(data)

    @property
    def inputs(self) -> tuple[Node, ...]:
        """The placeholders that must be fed, in graph order."""
        return tuple(node for node in self._graph if node.op in UNSET_PLACEHOLDERS)

    def run(self, fetches: Sequence[Ref], feeds: Mapping[Ref, np.ndarray]) -> list[np.ndarray]:
        """Return the values of ``fetches``, with the tensors of ``feeds`` at the given values.

        Raise SurgeonError V106 where TensorFlow cannot compute them, or not within ten minutes.
        """
        if not fetches:
            return []
        options = self._v1.RunOptions(timeout_in_ms=1000 * _TIMEOUT)
        given = {_name(ref): value for ref, value in feeds.items() if ref.node in self._graph}
        try:
            with quiet():
                found = self._session.run([_name(ref) for ref in fetches], given, options=options)
        except Exception as exc:  # TensorFlow raises its own errors, and ValueError or TypeError for feeds
            raise self._refused("run", exc) from None
        return [np.asarray(value) for value in found]

    def _load(self, data: bytes) -> Any:
        v1 = self._v1
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
            self._source or None,
            help=["correct what it names; 'surgeon inspect' shows the graph's nodes"],
        )


def _name(ref: Ref) -> str:
    return f"{ref.node}:{ref.slot}"


def _loadable(graph: Graph, fetches: Sequence[Ref]) -> Graph:
    """Return what ``fetches`` need, free of devices, of colocation with what is left out, and of fixed
    batches.
    """
    needed = graph.ancestors(ref.node for ref in fetches)
    return graph.replace((_released(node) for node in graph if node.name in needed), ())


def _released(node: Node) -> Node:
    node = replace(node.with_attr("_class", None), device="")
    shape = node.attrs.get("shape")
    if node.op in PLACEHOLDERS and isinstance(shape, Shape) and shape.dims:
        return node.with_attr("shape", Shape((None, *shape.dims[1:])))
    return node
