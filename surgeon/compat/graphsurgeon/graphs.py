"""The graphs that scripts read and edit: ``StaticGraph`` and ``DynamicGraph``."""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from surgeon.atomic import writing
from surgeon.compat.edits import edit
from surgeon.compat.graphsurgeon import _utils
from surgeon.compat.graphsurgeon.collapse import collapse
from surgeon.compat.graphsurgeon.removal import exclusive_dependencies, remember_taken_out
from surgeon.compat.messages import clean, copied_to, graphdef_class, is_graphdef, is_node, read_graphdef
from surgeon.compat.plugin_inputs import check_plugin_inputs
from surgeon.compat.remarks import remark, script_place
from surgeon.diagnostics import error, nearest_note
from surgeon.garbage import no_garbage_collection

INPUT_OPS = ("Placeholder", "FIFOQueue", "FIFOQueueV2")
"""The operations of ``graph_inputs``."""


class StaticGraph:
    """A graph to search.

    ``graphdef`` is a GraphDef, a ``tf.Graph``, another graph, whose nodes it shares, or the path of a frozen
    graph. ``node_map`` gives nodes by name, ``node_outputs`` the nodes that read a node (of its name, without
    ports and marks of control edges), ``graph_inputs`` the placeholders and queues, and ``graph_outputs`` the
    nodes that read something and that nothing reads. All four are those of the graph as it was read, or as it
    was after the last of the edits that take nodes out; nodes that are appended do not change them.
    """

    _internal_graphdef: Any

    def __init__(self, graphdef: Any = None) -> None:
        """Take a graph; raise SurgeonError as :meth:`read`, P105 for anything that is none."""
        if isinstance(graphdef, (str, os.PathLike)):
            self.read(graphdef)
            return
        if isinstance(graphdef, StaticGraph):
            graphdef = graphdef._internal_graphdef
        elif graphdef is None:
            graphdef = graphdef_class()()
        elif hasattr(graphdef, "as_graph_def"):
            graphdef = graphdef.as_graph_def()
        if not is_graphdef(graphdef):
            raise error(
                "P105",
                f"a graph is expected, not {type(graphdef).__name__}",
                script_place(),
                help=["give a GraphDef, a tf.Graph, a DynamicGraph, or the path of a frozen graph"],
            )
        self._internal_graphdef = graphdef
        self._refresh()

    def _refresh(self) -> None:
        nodes = self._internal_graphdef.node
        with no_garbage_collection():
            self.node_map: dict[str, Any] = {node.name: node for node in nodes}
            self.node_outputs: dict[str, list[Any]] = defaultdict(list)
            self.node_outputs.update({name: [] for name in self.node_map})
            for node in nodes:
                for source in dict.fromkeys(map(clean, node.input)):
                    self.node_outputs[source].append(node)
        self.graph_inputs = [node for node in nodes if node.op in INPUT_OPS]
        self.graph_outputs = [node for node in nodes if node.input and not self.node_outputs[node.name]]

    def __getitem__(self, key: int | str) -> Any:
        """Return a node by its position or name; raise SurgeonError G110 for a name that no node has."""
        return self._node(key) if isinstance(key, str) else self._internal_graphdef.node[key]

    def __iter__(self) -> Iterator[Any]:
        return iter(self._internal_graphdef.node)

    def __len__(self) -> int:
        return len(self._internal_graphdef.node)

    def as_graph_def(self) -> Any:
        """Return the GraphDef itself: what is changed there is changed here."""
        return self._internal_graphdef

    def read(self, filepath: str | os.PathLike[str]) -> None:
        """Take the graph of a file in place of the one here; raise SurgeonError as ``surgeon.load_graph``
        does.
        """
        self._internal_graphdef = read_graphdef(filepath)
        self._refresh()

    def write(self, filepath: str | os.PathLike[str]) -> None:
        """Write the graph as a binary GraphDef, with warnings where its plugins get the wrong inputs.

        Raise SurgeonError E105 where it cannot be written.
        """
        check_plugin_inputs(self._internal_graphdef)
        data = self._internal_graphdef.SerializeToString()
        with writing(filepath) as handle:
            handle.write(data)

    def write_tensorboard(self, logdir: str | os.PathLike[str]) -> None:
        """Write the graph for TensorBoard, or nothing but a warning for a graph that TensorFlow refuses.

        Raise SurgeonError E108 without TensorFlow.
        """
        from surgeon.compat.tensorflow import write_events

        write_events(self._internal_graphdef, logdir)

    # Searching

    def find_nodes_by_op(self, op: str | Iterable[str]) -> list[Any]:
        """Return the nodes of an operation, or of one of several."""
        ops = set(_utils._generate_iterable_for_search(op))
        return [node for node in self if node.op in ops]

    def find_nodes_by_name(self, name: str | Iterable[str]) -> list[Any]:
        """Return the nodes whose last part of the name equals or matches a pattern, or one of several."""
        return list(_matching(self, name, lambda node: node.name.rpartition("/")[2]))

    def find_nodes_by_path(self, path: str | Iterable[str]) -> list[Any]:
        """Return the nodes whose whole name equals or matches a pattern, or one of several."""
        return list(_matching(self, path, lambda node: node.name))

    def find_node_inputs(self, node: Any) -> list[Any]:
        """Return the nodes that a node reads, ports and control edges included; what is not there is left
        out.
        """
        known = self.node_map
        if len(known) < len(self) and any(clean(name) not in known for name in node.input):
            known = {other.name: other for other in self}
        sources = [known.get(name) or known.get(clean(name)) for name in node.input]
        return [source for source in sources if source is not None]

    def find_node_inputs_by_name(self, node: Any, name: str | Iterable[str]) -> list[Any]:
        """Return the nodes that a node reads, by the last part of the name."""
        return list(_matching(self.find_node_inputs(node), name, lambda node: node.name.rpartition("/")[2]))

    def find_node_inputs_by_op(self, node: Any, op: str | Iterable[str]) -> list[Any]:
        """Return the nodes that a node reads, by operation."""
        ops = set(_utils._generate_iterable_for_search(op))
        return [source for source in self.find_node_inputs(node) if source.op in ops]

    def find_node_chains_by_op(self, chain: Sequence[str]) -> list[list[Any]]:
        """Return chains of nodes, each reading the one before, whose operations are those of ``chain``.

        There is a list for each node of the last operation that ends a chain: its chains' nodes, each once,
        what is read first.
        """
        found = []
        for end in self.find_nodes_by_op(chain[-1]) if chain else []:
            steps = [[end]]
            for op in reversed(chain[:-1]):
                before = [s for node in steps[-1] for s in self.find_node_inputs(node) if s.op == op]
                steps.append(list({s.name: s for s in before}.values()))
            if all(steps):
                kept = [steps[-1]]
                for nodes in reversed(steps[:-1]):
                    names = {node.name for node in kept[-1]}
                    kept.append([n for n in nodes if any(clean(i) in names for i in n.input)])
                found.append(list({n.name: n for nodes in kept for n in nodes}.values()))
        return found

    # Names to nodes

    def _node(self, name: str) -> Any:
        node = self.node_map.get(name)
        if node is None:
            node = next((node for node in self if node.name == name), None)
        if node is None:
            raise error(
                "G110",
                f"the graph has no node '{name}'",
                script_place(),
                nearest_note(name, self.node_map),
            )
        return node

    def _nodes(self, nodes: Any) -> list[Any]:
        """Return nodes of a node, a name, or several of them."""
        if isinstance(nodes, str) or is_node(nodes):
            nodes = [nodes]
        return [self._node(node) if isinstance(node, str) else node for node in nodes]

    def _force_to_nodes(self, nodes: Any) -> list[Any]:
        return self._nodes(nodes)

    def _force_to_names(self, nodes: Any) -> list[str]:
        return [node.name for node in self._nodes(nodes)]


