"""In which order TensorRT's parser holds pictures, and nodes that keep it right.

The parser of 8.5.3.1 holds a picture channels first from the input on, and brings it into the graph's order
where an operation counts axes: in place, for all readers of the tensor, and without a note for those that
come later. It combines tensors of two orders number by number. All that was seen on a GPU
(docs/hardware.md, "Single operations"). So what counts axes gets a copy of a tensor that others read, too,
and what is combined is brought into one order before.
"""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from enum import Enum
from typing import TypeAlias

import numpy as np

from surgeon.diagnostics import SurgeonError
from surgeon.formats.uff.conversion import PluginLike
from surgeon.formats.uff.layout import is_stated_channels_first
from surgeon.formats.uff.ops.elementwise import ACTIVATION, BINARY, UNARY
from surgeon.formats.uff.ops.reduction import FUNC as REDUCTIONS
from surgeon.formats.uff.plugins import port_count
from surgeon.graph import AttrValue, DType, Graph, Node, Ref, Tensor, TensorValue
from surgeon.graph.op_sets import PASSED_OVER, PLACEHOLDERS
from surgeon.graph.reach import before_identities
from surgeon.infer import Inference

FIRST, LAST = (0, 3, 1, 2), (0, 2, 3, 1)
"""Orders of a Transpose from channels last to channels first, and back."""

_CONVOLVING = frozenset(
    {
        "Conv2D",
        "DepthwiseConv2dNative",
        "Conv2DBackpropInput",
        "BatchToSpaceND",
        "MaxPool",
        "MaxPoolV2",
        "AvgPool",
        "FusedBatchNorm",
        "FusedBatchNormV2",
        "FusedBatchNormV3",
        "LRN",
    }
)
"""Operations whose result is held channels first, whatever they read."""

_COUNTING = frozenset(
    {
        "ArgMax",
        "ArgMin",
        "ExpandDims",
        "Gather",
        "GatherV2",
        "Pack",
        "Reshape",
        "Softmax",
        "Squeeze",
        "StridedSlice",
    }
    | {"Transpose", *REDUCTIONS}
)
"""Operations for which the parser brings what they read into the graph's order."""

_ALIKE = frozenset({*UNARY, *ACTIVATION, "LeakyRelu", "Pad", "PadV2", *PASSED_OVER})
"""Operations whose result is held as what they read first."""

_JOINING = frozenset({"Concat", "ConcatV2"})
_COMBINING = frozenset({*BINARY, *_JOINING})
_SIZES = frozenset({"Shape", "Size", "Rank"})
_NO_MASKS = dict.fromkeys(("begin_mask", "end_mask", "ellipsis_mask", "new_axis_mask", "shrink_axis_mask"), 0)


class Order(Enum):
    """How the parser holds a tensor of four axes."""

    FIRST = "channels first, and noted so"
    WRITTEN = "as the graph has it"
    TURNED = "as a Transpose left it"


Dims: TypeAlias = tuple[int, ...]


def needless_transposes(
    graph: Graph, exported: Container[str], plugins: Mapping[str, PluginLike]
) -> frozenset[str]:
    """Return the Transposes around a plugin that takes channels first, to it and back; membership only.

    The parser holds a picture channels first whatever the graph says, and hands it to a plugin so. Written
    out, a Transpose behind a plugin leads the parser of 8.5.3.1 to a wrong layout of what the result is
    added to.
    """
    found: dict[str, None] = {}
    outputs = {ref.node for ref in graph.output_refs}

    def readers(name: str) -> list[str]:
        return [
            r
            for r in graph.readers[name]
            if r in exported and any(ref.node == name for ref in graph[r].inputs)
        ]

    def permutes(node: Node, order: tuple[int, ...]) -> bool:
        if node.op != "Transpose" or len(node.inputs) != 2 or node.name in outputs:
            return False
        value = graph[node.inputs[1].node].attrs.get("value")
        return isinstance(value, Tensor) and tuple(int(v) for v in value.array().reshape(-1)) == order

    for node in graph:
        if node.name not in exported or node.op not in plugins or port_count(node, plugins[node.op]) != 1:
            continue
        before = [graph[ref.node] for ref in node.inputs]
        after = [graph[name] for name in readers(node.name)]
        around = [*((b, FIRST) for b in before), *((a, LAST) for a in after)]
        if (
            before
            and after
            and all(permutes(t, order) for t, order in around)
            and all(readers(b.name) == [node.name] for b in before)
        ):
            found.update(dict.fromkeys(t.name for t, _ in around))
    return frozenset(found)


def is_channels_last(graph: Graph, exported: Container[str]) -> bool:
    """Return whether no exported node says that its data is NCHW."""
    return all(node.attrs.get("data_format") != b"NCHW" for node in graph if node.name in exported)


