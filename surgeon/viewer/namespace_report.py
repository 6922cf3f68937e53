"""Namespaces with what became of their nodes, counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from surgeon.deprecation import RenamedAttribute
from surgeon.graph.op_sets import CONSTANTS
from surgeon.viewer.node_status import REMOVED, NodeReport, NodeStatus

MAX_DEPTH = 12
"""Components of a name that are taken for namespaces; the rest is one name."""


@dataclass(frozen=True)
class NamespaceReport:
    """A namespace, or a node outside any.

    ``before`` and ``after`` count its nodes in the two graphs, ``statuses`` those of both by status. ``into``
    counts by node what took the place of its nodes, ``places`` by step and recipe line what did it, the most
    first.
    """

    name: str
    before: int
    after: int
    constant_bytes: int
    statuses: Mapping[NodeStatus, int]
    into: Mapping[str, int]
    places: Mapping[tuple[str, str], int]
    inside: tuple[NamespaceReport, ...] = ()
    fates = RenamedAttribute("statuses", removal="0.2.0")
    fate = RenamedAttribute("status", removal="0.2.0")

    @property
    def status(self) -> NodeStatus:
        """The status of the whole."""
        removed = {status: count for status, count in self.statuses.items() if status in REMOVED}
        stays = [status for status in self.statuses if status not in REMOVED]
        if removed and stays:
            return NodeStatus.PARTLY
        if NodeStatus.COLLAPSED in removed:
            return NodeStatus.COLLAPSED
        if removed:
            return max(removed, key=lambda status: removed[status])
        if NodeStatus.KEPT not in stays and len(stays) == 1:
            return stays[0]
        changes = (NodeStatus.CHANGED, NodeStatus.REWIRED)
        return next((status for status in changes if status in stays), NodeStatus.KEPT)


@dataclass
class Tally:
    """Counts of nodes: what became of them, what took their place, and by which step and recipe line."""

    nodes: int = 0
    constant_bytes: int = 0
    statuses: Counter[NodeStatus] = field(default_factory=Counter)
    into: Counter[str] = field(default_factory=Counter)
    places: Counter[tuple[str, str]] = field(default_factory=Counter)

    def count(self, report: NodeReport, location: str, constant_bytes: int) -> None:
        """Add a node.

        Its recipe line and the bytes that it holds are given: they are the same for each namespace around it.
        """
        provenance = report.provenance
        self.nodes += 1
        self.constant_bytes += constant_bytes
        self.statuses[provenance.status] += 1
        if provenance.into is not None and provenance.status is NodeStatus.COLLAPSED:
            self.into[provenance.into] += 1
        if location or provenance.step:
            self.places[provenance.step, location] += 1


@dataclass
class _Namespace(Tally):
    """Counts of one namespace while it is gathered, and the namespaces inside it."""

    before: int = 0
    after: int = 0
    operations: int = 0
    inside: dict[str, _Namespace] = field(default_factory=dict)

    def report(self, name: str) -> NamespaceReport:
        # What is one operation and its constants is not a namespace to a reader.
        inside = (
            inner.report(f"{name}/{part}")
            for part, inner in self.inside.items()
            if inner.inside and inner.operations != 1
        )
        return NamespaceReport(
            name,
            self.before,
            self.after,
            self.constant_bytes,
            dict(self.statuses),
            dict(self.into.most_common()),
            dict(self.places.most_common()),
            tuple(inside),
        )


def report_namespaces(
    first: Iterable[NodeReport] | None, second: Iterable[NodeReport]
) -> tuple[NamespaceReport, ...]:
    """Return the outermost namespaces of a first graph, and those that only a second one has.

    ``first`` is None where there is one graph.
    """
    roots: dict[str, _Namespace] = {}
    for report in first or ():
        stays = report.provenance.status not in (*REMOVED, NodeStatus.RENAMED)
        _count(roots, report, before=1, after=int(stays))
    for report in second:
        _count(roots, report, before=0, after=1)
    return tuple(namespace.report(name) for name, namespace in roots.items())


def _count(level: dict[str, _Namespace], report: NodeReport, before: int, after: int) -> None:
    """Count a node in each namespace around it."""
    location = report.provenance.location
    constant_bytes = report.constant_bytes
    for part in report.node.name.split("/", MAX_DEPTH)[:MAX_DEPTH]:
        namespace = level.setdefault(part, _Namespace())
        namespace.count(report, location, constant_bytes)
        namespace.before += before
        namespace.after += after
        namespace.operations += report.node.op not in CONSTANTS
        level = namespace.inside


def walk(namespaces: Iterable[NamespaceReport]) -> Iterator[NamespaceReport]:
    """Yield namespaces and what is inside them, each before what is inside it."""
    for namespace in namespaces:
        yield namespace
        yield from walk(namespace.inside)
