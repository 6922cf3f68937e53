"""What became of every node of a graph, and where every node of the other one came from, as plain values.

The story is told once, from a plan, from two graphs or from one; pages, notebooks and other viewers only show
it.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Literal, Protocol, TypeVar

from surgeon.catalog import Catalog, load_catalog
from surgeon.diagnostics import Span
from surgeon.display import Displayed, short_file
from surgeon.families import Derivation
from surgeon.formats.graphdef import load_graph
from surgeon.graph import (
    Add,
    Change,
    Drop,
    Edit,
    Graph,
    GraphDiff,
    Node,
    NodeChange,
    Ref,
    Rewire,
    SetAttr,
    SetOp,
    SetOutputs,
    Tensor,
    TensorSpec,
    diff_graphs,
)
from surgeon.infer import Inference
from surgeon.inspection import counted
from surgeon.rewrite import Plan
from surgeon.viewer.following import follow
from surgeon.viewer.node_status import GONE, Fate, Mark

CONSTANTS = frozenset({"Const", "HostConst"})

MAX_DEPTH = 12
"""Components of a name that are taken for namespaces; the rest is one name."""

INPUTS = frozenset({"Placeholder", "PlaceholderV2", "PlaceholderWithDefault", "Input"})


class Specs(Protocol):
    """Where element types and shapes of a graph's tensors come from."""

    def spec(self, ref: Ref) -> TensorSpec:
        """Return element type and shape of a tensor; parts that are not known are None."""

    def outputs(self, name: str) -> int:
        """Return the number of outputs of a node."""


_KEPT = Mark(Fate.KEPT)


@dataclass(frozen=True, slots=True)
class NodeStory:
    """One node, what became of it, and what differs between the two graphs where both have it."""

    node: Node
    mark: Mark = _KEPT
    changes: tuple[Change, ...] = ()

    @property
    def constant_bytes(self) -> int:
        """Bytes of the tensors that the node holds."""
        return sum(value.nbytes for value in self.node.attrs.values() if isinstance(value, Tensor))