def with_pictures_in_order(
    graph: Graph,
    plugins: Mapping[str, PluginLike],
    exported: Container[str],
    varying: Container[str],
    inference: Inference,
) -> Graph:
    """Return the graph with copies and changes of order where the parser would confuse those of pictures.

    It is the same graph where nothing is confused, where the graph itself holds channels first, and where
    nothing treats a tensor as a picture. ``varying`` are the nodes that depend on an input. The result
    computes what the graph does.
    """
    if not is_channels_last(graph, exported):
        return graph
    if not any(node.op in _CONVOLVING for node in graph if node.name in exported):
        return graph
    try:
        names = graph.topological()
    except SurgeonError:  # a loop, which is refused later
        return graph
    return _Ordering(graph, plugins, exported, varying, inference).result(names)


class _Ordering:
    """One walk over a graph, sources first."""

    def __init__(
        self,
        graph: Graph,
        plugins: Mapping[str, PluginLike],
        exported: Container[str],
        varying: Container[str],
        inference: Inference,
    ) -> None:
        self.graph, self.plugins, self.exported, self.varying = graph, plugins, exported, varying
        self.inference = inference
        self.needless = needless_transposes(graph, exported, plugins)
        self.outputs = {ref.node for ref in graph.output_refs}
        self.orders: dict[str, Order] = {}
        self.before: dict[str, list[Node]] = {}
        self.now: dict[str, Node] = {}
        self._taken: dict[str, None] = {}

    def result(self, names: Sequence[str]) -> Graph:
        """Return the graph in order."""
        for name in names:
            if name in self.exported and name in self.varying:
                self._visit(self.graph[name])
        if not self.before and not self.now:
            return self.graph
        nodes = (
            new
            for node in self.graph
            for new in (*self.before.get(node.name, ()), self.now.get(node.name, node))
        )
        return self.graph.replace(nodes)

    def _visit(self, node: Node) -> None:
        made: list[Node] = []
        self.orders[node.name] = self._order(node, made)
        if made:
            *before, last = made
            if last.name == node.name:
                self.before[node.name], self.now[node.name] = before, last
            else:
                self.before[node.name] = made

    def _order(self, node: Node, made: list[Node]) -> Order:
        """Return how the result of a node is held; put what is written in its place into ``made``."""
        op = node.op
        if op in PLACEHOLDERS:
            first = is_stated_channels_first(self.graph, node, self.exported, self.needless)
            return Order.FIRST if first else Order.WRITTEN
        read = [ref for ref in node.inputs if ref.node in self.varying]
        orders = [self.orders.get(ref.node, Order.WRITTEN) for ref in read]
        if op in self.plugins:
            return self._plugin(node, read, orders, made)
        if op in _CONVOLVING:
            return Order.FIRST
        if not read:
            return Order.WRITTEN
        if op == "Transpose" and node.name in self.needless:
            return Order.FIRST if self.graph[node.inputs[0].node].op in self.plugins else orders[0]
        if op == "StridedSlice" and self._rank(read[0]) == 4:
            return self._cut(node, read[0], made)
        if op in ("Pad", "PadV2") and orders[0] is not Order.FIRST and self._rank(read[0]) == 4:
            self._rewritten(node, {read[0]: self._first(read[0], made)}, made)
            return Order.FIRST
        if op == "BiasAdd" or (op in BINARY and len(read) == 1):
            return self._with_constant(node, read[0], orders[0], made)
        if op in _COMBINING:
            return self._combined(node, read, orders, made)
        if op in _COUNTING:
            if orders[0] is Order.FIRST and self._is_shared(read[0]):
                self._rewritten(node, {read[0]: self._copy(read[0], made)}, made)
            return Order.TURNED if op in ("Softmax", "Transpose") else Order.WRITTEN
        return orders[0] if op in _ALIKE else Order.WRITTEN

    # What is written in the place of a node

    def _plugin(self, node: Node, read: list[Ref], orders: list[Order], made: list[Node]) -> Order:
        """A plugin gets tensors as the parser holds them: as written, unless it treats each number alike."""
        pictures = [
            ref
            for ref, order in zip(read, orders, strict=True)
            if order is Order.FIRST and ref.node not in self.needless and self._rank(ref) == 4
        ]
        if not pictures:
            return Order.WRITTEN
        if self._dims(pictures[0]) == self._dims(Ref(node.name)) and len(read) == 1:
            return Order.FIRST
        self._rewritten(node, {ref: self._written(ref, made) for ref in pictures}, made)
        return Order.WRITTEN

    def _written(self, ref: Ref, made: list[Node]) -> Ref:
        """Return a tensor in the graph's order, into which a Reshape brings it."""
        dims = self._dims(ref)
        assert dims is not None
        near = ref.node
        sizes = self._constant(near, "sizes", np.array(dims, np.int32), made)
        own = self._copy(ref, made) if self._is_shared(ref) else ref
        attrs: dict[str, AttrValue] = {"T": DType.FLOAT32, "Tshape": DType.INT32}
        return self._added(near, "as_written", "Reshape", (own, sizes), attrs, made)

    def _combined(self, node: Node, read: list[Ref], orders: list[Order], made: list[Node]) -> Order:
        """Tensors of one order stay; of several, all become channels first."""
        alike = set(orders)
        if alike == {Order.FIRST}:
            return Order.FIRST
        if Order.FIRST not in alike and (Order.TURNED not in alike or len(read) == 1):
            return orders[0]
        if any(self._rank(ref) != 4 for ref in read):
            return Order.WRITTEN
        changed = {
            ref: self._first(ref, made)
            for ref, order in zip(read, orders, strict=True)
            if order is not Order.FIRST
        }
        self._rewritten(node, changed, made)
        return Order.FIRST

    def _with_constant(self, node: Node, x: Ref, order: Order, made: list[Node]) -> Order:
        """A constant is a number, one a channel, or as large as the picture: then in the picture's order."""
        place = next((i for i, ref in enumerate(node.inputs) if ref.node not in self.varying), None)
        dims = self._dims(x)
        if place is None or dims is None or len(dims) != 4:
            return order
        value = self.inference.value(node.inputs[place])
        if value is None or value.size == 1 or value.ndim > 4:
            return order
        aligned = value.reshape((1,) * (4 - value.ndim) + value.shape)
        if aligned.size == aligned.shape[3]:
            if order is Order.FIRST or dims[3] != aligned.shape[3]:
                return order
            self._rewritten(node, {x: self._first(x, made)}, made)
            return Order.FIRST
        if order is Order.WRITTEN or node.op not in BINARY:
            return order
        constant = self._constant(
            node.name, "channels_first", np.ascontiguousarray(aligned.transpose(FIRST)), made
        )
        turned = self._turned(node.name, self._own(x, made), FIRST, made)
        operands = tuple(constant if i == place else turned for i in range(2))
        combined = self._added(node.name, node.op.lower(), node.op, operands, {"T": DType.FLOAT32}, made)
        self._back(node, combined, dims[3], made)
        return Order.FIRST

    def _cut(self, node: Node, x: Ref, made: list[Node]) -> Order:
        """The parser cuts axes of what it holds, so a picture is cut channels first, as written.

        A pool of one pixel takes every second row, for which TensorRT 8.5.3.1 builds no slice.
        """
        is_input = self.graph[before_identities(self.graph, x).node].op in PLACEHOLDERS
        if self.orders.get(x.node) is Order.WRITTEN and not is_input:
            return Order.WRITTEN
        bounds = [self.inference.value(ref) for ref in node.inputs[1:4]]
        before, result = self._dims(x), self._dims(Ref(node.name))
        masks = {
            key: value
            for key, value in node.attrs.items()
            if key.endswith("_mask") and isinstance(value, int) and value
        }
        if (
            before is None
            or result is None
            or len(result) != 4
            or any(bound is None or bound.shape != (4,) for bound in bounds)
            or not masks.keys() <= {"begin_mask", "end_mask"}
        ):
            return Order.WRITTEN
        begin, end, strides = (np.asarray(bound).tolist() for bound in bounds)
        parts = []
        for axis in range(4):
            first, last = (
                None if masks.get(key, 0) >> axis & 1 else bound[axis]
                for key, bound in (("begin_mask", begin), ("end_mask", end))
            )
            parts.append(slice(first, last, strides[axis]).indices(before[axis]))
        steps = [step for _, _, step in parts]
        if min(steps) < 1 or steps[0] != 1 or steps[3] != 1:
            return Order.WRITTEN
        own = self._own(x, made)
        if any((low, high) != (0, size) for (low, high, _), size in zip(parts, before, strict=True)):
            turned = self._turned(node.name, own, FIRST, made)
            listed = (
                [parts[axis][0] for axis in FIRST],
                [parts[axis][1] for axis in FIRST],
                [1, 1, 1, 1],
            )
            ranges = tuple(
                self._constant(node.name, "bounds", np.array(row, np.int32), made) for row in listed
            )
            attrs: dict[str, AttrValue] = {"T": DType.FLOAT32, "Index": DType.INT32, **_NO_MASKS}
            cut = self._added(node.name, "cut", "StridedSlice", (turned, *ranges), attrs, made)
            if max(steps) == 1:
                self._back(node, cut, result[3], made)
                return Order.FIRST
            own = self._first(self._turned(node.name, cut, LAST, made), made, result[3])
        pool: dict[str, AttrValue] = {
            "T": DType.FLOAT32,
            "ksize": (1, 1, 1, 1),
            "strides": (1, steps[1], steps[2], 1),
            "padding": b"VALID",
            "data_format": b"NHWC",
        }
        made.append(Node(node.name, "MaxPool", (own,), node.control, attrs=pool))
        return Order.FIRST

    def _back(self, node: Node, ref: Ref, channels: int, made: list[Node]) -> None:
        """Add the node itself: a tensor that is channels first as written, held so and noted so."""
        last = self._turned(node.name, ref, LAST, made)
        ones = self._ones(node.name, last, channels, node.name, made)
        made.append(ones.with_inputs(ones.inputs, node.control))

    def _first(self, ref: Ref, made: list[Node], channels: int | None = None) -> Ref:
        """Return a tensor channels first: a convolution by ones notes it so."""
        if channels is None:
            dims = self._dims(ref)
            assert dims is not None
            channels = dims[3]
        node = self._ones(self._fresh(f"{ref.node}/channels_first"), ref, channels, ref.node, made)
        made.append(node)
        return Ref(node.name)

    def _ones(self, name: str, ref: Ref, channels: int, near: str, made: list[Node]) -> Node:
        weights = self._constant(near, "ones", np.ones((1, 1, channels, 1), np.float32), made)
        attrs: dict[str, AttrValue] = {
            "T": DType.FLOAT32,
            "strides": (1, 1, 1, 1),
            "dilations": (1, 1, 1, 1),
            "padding": b"VALID",
            "data_format": b"NHWC",
        }
        return Node(name, "DepthwiseConv2dNative", (ref, weights), attrs=attrs)

    def _copy(self, ref: Ref, made: list[Node]) -> Ref:
        """Return the tensor as one of its own, times 1."""
        near = ref.node
        one = self._constant(near, "one", np.float32(1), made)
        return self._added(near, "copy", "Mul", (ref, one), {"T": DType.FLOAT32}, made)

    def _own(self, ref: Ref, made: list[Node]) -> Ref:
        """Return a picture as a tensor that nothing else reads, and that is no input of the graph.

        The parser does not turn an input as it turns what is computed.
        """
        if self.graph[before_identities(self.graph, ref).node].op in PLACEHOLDERS:
            return self._first(ref, made)
        return self._copy(ref, made) if self._is_shared(ref) else ref

    def _turned(self, near: str, ref: Ref, order: tuple[int, ...], made: list[Node]) -> Ref:
        axes = self._constant(near, "order", np.array(order, np.int32), made)
        attrs: dict[str, AttrValue] = {"T": DType.FLOAT32, "Tperm": DType.INT32}
        return self._added(near, "transpose", "Transpose", (ref, axes), attrs, made)

    def _constant(self, near: str, what: str, value: np.ndarray | np.generic, made: list[Node]) -> Ref:
        dtype = DType.INT32 if value.dtype.kind == "i" else DType.FLOAT32
        attrs: dict[str, AttrValue] = {"dtype": dtype, "value": TensorValue.of(value, dtype)}
        return self._added(near, what, "Const", (), attrs, made)

    def _added(
        self,
        near: str,
        what: str,
        op: str,
        inputs: tuple[Ref, ...],
        attrs: Mapping[str, AttrValue],
        made: list[Node],
    ) -> Ref:
        node = Node(self._fresh(f"{near}/{what}"), op, inputs, attrs=attrs)
        made.append(node)
        return Ref(node.name)

    def _rewritten(self, node: Node, changed: Mapping[Ref, Ref], made: list[Node]) -> None:
        made.append(node.with_inputs(tuple(changed.get(ref, ref) for ref in node.inputs), node.control))

    def _fresh(self, wanted: str) -> str:
        name = self.graph.free_name(wanted, self._taken)
        self._taken[name] = None
        return name

    # What is known of tensors

    def _dims(self, ref: Ref) -> Dims | None:
        shape = self.inference.spec(ref).shape
        return shape.static() if shape.is_static else None

    def _rank(self, ref: Ref) -> int | None:
        dims = self._dims(ref)
        return None if dims is None else len(dims)

    def _is_shared(self, ref: Ref) -> bool:
        """Return whether several nodes read a tensor, sizes and identities aside; an output is read."""
        seen: dict[str, None] = {}
        waiting = [before_identities(self.graph, ref).node]
        while waiting:
            name = waiting.pop()
            if name in self.outputs:
                seen[f"output {name}"] = None
            for reader in self.graph.readers[name]:
                found = self.graph[reader]
                if reader not in self.exported or all(read.node != name for read in found.inputs):
                    continue
                if found.op in PASSED_OVER:
                    waiting.append(reader)
                elif found.op not in _SIZES:
                    seen[reader] = None
        return len(seen) > 1
