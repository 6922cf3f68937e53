"""A UFF file as a graph, to be looked at, and the shapes of its tensors, which the file does not state."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np

from surgeon.catalog import Catalog
from surgeon.diagnostics import SurgeonError
from surgeon.formats.uff.model import INCREMENT, UffModel, UffNode, UffValue, field_name
from surgeon.formats.uff.ops.elementwise import ACTIVATION, BINARY, UNARY
from surgeon.formats.uff.ops.pooling import FUNC as POOLS
from surgeon.formats.uff.ops.reduction import FUNC as REDUCTIONS
from surgeon.graph import (
    AttrValue,
    DType,
    Graph,
    Node,
    Ref,
    Shape,
    Tensor,
    TensorRef,
    TensorSpec,
    TensorValue,
)
from surgeon.infer import Context, Inference, Rule

_ORDERED = frozenset({"Conv", "ConvTranspose", "Pool", "BatchNorm"})
_IMAGE = _ORDERED | {"LRN"}  # whose orders are the same whatever the layout
_PASSING = frozenset({"Input", "Binary", "Unary", "Activation", "LeakyRelu", "Concat", "Pad"})
"""Operations whose result is an image where something that they read, or something that reads them, is one.
"""

_UNSET = b"(unset)"
_FIRST, _LAST = (0, 3, 1, 2), (0, 2, 3, 1)

_OPS: Mapping[str, Mapping[str, str]] = {
    name: {func: op for op, func in found.items()}
    for name, found in (
        ("Binary", BINARY),
        ("Unary", UNARY),
        ("Activation", ACTIVATION),
        ("Pool", POOLS),
        ("Reduce", REDUCTIONS),
    )
}
"""TensorFlow's op for each function of a UFF operation."""

_Made: TypeAlias = "tuple[str, Sequence[Ref | AttrValue], dict[str, AttrValue]]"
"""An op of TensorFlow, what it reads, a constant where UFF has a field, and its attributes."""


@dataclass(frozen=True)
class UffShapes:
    """Element types and shapes of a UFF file's tensors.

    ``images`` are those that TensorRT holds channels first.
    """

    inference: Inference
    images: Container[str]

    def spec(self, ref: Ref) -> TensorSpec:
        """Return element type and shape of a tensor; parts that are not known are None."""
        found = self.inference.spec(ref)
        dims = found.shape.dims
        if dims is None or len(dims) != 4 or ref.node not in self.images:
            return found
        return TensorSpec(found.dtype, Shape(tuple(dims[i] for i in _FIRST)))

    def outputs(self, name: str) -> int:
        """Return the number of outputs of a node."""
        return self.inference.outputs(name)


def uff_graph(model: UffModel, catalog: Catalog, source: str = "") -> tuple[Graph, UffShapes]:
    """Return the file's nodes as a graph, and the shapes of its tensors.

    Operations keep their UFF names, plugins have that of the catalog. Fields become attributes, weights stay
    in the file. A reader of a plugin with several outputs reads all of them. Shapes follow from the inputs'
    and from the rules for the TensorFlow operations that UFF's stand for; images are channels first, as
    TensorRT holds them, whatever the graph that the file was made of. What is not known is unknown.
    """
    made = _UffReader(model, catalog)
    nodes = [made.node(node) for node in model.nodes]
    outputs = [Ref(node.id) for node in model.nodes if node.operation == "MarkOutput"]
    shadow = Graph([one for node in model.nodes for one in made.shadow(node)], outputs, source=source)
    inference = Inference(shadow, rules={**catalog.rules(), **_RULES})
    return Graph(nodes, outputs, source=source), UffShapes(
        inference, made.images if made.channels_last else ()
    )


