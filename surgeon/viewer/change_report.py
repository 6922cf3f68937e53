"""Before and after as plain values: every node of both graphs, namespaces, steps, and what was derived.

A report is made once, from a plan, from two graphs or from one; pages, notebooks and other viewers only show
it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from surgeon.catalog import Catalog
from surgeon.deprecation import RenamedAttribute
from surgeon.diagnostics import Span
from surgeon.display import Displayed, plural
from surgeon.families import Derivation
from surgeon.formats.format import Specs, frequencies
from surgeon.graph import Graph, Node, NodeChange, Ref, TensorSpec
from surgeon.graph.op_sets import CONSTANTS, PLACEHOLDERS
from surgeon.infer import Inference
from surgeon.viewer.namespace_report import NamespaceReport, report_namespaces
from surgeon.viewer.node_status import Kind, NodeReport, NodeStatus

INPUTS = PLACEHOLDERS | {"Input"}


@dataclass(frozen=True)
class GraphReport:
    """One graph with the report of each node, in graph order; ``plugins`` are the ops that the catalog has.

    ``stated`` is where shapes come from that are not inferred from TensorFlow's operations.
    """

    graph: Graph
    nodes: Mapping[str, NodeReport]
    catalog: Catalog = field(repr=False)
    stated: Specs | None = field(default=None, repr=False)

    @cached_property
    def _known(self) -> Specs:
        return self.stated or Inference(self.graph, rules=self.catalog.rules())

    def specs(self, name: str) -> tuple[TensorSpec, ...]:
        """Return element type and shape of each output of a node."""
        return tuple(self._known.spec(Ref(name, slot)) for slot in range(self._known.outputs(name)))

    @cached_property
    def constant_bytes(self) -> int:
        """Bytes of all constants."""
        return sum(report.constant_bytes for report in self.nodes.values())

    @cached_property
    def ops(self) -> Mapping[str, int]:
        """How many nodes have each op, the most frequent first."""
        return count_ops(self.graph)

    @property
    def plugins(self) -> tuple[Node, ...]:
        """The plugin nodes."""
        return tuple(node for node in self.graph if node.op in self.catalog)

    @property
    def inputs(self) -> tuple[tuple[str, TensorSpec], ...]:
        """Name, element type and shape of what the graph is fed.

        A placeholder that nothing reads counts only where all are unread.
        """
        placeholders = [node for node in self.graph if node.op in INPUTS]
        live = [node for node in placeholders if self.graph.readers[node.name]] or placeholders
        return tuple((node.name, self._known.spec(Ref(node.name))) for node in live)

    @property
    def outputs(self) -> tuple[tuple[str, TensorSpec], ...]:
        """Name, element type and shape of each output."""
        return tuple((str(ref), self._known.spec(ref)) for ref in self.graph.output_refs)


@dataclass(frozen=True)
class StepReport:
    """One step of a plan: how many edits of each kind it makes, and how many nodes it leaves."""

    step: str
    label: str
    span: Span | None
    skipped: str
    nodes: int
    edits: Mapping[str, int]


@dataclass(frozen=True)
class ChangeReport(Displayed):
    """A graph before and after.

    ``kind`` is ``graph`` for one graph alone (``before`` is then None), ``plan`` for a recipe's changes,
    ``diff`` for two graphs. ``title`` names what is shown; ``others`` lists the differences of two graphs
    besides their nodes.
    """

    kind: Kind
    title: str
    after: GraphReport
    before: GraphReport | None = None
    recipe: str = ""
    target: str = ""
    steps: tuple[StepReport, ...] = ()
    derivations: tuple[Derivation, ...] = ()
    moved: tuple[str, ...] = ()
    others: tuple[str, ...] = ()
    put_in = RenamedAttribute("added", removal="0.2.0")

    def __repr__(self) -> str:
        before = f"{plural(len(self.before.graph), 'node')} before, " if self.before is not None else ""
        return f"<ChangeReport of {self.title or 'a graph'}: {before}{plural(len(self.after.graph), 'node')}>"

    @property
    def graphs(self) -> tuple[GraphReport, ...]:
        """The first graph, where there is one, and the second."""
        return (self.after,) if self.before is None else (self.before, self.after)

    @cached_property
    def namespaces(self) -> tuple[NamespaceReport, ...]:
        """The namespaces of both graphs and the nodes outside any, in graph order."""
        second = self.after.nodes.values()
        if self.before is None:
            return report_namespaces(None, second)
        first = self.before.nodes
        new = (NodeStatus.ADDED, NodeStatus.RENAMED)
        alone = (r for r in second if r.provenance.status in new or r.node.name not in first)
        return report_namespaces(first.values(), alone)

    @cached_property
    def replaced(self) -> Mapping[str, Mapping[str, int]]:
        """For each node that took others' place, how many of each top-level namespace."""
        table: dict[str, Counter[str]] = {}
        for report in self.before.nodes.values() if self.before is not None else ():
            provenance = report.provenance
            if provenance.into is not None and provenance.status is NodeStatus.COLLAPSED:
                table.setdefault(provenance.into, Counter())[report.node.name.partition("/")[0]] += 1
        return {name: dict(counts) for name, counts in table.items()}

    @cached_property
    def derived(self) -> Mapping[str, Mapping[str, Derivation]]:
        """The derived values by node of the second graph and field."""
        table: dict[str, dict[str, Derivation]] = {}
        for derivation in self.derivations:
            table.setdefault(derivation.node, {})[derivation.field] = derivation
        return table

    @property
    def changed(self) -> tuple[NodeChange, ...]:
        """The nodes that both graphs have and that differ."""
        reports = (report for report in self.after.nodes.values() if report.changes)
        return tuple(NodeChange(r.node.name, r.node.op, r.changes) for r in reports)

    @cached_property
    def added(self) -> tuple[NodeReport, ...]:
        """The nodes that only the second graph has, without constants."""
        reports = self.after.nodes.values()
        added = (report for report in reports if report.provenance.status is NodeStatus.ADDED)
        return tuple(report for report in added if report.node.op not in CONSTANTS)


def count_ops(nodes: Iterable[Node]) -> dict[str, int]:
    """Return how many nodes have each op, the most frequent first."""
    return frequencies(node.op for node in nodes)
