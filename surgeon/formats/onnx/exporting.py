"""A rewritten graph to an ONNX model."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from importlib.util import find_spec
from typing import Any

from surgeon.catalog import Catalog
from surgeon.diagnostics import Diagnostic, SurgeonError, error
from surgeon.formats.format import Lowered, Watch
from surgeon.formats.graphdef.writer import check_unchanged
from surgeon.formats.onnx.emitter import OPSETS
from surgeon.formats.onnx.folding import compute_constants, fold_constants, fold_normalizations
from surgeon.formats.onnx.layout import channels_first, settle_layout
from surgeon.formats.onnx.metadata import RENDERINGS, TRANSPOSED, written
from surgeon.formats.onnx.native import DOMAIN
from surgeon.formats.onnx.network import OnnxNetwork, Weight, names_within, operators, spec_of
from surgeon.formats.onnx.ordinary import convert_ordinary
from surgeon.formats.onnx.partition import Batch, ExportGraph, Partition, export_graph, partition, tensor
from surgeon.formats.onnx.plugins import RENDERING_NAMES, LoweredPlugins, Rendering, lower_plugins
from surgeon.graph import Graph, Ref, TensorSpec
from surgeon.optional import require
from surgeon.stages import tell_stage
from surgeon.targets import Target

_NUMBERED = re.compile(r"(_raw_output_|_graph_outputs_Identity)?__[0-9]+(?=/|$)")
"""What tf2onnx appends to names that it makes."""

_DECLARED = 1 << 12
"""Elements of a constant above which shape inference need not see its values."""


@dataclass(frozen=True, eq=False)
class Exported:
    """An ONNX model, and how each plugin node was written."""

    model: Any
    plugins: tuple[Lowered, ...]


def export_onnx(
    graph: Graph,
    *,
    plugins: Catalog,
    target: Target,
    rendering: Rendering = "auto",
    opset: int = OPSETS[1],
    batch: Batch = None,
    metadata: Mapping[str, str] | None = None,
    watch: Watch | None = None,
) -> Exported:
    """Return the ModelProto of a rewritten graph, and how each plugin node was written.

    The model holds what the graph's outputs depend on, in NCHW where its convolutions are NHWC.

    ``graph`` is in the model's own layout, batch included. ``rendering`` says what plugin nodes become: nodes
    that TensorRT's parser looks up in the plugin registry (``native``), standard operators (``standard``), or
    the first where the target has the plugin (``auto``); with ``efficient-nms``, NMS_TRT becomes
    EfficientNMS_TRT, and the others what ``auto`` makes of them. ``batch`` is the size of the inputs' first
    axis, ``dynamic`` for an open one; None leaves it as it is. ``metadata`` is stored as the model's
    properties, beside which transpositions its inputs took.

    Raise SurgeonError: E108 for a missing package, X140 for operations that ONNX cannot express, X141 for
    element types, X142 where tf2onnx fails, X143 and X144 for inputs and batch, X145 to X147 and X153 for
    plugins, X148 for an opset that is not written, X163 for operators
    that the target lacks, and C102 to C111 for their fields and files. Raise
    ValueError for a rendering or a batch that means nothing.
    """
    if rendering not in RENDERING_NAMES:
        raise ValueError(f"rendering is {rendering!r}; expected one of {', '.join(RENDERING_NAMES)}")
    if not (batch in (None, "dynamic") or (isinstance(batch, int) and batch > 0)):
        raise ValueError(f"batch is {batch!r}; expected a number from 1 on, 'dynamic', or None")
    tell = watch or partial(tell_stage, "exporting to ONNX")
    if not OPSETS[0] <= opset <= OPSETS[1]:
        raise error(
            "X148",
            f"the opset {opset} is not written; expected {OPSETS[0]} to {OPSETS[1]}",
            help=[f"leave it out for {OPSETS[1]}"],
        )
    tell("plugin nodes")
    ready = export_graph(graph, plugins, batch, open_sizes=_takes_open_sizes(target))
    rendered = lower_plugins(ready, target, rendering, opset)
    tell("operations, by tf2onnx")
    network = _joined(ready, partition(ready, opset), rendered)
    _check_operators(network, target, rendered)
    tell("layout")
    moved = channels_first(network)
    network = _settled(network, opset)
    names = _short_names(network)
    network = _checked(_finished(network.renamed(names)), opset, rendered)
    tell("weights")
    check_unchanged(graph)
    model = network.model(opset)
    moved = tuple(names.get(name, name) for name in moved)
    stored = {
        **(metadata or {}),
        RENDERINGS: written([r.to_json() for r in rendered.rendered]),
        TRANSPOSED: written(list(moved)),
    }
    require("onnx.helper", "writing ONNX").set_model_props(model, stored)
    _sign(model)
    return Exported(model, tuple(rendered.rendered))


def check_export(graph: Graph, *, plugins: Catalog, target: Target) -> tuple[Diagnostic, ...]:
    """Return what the exporter objects to in a rewritten graph, as far as that is seen without tf2onnx."""
    try:
        ready = export_graph(graph, plugins, None, open_sizes=_takes_open_sizes(target))
        if find_spec("onnx") is not None:
            lower_plugins(ready, target, "auto", OPSETS[1])
    except SurgeonError as exc:
        return exc.diagnostics
    return ()


def _takes_open_sizes(target: Target) -> bool:
    """Return whether a runtime takes inputs of open sizes as they are; an engine is built for known ones."""
    return target.runtime == "onnxruntime"


def _check_operators(network: OnnxNetwork, target: Target, plugins: LoweredPlugins) -> None:
    """Raise SurgeonError X163 for each operator that the target's runtime does not have."""
    found: dict[str, list[str]] = {}
    for node in operators(network.nodes):
        if node.op_type in target.lacks and not node.domain:
            found.setdefault(node.op_type, []).append(node.name or node.output[0])
    problems = []
    for op, nodes in found.items():
        more = f" and {len(nodes) - 1} more of this kind" if len(nodes) > 1 else ""
        owner = next((row.op for row in plugins.rendered if nodes[0].startswith(f"{row.node}/")), None)
        remedy = (
            "map its namespace to a plugin that does the same"
            if owner is None
            else f"write the plugin {owner} in other operators: the emitter's 'lacks' tells which to avoid"
        )
        problems.append(
            Diagnostic(
                "X163",
                f"'{nodes[0]}'{more} is the operator {op}, which the runtime of the target '{target.name}' "
                "does not have; expected operators that it has",
                nodes[0],
                (),
                (f"{remedy}, or choose another target",),
            )
        )
    if problems:
        raise SurgeonError(*problems)