@dataclass(frozen=True)
class GraphStory:
    """One graph with the story of each node, in graph order; ``plugins`` are the ops that the catalog has.

    ``stated`` is where shapes come from that are not inferred from TensorFlow's operations.
    """

    graph: Graph
    nodes: Mapping[str, NodeStory]
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
        return sum(story.constant_bytes for story in self.nodes.values())

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

        A placeholder that nothing reads counts where all are unread.
        """
        fed = [node for node in self.graph if node.op in INPUTS]
        live = [node for node in fed if self.graph.readers[node.name]] or fed
        return tuple((node.name, self._known.spec(Ref(node.name))) for node in live)

    @property
    def outputs(self) -> tuple[tuple[str, TensorSpec], ...]:
        """Name, element type and shape of each output."""
        return tuple((str(ref), self._known.spec(ref)) for ref in self.graph.output_refs)


@dataclass(frozen=True)
class NamespaceStory:
    """A namespace, or a node outside any.

    ``before`` and ``after`` count its nodes in the two graphs, ``fates`` those of both by fate. ``into``
    counts by node what took the place of its nodes, ``places`` by step and recipe line what did it, the most
    first.
    """

    name: str
    before: int
    after: int
    constant_bytes: int
    fates: Mapping[Fate, int]
    into: Mapping[str, int]
    places: Mapping[tuple[str, str], int]
    inside: tuple[NamespaceStory, ...] = ()

    @property
    def fate(self) -> Fate:
        """The fate of the whole."""
        gone = {fate: count for fate, count in self.fates.items() if fate in GONE}
        stays = [fate for fate in self.fates if fate not in GONE]
        if gone and stays:
            return Fate.PARTLY
        if gone:
            return Fate.COLLAPSED if Fate.COLLAPSED in gone else max(gone, key=lambda fate: gone[fate])
        if Fate.KEPT not in stays and len(stays) == 1:
            return stays[0]
        return next((fate for fate in (Fate.CHANGED, Fate.REWIRED) if fate in stays), Fate.KEPT)


@dataclass(frozen=True)
class StepStory:
    """One step of a plan: how many edits of each kind it makes, and how many nodes it leaves."""

    step: str
    label: str
    span: Span | None
    skipped: str
    nodes: int
    edits: Mapping[str, int]


@dataclass(frozen=True)
class Story(Displayed):
    """Before and after.

    ``kind`` is ``graph`` for one graph alone (``before`` is None then), ``plan`` for a recipe's work,
    ``diff`` for two graphs. ``title`` names what is shown, ``others`` is what differs between two graphs
    besides nodes.
    """

    kind: Literal["graph", "plan", "diff"]
    title: str
    after: GraphStory
    before: GraphStory | None = None
    recipe: str = ""
    target: str = ""
    steps: tuple[StepStory, ...] = ()
    derivations: tuple[Derivation, ...] = ()
    moved: tuple[str, ...] = ()
    others: tuple[str, ...] = ()

    def __repr__(self) -> str:
        before = f"{len(self.before.graph)} nodes before, " if self.before is not None else ""
        return f"<Story of {self.title or 'a graph'}: {before}{len(self.after.graph)} nodes>"

    @cached_property
    def namespaces(self) -> tuple[NamespaceStory, ...]:
        """The namespaces of both graphs and the nodes outside any, in graph order."""
        gone = self.before.nodes.values() if self.before is not None else ()
        new = [s for s in self.after.nodes.values() if self.before is None or _is_new(s, self.before)]
        return _namespaces(
            [*((story, True) for story in gone), *((story, False) for story in new)],
            both=self.before is not None,
        )

    @cached_property
    def replaced(self) -> Mapping[str, Mapping[str, int]]:
        """For each node that took others' place, how many of each top-level namespace."""
        table: dict[str, dict[str, int]] = {}
        for story in self.before.nodes.values() if self.before is not None else ():
            if story.mark.into is not None and story.mark.fate is Fate.COLLAPSED:
                top = story.node.name.partition("/")[0]
                counts = table.setdefault(story.mark.into, {})
                counts[top] = counts.get(top, 0) + 1
        return table

    @property
    def changed(self) -> tuple[NodeChange, ...]:
        """The nodes that both graphs have and that differ."""
        return tuple(
            NodeChange(s.node.name, s.node.op, s.changes) for s in self.after.nodes.values() if s.changes
        )

    @cached_property
    def put_in(self) -> tuple[NodeStory, ...]:
        """The nodes that only the second graph has, without constants."""
        return tuple(
            s for s in self.after.nodes.values() if s.mark.fate is Fate.ADDED and s.node.op not in CONSTANTS
        )


def tell(plan: Plan, *, title: str = "", catalog: Catalog | None = None) -> Story:
    """Return the story of a plan; raise ValueError for one read from a file, which has no graphs."""
    if plan.source is None or plan.result is None:
        raise ValueError("the plan was read from a file; its story needs the graphs, which planning gives")
    catalog = catalog or load_catalog()
    at = follow(plan)
    changes = {change.name: change.changes for change in diff_graphs(plan.source, plan.result).changed}
    before: dict[str, NodeStory] = {}
    after = {name: NodeStory(plan.result[name], mark) for name, mark in at.new.items()}
    for node in plan.source:
        if node.name in at.gone:
            before[node.name] = NodeStory(node, at.gone[node.name])
            continue
        name = at.names[node.name]
        now = plan.result[name]
        if name == node.name:
            parts = changes.get(name, ())
            fate = _changed(parts)
            mark = replace(at.touched[name], fate=fate) if parts and name in at.touched else Mark(fate)
            before[name], after[name] = NodeStory(node, mark, parts), NodeStory(now, mark, parts)
        else:
            found = diff_graphs(Graph([node]), Graph([replace(now, name=node.name)])).changed
            parts = found[0].changes if found else ()
            mark = replace(at.renames[name], into=name)
            before[node.name] = NodeStory(node, mark, parts)
            after[name] = NodeStory(now, replace(mark, reason=f"was '{node.name}'", into=node.name), parts)
    after = {node.name: after[node.name] for node in plan.result}
    derived = tuple(replace(one, node=at.put_in.get(one.node, one.node)) for one in plan.derivations)
    title = title or Path(plan.source.source).name
    return Story(
        "plan",
        title,
        GraphStory(plan.result, after, catalog),
        GraphStory(plan.source, before, catalog),
        plan.recipe,
        plan.target,
        steps_of(plan),
        derived,
    )


