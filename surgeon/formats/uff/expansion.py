"""Nodes that UFF cannot express, expanded into nodes that it can."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cache
from math import prod
from typing import Any, TypeAlias

import numpy as np

from surgeon.catalog import Catalog
from surgeon.discovery import discover
from surgeon.formats.uff.merged_batch import with_batch
from surgeon.formats.uff.ops.elementwise import BINARY
from surgeon.formats.uff.picture_order import with_pictures_in_order
from surgeon.graph import AttrValue, DType, Graph, Node, Ref, Shape, TensorSpec, TensorValue
from surgeon.graph.input_counts import wrong_input_count
from surgeon.graph.op_sets import PASSED_OVER, PLACEHOLDERS
from surgeon.graph.reach import before_identities, needed_by_data, varying
from surgeon.infer import Inference
from surgeon.targets import Target

ROUNDS = 8
"""How often the result of an expansion is expanded again."""

LIMIT = 16 << 20
"""Bytes of a constant that an expansion may add."""

SIZES = "the sizes that it reads are not all known"
NOT_CONSTANT = "axes and amounts that it reads are not constants"
NOT_FLOAT = "its numbers are not float32"
BATCH = "it takes the batch apart, or adds to it"
TOO_LARGE = f"the constant for it would be larger than {LIMIT >> 20} MiB"

Expanded: TypeAlias = "Ref | tuple[Ref, ...] | str | None"
"""What stands for a node; a text says why nothing can, and None that the converter may take it."""

_INDEX_TYPES: Mapping[str, str] = {
    "ConcatV2": "Tidx",
    "ExpandDims": "Tdim",
    "Max": "Tidx",
    "Mean": "Tidx",
    "Pad": "Tpaddings",
    "Reshape": "Tshape",
    "StridedSlice": "Index",
    "Sum": "Tidx",
    "Transpose": "Tperm",
}
"""The attribute for the type of axes and sizes, which are int32 here."""


class Unfit(Exception):
    """A node has an attribute of another type than it should have, and is left to the converter."""


class Expansion:
    """One node while it is expanded.

    ``inputs`` are what it reads. ``op`` and ``const`` add nodes, and return what they compute.
    """

    def __init__(self, node: Node, expander: _Round) -> None:
        self.node, self.kind = node, node.op
        self.inputs = node.inputs
        self.target, self.catalog = expander.target, expander.catalog
        self.nodes: list[Node] = []
        self._expander = expander

    # What the node reads

    def dims(self, ref: Ref | int) -> tuple[int, ...] | None:
        """Return a tensor's sizes, batch included; None where one of them is not known."""
        ref = self.inputs[ref] if isinstance(ref, int) else ref
        shape = self._expander.inference.spec(ref).shape
        return shape.static() if shape.is_static else None

    def varies(self, ref: Ref) -> bool:
        """Return whether a tensor depends on the numbers of an input, and is not a constant."""
        return ref.node in self._expander.varying

    def value(self, ref: Ref | int) -> np.ndarray | None:
        """Return a constant tensor, None for any other."""
        ref = self.inputs[ref] if isinstance(ref, int) else ref
        return None if self.varies(ref) else self._expander.inference.value(ref)

    def number(self, ref: Ref | int) -> float | None:
        """Return a constant tensor of one element as a number, None for any other."""
        dims = self.dims(ref)
        value = self.value(ref) if dims is not None and prod(dims) == 1 else None
        return None if value is None else float(value.reshape(-1)[0])

    def has_plugin(self, op: str) -> bool:
        """Return whether the catalog has a plugin that the target has."""
        spec = self.catalog.get(op)
        return spec is not None and spec.exists_in(None if self.target is None else self.target.version)

    def keeps_shape(self, ref: Ref) -> bool:
        """Return whether the result is known to have the shape of what the node reads there.

        Beside a number of no axes it has, whatever the sizes are.
        """
        if all(other == ref or self.dims(other) == () for other in self.inputs):
            return True
        dims = self.dims(ref)
        return dims is not None and dims == self.dims(Ref(self.node.name))

    def ints(self, ref: Ref | int) -> list[int] | None:
        """Return a constant tensor of whole numbers, None for any other."""
        value = self.value(ref)
        return None if value is None or value.dtype.kind not in "iu" else [int(v) for v in value.reshape(-1)]

    def axis(self, ref: Ref | int, rank: int) -> int | None:
        """Return a constant axis counted from the front, None where it is no single one."""
        found = self.ints(ref)
        return None if found is None or len(found) != 1 else found[0] % rank

    def attr(self, key: str, default: Any) -> Any:
        """Return an attribute, or TensorFlow's default where it is not written.

        Raise Unfit where it is of another type.
        """
        value = self.node.attrs.get(key, default)
        if not isinstance(value, type(default)):
            raise Unfit
        return value

    def source(self, ref: Ref) -> Node:
        """Return the node that computes a tensor, identities passed over."""
        graph = self._expander.graph
        return graph[before_identities(graph, ref).node]

    def readers(self, node: Node) -> list[Node]:
        """Return what reads a node and is written, identities passed over; the node itself for an output."""
        expander = self._expander
        found: list[Node] = [node] if node.name in expander.outputs else []
        waiting = [node.name]
        for name in waiting:
            for reader in expander.graph.readers[name]:
                if reader not in expander.needed:
                    continue
                if expander.graph[reader].op in PASSED_OVER and reader not in expander.outputs:
                    waiting.append(reader)
                else:
                    found.append(expander.graph[reader])
        return found

    # What it becomes

    def op(self, kind: str, *inputs: Ref, **attrs: AttrValue) -> Ref:
        """Add a node of TensorFlow and return its output."""
        types: dict[str, AttrValue] = {"T": DType.FLOAT32}
        if kind in _INDEX_TYPES:
            types[_INDEX_TYPES[kind]] = DType.INT32
        if kind == "ConcatV2":
            types["N"] = len(inputs) - 1
        return self._added(Node(self._name(kind), kind, inputs, attrs={**types, **attrs}))

    def plugin(self, kind: str, *inputs: Ref, **fields: AttrValue) -> Ref:
        """Add a node of a plugin and return its output."""
        return self._added(Node(self._name(kind), kind, inputs, attrs=fields))

    def const(self, value: Any, dtype: DType = DType.FLOAT32) -> Ref:
        """Add a constant and return it."""
        attrs: dict[str, AttrValue] = {"dtype": dtype, "value": TensorValue.of(value, dtype)}
        return self._added(Node(self._name("const"), "Const", attrs=attrs))

    def whole(self, value: Any) -> Ref:
        """Add a constant of whole numbers and return it."""
        return self.const(value, DType.INT32)

    def reshaped(self, ref: Ref, dims: Sequence[int]) -> Ref:
        """Add a Reshape to these sizes and return its output."""
        return self.op("Reshape", ref, self.whole(list(dims)))

    def transposed(self, ref: Ref, order: Sequence[int]) -> Ref:
        """Add a Transpose and return its output."""
        return self.op("Transpose", ref, self.whole(list(order)))

    def joined(self, refs: Sequence[Ref], axis: int) -> Ref:
        """Add a ConcatV2 and return its output; of one tensor, return it itself."""
        return refs[0] if len(refs) == 1 else self.op("ConcatV2", *refs, self.whole(axis))

    def cut(self, ref: Ref, ranges: Sequence[tuple[int, int, int] | None]) -> Ref:
        """Add a StridedSlice of begin, end and stride for each axis, None for a whole one."""
        begin, end, strides = ([part[i] if part else (0, 0, 1)[i] for part in ranges] for i in range(3))
        mask = sum(1 << axis for axis, part in enumerate(ranges) if part is None)
        listed = (self.whole(values) for values in (begin, end, strides))
        masks = dict.fromkeys(("ellipsis_mask", "new_axis_mask", "shrink_axis_mask"), 0)
        return self.op("StridedSlice", ref, *listed, begin_mask=mask, end_mask=mask, **masks)

    def repeated(self, constant: Any, like: Ref) -> Ref:
        """Return a constant as a tensor that is computed, of the shape of another.

        TensorRT's parser takes a constant on the right of a few operations alone. A Sigmoid makes the zeros,
        since 0 times infinity is no number.
        """
        zeros = self.op("Mul", self.op("Sigmoid", like), self.const(0.0))
        return self.op("AddV2", zeros, constant if isinstance(constant, Ref) else self.const(constant))

    def _name(self, what: str) -> str:
        return self._expander.fresh(f"{self.node.name}/{what.lower()}")

    def _added(self, node: Node) -> Ref:
        self.nodes.append(node)
        self._expander.varying.update([node.name] if any(map(self.varies, node.inputs)) else ())
        return Ref(node.name)