class _UffReader:
    def __init__(self, model: UffModel, catalog: Catalog) -> None:
        self.model = model
        self.catalog = catalog
        self.plugins = {f"_{spec.creator}": op for op, spec in catalog.items()}
        self.known = {node.id: node for node in model.nodes}
        self.readers: dict[str, list[UffNode]] = {node.id: [] for node in model.nodes}
        for node in model.nodes:
            for read in node.inputs:
                self.readers[read].append(node)
        self.channels_last = all(
            self._reads_channels_last(node) for node in model.nodes if node.operation in _ORDERED
        )
        self.images = self._images()
        self._taken: set[str] = set()

    def node(self, node: UffNode) -> Node:
        """Return a node as the file has it."""
        op = self.plugins.get(node.operation, node.operation)
        attrs = {
            (field_name(key) if op != node.operation else key): (
                self._attr(value) if value.is_set else _UNSET
            )
            for key, value in sorted(node.fields.items())
        }
        if node.operation == "Const":
            attrs = {"dtype": self.dtype(node), "value": self.weights(node)}
        return Node(
            node.id,
            op,
            self.edges(node),
            attrs={key: value for key, value in attrs.items() if value is not None},
        )

    def shadow(self, node: UffNode) -> Iterator[Node]:
        """Yield the TensorFlow node that a node stands for, after the constants that it reads.

        These are fields of the UFF node, and inputs in TensorFlow.
        """
        if node.operation in self.plugins:
            yield from self._plugin(self.node(node))
            return
        found = _SHADOWS.get(node.operation)
        op, inputs, attrs = found(self, node) if found is not None else (node.operation, self.edges(node), {})
        try:
            constants = {
                i: TensorValue.of(read, DType.INT32)
                for i, read in enumerate(inputs)
                if not isinstance(read, Ref)
            }
        except (ValueError, TypeError, OverflowError):  # a field of another kind than it should have
            op, inputs, attrs, constants = node.operation, self.edges(node), {}, {}
        names = {i: self._fresh(f"{node.id}/input_{i}") for i in constants}
        for i, value in constants.items():
            yield Node(names[i], "Const", attrs={"value": value})
        refs = (read if isinstance(read, Ref) else Ref(names[i]) for i, read in enumerate(inputs))
        yield Node(node.id, op, tuple(refs), attrs=attrs)

    def _plugin(self, node: Node) -> Iterator[Node]:
        """Yield a plugin's node.

        TensorRT hands images to it channels first, and takes them so from one that gives them.
        """
        inputs = list(node.inputs)
        for i, ref in enumerate(inputs if self.channels_last else ()):
            if ref.node in self.images:
                inputs[i] = Ref(self._fresh(f"{node.name}/first_{i}"))
                yield from self._transposed(inputs[i].node, ref, _FIRST)
        if not self.channels_last or node.name not in self.images:
            yield replace(node, inputs=tuple(inputs))
            return
        inner = self._fresh(f"{node.name}/plugin")
        yield replace(node, name=inner, inputs=tuple(inputs))
        yield from self._transposed(node.name, Ref(inner), _LAST)

    def _transposed(self, name: str, read: Ref, order: tuple[int, ...]) -> Iterator[Node]:
        constant = Node(
            self._fresh(f"{name}/order"), "Const", attrs={"value": TensorValue.of(order, DType.INT32)}
        )
        yield from (constant, Node(name, "Transpose", (read, Ref(constant.name))))

    def _fresh(self, name: str) -> str:
        while name in self.known or name in self._taken:
            name += "_"
        self._taken.add(name)
        return name

    # What a node reads and holds

    def edges(self, node: UffNode) -> tuple[Ref, ...]:
        """Return what a node reads."""
        return tuple(ref for name in node.inputs for ref in self._outputs(name))

    def _outputs(self, name: str) -> list[Ref]:
        op = self.plugins.get(self.known[name].operation)
        if op is None:
            return [Ref(name)]
        given = self.known[name].fields.items()
        fields = {field_name(key): self._attr(value) for key, value in given if value.is_set}
        try:
            ports = len(self.catalog[op].output_ports(fields))
        except SurgeonError:  # fields that the plugin would refuse
            ports = 1
        return [Ref(name, slot) for slot in range(ports)]

    def _attr(self, value: UffValue) -> AttrValue | None:
        resolved = self.model.resolve(value)
        if resolved is None:
            return None
        content = resolved.value
        if resolved.kind == "blob":
            tensor: Tensor = content.tensor
            return tensor
        if resolved.kind in ("dim_orders", "dim_orders_list"):
            return value.value.removeprefix("orders_").encode() if value.kind == "ref" else b"orders"
        if isinstance(content, tuple):
            return tuple(item.encode() if type(item) is str else item for item in content)
        return content.encode() if type(content) is str else content

    def dtype(self, node: UffNode) -> DType:
        """Return the element type that a node states."""
        held = node.fields.get("dtype")
        return held.value if held is not None and isinstance(held.value, DType) else DType.FLOAT32

    def weights(self, node: UffNode) -> Tensor | None:
        """Return the value of a Const with the type and the shape that the node states."""
        raw = self._attr(node.fields["values"]) if "values" in node.fields else None
        if not isinstance(raw, TensorRef | TensorValue):
            return None
        dtype, shape = self.dtype(node), self.ints(node, "shape")
        if int(np.prod(shape, dtype=np.int64)) * (dtype.itemsize or 1) != raw.nbytes:
            return raw
        if isinstance(raw, TensorRef):
            return TensorRef(raw.file, raw.offset, raw.length, dtype, shape)
        return TensorValue(dtype, shape, raw.data)

    def ints(self, node: UffNode, key: str, default: tuple[int, ...] = ()) -> tuple[int, ...]:
        """Return a field that lists integers."""
        held = node.fields.get(key)
        found = held.value if held is not None else default
        return tuple(v for v in found if isinstance(v, int)) if isinstance(found, tuple) else default

    def value(self, node: UffNode, key: str, default: AttrValue) -> AttrValue:
        """Return a field of one value."""
        held = node.fields.get(key)
        found = self._attr(held) if held is not None else None
        return default if found is None else found

    # Layout

    def orders(self, node: UffNode) -> tuple[tuple[int, ...], ...]:
        """Return the orders of what a node reads: where batch, channels and the rest are."""
        held = node.fields.get("inputs_orders")
        resolved = self.model.resolve(held) if held is not None else None
        listed = resolved.value if resolved is not None and resolved.kind == "dim_orders_list" else ()
        return tuple(dict(one).get(-1, ()) for one in listed)

    def _reads_channels_last(self, node: UffNode) -> bool:
        return self.orders(node)[:1] in ((), ((0, 2, INCREMENT, 1),))

    def four(self, pair: Sequence[int], fill: int) -> tuple[int, ...]:
        """Return numbers for height and width as numbers for all four axes."""
        height, width = pair if len(pair) == 2 else (fill, fill)
        return (fill, height, width, fill) if self.channels_last else (fill, fill, height, width)

    def window(self, node: UffNode) -> dict[str, AttrValue]:
        """Return the attributes that a convolution and a pooling share."""
        attrs: dict[str, AttrValue] = {
            "data_format": b"NHWC" if self.channels_last else b"NCHW",
            "T": DType.FLOAT32,
            "strides": self.four(self.ints(node, "strides"), 1),
            "padding": b"VALID",
        }
        padding = self.ints(node, "padding")
        if self.value(node, "implicit_padding", b"") == b"same":
            attrs["padding"] = b"SAME"
        elif padding:
            attrs["padding"] = b"EXPLICIT"
            attrs["explicit_paddings"] = tuple(v for size in self.four(padding, 0) for v in (size, size))
        return attrs

    def input_shape(self, node: UffNode) -> tuple[int, ...]:
        """Return an input's shape as the graph had it.

        The file states images channels first, whatever they were.
        """
        shape = self.ints(node, "shape")
        if len(shape) != 4 or not self.channels_last or node.id not in self.images:
            return shape
        batch, channels, height, width = shape
        return batch, height, width, channels

    def _images(self) -> set[str]:
        """Return the nodes that give images; for membership.

        What convolves or pools gives one. So does what only passes numbers on, where one of its inputs or
        readers does, and a plugin that reads an image and is read as one.
        """
        found = {node.id for node in self.model.nodes if node.operation in _IMAGE}
        queue = list(found)
        while queue:
            at = self.known[queue.pop()]
            beside = [*self.readers[at.id], *(self.known[read] for read in at.inputs)]
            for one in beside:
                if one.id not in found and (one.operation in _PASSING or self._passes_an_image(one, found)):
                    found.add(one.id)
                    queue.append(one.id)
        return found

    def _passes_an_image(self, node: UffNode, images: Container[str]) -> bool:
        return (
            node.operation in self.plugins
            and len(self._outputs(node.id)) == 1
            and any(read in images for read in node.inputs)
            and any(reader.id in images for reader in self.readers[node.id])
        )

    def is_for_plugins(self, node: UffNode) -> bool:
        """Return whether only plugins read a node.

        Plugins take constants without the batch; the graph states it.
        """
        readers = self.readers[node.id]
        return bool(readers) and all(reader.operation in self.plugins for reader in readers)


