"""Parts of the rewritten graph between tensors that the original has, and what runs one alone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType

from surgeon.catalog import Catalog
from surgeon.graph import DType, Node, Ref
from surgeon.runners.references import ReferenceRunner
from surgeon.runners.tensorflow import Arrays
from surgeon.verification.correspondence import Correspondence, Replacement


@dataclass(frozen=True, eq=False)
class Region:
    """A node put in, with the nodes between it and tensors that the original has.

    ``fed`` maps the tensors that go in to the original's, ``outputs`` those that come out; ``nodes`` are the
    names of what is computed (membership only). ``reason`` says why there is nothing to compare.
    """

    replaced: Replacement
    fed: Mapping[Ref, Ref] = field(default_factory=dict)
    outputs: Mapping[Ref, Ref] = field(default_factory=dict)
    nodes: frozenset[str] = frozenset()
    reason: str = ""


class Regions:
    """Finds and runs regions of the rewritten graph."""

    def __init__(self, runner: ReferenceRunner, match: Correspondence, catalog: Catalog) -> None:
        self._runner, self._match, self._catalog = runner, match, catalog

    def around(self, replaced: Replacement) -> Region:
        """Walk back from a node put in to tensors that the original has.

        What lies between is computed with it.
        """
        rewritten, name = self._runner.graph, replaced.node.name
        if name not in self._needed:
            return Region(replaced, reason="no output of the recipe needs it")
        fed, inside = self.walk_back([name])
        read = {ref for node in rewritten for ref in node.inputs if ref.node == name} | {
            r for r in self._runner.fetches if r.node == name
        }
        outputs = {ref: self._match.origin(ref) for ref in sorted(read)}
        known = {ref: origin for ref, origin in outputs.items() if origin is not None}
        reason = "" if known else "nothing in the original stands for what it gives"
        return Region(replaced, fed, known, inside, reason)

    def walk_back(self, names: Iterable[str]) -> tuple[dict[Ref, Ref], frozenset[str]]:
        """Return the tensors that nodes are computed from and the original has, with the original's, and the
        names of the nodes and of what lies between (membership only).
        """
        fed: dict[Ref, Ref] = {}
        starts = dict.fromkeys(names)
        inside, stack = set(starts), list(starts)
        while stack:
            for ref in self._runner.graph[stack.pop()].inputs:
                known = ref.node in self._live and ref.node not in starts
                origin = self._match.origin(ref) if known else None
                if origin is not None:
                    fed[ref] = origin
                elif ref.node not in inside:
                    inside.add(ref.node)
                    stack.append(ref.node)
        return fed, frozenset(inside)

    def bounded(self, region: Region) -> set[Ref]:
        """Return the tensors that go into a region and on to a plugin's port of bounded numbers."""
        found: set[Ref] = set()
        for name in sorted(region.nodes & self._runner.references.keys()):
            spec = self._runner.references[name].plugin
            ports = {port.name for port in spec.inputs if port.bounded}
            read = spec.inputs_by_port(self._runner.graph[name])
            waiting = [ref for port, ref in read.items() if port in ports]
            while waiting:
                ref = waiting.pop()
                if ref in region.fed:
                    found.add(ref)
                elif ref.node in region.nodes:
                    waiting += self._runner.graph[ref.node].inputs
        return found

    def runner_of(
        self, region: Region, given: Arrays, changed: Mapping[str, Node] = MappingProxyType({})
    ) -> ReferenceRunner:
        """Return what runs a region alone, the same each time, with placeholders for what goes in.

        Their types are those of ``given``. Nodes that are ``changed`` take the place of those of their name.
        Raise SurgeonError as :class:`ReferenceRunner`.
        """
        if region in self._runners and not changed:
            return self._runners[region]
        graph = self._runner.graph
        entries = [
            Node(self.entry(ref).node, "Placeholder", attrs={"dtype": DType.of(value.dtype)})
            for ref, value in given.items()
        ]
        nodes = [changed.get(node.name, node) for node in graph if node.name in region.nodes]
        fed = [
            node.with_inputs(tuple(self.entry(ref) if ref in region.fed else ref for ref in node.inputs), ())
            for node in nodes
        ]
        runner = ReferenceRunner(graph.replace([*entries, *fed], ()), self._catalog, list(region.outputs))
        if not changed:
            self._runners[region] = runner
        return runner

    @cached_property
    def _runners(self) -> dict[Region, ReferenceRunner]:
        return {}

    def entry(self, ref: Ref) -> Ref:
        """Return the placeholder that stands for a tensor which goes into a region."""
        return Ref(self._runner.graph.free_name(f"{ref.node}/fed{ref.slot}"))

    @cached_property
    def _needed(self) -> set[str]:
        return self._runner.graph.ancestors(ref.node for ref in self._runner.fetches)

    @cached_property
    def _live(self) -> frozenset[str]:
        """Nodes of the rewritten graph that its outputs need and that depend on its inputs.

        Membership only.
        """
        fed = set(self._runner.inputs)
        for name in self._runner.graph.topological():
            if name in self._needed and any(source in fed for source in self._runner.graph[name].sources):
                fed.add(name)
        return frozenset(fed)
