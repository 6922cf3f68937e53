"""Calls of functions, replaced by what the functions compute.

TensorFlow 2 writes parts of a model as functions of the graph's library. A call becomes nodes named
``CALL/NODE``, and an identity under the call's own name, so that its readers and outputs stay as they are.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from surgeon.diagnostics import SurgeonError
from surgeon.formats.graphdef.messages import (
    TYPES,
    attr_from_message,
    function_library,
    node_from_message,
)
from surgeon.graph import AttrValue, DType, Func, Graph, Node, Placeholder, Ref, Shape
from surgeon.graph.frames import conditional
from surgeon.graph.op_sets import CONSTANTS, PLACEHOLDERS, is_data_default
from surgeon.graph.output_names import OUTPUT_NAMES, SEVERAL_LISTS
from surgeon.graph.reach import upstream
from surgeon.infer import known_ops

CALLS = frozenset({"PartitionedCall", "StatefulPartitionedCall"})
CONDITIONALS = frozenset({"If", "StatelessIf"})

_DEEPEST = 64
"""Functions within functions that are opened."""

_MOST_ADDED = 200_000
"""Nodes that functions may add to the graph."""


class _Opaque(Exception):
    """A function that has to stay a call."""


@dataclass(frozen=True)
class _Function:
    """A function of the library: names of its inputs, its nodes, which read as in a function's body, its
    outputs in order, its control outputs, and its own attributes.
    """

    inputs: tuple[str, ...]
    nodes: tuple[Node, ...]
    outputs: tuple[str, ...]
    control: tuple[str, ...]
    attrs: Mapping[str, AttrValue]


def inlined(graph: Graph) -> Graph:
    """Return the graph with the calls of functions replaced by what the functions compute.

    An If whose predicate depends on no data becomes Switch and Merge nodes, so that the branch can be taken
    once the predicate is known; other conditionals, and loops, stay. So does a call of a function that stands
    for an operation of another runtime (``_implements``), that cannot be read, or that calls itself. The
    library goes with the last call.
    """
    if not graph.library:
        return graph
    library = {each.signature.name: each for each in function_library(graph.library).function}
    original, most = graph, len(graph) + _MOST_ADDED
    for _ in range(_DEEPEST):
        opened = _Calls(graph, library)
        nodes = opened.nodes()
        if not opened.any or len(nodes) > most:
            break
        graph = graph.replace(nodes)
    if graph is original or any(node.op in library or _calls_function(node) for node in graph):
        return graph
    return Graph(graph, graph.outputs, versions=graph.versions, extra=graph.extra, source=graph.source)


class _Calls:
    """The calls of a graph, each opened once: what it calls in turn stays for the next round."""

    def __init__(self, graph: Graph, library: Mapping[str, Any]) -> None:
        self.graph, self.library = graph, library
        self.inside = conditional(graph.check())
        self.any = False
        self.names = set(graph.nodes)
        self._functions: dict[str, _Function] = {}

    def nodes(self) -> list[Node]:
        """Return the graph's nodes, with those of functions in front of the node of each call."""
        made: list[Node] = []
        for node in self.graph:
            try:
                opened = self._opened(node)
            except _Opaque:
                opened = None
            made += [node] if opened is None else opened
            self.any = self.any or opened is not None
        return made

    def _opened(self, node: Node) -> list[Node] | None:
        """Return the nodes in the place of a call, the one of its name last; None for any other node.

        Raise _Opaque where the function has to stay.
        """
        if node.op in self.library:
            return self._called(node, Func(node.op, node.attrs))
        if node.op in CALLS:
            function = node.attrs.get("f")
            return self._called(node, function) if isinstance(function, Func) else None
        if node.op in CONDITIONALS and node.inputs and self._is_free_of_data(node.inputs[0]):
            return self._conditional(node)
        return None

    def _called(self, node: Node, function: Func) -> list[Node]:
        start: list[Node] = []
        tie: tuple[str, ...] = ()
        if node.name in self.inside and node.inputs:
            # Constants of a function in a branch or loop have to be in it, too.
            types = node.attrs.get("Tin")
            first = types[0] if isinstance(types, tuple) and types else None
            if not isinstance(first, DType):
                raise _Opaque
            name = self._free(f"{node.name}/call")
            start, tie = [Node(name, "Identity", node.inputs[:1], attrs={"T": first})], (name,)
        body, outputs, control = self._instance(node.name, function, node.inputs, tie, node.control)
        return [*start, *body, self._stand_in(node, outputs, control)]

    def _conditional(self, node: Node) -> list[Node] | None:
        types = node.attrs.get("Tin")
        branches = (node.attrs.get("else_branch"), node.attrs.get("then_branch"))
        if node.attrs.get("Tcond", DType.BOOL) is not DType.BOOL or not isinstance(types, tuple):
            return None
        if len(types) != len(node.inputs) - 1:
            raise _Opaque
        name, is_bool = node.name, {"T": DType.BOOL}
        predicate = Node(self._free(f"{name}/pred_id"), "Identity", node.inputs[:1], node.control, is_bool)
        chosen = Ref(predicate.name)
        pivot = Node(self._free(f"{name}/Switch"), "Switch", (chosen, chosen), attrs=is_bool)
        switches = [
            Node(self._free(f"{name}/Switch_{i}"), "Switch", (ref, chosen), attrs={"T": dtype})
            for i, (ref, dtype) in enumerate(zip(node.inputs[1:], types, strict=True), 1)
        ]
        made = [predicate, pivot, *switches]
        results: list[tuple[Ref, ...]] = []
        for slot, branch in enumerate(branches):
            if not isinstance(branch, Func):
                raise _Opaque
            side = ("else", "then")[slot]
            start = Node(self._free(f"{name}/switch_{side[0]}"), "Identity", (Ref(pivot.name, slot),))
            inputs = tuple(Ref(switch.name, slot) for switch in switches)
            body, outputs, _ = self._instance(f"{name}/{side}", branch, inputs, (start.name,), ())
            made += [start.with_attr("T", DType.BOOL), *body]
            results.append(outputs)
        if not len(results[0]) == len(results[1]) == len(self._output_types(node)):
            raise _Opaque
        merges = [
            Node(self._free(f"{name}/Merge_{i}"), "Merge", (other, taken), attrs={"T": dtype, "N": 2})
            for i, (other, taken, dtype) in enumerate(zip(*results, self._output_types(node), strict=True))
        ]
        return [*made, *merges, self._stand_in(node, tuple(Ref(merge.name) for merge in merges), ())]

    def _is_free_of_data(self, predicate: Ref) -> bool:
        """Return whether a predicate depends on constants and single numbers only."""
        for name in upstream(self.graph, [predicate.node]):
            node = self.graph[name]
            if node.op in PLACEHOLDERS:
                shape = node.attrs.get("shape")
                if is_data_default(node) or not isinstance(shape, Shape) or shape.rank not in (0, None):
                    return False
            elif not node.inputs and node.op not in CONSTANTS:
                return False
        return True

    def _stand_in(self, node: Node, outputs: tuple[Ref, ...], control: tuple[str, ...]) -> Node:
        """Return the node of the call's name, which passes the outputs on."""
        behind = tuple(dict.fromkeys((*control, *node.control)))
        if not outputs:
            return Node(node.name, "NoOp", (), behind)
        types = self._output_types(node)
        if len(types) != len(outputs):
            raise _Opaque
        if len(outputs) == 1:
            return Node(node.name, "Identity", outputs, behind, {"T": types[0]})
        return Node(node.name, "IdentityN", outputs, behind, {"T": types})

    def _output_types(self, node: Node) -> tuple[DType, ...]:
        if node.op in self.library:
            arguments = self.library[node.op].signature.output_arg
            types = [node.attrs.get(each.type_attr) or TYPES.get(each.type) for each in arguments]
        else:
            stated = node.attrs.get("Tout")
            types = list(stated) if isinstance(stated, tuple) else []
        return tuple(each for each in types if isinstance(each, DType))

    def _instance(
        self,
        prefix: str,
        call: Func,
        inputs: tuple[Ref, ...],
        tie: tuple[str, ...],
        control: tuple[str, ...],
    ) -> tuple[list[Node], tuple[Ref, ...], tuple[str, ...]]:
        """Return the nodes of a function for one call, its outputs, and its control outputs.

        ``tie`` are control inputs of nodes that wait for nothing, ``control`` of those that come first.
        """
        function = self._function(call.name)
        if len(function.inputs) != len(inputs):
            raise _Opaque
        arguments = dict(zip(function.inputs, inputs, strict=True))
        body = {each.name: each for each in function.nodes}
        names = {name: self._free(f"{prefix}/{name}") for name in body}
        made: list[Node] = []
        for each in function.nodes:
            read = tuple(_resolved(str(ref), arguments, body, names) for ref in each.inputs)
            waits = tuple(names[name] for name in each.control if name in names)
            if not read and not waits:
                waits = tie
            if not read or any(ref in inputs for ref in read):
                waits = tuple(dict.fromkeys((*waits, *control)))
            attrs = {
                key: _bound(value, call, function) for key, value in each.attrs.items() if key != "_class"
            }
            made.append(Node(names[each.name], each.op, read, waits, attrs, each.device))
        outputs = tuple(_resolved(text, arguments, body, names) for text in function.outputs)
        return made, outputs, tuple(names[name] for name in function.control if name in names)

    def _free(self, name: str) -> str:
        while name in self.names:
            name += "_1"
        self.names.add(name)
        return name

    def _function(self, name: str) -> _Function:
        if name not in self._functions:
            if name not in self.library:
                raise _Opaque
            self._functions[name] = _read(self.library[name])
        return self._functions[name]