def tell_graph(
    graph: Graph, *, title: str = "", catalog: Catalog | None = None, stated: Specs | None = None
) -> Story:
    """Return the story of one graph, to which nothing happens."""
    nodes = {node.name: NodeStory(node) for node in graph}
    return Story(
        "graph", title or Path(graph.source).name, GraphStory(graph, nodes, catalog or load_catalog(), stated)
    )


def tell_file(path: str | os.PathLike[str], *, catalog: Catalog | None = None) -> Story:
    """Return the story of a model's file, to which nothing happens.

    ``.uff``, ``.onnx``, or a graph of TensorFlow.
    """
    graph, stated = read_file(path, catalog)
    return tell_graph(graph, catalog=catalog, stated=stated)


def read_file(path: str | os.PathLike[str], catalog: Catalog | None = None) -> tuple[Graph, Specs | None]:
    """Return the graph in a file of any kind, and where its shapes come from; None where they follow from
    TensorFlow's operations.

    Raise SurgeonError where the file cannot be read.
    """
    suffix = Path(path).suffix.lower()
    if suffix == ".uff":
        from surgeon.formats.uff import read_uff
        from surgeon.formats.uff.as_graph import uff_graph

        return uff_graph(read_uff(path), catalog or load_catalog(), os.fspath(path))
    if suffix == ".onnx":
        from surgeon.formats.onnx.as_graph import onnx_graph

        return onnx_graph(Path(path))
    return load_graph(path), None


def tell_difference(
    a: Graph,
    b: Graph,
    found: GraphDiff | None = None,
    *,
    title: str = "",
    catalog: Catalog | None = None,
    stated: tuple[Specs | None, Specs | None] = (None, None),
) -> Story:
    """Return the story of two graphs: what only one has, and what differs.

    ``found`` is their difference where it is known.
    """
    catalog = catalog or load_catalog()
    found = diff_graphs(a, b) if found is None else found
    changes = {change.name: change.changes for change in found.changed}
    dropped, added = (
        Mark(Fate.DROPPED, "only in the first graph"),
        Mark(Fate.ADDED, "only in the second graph"),
    )

    def told(node: Node, other: Graph, alone: Mark) -> NodeStory:
        if node.name not in other:
            return NodeStory(node, alone)
        parts = changes.get(node.name, ())
        return NodeStory(node, Mark(_changed(parts)), parts)

    before = {node.name: told(node, b, dropped) for node in a}
    after = {node.name: told(node, a, added) for node in b}
    title = title or " and ".join(
        Path(graph.source).name or f"a graph of {len(graph)} nodes" for graph in (a, b)
    )
    return Story(
        "diff",
        title,
        GraphStory(b, after, catalog, stated[1]),
        GraphStory(a, before, catalog, stated[0]),
        moved=found.moved,
        others=found.others,
    )


def count_ops(nodes: Iterable[Node]) -> dict[str, int]:
    """Return how many nodes have each op, the most frequent first."""
    return counted(node.op for node in nodes)