def expand(graph: Graph, catalog: Catalog, target: Target | None) -> Graph:
    """Return the graph with operations that UFF lacks expanded into those that it has.

    It is the same graph where nothing is expanded. What stands for a node of one output has its name. What
    depends on no input stays, since it can be folded.
    """
    key = ("uff expansion", id(catalog), None if target is None else target.name)
    _, found = graph.kept(key, lambda: (catalog, _expanded(graph, catalog, target)))
    return graph if found is None else found


def reasons_left(graph: Graph, catalog: Catalog) -> Mapping[str, str]:
    """Return why nodes of an expanded graph were not expanded, by name, where an expansion says so."""

    def found() -> tuple[Catalog, Mapping[str, str]]:
        step = _Round(graph, catalog, None)
        step.result()
        return catalog, step.reasons

    return graph.kept(("reasons left by uff expansion", id(catalog)), found)[1]


def _expanded(graph: Graph, catalog: Catalog, target: Target | None) -> Graph | None:
    before = graph
    for _ in range(ROUNDS):
        step = _Round(graph, catalog, target)
        after = with_batch(graph, step.needed, step.varying, step.inference)
        if after is graph:
            after = step.result()
        if after is graph:
            break
        graph = after
    step = _Round(graph, catalog, target)
    graph = with_pictures_in_order(graph, catalog, step.needed, step.varying, step.inference)
    return None if graph is before else graph