def _read(message: Any) -> _Function:
    """Return a function; raise _Opaque for one that stands for something else, or takes lists of tensors."""
    attrs = {key: attr_from_message(value) for key, value in sorted(message.attr.items())}
    arguments = [*message.signature.input_arg, *message.signature.output_arg]
    if "_implements" in attrs or any(each.number_attr or each.type_list_attr for each in arguments):
        raise _Opaque
    nodes: list[Node] = []
    for each in message.node_def:
        copy = type(each)()
        copy.CopyFrom(each)
        try:
            nodes.append(replace(node_from_message(copy), extra=b""))
        except SurgeonError:
            raise _Opaque from None
    return _Function(
        tuple(each.name for each in message.signature.input_arg),
        tuple(nodes),
        tuple(message.ret[each.name] for each in message.signature.output_arg),
        tuple(message.control_ret[key] for key in sorted(message.control_ret)),
        attrs,
    )


def _resolved(
    text: str, arguments: Mapping[str, Ref], body: Mapping[str, Node], names: Mapping[str, str]
) -> Ref:
    """Return the tensor that a function's body calls ``ARGUMENT`` or ``NODE:OUTPUT:NUMBER``."""
    name, _, rest = text.partition(":")
    if name in arguments and not rest.strip("0"):
        return arguments[name]
    if name not in body:
        raise _Opaque
    output, _, number = rest.partition(":")
    slot = int(number) if number.isascii() and number.isdecimal() and len(number) < 6 else 0
    op = body[name].op
    if op in OUTPUT_NAMES:
        if output not in OUTPUT_NAMES[op]:
            raise _Opaque
        return Ref(names[name], OUTPUT_NAMES[op].index(output) + slot)
    if op not in _single_output_ops():
        raise _Opaque
    return Ref(names[name], slot)


def _bound(value: AttrValue, call: Func, function: _Function) -> AttrValue:
    """Return an attribute with what stands for one of the function's attributes put in."""
    if isinstance(value, Placeholder):
        given = call.attrs.get(value.name, function.attrs.get(value.name))
        if given is None:
            raise _Opaque
        return given
    if isinstance(value, Func):
        return Func(value.name, {key: _bound(each, call, function) for key, each in value.attrs.items()})
    return value


def _calls_function(node: Node) -> bool:
    values = [
        each for value in node.attrs.values() for each in (value if isinstance(value, tuple) else [value])
    ]
    return any(isinstance(each, Func) and each.name for each in values)


@cache
def _single_output_ops() -> frozenset[str]:
    return (frozenset(known_ops()) | CALLS | CONDITIONALS) - SEVERAL_LISTS
