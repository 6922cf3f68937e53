"""An ONNX graph while it is made: nodes, and weights that are read only when the model is put together."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from surgeon.diagnostics import error
from surgeon.graph import DType, Shape, Tensor, TensorSpec
from surgeon.graph.graph import sources_first
from surgeon.optional import require

_OTHER_NAMES = {DType.FLOAT32: "FLOAT", DType.FLOAT64: "DOUBLE"}
NESTED = 16
"""Graphs within graphs that are looked into."""

Perm = tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Weight:
    """A constant: its element type as ONNX numbers them, its shape, and what gives its value for writing."""

    kind: int
    shape: tuple[int, ...]
    load: Callable[[], np.ndarray]

    @property
    def count(self) -> int:
        """Number of elements."""
        return int(np.prod(self.shape, dtype=np.int64))

    @staticmethod
    def of_tensor(tensor: Tensor) -> Weight:
        """Return a constant of a TensorFlow graph, left where it is."""
        return Weight(kind_of(tensor.dtype), tensor.shape, tensor.array)

    @staticmethod
    def of_proto(proto: Any) -> Weight:
        """Return the constant of a TensorProto."""
        array = require("onnx.numpy_helper", "writing ONNX").to_array(proto)
        return Weight(proto.data_type, tuple(proto.dims), lambda: array)

    @staticmethod
    def of(value: Any, dtype: Any) -> Weight:
        """Return a constant of numbers."""
        array = np.asarray(value, dtype)
        return Weight(kind_of(DType.of(array.dtype)), array.shape, lambda: array)

    def array(self) -> np.ndarray:
        """Return the value."""
        return self.load().reshape(self.shape)

    def transposed(self, perm: Sequence[int]) -> Weight:
        """Return the constant with its axes permuted, as ``numpy.transpose`` does."""
        return replace(
            self,
            shape=tuple(self.shape[axis] for axis in perm),
            load=lambda: np.transpose(self.array(), perm),
        )

    def reshaped(self, shape: Sequence[int]) -> Weight:
        """Return the constant in another shape of the same number of elements."""
        return replace(self, shape=tuple(shape), load=self.load)

    def mapped(self, change: Callable[[np.ndarray], np.ndarray]) -> Weight:
        """Return the constant with its values changed and its type and shape kept."""
        return replace(self, load=lambda: change(self.array()))

    def put(self, name: str, table: Any) -> None:
        """Add the TensorProto to a repeated field, its values as raw bytes."""
        array = self.array()
        if array.dtype.kind == "O":
            table.append(require("onnx.numpy_helper", "writing ONNX").from_array(array, name))
            return
        array = array.astype(array.dtype.newbyteorder("<"), copy=False)
        table.add(name=name, data_type=self.kind, dims=self.shape, raw_data=array.tobytes())


@dataclass(frozen=True, eq=False)
class OnnxNetwork:
    """An ONNX graph: NodeProtos in any order, constants by name, and types and shapes of inputs and outputs.

    ``specs`` tells of tensors whose type and shape no rule of ONNX gives. An unknown first dimension is the
    batch. An output's type is None until it is inferred.
    """

    nodes: tuple[Any, ...]
    weights: Mapping[str, Weight]
    inputs: Mapping[str, TensorSpec]
    outputs: Mapping[str, TensorSpec]
    specs: Mapping[str, TensorSpec] = field(default_factory=dict)

    def sorted(self) -> OnnxNetwork:
        """Return the network with a node after those that it reads, in the outputs' order.

        What no output needs is left out.
        """
        maker = {name: index for index, node in enumerate(self.nodes) for name in node.output if name}
        names = [str(index) for index in range(len(self.nodes))]

        def sources(name: str) -> list[str]:
            return [names[maker[read]] for read in reads(self.nodes[int(name)]) if read in maker]

        roots = [names[maker[name]] for name in self.outputs if name in maker]
        order = sources_first(roots, sources, lambda cycle: AssertionError(f"cycle of {len(cycle)} nodes"))
        nodes = tuple(self.nodes[int(name)] for name in order)
        needed = {name for node in nodes for name in reads(node)} | set(self.outputs)
        made = {name for node in nodes for name in node.output}
        return replace(
            self,
            nodes=nodes,
            weights={name: weight for name, weight in self.weights.items() if name in needed},
            specs={name: spec for name, spec in self.specs.items() if name in made},
        )

    def renamed(self, names: Mapping[str, str]) -> OnnxNetwork:
        """Return the network with other names for some tensors."""

        def named(table: Mapping[str, Any]) -> dict[str, Any]:
            return {names.get(name, name): value for name, value in table.items()}

        return OnnxNetwork(
            tuple(_renamed(node, names) for node in self.nodes),
            named(self.weights),
            named(self.inputs),
            named(self.outputs),
            named(self.specs),
        )

    def tensors(self) -> dict[str, None]:
        """Return the names of all tensors, in order."""
        made = (name for node in self.nodes for name in (*reads(node), *node.output))
        return dict.fromkeys([*self.inputs, *self.weights, *made, *self.outputs])

    def model(self, opset: int, limit: int | None = None) -> Any:
        """Return the ModelProto.

        Where ``limit`` is given, a weight of more elements is only declared, as an input.
        """
        onnx = require("onnx", "writing ONNX")
        kept = {
            name: weight for name, weight in self.weights.items() if limit is None or weight.count <= limit
        }
        declared = [
            onnx.helper.make_tensor_value_info(name, weight.kind, weight.shape)
            for name, weight in self.weights.items()
            if name not in kept
        ]
        graph = onnx.helper.make_graph(
            self.nodes,
            "surgeon",
            [*_infos(self.inputs), *declared],
            _infos(self.outputs),
            value_info=_infos(self.specs),
        )
        domains = dict.fromkeys(["", *(node.domain for node in self.nodes)])
        imports = [onnx.helper.make_opsetid(domain, 1 if domain else opset) for domain in domains]
        model = onnx.helper.make_model(graph, opset_imports=imports, ir_version=IR_VERSIONS[opset])
        for name, weight in kept.items():
            weight.put(name, model.graph.initializer)
        return model


IR_VERSIONS = {13: 7, 14: 7, 15: 8, 16: 8, 17: 8}
"""The first version of the file format that goes with an opset."""

BATCH = "batch"
"""The name of an open batch axis."""


def kind_of(dtype: DType) -> int:
    """Return ONNX's number of an element type; raise SurgeonError X141 where it has none such."""
    kinds = require("onnx", "writing ONNX").TensorProto.DataType
    name = _OTHER_NAMES.get(dtype, dtype.value.upper())
    if name not in kinds.keys():  # noqa: SIM118 - a protobuf enum is not a container
        raise error(
            "X141",
            f"a tensor is {dtype}, which ONNX does not have; expected another element type",
            help=["cut the graph before it, or convert the tensor"],
        )
    return int(kinds.Value(name))


