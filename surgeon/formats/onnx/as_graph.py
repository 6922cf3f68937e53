"""An ONNX file as a graph, to be looked at, and the shapes of its tensors."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from surgeon.display import plural
from surgeon.formats.onnx.native import DOMAIN, OPERATORS
from surgeon.formats.onnx.network import dtype_of, reads, spec_of
from surgeon.graph import AttrValue, DType, Graph, Node, Ref, Shape, TensorDigest, TensorSpec, TensorValue
from surgeon.optional import require

_UNKNOWN = TensorSpec()


@dataclass(frozen=True)
class StatedSpecs:
    """Element types and shapes of a graph's tensors, as a file states them or ONNX infers them."""

    specs: Mapping[str, tuple[TensorSpec, ...]]

    def spec(self, ref: Ref) -> TensorSpec:
        """Return element type and shape of a tensor; parts that are not known are None."""
        known = self.specs.get(ref.node, ())
        return known[ref.slot] if 0 <= ref.slot < len(known) else _UNKNOWN

    def outputs(self, name: str) -> int:
        """Return the number of outputs of a node."""
        return len(self.specs.get(name, ()))


def onnx_graph(model: Any, source: str = "") -> tuple[Graph, StatedSpecs]:
    """Return the nodes of a ModelProto as a graph, and the shapes of its tensors.

    Weights beside the file are not read.

    Inputs are nodes of the op ``Input``, constants of the op ``Const``. A node without a name has that of its
    first output. Operators outside ONNX's own domain and the plugins' have theirs before the name, as has one
    of ONNX's that is named as a plugin. Inputs that are left out are not among the edges. The nodes of an
    attribute that is a graph are not shown; what they read is read by the node.
    """
    onnx = require("onnx", "reading ONNX")
    model = _inferred(onnx, model)
    stated = {
        value.name: spec_of(value)
        for value in (*model.graph.value_info, *model.graph.input, *model.graph.output)
    }
    made = _OnnxReader(onnx, stated)
    constants = {tensor.name for tensor in model.graph.initializer} | {
        one.values.name for one in model.graph.sparse_initializer
    }
    for value in model.graph.input:
        if value.name not in constants:
            spec = stated[value.name]
            made.put(
                value.name,
                "Input",
                [],
                [value.name],
                {"dtype": spec.dtype or DType.FLOAT32, "shape": spec.shape},
            )
    for tensor in model.graph.initializer:
        made.constant(tensor)
    for sparse in model.graph.sparse_initializer:
        made.sparse(sparse)
    for node in model.graph.node:
        # An operator of ONNX that has a plugin's name is none.
        own = node.domain in ("", "ai.onnx") and node.op_type not in OPERATORS
        domain = "" if own or node.domain == DOMAIN else f"{node.domain or 'ai.onnx'}."
        attrs = {one.name: made.attr(one) for one in node.attribute}
        name = node.name or next(iter(filter(None, node.output)), node.op_type)
        made.put(
            name,
            domain + node.op_type,
            reads(node),
            node.output,
            {key: value for key, value in attrs.items() if value is not None},
        )
    return made.graph([value.name for value in model.graph.output], source), StatedSpecs(made.specs)


class _OnnxReader:
    def __init__(self, onnx: Any, stated: Mapping[str, TensorSpec]) -> None:
        self.onnx = onnx
        self.stated = stated
        self.nodes: dict[str, tuple[str, list[str], dict[str, AttrValue]]] = {}
        self.specs: dict[str, tuple[TensorSpec, ...]] = {}
        self.producers: dict[str, Ref] = {}

    def put(
        self,
        name: str,
        op: str,
        inputs: Iterable[str],
        outputs: Iterable[str],
        attrs: Mapping[str, AttrValue],
    ) -> None:
        """Add a node that reads and writes these tensors."""
        free = name.lstrip("/") or op
        number = 0
        while free in self.nodes:
            number += 1
            free = f"{name.lstrip('/') or op}_{number}"
        self.nodes[free] = (op, list(inputs), dict(attrs))
        written = list(outputs)
        self.specs[free] = tuple(self.stated.get(tensor, _UNKNOWN) for tensor in written)
        self.producers |= {tensor: Ref(free, slot) for slot, tensor in enumerate(written) if tensor}

    def constant(self, tensor: Any) -> None:
        """Add a constant."""
        value = self.tensor(tensor)
        attrs: dict[str, AttrValue] = {"dtype": value.dtype, "value": value} if value is not None else {}
        if value is None and tensor.raw_data:  # of a type that is not known here
            attrs = {"stored": TensorValue(DType.UINT8, (len(tensor.raw_data),), tensor.raw_data)}
        self._put_constant(tensor.name, TensorSpec(dtype_of(tensor.data_type), _shape(tensor.dims)), attrs)

    def sparse(self, sparse: Any) -> None:
        """Add a constant of which only the elements that are not zero are stored."""
        parts = {"values": self.tensor(sparse.values), "indices": self.tensor(sparse.indices)}
        spec = TensorSpec(dtype_of(sparse.values.data_type), _shape(sparse.dims))
        self._put_constant(
            sparse.values.name, spec, {key: value for key, value in parts.items() if value is not None}
        )

    def _put_constant(self, name: str, spec: TensorSpec, attrs: Mapping[str, AttrValue]) -> None:
        self.put(name, "Const", [], [name], attrs)
        self.specs[self.producers[name].node] = (spec,)

    def graph(self, outputs: Iterable[str], source: str) -> Graph:
        """Return the graph of the nodes added."""
        nodes = [
            Node(
                name,
                op,
                tuple(self.producers[read] for read in inputs if read in self.producers),
                attrs=attrs,
            )
            for name, (op, inputs, attrs) in self.nodes.items()
        ]
        return Graph(
            nodes, [self.producers[name] for name in outputs if name in self.producers], source=source
        )

    def tensor(self, tensor: Any) -> TensorValue | TensorDigest | None:
        """Return the value of a constant; only its type and shape where it lies in another file."""
        dtype, shape = dtype_of(tensor.data_type), tuple(tensor.dims)
        if dtype is None or any(size < 0 for size in shape):
            return None
        if tensor.data_location == self.onnx.TensorProto.EXTERNAL:
            return TensorDigest(dtype, shape, "")
        try:
            array = np.asarray(self.onnx.numpy_helper.to_array(tensor))
            return TensorValue.of(array.view(np.uint16) if dtype is DType.BFLOAT16 else array, dtype)
        except (ValueError, TypeError, RuntimeError):
            return None

    def attr(self, attribute: Any) -> AttrValue | None:
        """Return the value of an attribute; one that is a graph as how many nodes it has."""
        kinds = self.onnx.AttributeProto
        match attribute.type:
            case kinds.TENSOR:
                return self.tensor(attribute.t)
            case kinds.GRAPH:
                return f"a graph of {plural(len(attribute.g.node), 'node')}".encode()
            case kinds.FLOAT | kinds.INT | kinds.STRING | kinds.FLOATS | kinds.INTS | kinds.STRINGS:
                value = self.onnx.helper.get_attribute_value(attribute)
                return tuple(value) if isinstance(value, list) else value
        return b"(not shown)"


def _inferred(onnx: Any, model: Any) -> Any:
    """Return the model with the shapes that ONNX infers; as it is where that cannot be done."""
    try:
        return onnx.shape_inference.infer_shapes(model)
    except (ValueError, RuntimeError, onnx.shape_inference.InferenceError):
        return model


def _shape(dims: Iterable[int]) -> Shape:
    return Shape(tuple(dim if dim >= 0 else None for dim in dims))
