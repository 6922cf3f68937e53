"""Graphs with plugin nodes: TensorFlow runs ordinary operations, the plugins' references run the rest."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from surgeon.catalog import Catalog, PluginSpec
from surgeon.catalog.detections import with_stated
from surgeon.catalog.reference import Reference
from surgeon.diagnostics import SurgeonError, error
from surgeon.graph import AttrValue, DType, Graph, Node, Ref, TensorSpec
from surgeon.graph.op_sets import LOOP_ENDS, PLACEHOLDERS, is_input
from surgeon.infer import Inference
from surgeon.language import Recipe
from surgeon.rewrite import Plan
from surgeon.runners.runner import ModelInfo, Runner
from surgeon.runners.tensorflow import Arrays, TensorFlowRunner

if TYPE_CHECKING:
    from typing_extensions import Self

Changes = Mapping[str, Collection[str]]
Fields = Mapping[str, AttrValue]


@dataclass(frozen=True)
class _Level:
    """What is computed together: first ``fetched`` by TensorFlow, then the plugin nodes."""

    fetched: tuple[Ref, ...]
    plugins: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Execution:
    """One run of a rewritten graph.

    ``values`` are those at the seams between TensorFlow and the plugins, and of the outputs, as far as they
    are computed. Where rules or fields were changed they are computed when they are asked for.
    """

    runner: ReferenceRunner
    values: dict[Ref, np.ndarray]
    changes: Changes = field(default_factory=dict)
    fields: Mapping[str, Fields] = field(default_factory=dict)

    def __getitem__(self, ref: Ref) -> np.ndarray:
        """Return an output of the graph, an output of a plugin node or a tensor that one reads."""
        if ref not in self.values:
            self.runner._complete(self, self.runner._behind(ref.node))
        return self.values[ref]

    def fetch(self, refs: Sequence[Ref]) -> dict[Ref, np.ndarray]:
        """Return any tensors of the graph that its outputs need, at a seam or not."""
        return self.runner._fetched(self, refs)

    def changed(self, changes: Changes) -> Execution:
        """Return the run with rules changed: names of plugin nodes, and the changes of their references.

        What does not depend on these nodes keeps its value.
        """
        return self.runner._again(self, changes, self.fields)

    def with_fields(self, name: str, fields: Fields) -> Execution:
        """Return the run with other fields of one plugin node."""
        return self.runner._again(self, self.changes, {**self.fields, name: fields})

    def with_rule_changed(self, change: str) -> Execution:
        """Return the run with a rule changed in the reference of every plugin node that has it.

        A plugin that suppresses boxes for others to read is none of these: the rows that they read are
        counted. Constants that hold what a plugin would have made are changed, too.
        """
        execution = self.changed(dict.fromkeys(self.runner.changing(change), (change,)))
        constants = self.runner.variants.get(change, {})
        if not constants:
            return execution
        stale = {other for name in constants for other in self.runner._after(name)}
        known = {ref: value for ref, value in execution.values.items() if ref.node not in stale}
        changed = {Ref(name): value for name, value in constants.items()}
        return replace(execution, values={**known, **changed})


class ReferenceRunner(Runner):
    """Runs a graph that has plugin nodes: TensorFlow its ordinary operations, references the plugins.

    The graph is cut at the plugin nodes, whose outputs become placeholders, and computed level by level: a
    tensor that a later level needs is fetched in the first one where it can be computed, so that no operation
    on a picture runs twice. ``fetches`` are the tensors wanted, those of the graph where it is None; the
    outputs are these and what holds detections, which ``stated`` says by part where no plugin does.
    ``variants`` are the values of constants with a rule changed,
    by the rule's name and the constant's. Raise SurgeonError V107 for a plugin without a reference,
    V108 for one inside a loop, and as :class:`TensorFlowRunner`.
    """

    image_help = "give the recipe an 'image'; 'image: auto' derives it from the model"
    no_image = (
        "the recipe has no 'image', which says how a picture becomes the input; 'image: auto' derives it"
    )

    def __init__(
        self,
        graph: Graph,
        catalog: Catalog,
        fetches: Sequence[Ref] | None = None,
        *,
        name: str = "",
        info: ModelInfo = ModelInfo(),
        variants: Mapping[str, Mapping[str, np.ndarray]] = MappingProxyType({}),
        stated: Mapping[str, Ref] = MappingProxyType({}),
    ) -> None:
        self.graph, self.variants = graph, variants
        self.fetches = graph.output_refs if fetches is None else tuple(fetches)
        self._needed = graph.ancestors(ref.node for ref in self.fetches)
        self._ancestors: dict[str, set[str]] = {}
        self._dependents: dict[str, set[str]] = {}
        self.references = _references(graph, self._needed, catalog)
        self._types = {
            name: _port_types(reference.plugin, graph[name]) for name, reference in self.references.items()
        }
        self._level_of, self._fed_by = self._depths()
        self._levels = self._planned()
        fetched = [self._in_session(ref) for level in self._levels for ref in level.fetched]
        self._session = TensorFlowRunner(self._cut(), fetched) if fetched else None
        of_plugin = self._detections(catalog)
        detections = with_stated(of_plugin, stated)
        self.name = name or graph.source or "the graph"
        self.info = replace(info, detections={port: str(ref) for port, ref in detections.items()})
        self.detecting = graph[next(iter(of_plugin.values())).node] if of_plugin else None
        self.of_detecting = MappingProxyType(of_plugin)
        self.outputs = tuple(dict.fromkeys(map(str, (*self.fetches, *detections.values()))))

    @classmethod
    def of_plan(cls, plan: Plan, recipe: Recipe, catalog: Catalog) -> Self:
        """Return a runner of what a plan makes of its graph."""
        assert plan.result is not None
        info = ModelInfo(image=plan.image, labels=recipe.labels)
        variants = plan.decoding.variants if plan.decoding is not None else {}
        return cls(
            plan.result, catalog, name=recipe.name, info=info, variants=variants, stated=plan.detections
        )

    @cached_property
    def inputs(self) -> Mapping[str, TensorSpec]:  # type: ignore[override]
        """The placeholders that numbers are put into, in graph order; those with a default may be absent."""
        inference = Inference(self.graph)
        return {
            node.name: inference.spec(Ref(node.name))
            for node in self.graph
            if node.name in self._needed and is_input(node)
        }

    def close(self) -> None:
        """Close TensorFlow's session; what is ordinary cannot be run then."""
        if self._session is not None:
            self._session.close()

    @cached_property
    def plugins(self) -> tuple[Node, ...]:
        """The plugin nodes, each after those that it depends on."""
        return tuple(self.graph[name] for level in self._levels for name in level.plugins)

    def _detections(self, catalog: Catalog) -> dict[str, Ref]:
        """Return what holds detections, by part: of an output's plugin node, else of the last one."""
        ports = {node.name: catalog.detections(node.op, node.name, node.attrs) for node in self.plugins}
        giving = [name for name in ports if ports[name]]
        outputs = {ref.node for ref in self.fetches}
        name = next((name for name in giving if name in outputs), giving[-1] if giving else None)
        return ports[name] if name is not None else {}

    def run(self, feeds: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Return the outputs by name; raise SurgeonError as :meth:`execute`."""
        execution = self.execute({Ref.parse(name): value for name, value in feeds.items()})
        return {name: execution[Ref.parse(name)] for name in self.outputs}

    def execute(self, feeds: Arrays) -> Execution:
        """Return what the graph computes; ``feeds`` are its placeholders' values, batch first.

        Raise SurgeonError V106 where TensorFlow cannot compute a part, and as :meth:`Reference.run`.
        """
        known = {ref: value for ref, value in feeds.items() if ref.node in self._needed}
        execution = Execution(self, known)
        self._complete(execution, self._needed)
        return execution

    def alone(
        self,
        name: str,
        inputs: Sequence[np.ndarray],
        changes: Collection[str] = (),
        fields: Fields | None = None,
    ) -> tuple[np.ndarray, ...]:
        """Return what one plugin node computes of other inputs than its own, with other ``fields`` if given.

        Raise SurgeonError as :meth:`Reference.run`.
        """
        attrs = self.graph[name].attrs if fields is None else fields
        return self.references[name].run(attrs, inputs, changes)

    def changing(self, change: str) -> list[str]:
        """Return the plugin nodes whose references can change a rule, but for those that suppress boxes for
        others to read.
        """
        detecting = self.detecting.name if self.detecting is not None else ""
        return [
            name
            for name, reference in self.references.items()
            if change in reference.counterfactuals and (name == detecting or not reference.plugin.detections)
        ]

    def _complete(self, execution: Execution, wanted: Collection[str]) -> None:
        """Compute what an execution does not know yet of the nodes ``wanted``, level by level."""
        known = execution.values
        for level in self._levels:
            fetched = [ref for ref in level.fetched if ref not in known and ref.node in wanted]
            if fetched and self._session is not None:
                feeds = {self._in_session(ref): value for ref, value in known.items()}
                values = self._session.fetch([self._in_session(ref) for ref in fetched], feeds)
                known.update({ref: values[self._in_session(ref)] for ref in fetched})
            for name in level.plugins:
                if Ref(name) not in known and name in wanted:
                    inputs = [known[ref] for ref in self.graph[name].inputs]
                    changes, fields = execution.changes.get(name, ()), execution.fields.get(name)
                    outputs = self.alone(name, inputs, changes, fields)
                    known.update({Ref(name, slot): value for slot, value in enumerate(outputs)})

    def _fetched(self, execution: Execution, refs: Sequence[Ref]) -> dict[Ref, np.ndarray]:
        """Return tensors of an execution, those that no seam holds from another run of the session."""
        known = execution.values
        missing = [ref for ref in refs if ref not in known]
        if missing and self._session is not None:
            feeds = {self._in_session(ref): value for ref, value in known.items()}
            found = self._session.fetch([self._in_session(ref) for ref in missing], feeds)
            known.update({ref: found[self._in_session(ref)] for ref in missing})
        return {ref: known[ref] for ref in refs}

    def _again(self, execution: Execution, changes: Changes, fields: Mapping[str, Fields]) -> Execution:
        """Return an execution that knows what does not depend on nodes with other changes or fields."""
        stale: set[str] = set()
        for name in self.references:
            if changes.get(name, ()) != execution.changes.get(name, ()) or fields.get(
                name
            ) is not execution.fields.get(name):
                stale |= self._after(name)
        known = {ref: value for ref, value in execution.values.items() if ref.node not in stale}
        return Execution(self, known, changes, fields)

    def _behind(self, name: str) -> set[str]:
        """Return the nodes that one depends on, itself included (membership only)."""
        if name not in self._ancestors:
            self._ancestors[name] = self.graph.ancestors([name])
        return self._ancestors[name]

    def _after(self, name: str) -> set[str]:
        """Return the nodes that depend on one, itself included (membership only)."""
        if name not in self._dependents:
            stale = {name}
            for other in self._order:
                if any(source in stale for source in self.graph[other].sources):
                    stale.add(other)
            self._dependents[name] = stale
        return self._dependents[name]

    @cached_property
    def _order(self) -> list[str]:
        """Names of the nodes needed, each after what it reads; edges that close a loop are not followed."""
        return [name for name in self.graph.topological() if name in self._needed]

    def _depths(self) -> tuple[dict[str, int], dict[str, bool]]:
        """Return for each node how many plugin nodes lie before it at most, and whether it depends on
        anything fed.
        """
        depth: dict[str, int] = {}
        fed: dict[str, bool] = {}
        for name in self._order:
            node = self.graph[name]
            sources = [s for s in node.sources if s in depth]
            depth[name] = max((depth[s] + (s in self.references) for s in sources), default=0)
            fed[name] = node.op in PLACEHOLDERS or name in self.references or any(fed[s] for s in sources)
        self._check_loops(depth)
        return depth, fed

    def _check_loops(self, depth: Mapping[str, int]) -> None:
        for name in self._order:
            node = self.graph[name]
            if node.op not in LOOP_ENDS:
                continue
            entered = [r for r in self.graph.readers[name] if r in depth and depth[r] < depth[name]]
            if entered:
                raise error(
                    "V108",
                    f"a plugin node is inside the loop that '{node.name}' closes; expected none there",
                    self.graph.source or None,
                    help=["take the whole loop out, or leave it whole"],
                )

    def _planned(self) -> tuple[_Level, ...]:
        count = 1 + max((self._level_of[name] for name in self._order), default=0)
        fetched: list[dict[Ref, None]] = [{} for _ in range(count)]
        plugins: list[list[str]] = [[] for _ in range(count)]
        for ref in self._seams():
            fetched[self._level_of[ref.node]][ref] = None
        for name in self._order:
            if name in self.references:
                plugins[self._level_of[name]].append(name)
        return tuple(_Level(tuple(f), tuple(p)) for f, p in zip(fetched, plugins, strict=True))

    def _seams(self) -> Iterator[Ref]:
        """Yield the ordinary tensors that a plugin or a later level reads, and those that are outputs."""
        for name in self._order:
            later = self._level_of[name]
            for ref in self.graph[name].inputs:
                if ref.node in self.references or ref.node not in self._level_of:
                    continue
                crosses = self._level_of[ref.node] < later and self._fed_by[ref.node]
                if name in self.references or (crosses and self.graph[ref.node].op not in PLACEHOLDERS):
                    yield ref
        for ref in self.fetches:
            if ref.node not in self.references:
                yield ref

    def _in_session(self, ref: Ref) -> Ref:
        """Return the tensor's name where plugin outputs are placeholders."""
        return Ref(_placeholder(self.graph, ref)) if ref.node in self.references else ref

    def _cut(self) -> Graph:
        nodes: list[Node] = []
        for node in self.graph:
            if node.name not in self._needed:
                continue
            if node.name in self.references:
                nodes += [
                    Node(
                        _placeholder(self.graph, Ref(node.name, slot)), "Placeholder", attrs={"dtype": dtype}
                    )
                    for slot, dtype in enumerate(self._types[node.name])
                ]
            else:
                control = tuple(name for name in node.control if name not in self.references)
                nodes.append(replace(node, inputs=tuple(map(self._in_session, node.inputs)), control=control))
        return self.graph.replace(nodes, ())


def _placeholder(graph: Graph, ref: Ref) -> str:
    """Return the name of the placeholder that stands for a plugin's output."""
    return graph.free_name(f"{ref.node}/port{ref.slot}")


def _is_plugin(node: Node, catalog: Catalog) -> bool:
    """Return whether a node is one of a plugin.

    Some have the name of an operation of TensorFlow, but not its attributes.
    """
    if node.op not in catalog:
        return False
    fields = catalog[node.op].fields
    return not fields or any(field in node.attrs for field in fields)


def _port_types(plugin: PluginSpec, node: Node) -> list[DType]:
    """Return the element type of each output of a plugin node."""
    types: list[DType] = []
    names = plugin.output_ports(dict(node.attrs))
    for port in plugin.outputs:
        count = len(names) - (len(plugin.outputs) - 1) if port.repeat else 1
        types += [port.dtype or DType.FLOAT32] * count
    return types


def _references(graph: Graph, needed: Collection[str], catalog: Catalog) -> dict[str, Reference]:
    """Return the reference of each plugin node that is needed."""
    references: dict[str, Reference] = {}
    problems: list[Any] = []
    for node in graph:
        if node.name not in needed or not _is_plugin(node, catalog):
            continue
        reference = catalog.reference(node.op)
        if reference is None:
            problems += error(
                "V107",
                f"the plugin {node.op} of '{node.name}' has no reference; expected 'reference.py' in its "
                "folder",
                catalog.folder(node.op),
                help=["write one: run(fields, inputs, changes) in numpy"],
            ).diagnostics
            continue
        references[node.name] = reference
    if problems:
        raise SurgeonError(*problems)
    return references