def _input(at: _UffReader, node: UffNode) -> _Made:
    return "Placeholder", (), {"dtype": at.dtype(node), "shape": Shape(at.input_shape(node))}


def _const(at: _UffReader, node: UffNode) -> _Made:
    tensor = at.weights(node)
    if isinstance(tensor, TensorRef) and at.is_for_plugins(node) and len(tensor.shape):
        tensor = TensorRef(tensor.file, tensor.offset, tensor.length, tensor.dtype, (1, *tensor.shape))
    return "Const", (), {"dtype": at.dtype(node), **({"value": tensor} if tensor is not None else {})}


def _conv(at: _UffReader, node: UffNode) -> _Made:
    attrs = {**at.window(node), "dilations": at.four(at.ints(node, "dilation", (1, 1)), 1)}
    return "DepthwiseConv2dNative" if "number_groups" in node.fields else "Conv2D", at.edges(node), attrs


def _conv_transpose(at: _UffReader, node: UffNode) -> _Made:
    return (
        "Conv2DBackpropInput",
        tuple(reversed(at.edges(node))),
        {**at.window(node), "dilations": (1, 1, 1, 1)},
    )


def _pool(at: _UffReader, node: UffNode) -> _Made:
    return _named(at, node), at.edges(node), {**at.window(node), "ksize": at.four(at.ints(node, "kernel"), 1)}


