"""A graph to the content of a UFF file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property

from surgeon.catalog import Catalog
from surgeon.diagnostics import SurgeonError, error
from surgeon.display import plural
from surgeon.formats.uff import layout
from surgeon.formats.uff.conversion import ConverterContext, PluginLike, converters
from surgeon.formats.uff.model import CORE, CUSTOM, UffModel, UffNode, UffValue
from surgeon.formats.uff.picture_order import is_channels_last, needless_transposes
from surgeon.formats.uff.plugins import plugin_node, port_count
from surgeon.formats.uff.remedies import unsupported
from surgeon.graph import Graph, Node, Ref
from surgeon.graph.op_sets import PASSED_OVER, PLACEHOLDERS, is_data_default
from surgeon.graph.reach import downstream, needed_by_data
from surgeon.infer import Inference
from surgeon.targets import Target

SHOWN = 10
"""Findings that one error lists."""


def export_uff(graph: Graph, *, plugins: Mapping[str, PluginLike], target: Target | None = None) -> UffModel:
    """Return the UFF content of a rewritten graph: what its outputs depend on.

    A node comes after those that it reads.

    ``graph`` is in the model's own layout, batch included; ``plugins`` gives each plugin op's fields and
    output ports; ``target`` is the TensorRT that will read the file (None: the latest that can). Control
    edges carry no data and are left out. Raise one SurgeonError of up to ten diagnostics: X101 for each kind
    of op that UFF cannot express, then X102 to X109, X112, X114 and G113 for single nodes.
    """
    return _Export(graph, plugins, target).model()


class _Export:
    """One export: the memo of edges, names given out, and referenced data."""

    def __init__(self, graph: Graph, plugins: Mapping[str, PluginLike], target: Target | None) -> None:
        self.graph = graph
        self.plugins = plugins
        self.target = target
        self._taken: set[str] = set()
        self._data: dict[str, UffValue] = {}
        self._resolved: dict[Ref, Ref] = {}

    # What converters ask for

    def node(self, ref: Ref) -> Node:
        return self.graph[ref.node]

    def resolve(self, ref: Ref) -> Ref:
        """Return the tensor that ``ref`` equals, identities passed over."""
        known = self._resolved.get(ref)
        chain: list[Ref] = []
        while known is None:
            chain.append(ref)
            after = (
                self.graph[ref.node].inputs[0]
                if ref.node in self._needless
                else _behind(self.graph[ref.node], ref)
            )
            if after is None or len(chain) > len(self.graph):
                known = ref
            else:
                ref = after
                known = self._resolved.get(ref)
        for link in chain:
            self._resolved[link] = known
        return known

    def edges(self, reader: Node, refs: Sequence[Ref]) -> list[str]:
        """Return the ids of what ``reader`` reads, a plugin's complete run of outputs as one.

        Raise X105, X107.
        """
        sources = [self.resolve(ref) for ref in refs]
        ids: list[str] = []
        at = 0
        while at < len(sources):
            ref = sources[at]
            ports = self._ports(ref.node)
            if (ports == 1 and not ref.slot) or not self._is_known(self.graph[ref.node].op):
                ids.append(ref.node)
                at += 1
                continue
            if not ports or sources[at : at + ports] != [Ref(ref.node, slot) for slot in range(ports)]:
                raise self._no_such_edge(reader, ref, ports)
            ids.append(ref.node)
            at += ports
        return ids

    def fresh(self, name: str) -> str:
        """Return ``name``, or with a number where a node has it."""
        free = self.graph.free_name(name, self._taken, first=0)
        self._taken.add(free)
        return free

    def put(self, key: str, value: UffValue) -> UffValue:
        """Keep a piece of referenced data, and return the reference to it."""
        number, free = 0, key
        while value.kind == "blob" and free in self._data:
            free = f"{key}_{number}"
            number += 1
        self._data[free] = value
        return UffValue("ref", free)

    def input_shape(self, node: Node) -> tuple[int, ...]:
        return layout.input_shape(self.graph, node, self._exported, self._needless)

    def rank(self, ref: Ref) -> int | None:
        """Return a tensor's number of axes, batch included, or None where it is unknown."""
        return self._inference.spec(ref).shape.rank

    def varies(self, ref: Ref) -> bool:
        """Return whether a tensor depends on an input of the graph or on a plugin, and is not a constant."""
        return ref.node in self._varying

    def readers(self, node: Node) -> tuple[list[str], list[str]]:
        """Return the exported nodes that read a node's data, identities passed over: plugins, and others."""
        plugins: list[str] = []
        others: list[str] = []
        queue = [node.name]
        for name in queue:
            for reader in self.graph.readers[name]:
                found = self.graph[reader]
                if (
                    reader not in self._exported
                    or reader in queue
                    or all(ref.node != name for ref in found.inputs)
                ):
                    continue
                if found.op in PASSED_OVER:
                    queue.append(reader)
                else:
                    (plugins if found.op in self.plugins else others).append(reader)
        return plugins, others

    @cached_property
    def _varying(self) -> set[str]:
        # Sizes count as well: UFF has an operation for them, and they are no constants of the file.
        fed = (n.name for n in self.graph if n.op in PLACEHOLDERS or n.op in self.plugins)
        return downstream(self.graph, fed)

    @cached_property
    def _needless(self) -> frozenset[str]:
        """Transposes that are left out; membership only."""
        if not self.channels_last:
            return frozenset()
        return needless_transposes(self.graph, self._exported, self.plugins)

    @cached_property
    def channels_last(self) -> bool:
        """True unless an exported op says that its data is NCHW."""
        return is_channels_last(self.graph, self._exported)

    @cached_property
    def _inference(self) -> Inference:
        rules = getattr(
            self.plugins, "rules", None
        )  # a catalog has them, a plain mapping of plugins does not
        return Inference(self.graph, rules=rules() if rules is not None else None)

    @cached_property
    def _exported(self) -> frozenset[str]:
        """What the outputs depend on by data; membership only."""
        return needed_by_data(self.graph)

    # The walk

    def model(self) -> UffModel:
        marked = self._marked()
        converted, order = self._walk(marked)
        nodes = [node for name in order for node in converted[name]]
        marks = [
            UffNode(self.fresh(f"MarkOutput_{i}"), "MarkOutput", (name,)) for i, name in enumerate(marked)
        ]
        custom = any(node.operation.startswith("_") for node in nodes)
        return UffModel((*nodes, *marks), self._data, (CORE, CUSTOM) if custom else (CORE,), graph=self.graph)

    def _marked(self) -> list[str]:
        """Return the nodes to mark as outputs, each once: marking a plugin marks all that it computes."""
        marked: dict[str, None] = {}
        for ref in self.graph.output_refs:
            node = self.graph[ref.node]
            source = self.resolve(ref)
            plugin = self.graph[source.node].op in self.plugins
            if plugin or node.op == "IdentityN" or node.op not in PASSED_OVER:
                node, ref = self.graph[source.node], source
            if ref.slot >= self._ports(node.name):
                raise self._no_such_output(node, ref)
            marked[node.name] = None
        return list(marked)

    def _walk(self, roots: Sequence[str]) -> tuple[dict[str, list[UffNode]], list[str]]:
        """Convert what the roots need; return the UFF nodes by graph node, and the order: inputs first."""
        converted: dict[str, list[UffNode]] = {}
        order: list[str] = []
        lacking: list[Node] = []
        problems: list[SurgeonError] = []
        path: list[tuple[str, Iterator[str]]] = []

        def enter(name: str) -> None:
            node = self.graph[name]
            try:
                nodes = self._convert(node)
            except _NoConverter:
                lacking.append(node)
                nodes = None
            except SurgeonError as exc:
                problems.append(exc)
                nodes = None
            converted[name] = nodes or []
            reads = (
                self._needs(node)
                if nodes is None
                else [i for n in nodes for i in n.inputs if i in self.graph]
            )
            path.append((name, iter(reads)))

        for root in roots:
            if root not in converted:
                enter(root)
            while path:
                name, reads = path[-1]
                following = next((read for read in reads if read not in converted), None)
                if following is None:
                    order.append(name)
                    path.pop()
                else:
                    enter(following)
        if lacking or problems:
            catalog = self.plugins if isinstance(self.plugins, Catalog) else None
            found = unsupported(self.graph, lacking, catalog) if lacking else ()
            raise SurgeonError(*[*found, *(d for p in problems for d in p.diagnostics)][:SHOWN])
        return converted, order

    def _needs(self, node: Node) -> list[str]:
        return [self.resolve(ref).node for ref in node.inputs]

    def _convert(self, node: Node) -> list[UffNode]:
        at = ConverterContext(node, self)
        spec = self.plugins.get(node.op)
        if spec is not None:
            return plugin_node(at, spec)
        if node.op in PASSED_OVER:
            return [at.uff("Identity", [at.edge(0)])]
        converter = converters().get(node.op)
        if converter is None:
            raise _NoConverter
        return converter(at)

    # Ports

    def _is_known(self, op: str) -> bool:
        """False where the node itself is refused, so that its readers need not be."""
        return op in self.plugins or op in PASSED_OVER or op in converters()

    def _ports(self, name: str) -> int:
        node = self.graph[name]
        spec = self.plugins.get(node.op)
        return 1 if spec is None else port_count(node, spec)

    def _no_such_edge(self, reader: Node, ref: Ref, ports: int) -> SurgeonError:
        node = self.graph[ref.node]
        if node.op.startswith("FusedBatchNorm") and ref.slot:
            return error(
                "X107",
                f"'{reader.name}' ({reader.op}) reads output {ref.slot} of '{node.name}' ({node.op}); "
                "UFF's BatchNorm has output 0 only",
                reader.name,
                help=["the statistics are of use in training only; freeze the inference graph"],
            )
        what = f"'{reader.name}' ({reader.op}) reads '{ref.node}:{ref.slot}' ({node.op})"
        if ports == 1 or node.op not in self.plugins:
            return error(
                "X105",
                f"{what}; UFF names nodes, not outputs, so only output 0 can be read",
                reader.name,
                help=["map the namespace that reads it to a plugin, or cut the graph there"],
            )
        return error(
            "X105",
            f"{what} without the rest of its {plural(ports, 'output')} in order; one edge of UFF carries "
            "all of them",
            reader.name,
            help=[
                f"let '{reader.name}' read '{ref.node}:*', which is 0 to {ports - 1} in order",
                "or read none of them and declare the plugin an output",
            ],
        )

    def _no_such_output(self, node: Node, ref: Ref) -> SurgeonError:
        ports = self._ports(node.name)
        seen = f"{ports} output{'s' if ports > 1 else ''} of '{node.name}'"
        return error(
            "X105",
            f"the output '{ref}' ({node.op}) cannot be marked; UFF sees {seen}",
            node.name,
            help=[f"declare '{node.name}' as the output"],
        )


class _NoConverter(Exception):
    pass


def _behind(node: Node, ref: Ref) -> Ref | None:
    """Return what an output equals because its op computes nothing, or None."""
    if node.op in PASSED_OVER:
        return node.inputs[ref.slot] if ref.slot < len(node.inputs) else None
    if node.op == "PlaceholderWithDefault" and node.inputs and not is_data_default(node):
        return node.inputs[0]
    return None