class _Round:
    """One walk over a graph: each node is expanded, or stays."""

    def __init__(self, graph: Graph, catalog: Catalog, target: Target | None) -> None:
        self.graph, self.catalog, self.target = graph, catalog, target
        self.needed = needed = needed_by_data(graph)
        self.outputs = {ref.node for ref in graph.output_refs}
        fed = [n.name for n in graph if n.name in needed and (n.op in PLACEHOLDERS or n.op in catalog)]
        self.varying = varying(graph, fed)
        self._nodes = [
            n for n in graph if n.name in needed and n.op in expansions() and n.name in self.varying
        ]
        self._taken: dict[str, None] = {}
        self.reasons: dict[str, str] = {}
        feeds = {n.name: spec for n in graph if (spec := _of_one_picture(n)) is not None}
        self.inference = Inference(graph, feeds, catalog.rules())

    def fresh(self, wanted: str) -> str:
        name = self.graph.free_name(wanted, self._taken)
        self._taken[name] = None
        return name

    def result(self) -> Graph:
        made: dict[str, list[Node]] = {}
        now: dict[Ref, Ref] = {}
        parts: dict[str, tuple[str, ...]] = {}
        for node in self._nodes:
            if wrong_input_count(node):
                continue
            if node.attrs.get("T", DType.FLOAT32) is not DType.FLOAT32:
                self.reasons[node.name] = NOT_FLOAT
                continue
            at = Expansion(node, self)
            try:
                outputs = expansions()[node.op](at)
            except Unfit:
                continue
            if isinstance(outputs, str):
                self.reasons[node.name] = outputs
            elif outputs is not None:
                made[node.name] = _named(at, outputs, now)
                if not isinstance(outputs, Ref):
                    parts[node.name] = tuple(dict.fromkeys(ref.node for ref in outputs))
        made.update({node.name: [node] for node in self._computed()})
        if not made:
            return self.graph
        nodes = [new for node in self.graph for new in made.get(node.name, [node])]
        rewired = [
            node.with_inputs(
                tuple(now.get(ref, ref) for ref in node.inputs),
                tuple(dict.fromkeys(part for name in node.control for part in parts.get(name, (name,)))),
            )
            for node in nodes
        ]
        outputs_now = tuple(now.get(ref, ref) for ref in self.graph.outputs)
        return self.graph.replace(rewired, outputs_now)

    def _computed(self) -> Iterator[Node]:
        """Yield constants in the place of arithmetic between constants of unequal shapes."""
        for node in self.graph:
            if node.op not in BINARY or node.name not in self.needed or node.name in self.varying:
                continue
            shapes = [self.inference.spec(ref).shape for ref in node.inputs]
            if len({shape.dims for shape in shapes}) < 2 or any(
                not s.is_static or s.size == 1 for s in shapes
            ):
                continue
            spec = self.inference.spec(Ref(node.name))
            if (
                spec.dtype is not DType.FLOAT32
                or not spec.shape.is_static
                or (spec.shape.size or 0) * 4 > LIMIT
            ):
                continue
            value = self.inference.value(Ref(node.name))
            if value is not None:
                tensor = TensorValue.of(value, DType.FLOAT32)
                yield Node(node.name, "Const", attrs={"dtype": DType.FLOAT32, "value": tensor})


def _named(at: Expansion, outputs: Ref | tuple[Ref, ...], now: dict[Ref, Ref]) -> list[Node]:
    """Return the nodes of an expansion, the one that stands for the node by its name.

    Where there are several outputs, put into ``now`` what stands for each.
    """
    if not isinstance(outputs, Ref):
        now.update({Ref(at.node.name, slot): ref for slot, ref in enumerate(outputs)})
        last = {ref.node for ref in outputs}
        return [replace(n, control=at.node.control) if n.name in last else n for n in at.nodes]
    if all(node.name != outputs.node for node in at.nodes):
        outputs = at.op("Identity", outputs)
    return [
        replace(n, name=at.node.name, control=at.node.control) if n.name == outputs.node else n
        for n in at.nodes
    ]


def _of_one_picture(node: Node) -> TensorSpec | None:
    """Return the spec of an input whose batch is unknown with a batch of 1; None for any other node."""
    shape, dtype = node.attrs.get("shape"), node.attrs.get("dtype")
    dims = shape.dims if node.op in PLACEHOLDERS and isinstance(shape, Shape) else None
    if not dims or dims[0] is not None or not isinstance(dtype, DType):
        return None
    return TensorSpec(dtype, Shape((1, *dims[1:])))


@cache
def expansions() -> Mapping[str, Callable[[Expansion], Expanded]]:
    """Return what expands operations, by operation."""
    return discover(
        "surgeon.formats.uff.expansions", "expansions of", lambda module: module.EXPANSIONS.items()
    )
