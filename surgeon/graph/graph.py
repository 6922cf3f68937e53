"""The immutable graph, its derived views and its invariants."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Container, Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType
from typing import Any, TypeVar

from surgeon.diagnostics import SurgeonError, error, nearest_note
from surgeon.display import Displayed, plural
from surgeon.graph.dtypes import DType
from surgeon.graph.node import Node, Ref
from surgeon.graph.op_sets import CONSTANTS, LOOP_ENDS, WITHOUT_OUTPUT
from surgeon.graph.printing import print_attr, print_node
from surgeon.graph.values import Tensor

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Versions:
    """The ``versions`` field of a GraphDef."""

    producer: int = 0
    min_consumer: int = 0
    bad_consumers: tuple[int, ...] = ()


def sources_first(
    roots: Iterable[str], sources: Callable[[str], Iterable[str]], refused: Callable[[list[str]], Exception]
) -> list[str]:
    """Return every name that ``roots`` lead to, each after its sources, in linear time.

    Raise what ``refused`` makes of a cycle: its names from one to the same one again, each reading the next.
    """
    done: set[str] = set()
    order: list[str] = []
    for root in roots:
        if root in done:
            continue
        path = {root: iter(sources(root))}
        names = [root]  # the keys of path: to find a dict's last key is slow once later ones were taken out
        while names:
            for source in path[names[-1]]:
                if source in path:
                    raise refused([*names[names.index(source) :], source])
                if source not in done:
                    path[source] = iter(sources(source))
                    names.append(source)
                    break
            else:
                name = names.pop()
                del path[name]
                done.add(name)
                order.append(name)
    return order


def shortened(names: list[str]) -> list[str]:
    """Return the names, or the first four and last three where there are many."""
    return names if len(names) <= 8 else [*names[:4], "...", *names[-3:]]


def _contradicts_itself(constant: Node) -> bool:
    """Return whether a constant's value is of another element type than its attribute says."""
    stated, value = constant.attrs.get("dtype"), constant.attrs.get("value")
    return isinstance(stated, DType) and isinstance(value, Tensor) and value.dtype is not stated