def _sign(model: Any) -> None:
    from surgeon.version import __version__

    model.producer_name, model.producer_version = "surgeon", __version__


def _joined(at: ExportGraph, part: Partition, plugins: LoweredPlugins) -> OnnxNetwork:
    """Return the nodes of tf2onnx and of the plugins as one network.

    Its tensors have tf2onnx's names.
    """
    weights = {name: Weight.of_tensor(value) for name, value in part.constants.items()}
    nodes = list(plugins.nodes)
    stated: dict[str, TensorSpec] = {}
    if part.request.outputs:
        graph = convert_ordinary(part.definition, part.request).graph
        weights |= {proto.name: Weight.of_proto(proto) for proto in graph.initializer}
        nodes += graph.node
        stated = {value.name: spec_of(value) for value in graph.output}
    inputs = {tensor(Ref(node.name)): at.spec(Ref(node.name)) for node in at.inputs}
    outputs = {tensor(ref): _declared(at, ref, plugins, stated) for ref in at.graph.output_refs}
    named = OnnxNetwork(tuple(nodes), weights, inputs, outputs, plugins.specs).renamed(part.names)
    return replace(named, weights={**named.weights, **plugins.weights}).sorted()


def _declared(
    at: ExportGraph, ref: Ref, plugins: LoweredPlugins, stated: Mapping[str, TensorSpec]
) -> TensorSpec:
    """Return type and shape of an output; the type that a plugin's standard operators give is theirs.

    Where the rules do not tell the shape, behind a loop for example, it is as ``stated`` by TensorFlow.
    """
    spec, name = at.spec(ref), tensor(ref)
    if at.is_plugin(ref.node) and name not in plugins.specs:
        return TensorSpec(None, spec.shape)
    if spec.shape.rank is None and name in stated:
        spec = TensorSpec(spec.dtype, stated[name].shape)
    return spec if spec.dtype is not None else plugins.specs.get(name, spec)


def _settled(network: OnnxNetwork, opset: int) -> OnnxNetwork:
    folded = fold_constants(compute_constants(network, opset))
    return fold_normalizations(fold_constants(settle_layout(folded, _ranks(folded, opset))))


def _inferred(model: Any, strict: bool) -> Any:
    infer = require("onnx.shape_inference", "writing ONNX").infer_shapes
    return infer(model, check_type=strict, strict_mode=strict, data_prop=True)