def _elementwise(at: _UffReader, node: UffNode) -> _Made:
    return _named(at, node), at.edges(node), {}


def _named(at: _UffReader, node: UffNode) -> str:
    func = at.value(node, "func", b"")
    return _OPS[node.operation].get(
        func.decode("utf-8", "replace") if isinstance(func, bytes) else "", node.operation
    )


def _batch_norm(at: _UffReader, node: UffNode) -> _Made:
    return (
        "FusedBatchNorm",
        at.edges(node),
        {"data_format": b"NHWC" if at.channels_last else b"NCHW", "is_training": False},
    )


def _with(op: str, key: str, *, listed: bool = False) -> Callable[[_UffReader, UffNode], _Made]:
    """Return the making of an op that reads as its last input what UFF holds in a field."""
    return lambda at, node: (
        op,
        (*at.edges(node), at.ints(node, key) if listed else at.value(node, key, 0)),
        {},
    )


def _reduce(at: _UffReader, node: UffNode) -> _Made:
    return (
        _named(at, node),
        (*at.edges(node), at.ints(node, "axes")),
        {"keep_dims": at.value(node, "keepdims", False)},
    )


def _with_attrs(op: str, keys: Mapping[str, str]) -> Callable[[_UffReader, UffNode], _Made]:
    """Return the making of an op with attributes that UFF holds under other names."""
    return lambda at, node: (
        op,
        at.edges(node),
        {attr: at.value(node, key, 0) for key, attr in keys.items() if key in node.fields},
    )


def _pad(at: _UffReader, node: UffNode) -> _Made:
    edges = at.edges(node)
    amounts = at.weights(at.known[edges[1].node]) if len(edges) == 2 else None
    if amounts is None or amounts.shape != (4, 2) or not at.channels_last:
        return "Pad", edges, {}
    batch, channels, height, width = amounts.array().tolist()
    return "Pad", (edges[0], (batch, height, width, channels)), {}


def _matmul(at: _UffReader, node: UffNode) -> _Made:
    left, right = (*at.orders(node), (), ())[:2]
    return "MatMul", at.edges(node), {"transpose_a": left[:2] == (1, 0), "transpose_b": right[:2] == (0, 1)}


_SHADOWS: Mapping[str, Callable[[_UffReader, UffNode], _Made]] = {
    "Input": _input,
    "Const": _const,
    "Conv": _conv,
    "ConvTranspose": _conv_transpose,
    "Pool": _pool,
    "Binary": _elementwise,
    "Unary": _elementwise,
    "Activation": _elementwise,
    "BatchNorm": _batch_norm,
    "Pad": _pad,
    "FullyConnected": _matmul,
    "Concat": _with("ConcatV2", "axis"),
    "Transpose": _with("Transpose", "permutation", listed=True),
    "ExpandDims": _with("ExpandDims", "axis"),
    "Reduce": _reduce,
    "ArgMax": _with("ArgMax", "axis"),
    "ArgMin": _with("ArgMin", "axis"),
    "GatherV2": _with("GatherV2", "axis"),
    "Stack": _with_attrs("Pack", {"axis": "axis"}),
    "Squeeze": _with_attrs("Squeeze", {"axes": "squeeze_dims"}),
    "StridedSlice": _with_attrs(
        "StridedSlice", {key: key for key in ("begin_mask", "end_mask", "shrink_axis_mask")}
    ),
}


def _flattened(ctx: Context) -> Sequence[TensorSpec]:
    dims = ctx.dims(0)
    rest = Shape(dims[1:]).size if dims else None
    return [TensorSpec(ctx.spec(0).dtype, Shape.of(dims[0] if dims else None, rest))]


_RULES = {
    "Flatten": Rule("Flatten", _flattened, owner="uff"),
    "MarkOutput": Rule("MarkOutput", lambda ctx: [ctx.spec(0)], owner="uff"),
}