class Graph(Displayed):
    """An immutable mapping of nodes in the order of their insertion, with outputs.

    ``outputs`` may be empty: a frozen graph does not declare any, and ``terminals`` is then the best
    guess. ``library`` is the serialized FunctionDefLibrary and ``extra`` holds unknown fields of the
    GraphDef; both are kept so that the graph can be written back. ``source`` names the file in
    diagnostics; comparisons ignore it.
    """

    __hash__ = None  # type: ignore[assignment]

    def __init__(
        self,
        nodes: Iterable[Node] = (),
        outputs: Iterable[Ref] = (),
        *,
        versions: Versions | None = None,
        library: bytes = b"",
        extra: bytes = b"",
        source: str = "",
    ) -> None:
        """Build a graph; raise SurgeonError G105 for two nodes of one name.

        Edges are checked by :meth:`check`.
        """
        table: dict[str, Node] = {}
        for node in nodes:
            if node.name in table:
                raise error(
                    "G105",
                    f"two nodes are named '{node.name}'; names must be unique",
                    source or None,
                    help=["export the graph again; a frozen graph from TensorFlow has unique names"],
                )
            table[node.name] = node
        self._nodes = table
        self.nodes: Mapping[str, Node] = MappingProxyType(table)
        self.outputs: tuple[Ref, ...] = tuple(outputs)
        self.versions = versions
        self.library = library
        self.extra = extra
        self.source = source
        self._sound = False
        self._kept: dict[Hashable, Any] = {}

    def __len__(self) -> int:
        return len(self._nodes)

    def __iter__(self) -> Iterator[Node]:
        return iter(self._nodes.values())

    def __contains__(self, name: object) -> bool:
        return name in self._nodes

    def __getitem__(self, name: str) -> Node:
        """Return a node; raise SurgeonError G110 naming the nearest spellings where there is none."""
        node = self._nodes.get(name)
        if node is None:
            raise error(
                "G110",
                f"the graph has no node '{name}'",
                self.source or None,
                nearest_note(name, self._nodes),
            )
        return node

    def get(self, name: str) -> Node | None:
        """Return a node, or None."""
        return self._nodes.get(name)

    def __eq__(self, other: object) -> bool:
        """True for the same nodes in the same order, with equal outputs, versions, library and extra
        fields.
        """
        if not isinstance(other, Graph):
            return NotImplemented
        return (
            len(self) == len(other)
            and all(a == b for a, b in zip(self, other, strict=True))
            and (self.outputs, self.versions, self.library, self.extra)
            == (other.outputs, other.versions, other.library, other.extra)
        )

    def __repr__(self) -> str:
        return f"<Graph of {plural(len(self), 'node')}{' from ' + self.source if self.source else ''}>"

    def replace(self, nodes: Iterable[Node] | None = None, outputs: Iterable[Ref] | None = None) -> Graph:
        """Return a graph with other nodes or outputs and everything else kept."""
        return Graph(
            self if nodes is None else nodes,
            self.outputs if outputs is None else outputs,
            versions=self.versions,
            library=self.library,
            extra=self.extra,
            source=self.source,
        )

    def kept(self, key: Hashable, compute: Callable[[], T]) -> T:
        """Return what ``compute`` gives at the first call with this key; it lives as long as the graph.

        This is for what depends on the graph alone, and takes long.
        """
        if key not in self._kept:
            self._kept[key] = compute()
        found: T = self._kept[key]
        return found

    @cached_property
    def readers(self) -> Mapping[str, tuple[str, ...]]:
        """For each node, the names of the nodes that read it (data or control), in graph order, each once."""
        table: dict[str, dict[str, None]] = {name: {} for name in self._nodes}
        for node in self:
            for source in node.sources:
                if source in table:
                    table[source][node.name] = None
        return MappingProxyType({name: tuple(readers) for name, readers in table.items()})

    @cached_property
    def terminals(self) -> tuple[str, ...]:
        """Nodes that nothing reads, that read something and have an output, in graph order."""
        return tuple(
            n.name for n in self if n.sources and not self.readers[n.name] and n.op not in WITHOUT_OUTPUT
        )

    @property
    def output_refs(self) -> tuple[Ref, ...]:
        """The declared outputs, or slot 0 of each terminal where none are declared."""
        return self.outputs or tuple(Ref(name) for name in self.terminals)

    def data_readers(self, ref: Ref) -> list[tuple[str, int]]:
        """Return (reader, input position) of every data edge from ``ref``."""
        return [
            (name, i)
            for name in self.readers.get(ref.node, ())
            for i, source in enumerate(self._nodes[name].inputs)
            if source == ref
        ]

    def free_name(self, wanted: str, *taken: Container[str], first: int = 1) -> str:
        """Return ``wanted``, or ``wanted_1``, ``wanted_2`` ... where a node or one of ``taken`` has it.

        ``first`` is the first number that is tried.
        """
        name, number = wanted, first
        while name in self or any(name in names for names in taken):
            name = f"{wanted}_{number}"
            number += 1
        return name

    def ancestors(self, names: Iterable[str]) -> set[str]:
        """Return every node that ``names`` depend on, they included.

        Membership only: do not iterate for output.
        """
        seen: set[str] = set()
        stack = [n for n in names if n in self._nodes]
        while stack:
            name = stack.pop()
            if name in seen:
                continue
            seen.add(name)
            stack += [s for s in self._nodes[name].sources if s not in seen and s in self._nodes]
        return seen

    def topological(self) -> list[str]:
        """Return all names, each after what it reads, otherwise in graph order.

        Edges out of ``NextIteration`` close TensorFlow's loops and are not followed. Raise SurgeonError G107
        showing the path for any other cycle.
        """
        nodes = self._nodes
        if self._is_in_order():
            return list(nodes)

        def sources(name: str) -> list[str]:
            return [s for s in nodes[name].sources if s in nodes and nodes[s].op not in LOOP_ENDS]

        def refused(cycle: list[str]) -> SurgeonError:
            return error(
                "G107",
                f"the graph has a cycle through '{cycle[0]}'",
                self.source or None,
                [" reads ".join(shortened([f"'{name}'" for name in cycle]))],
                ["only a loop of TensorFlow, closed by NextIteration, may go round"],
            )

        return sources_first(nodes, sources, refused)

    def _is_in_order(self) -> bool:
        """Return whether each node stands behind what it reads, as in most files."""
        nodes, seen = self._nodes, set()
        for name, node in nodes.items():
            for source in node.sources:
                if source not in seen and source in nodes and nodes[source].op not in LOOP_ENDS:
                    return False
            seen.add(name)
        return True

    def check(self) -> Graph:
        """Return this graph; what was found sound once is not looked at again.

        Raise SurgeonError for a dangling input (G106), a cycle (G107), a bad output (G109) or a constant
        whose value is of another type than its ``dtype`` says (G112).
        """
        if self._sound:
            return self
        nodes = self._nodes
        contradictory = [node for node in self if node.op in CONSTANTS and _contradicts_itself(node)]
        problems = [
            error(
                "G112",
                f"the constant '{node.name}' contradicts itself: its attribute 'dtype' is "
                f"{print_attr(node.attrs['dtype'])}, and its value is of another type",
                self.source or None,
                help=["export the graph again, or correct the step that changed the node"],
            )
            for node in contradictory[:5]
        ]
        dangling = [(node, source) for node in self for source in node.sources if source not in nodes]
        problems += [
            error(
                "G106",
                f"node '{node.name}' ({node.op}) reads '{source}', which is not in the graph",
                self.source or None,
                nearest_note(source, nodes),
            )
            for node, source in dangling[: 5 - len(problems)]
        ]
        for ref in self.outputs:
            if ref.node not in nodes:
                problems.append(
                    error(
                        "G109",
                        f"the output '{ref}' is not in the graph",
                        self.source or None,
                        nearest_note(ref.node, nodes),
                    )
                )
        if problems:
            raise SurgeonError(*(d for p in problems for d in p.diagnostics))
        self.topological()
        self._sound = True
        return self

    def digest(self) -> str:
        """Return a SHA-256 over nodes, edges, attributes, tensor values, outputs, versions and library."""
        total = hashlib.sha256()
        for node in self:
            total.update(print_node(node, limit=0).encode() + b"\n")
        total.update(repr((self.outputs, self.versions)).encode() + self.library + self.extra)
        return total.hexdigest()