def _ranks(network: OnnxNetwork, opset: int) -> dict[str, int]:
    """Return the numbers of axes of tensors, as far as they are known."""
    graph = _inferred(network.model(opset, limit=_DECLARED), strict=False).graph
    ranks = {name: len(weight.shape) for name, weight in network.weights.items()}
    for info in (*graph.input, *graph.value_info, *graph.output):
        if info.type.tensor_type.HasField("shape"):
            ranks[info.name] = len(info.type.tensor_type.shape.dim)
    return ranks


def _checked(network: OnnxNetwork, opset: int, plugins: LoweredPlugins) -> OnnxNetwork:
    """Return the network with the types of its outputs, after what onnx's checker does with ``full_check``.

    Raise SurgeonError X153 where its nodes contradict each other.
    """
    try:
        graph = _inferred(network.model(opset, limit=_DECLARED), strict=True).graph
    except Exception as exc:  # what onnx raises is an implementation's class
        raise _contradiction(exc, plugins) from None
    outputs: dict[str, TensorSpec] = {}
    for value in graph.output:
        said, found = network.outputs[value.name], spec_of(value)
        if found.dtype is None or not said.shape.compatible(found.shape):
            raise _contradiction(f"the output '{value.name}' is {found}, expected {said}", plugins)
        outputs[value.name] = TensorSpec(
            found.dtype, said.shape if said.shape.rank is not None else found.shape
        )
    network = replace(network, outputs=outputs)
    try:
        require("onnx.checker", "writing ONNX").check_model(network.model(opset, limit=_DECLARED))
    except Exception as exc:
        raise _contradiction(exc, plugins) from None
    return network


def _contradiction(cause: Exception | str, plugins: LoweredPlugins) -> SurgeonError:
    """Return the error X153, with the file to correct where the cause names a node of a plugin."""
    reason = " ".join(str(cause).split()) or type(cause).__name__
    named = [row for row in plugins.rendered if _names(reason, row.node)]
    help = [f"correct 'onnx.py' of the plugin {row.op}, as which '{row.node}' is written" for row in named]
    if not named:
        help = ["cut the graph before the node that it names, and please report it"]
    if plugins.rendered and not named:
        help = ["where that node reads a plugin's output, correct 'onnx.py' of the plugin", *help]
    return error(
        "X153",
        f"the operators of the ONNX model do not fit together: {reason:.400}",
        named[0].node if named else None,
        help=help,
    )


def _names(reason: str, node: str) -> bool:
    """Return whether a message of onnx's names a node, or one of those as which it is written."""
    return re.search(rf"(node name: |'){re.escape(node)}(?![\w.-])", reason) is not None


def _short_names(network: OnnxNetwork) -> dict[str, str]:
    """Return names for tensors as TensorFlow prints them.

    They lack ``:0`` and tf2onnx's running numbers. Those numbers go on from one conversion to the next;
    without them the same graph gives the same file. Names within inner graphs stay, and no other gets them.
    """
    fixed = {name: name.removesuffix(":0") for name in (*network.inputs, *network.outputs)}
    inner = {name for node in network.nodes for name in names_within(node)}
    outer = (name for name in network.tensors() if name not in fixed and name not in inner)
    others = {name: _plain_name(name.removesuffix(":0")) for name in outer}
    of_the_graph = {name: plain for name, plain in others.items() if plain == name.removesuffix(":0")}
    return _unique(fixed | of_the_graph | others, inner.difference(fixed.values()))


def _plain_name(name: str) -> str:
    return _NUMBERED.sub("", name) or name


def _unique(wanted: Mapping[str, str], taken: Iterable[str] = ()) -> dict[str, str]:
    """Return the names as wanted, with a number where one is wanted twice or taken; the first has none."""
    taken = set(taken)
    last: dict[str, int] = {}
    found: dict[str, str] = {}
    for name, base in wanted.items():
        free = base
        while free in taken:
            last[base] = last.get(base, 0) + 1
            free = f"{base}_{last[base]}"
        taken.add(free)
        found[name] = free
    return found


def _finished(network: OnnxNetwork) -> OnnxNetwork:
    """Return the network with final names of nodes, and an input for every plugin.

    The names are unique and free of tf2onnx's numbers. TensorRT takes the batch of a plugin's outputs from
    its inputs; a plugin that has none, because it ignores them, is given the network's.
    """
    names = _unique(
        {str(i): _plain_name(node.name or node.output[0]) for i, node in enumerate(network.nodes)}
    )
    first = next(iter(network.inputs), None)
    for i, node in enumerate(network.nodes):
        node.name = names[str(i)]
        if node.domain == DOMAIN and not node.input and first is not None:
            node.input.append(first)
    return network
