"""A graph of TensorFlow, from a file or at hand, and what it consists of."""

from __future__ import annotations

from surgeon.catalog import Catalog
from surgeon.formats.format import Description, ModelFile, frequencies
from surgeon.graph import Graph, Tensor
from surgeon.graph.op_sets import PLACEHOLDERS


class GraphDefFile(ModelFile):
    """A graph of TensorFlow."""

    def __init__(self, graph: Graph) -> None:
        self.source = graph.source
        self._graph = graph

    def graph(self, catalog: Catalog | None = None) -> tuple[Graph, None]:
        """Return the graph, whose shapes follow from its operations."""
        return self._graph, None

    def describe(self) -> Description:
        """Return what the graph consists of, plugins left aside."""
        graph = self._graph
        sizes = {
            node.name: sum(value.nbytes for value in node.attrs.values() if isinstance(value, Tensor))
            for node in graph
        }
        # A placeholder that nothing reads is a leftover; only where all are unread do they count as inputs.
        fed = [node for node in graph if node.op in PLACEHOLDERS]
        live = [node for node in fed if graph.readers[node.name]] or fed
        return Description(
            len(graph),
            sum(sizes.values()),
            sizes,
            {n.name: f"{_text(n.attrs.get('dtype'))}{_text(n.attrs.get('shape')) or '[?]'}" for n in live},
            {str(ref): graph[ref.node].op for ref in graph.output_refs},
            frequencies(node.op for node in graph),
        )


def _text(value: object) -> str:
    return "" if value is None else str(getattr(value, "value", value)).removeprefix("shape")