def steps_of(plan: Plan) -> tuple[StepStory, ...]:
    """Return the steps of a plan, also of one that was read from a file."""
    found: list[StepStory] = []
    for step in plan.steps:
        counts: dict[str, int] = {}
        for edit in step.edits:
            kind = _KINDS[type(edit)]
            counts[kind] = counts.get(kind, 0) + 1
        found.append(StepStory(step.step, step.label, step.span, step.skipped, step.nodes, counts))
    return tuple(found)


def place(span: Span | None) -> str:
    """Return a place for people, whose file may be read elsewhere.

    Other files than those below the working folder by their name.
    """
    if span is None or span.file.startswith("<"):
        return "" if span is None else f"({span.file.strip('<>')})"
    file = short_file(span.file)
    return f"{os.path.basename(file) if os.path.isabs(file) else file}:{span.line}"


def _changed(parts: Iterable[Change]) -> Fate:
    kinds = [part.what for part in parts]
    if not kinds:
        return Fate.KEPT
    return Fate.REWIRED if all(kind in ("inputs", "control") for kind in kinds) else Fate.CHANGED


_KINDS: Mapping[type[Edit], str] = {
    Drop: "taken out",
    Add: "put in",
    Rewire: "rewired",
    SetAttr: "attributes set",
    SetOp: "ops changed",
    SetOutputs: "outputs declared",
}


def _is_new(story: NodeStory, before: GraphStory) -> bool:
    """Return whether a node of the second graph has a name that none of the first has in common with it."""
    return story.mark.fate in (Fate.ADDED, Fate.RENAMED) or story.node.name not in before.nodes


class _Tally:
    """Counts for one namespace while it is gathered."""

    def __init__(self) -> None:
        self.before = self.after = self.bytes = self.operations = 0
        self.fates: dict[Fate, int] = {}
        self.into: dict[str, int] = {}
        self.places: dict[tuple[str, str], int] = {}
        self.inside: dict[str, _Tally] = {}

    def count(self, story: NodeStory, size: int, place_of: str, old: bool, both: bool) -> None:
        mark = story.mark
        leaves = old and (mark.fate in GONE or mark.fate is Fate.RENAMED)
        self.before += old and both
        self.after += not leaves
        self.bytes += size
        self.operations += story.node.op not in CONSTANTS
        self.fates[mark.fate] = self.fates.get(mark.fate, 0) + 1
        if mark.into is not None and mark.fate is Fate.COLLAPSED:
            self.into[mark.into] = self.into.get(mark.into, 0) + 1
        if place_of or mark.step:
            key = (mark.step, place_of)
            self.places[key] = self.places.get(key, 0) + 1

    def told(self, name: str) -> NamespaceStory:
        # What is one operation and its constants is no namespace to a reader.
        inside = (
            inner.told(f"{name}/{part}")
            for part, inner in self.inside.items()
            if inner.inside and inner.operations != 1
        )
        return NamespaceStory(
            name,
            self.before,
            self.after,
            self.bytes,
            self.fates,
            _ranked(self.into),
            _ranked(self.places),
            tuple(inside),
        )


_K = TypeVar("_K")


def _ranked(counts: Mapping[_K, int]) -> dict[_K, int]:
    return dict(sorted(counts.items(), key=lambda item: -item[1]))


def _namespaces(stories: Iterable[tuple[NodeStory, bool]], both: bool) -> tuple[NamespaceStory, ...]:
    """Gather namespaces; the flag says that a story is of the first graph."""
    roots: dict[str, _Tally] = {}
    for story, old in stories:
        at = place(story.mark.span)
        size = story.constant_bytes
        level = roots
        for part in story.node.name.split("/", MAX_DEPTH)[:MAX_DEPTH]:
            tally = level.setdefault(part, _Tally())
            tally.count(story, size, at, old, both)
            level = tally.inside
    return tuple(tally.told(name) for name, tally in roots.items())


def walk(namespaces: Iterable[NamespaceStory]) -> Iterator[NamespaceStory]:
    """Yield namespaces and what is inside them, each before what is inside it."""
    for namespace in namespaces:
        yield namespace
        yield from walk(namespace.inside)