class DynamicGraph(StaticGraph):
    """A graph to search and edit.

    The methods leave behind in ``node.input`` what graphsurgeon leaves there, since scripts take it out by
    name: names with ports, such as ``image_tensor:0``, and inputs of plugins that a namespace happened to
    have, such as ``Input``.
    """

    @edit
    def collapse_namespaces(
        self,
        namespace_map: Mapping[str, Any],
        exclude_nodes: Iterable[Any] = (),
        unique_inputs: bool = True,
    ) -> None:
        """Replace the nodes of namespaces by one node each, which is put behind all others.

        The longest namespace holds; a namespace counts whole parts of a name. A node's inputs are what the
        nodes that it replaces read from outside, in the graph's order, each once unless ``unique_inputs`` is
        false. ``exclude_nodes``, nodes or names, stay.
        """
        excluded = {node if isinstance(node, str) else node.name for node in exclude_nodes}
        collapse(self._internal_graphdef, namespace_map, excluded, unique_inputs)
        self._refresh()

    @edit
    def remove(self, nodes: Any, remove_exclusive_dependencies: bool = False) -> None:
        """Take nodes out, given as nodes or names, and the edges to them.

        Edges with a port, such as ``x:1``, are left. With ``remove_exclusive_dependencies`` what only they
        read is taken out, too, and so are nodes that they read by a port or a control edge, whatever else
        reads them.
        """
        gone = {node.name for node in self._nodes(nodes)}
        self._refresh()
        remember_taken_out(self, sorted(gone))
        if remove_exclusive_dependencies:
            gone |= exclusive_dependencies(self, gone)
        edges = gone | {f"^{name}" for name in gone}
        for name in gone:
            for reader in self.node_outputs.get(name, ()):
                if reader.name not in gone:
                    _keep_inputs(reader, [source for source in reader.input if source not in edges])
        self._drop(gone)

    @edit
    def forward_inputs(self, nodes: Any) -> None:
        """Take nodes out and let their readers read what they read; nodes with a control input stay.

        All of a node's inputs take the place of the edge to it, the last one first. Edges with a port are
        left, and a control edge becomes an edge for data.
        """
        forwarded = self._nodes(nodes)
        self._refresh()
        gone: set[str] = set()
        readers = {name: {n.name: n for n in found} for name, found in self.node_outputs.items()}
        for node in forwarded:
            if node.name in gone or any(source.startswith("^") for source in node.input):
                continue
            gone.add(node.name)
            sources = list(reversed(node.input))
            for reader in readers.get(node.name, {}).values():
                if reader.name == node.name:
                    continue
                edges = (node.name, f"^{node.name}")
                spliced = [s for i in reader.input for s in (sources if i in edges else [i])]
                _keep_inputs(reader, spliced)
                for source in map(clean, node.input):
                    readers.setdefault(source, {})[reader.name] = reader
        self._drop(gone)

    @edit
    def append(self, node: Any) -> None:
        """Put a copy of a node behind all others."""
        copied_to(self._internal_graphdef.node, node)

    @edit
    def extend(self, nodes: Iterable[Any]) -> None:
        """Put copies of nodes behind all others."""
        for node in [nodes] if is_node(nodes) else nodes:
            copied_to(self._internal_graphdef.node, node)

    @edit
    def add(self, nodes: Any) -> None:
        """Put copies of nodes behind all others; raise SurgeonError G105 where a name is taken."""
        added = [nodes] if is_node(nodes) else list(nodes)
        taken = {node.name for node in self}
        for node in added:
            if node.name in taken:
                raise error(
                    "G105",
                    f"a node named '{node.name}' is in the graph; names must be unique",
                    script_place(),
                    help=["give the new node another name, or remove the one that is there"],
                )
            taken.add(node.name)
        for node in added:
            copied_to(self._internal_graphdef.node, node)

    @edit
    def connect(self, who: Any, to_whom: Any, error_if_connected: bool = False) -> None:
        """Let the node ``to_whom`` read the node ``who``, as its last input.

        An edge that is there stays one; raise SurgeonError P107 then with ``error_if_connected``.
        """
        [source], [reader] = self._nodes(who), self._nodes(to_whom)
        if source.name not in reader.input:
            reader.input.append(source.name)
            return
        message = f"'{reader.name}' ({reader.op}) reads '{source.name}' already"
        if error_if_connected:
            raise error("P107", message, script_place(), help=["leave the call out"])
        remark("P107", message, script_place(), help=("leave the call out",))

    @edit
    def disconnect(self, who: Any, of_whom: Any, error_if_not_connected: bool = False) -> None:
        """Take the edge from the node ``who`` to the node ``of_whom`` out.

        Where there is none, raise SurgeonError P107 with ``error_if_not_connected``, and warn without.
        """
        [source], [reader] = self._nodes(who), self._nodes(of_whom)
        if source.name in reader.input:
            reader.input.remove(source.name)
            return
        message = f"'{reader.name}' ({reader.op}) does not read '{source.name}'"
        notes = (f"it reads {', '.join(map(repr, reader.input))}",) if reader.input else ()
        if error_if_not_connected:
            raise error("P107", message, script_place(), notes, ["leave the call out, or correct the names"])
        remark("P107", message, script_place(), notes, ("leave the call out, or correct the names",))

    @edit
    def sort(self, node: Any, inputs: Iterable[Any], error_if_not_found: bool = False) -> None:
        """Put some inputs of a node first, in the given order.

        An input that the node does not have is left out; raise SurgeonError P107 then with
        ``error_if_not_found``.
        """
        [reader] = self._nodes(node)
        names = [one if isinstance(one, str) else one.name for one in inputs]
        missing = [name for name in names if name not in reader.input]
        if missing:
            message = f"'{reader.name}' ({reader.op}) does not read {', '.join(map(repr, missing))}"
            help = ("correct the names of its inputs",)
            if error_if_not_found:
                raise error("P107", message, script_place(), help=help)
            remark("P107", message, script_place(), help=help)
        first = [name for name in names if name not in missing]
        _keep_inputs(reader, first + [name for name in reader.input if name not in first])

    def _drop(self, names: set[str]) -> None:
        """Take nodes out of the message; the others stay the objects that a script may hold."""
        nodes = self._internal_graphdef.node
        kept = sum(node.name not in names for node in nodes)
        if kept < len(nodes):
            with no_garbage_collection():
                nodes.sort(key=lambda node: node.name in names)
            del nodes[kept:]
        self._refresh()


def _keep_inputs(node: Any, inputs: list[str]) -> None:
    if list(node.input) != inputs:
        node.input[:] = inputs


def _matching(nodes: Iterable[Any], wanted: str | Iterable[str], text_of: Any) -> Iterator[Any]:
    """Yield the nodes whose text equals a pattern, or is what the pattern matches from the start.

    As in ``re.match``, the first alternative counts: ``a|ab`` does not find ``ab``.
    """
    patterns = list(dict.fromkeys(_utils._generate_iterable_for_search(wanted)))
    exact = set(patterns)
    compiled = [expression for expression in map(_compiled, patterns) if expression is not None]
    for node in nodes:
        text = text_of(node)
        if text in exact or any(_matches(expression, text) for expression in compiled):
            yield node


def _matches(expression: re.Pattern[str], text: str) -> bool:
    found = expression.match(text)
    return found is not None and found.group() == text


def _compiled(pattern: str) -> re.Pattern[str] | None:
    """Return a pattern, or None where it is no regular expression and so finds its own spelling only."""
    if re.escape(pattern) == pattern:
        return None
    try:
        return re.compile(pattern)
    except re.error:
        return None
