"""A rewritten graph cut at its plugin nodes, ready for tf2onnx.

Its batch is settled, its shapes are computed, and its weights are left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal, TypeAlias

from surgeon.catalog import Catalog
from surgeon.diagnostics import error
from surgeon.formats.graphdef import to_bytes
from surgeon.formats.onnx.ordinary import Request
from surgeon.formats.shape_advice import shape_advice
from surgeon.graph import DType, Graph, Node, Ref, Shape, Tensor, TensorSpec, TensorValue
from surgeon.graph.frames import conditional
from surgeon.graph.op_sets import LOOP_ENDS, LOOP_ENTRIES, PLACEHOLDERS, SIZES, is_data_default
from surgeon.graph.reach import before_identities, downstream, needed_by_data
from surgeon.infer import Inference

STUBBED = 16 << 10
"""Bytes of a constant above which tf2onnx sees an input of its shape instead."""

Batch: TypeAlias = int | Literal["dynamic"] | None

_REAL = (DType.FLOAT32, DType.FLOAT64, DType.FLOAT16)


@dataclass(frozen=True, eq=False)
class ExportGraph:
    """What is exported of a graph: the nodes that its outputs need, with the batch that was asked for."""

    graph: Graph
    catalog: Catalog
    open_batch: bool = False

    @cached_property
    def inference(self) -> Inference:
        """Types and shapes; an open batch is unknown."""
        return Inference(self.graph, rules=self.catalog.rules())

    @cached_property
    def inputs(self) -> tuple[Node, ...]:
        """The nodes that are fed, in graph order."""
        return tuple(node for node in self.graph if node.op in PLACEHOLDERS)

    @cached_property
    def plugins(self) -> tuple[Node, ...]:
        """The plugin nodes, in graph order."""
        return tuple(node for node in self.graph if self.is_plugin(node.name))

    def is_plugin(self, name: str) -> bool:
        """Return whether a node is one of a plugin.

        Some plugins have the name of an operation of TensorFlow; their nodes lack its attributes.
        """
        node = self.graph[name]
        if node.op not in self.catalog:
            return False
        fields = self.catalog[node.op].fields
        return not fields or any(field in node.attrs for field in fields)

    def spec(self, ref: Ref) -> TensorSpec:
        """Return type and shape of a tensor."""
        return self.inference.spec(ref)


def export_graph(graph: Graph, catalog: Catalog, batch: Batch, *, open_sizes: bool = False) -> ExportGraph:
    """Return what is exported of a graph: its outputs' ancestors, with a settled batch.

    Arithmetic on constants and shapes is done. ``batch`` is the size of every input's first axis, ``dynamic``
    for an open one; None leaves it as it is, and takes one picture where it is open. With
    ``open_sizes``, sizes of inputs may be unknown where no plugin node needs them. Raise SurgeonError X143
    for an input without a known shape, X144 where something fixes the batch that was to be open.
    """
    needed = needed_by_data(graph)
    plain = graph.replace(
        part for node in graph if node.name in needed for part in _with_slope(graph, _passed(node))
    )
    one = ExportGraph(_with_batch(plain, batch if batch is None else 1), catalog)
    _check_inputs(one, open_sizes and not any(one.is_plugin(node.name) for node in one.graph))
    if batch in (None, 1):
        return replace(one, graph=_computed(one))
    size = None if batch == "dynamic" else batch
    assert not isinstance(size, str)
    freed = _with_batch(_free_shapes(one), "dynamic")
    opened = ExportGraph(freed, catalog, open_batch=True)
    _check_open(opened)
    done = replace(opened, graph=_computed(opened))
    if size is None:
        return done
    return ExportGraph(_computed(ExportGraph(_with_batch(freed, size), catalog)), catalog)


def _passed(node: Node) -> Node:
    """Return a node free of what only TensorFlow's runtime heeds.

    A switch with a default becomes its default, and what prints the tensor that it prints.
    """
    node = replace(node.with_attr("_class", None), control=(), device="")
    if node.op == "PlaceholderWithDefault" and is_data_default(node):
        return replace(node, op="Placeholder", inputs=())
    if node.op == "Print":
        return Node(node.name, "Identity", node.inputs[:1], attrs={"T": node.attrs.get("T", DType.FLOAT32)})
    if node.op == "PlaceholderWithDefault" and node.inputs:
        return Node(node.name, "Identity", node.inputs, attrs={"T": node.attrs.get("dtype", DType.FLOAT32)})
    return node


def _with_slope(graph: Graph, node: Node) -> tuple[Node, ...]:
    """Return a node, or of a layer that LeakyRelu is fused with the layer and that: tf2onnx reads no slope of
    a fused one.
    """
    fused = node.attrs.get("fused_ops")
    if not node.op.startswith("_Fused") or not isinstance(fused, tuple) or fused[-1:] != (b"LeakyRelu",):
        return (node,)
    name = f"{node.name}/layer"
    while name in graph:
        name += "_"
    attrs = {"T": node.attrs.get("T", DType.FLOAT32), "alpha": node.attrs.get("leakyrelu_alpha", 0.2)}
    layer = replace(node.with_attr("fused_ops", fused[:-1]), name=name)
    return layer, Node(node.name, "LeakyRelu", (Ref(name),), attrs=attrs)


def _with_batch(graph: Graph, batch: Batch) -> Graph:
    return graph.replace(
        [_input_with_batch(node, batch) if node.op in PLACEHOLDERS else node for node in graph]
    )


def _input_with_batch(node: Node, batch: Batch) -> Node:
    shape = node.attrs.get("shape")
    if not isinstance(shape, Shape) or not shape.dims:
        return node
    first = shape.dims[0]
    size = None if batch == "dynamic" else (first or 1) if batch is None else batch
    return node.with_attr("shape", Shape((size, *shape.dims[1:])))


def _check_inputs(at: ExportGraph, open_sizes: bool) -> None:
    for node in at.inputs:
        shape = at.spec(Ref(node.name)).shape
        if shape.rank is None or not (shape.is_static or open_sizes):
            expected = "the number of axes" if open_sizes else "every size but the batch"
            raise error(
                "X143",
                f"the input '{node.name}' has the shape {shape}; expected {expected} to be known",
                node.name,
                help=[shape_advice(node.name, shape)],
            )


# Shapes and constants


def _computed(at: ExportGraph) -> Graph:
    """Return the graph with constants in place of what can be computed of constants and shapes."""
    nodes: dict[str, Node] = {}
    constant: set[str] = set()
    for name in at.graph.topological():
        node = at.graph[name]
        known = _constant(at, node, constant)
        if known is None:
            nodes[name] = node
            continue
        constant.add(name)
        nodes[name] = node if node.op in ("Const", "Identity") else _const(name, known)
    made = at.graph.replace(nodes.values())
    needed = needed_by_data(made)
    return made.replace([node for node in made if node.name in needed])


def _constant(at: ExportGraph, node: Node, constant: set[str]) -> TensorValue | bool | None:
    """Return a node's value where it is known.

    Return True for a node that is a constant already, None for any other.
    """
    if node.op == "Const":
        return True
    if (
        node.op in (*PLACEHOLDERS, *LOOP_ENTRIES, *LOOP_ENDS, "LoopCond")
        or at.is_plugin(node.name)
        or at.inference.outputs(node.name) != 1
    ):
        return None
    ref = Ref(node.name)
    if node.op == "Identity":
        return True if all(source.node in constant for source in node.inputs) else None
    of_constants = bool(node.inputs) and all(source.node in constant for source in node.inputs)
    value = at.inference.value(ref) if of_constants else at.inference.known(ref)
    dtype = at.spec(ref).dtype
    return None if value is None or dtype is None else TensorValue.of(value, dtype)


def _const(name: str, value: TensorValue | bool) -> Node:
    assert isinstance(value, TensorValue)
    return Node(name, "Const", attrs={"dtype": value.dtype, "value": value})


# The batch


def _free_shapes(at: ExportGraph) -> Graph:
    """Return the graph with -1 as the first size that every Reshape of a varying tensor asks for.

    The other sizes are those for one picture.

    The batch is the slowest axis of whatever a detector computes, so a Reshape keeps it in front, or merges
    it into the first axis; either way the rest of its shape does not depend on it.
    """
    varying = _varying(at)
    nodes: list[Node] = []
    for node in at.graph:
        dims = (
            at.spec(Ref(node.name)).shape.dims
            if node.op == "Reshape" and node.inputs[0].node in varying
            else None
        )
        if not dims or any(size is None for size in dims):
            nodes.append(node)
            continue
        name = at.graph.free_name(f"{node.name}/shape")
        nodes.append(_const(name, TensorValue.of([-1, *dims[1:]], DType.INT32)))
        nodes.append(replace(node, inputs=(node.inputs[0], Ref(name))).with_attr("Tshape", DType.INT32))
    return at.graph.replace(nodes)


def _varying(at: ExportGraph) -> set[str]:
    """Return what depends on the numbers of an input, not on sizes alone; membership only."""
    return downstream(
        at.graph,
        (node.name for node in at.inputs),
        until=lambda node: node.op in SIZES or _ignores_inputs(at, node),
    )


def _ignores_inputs(at: ExportGraph, node: Node) -> bool:
    return at.is_plugin(node.name) and all(port.unused for port in at.catalog[node.op].inputs)


def _check_open(at: ExportGraph) -> None:
    """Raise SurgeonError X144 for the first node whose output should grow with the batch and does not."""
    varying = _varying(at)
    for name in at.graph.topological():
        node = at.graph[name]
        if name not in varying or node.op in PLACEHOLDERS:
            continue
        for slot in range(
            len(at.catalog[node.op].output_ports(dict(node.attrs))) if at.is_plugin(name) else 1
        ):
            spec = at.spec(Ref(name, slot))
            if _is_fixed(node, spec) or _regroups(at, node):
                raise error(
                    "X144",
                    f"'{name}' ({node.op}) is {spec} whatever the batch; expected its first axis to be the "
                    "batch",
                    name,
                    help=["export it for one picture (--batch 1), or put its namespace into a plugin"],
                )


def _is_fixed(node: Node, spec: TensorSpec) -> bool:
    """Return whether a tensor does not grow with the batch along its first axis.

    Coders of boxes put the four coordinates in front, by a Transpose, and join them there again.
    """
    dims = spec.shape.dims
    if not dims or dims[0] is None:
        return False
    return node.op not in ("Transpose", "Pack") or None not in dims


def _regroups(at: ExportGraph, node: Node) -> bool:
    """Return whether a Reshape reads a tensor whose first axis is not the batch, and so mixes pictures."""
    dims = at.spec(node.inputs[0]).shape.dims if node.op == "Reshape" else None
    return bool(dims) and dims is not None and dims[0] is not None


# The cut


@dataclass(frozen=True, eq=False)
class Partition:
    """The ordinary part of a graph: what tf2onnx converts.

    It tells which of its inputs are constants that were left out. ``names`` maps the names of tensors that
    stand for plugin outputs to those of the outputs.
    """

    graph: Graph
    request: Request
    constants: Mapping[str, Tensor]
    names: Mapping[str, str]

    @property
    def definition(self) -> bytes:
        """The serialized GraphDef."""
        return to_bytes(self.graph)


def partition(at: ExportGraph, opset: int) -> Partition:
    """Return the part of a graph that is TensorFlow's; large constants are inputs of their shape there."""
    wanted = [ref for node in at.plugins for ref in node.inputs]
    wanted += at.graph.output_refs
    nodes: list[Node] = []
    constants: dict[str, Tensor] = {}
    fed: dict[str, None] = {}
    ports: dict[Ref, str] = {}

    def source(ref: Ref) -> Ref:
        if not at.is_plugin(ref.node):
            return ref
        if ref not in ports:
            ports[ref] = at.graph.free_name(f"{ref.node}/port{ref.slot}")
            spec = at.spec(ref)
            nodes.append(_placeholder(ports[ref], TensorSpec(spec.dtype or DType.FLOAT32, spec.shape)))
            fed[ports[ref]] = None
        return Ref(ports[ref])

    outputs = dict.fromkeys(
        ref
        for ref in wanted
        if not at.is_plugin(ref.node) and at.graph[ref.node].op not in (*PLACEHOLDERS, "Const")
    )
    inner = needed_by_data(at.graph.replace(outputs=tuple(outputs))) if outputs else frozenset[str]()
    direct = {ref.node for ref in wanted if at.graph[ref.node].op == "Const"}
    kept = _read_inside(at.graph)
    for node in at.graph:
        value = node.attrs.get("value") if node.op == "Const" else None
        stubbed = isinstance(value, Tensor) and _is_large(value) and node.name not in kept
        if isinstance(value, Tensor) and (node.name in direct or stubbed):
            constants[tensor(Ref(node.name))] = value
        if at.is_plugin(node.name) or node.name not in inner:
            continue
        if isinstance(value, Tensor) and stubbed:
            nodes.append(_placeholder(node.name, value.spec))
            fed[node.name] = None
        else:
            if node.op in PLACEHOLDERS:
                fed[node.name] = None
            nodes.append(node.with_inputs(tuple(map(source, node.inputs))))
    request = Request(tuple(tensor(Ref(name)) for name in fed), tuple(map(tensor, outputs)), opset)
    return Partition(
        at.graph.replace(_sources_first(nodes), ()),
        request,
        constants,
        {tensor(Ref(name)): tensor(ref) for ref, name in ports.items()},
    )


def _read_inside(graph: Graph) -> set[str]:
    """Return what loops and branches read, identities passed over; membership only.

    tf2onnx makes an input of a graph one of the loop's body, which nothing feeds, and knows the layers of
    recurrent networks by their constant weights.
    """
    inside = (ref for name in conditional(graph) for ref in graph[name].inputs)
    return {before_identities(graph, ref).node for ref in inside}


def _sources_first(nodes: Iterable[Node]) -> list[Node]:
    graph = Graph(nodes)
    return [graph[name] for name in graph.topological()]


def _is_large(value: Tensor) -> bool:
    return value.dtype in _REAL and value.nbytes > STUBBED


def _placeholder(name: str, spec: TensorSpec) -> Node:
    return Node(name, "Placeholder", attrs={"dtype": spec.dtype or DType.FLOAT32, "shape": spec.shape})


def tensor(ref: Ref) -> str:
    """Return the name that tf2onnx gives a tensor."""
    return f"{ref.node}:{ref.slot}"