def spec_of(value: Any) -> TensorSpec:
    """Return type and shape of a ValueInfoProto; a dimension with a name, or without, is unknown."""
    tensor = value.type.tensor_type
    dtype = dtype_of(tensor.elem_type)
    if not tensor.HasField("shape"):
        return TensorSpec(dtype, Shape())
    return TensorSpec(
        dtype, Shape(tuple(dim.dim_value if dim.HasField("dim_value") else None for dim in tensor.shape.dim))
    )


def dtype_of(kind: int) -> DType | None:
    """Return the element type of a number of ONNX's, None for one that is not known here."""
    try:
        return DType.of(require("onnx.helper", "reading ONNX").tensor_dtype_to_np_dtype(kind))
    except (KeyError, ValueError, TypeError):
        return None


def attributes(node: Any) -> dict[str, Any]:
    """Return a node's attributes as Python values."""
    value = require("onnx.helper", "writing ONNX").get_attribute_value
    return {attribute.name: value(attribute) for attribute in node.attribute}


def reads(node: Any) -> list[str]:
    """Return the names that a node reads, those that only its inner graphs read included, each once."""
    return list(dict.fromkeys(name for name in (*node.input, *_captured(node, 0)) if name))


def _captured(node: Any, depth: int) -> list[str]:
    found: list[str] = []
    for graph in inner_graphs(node) if depth < NESTED else ():
        own = {name for inner in graph.node for name in inner.output}
        own |= {tensor.name for tensor in (*graph.input, *graph.initializer)}
        names = [name for inner in graph.node for name in (*inner.input, *_captured(inner, depth + 1))]
        found += [name for name in (*names, *(output.name for output in graph.output)) if name not in own]
    return found


def inner_graphs(node: Any) -> Iterable[Any]:
    """Yield the graphs that a node holds: bodies of loops, branches."""
    for attribute in node.attribute:
        if attribute.HasField("g"):
            yield attribute.g
        yield from attribute.graphs


def operators(nodes: Iterable[Any], depth: int = 0) -> Iterable[Any]:
    """Yield nodes and those of their inner graphs."""
    for node in nodes:
        yield node
        for graph in inner_graphs(node) if depth < NESTED else ():
            yield from operators(graph.node, depth + 1)


def names_within(node: Any, depth: int = 0) -> Iterable[str]:
    """Yield the names that the inner graphs of a node give to tensors of their own."""
    for graph in inner_graphs(node) if depth < NESTED else ():
        yield from (value.name for value in (*graph.input, *graph.initializer))
        for inner in graph.node:
            yield from inner.output
            yield from names_within(inner, depth + 1)


def has_inner(node: Any) -> bool:
    """Return whether a node holds graphs, as loops and branches do."""
    return any(True for _ in inner_graphs(node))


def _renamed(node: Any, names: Mapping[str, str], depth: int = 0) -> Any:
    if depth == 0:
        copy = type(node)()
        copy.CopyFrom(node)
        node = copy
    node.input[:] = [names.get(name, name) for name in node.input]
    node.output[:] = [names.get(name, name) for name in node.output]
    for graph in inner_graphs(node) if depth < NESTED else ():
        for inner in graph.node:
            _renamed(inner, names, depth + 1)
        for output in graph.output:
            output.name = names.get(output.name, output.name)
    return node


def _infos(specs: Mapping[str, TensorSpec]) -> list[Any]:
    helper = require("onnx.helper", "writing ONNX")
    infos = []
    for name, spec in specs.items():
        if spec.dtype is None:
            infos.append(require("onnx", "writing ONNX").ValueInfoProto(name=name))
            continue
        dims = (
            None
            if spec.shape.dims is None
            else [BATCH if d is None and i == 0 else d for i, d in enumerate(spec.shape.dims)]
        )
        infos.append(helper.make_tensor_value_info(name, kind_of(spec.dtype), dims))
    return infos


class Names:
    """Names for new tensors of a network, none of them taken."""

    def __init__(self, network: OnnxNetwork) -> None:
        self._taken = network.tensors()

    def fresh(self, name: str) -> str:
        """Return a name that no tensor has, like the one given."""
        number, free = 0, name
        while free in self._taken:
            number += 1
            free = f"{name}_{number}"
        self._taken[free] = None
        return free
