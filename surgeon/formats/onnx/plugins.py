"""Plugin nodes in an ONNX file: nodes that TensorRT's parser looks up, or standard operators."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from surgeon.catalog import Catalog, PluginSpec
from surgeon.diagnostics import SurgeonError, error
from surgeon.display import plural
from surgeon.formats.format import Lowered
from surgeon.formats.onnx.emitter import Emitter
from surgeon.formats.onnx.lowering import PluginNode, Standard, standard_rendering
from surgeon.formats.onnx.native import DOMAIN, FIXED_SHAPES, OPERATORS, native_attributes
from surgeon.formats.onnx.network import Weight, attributes
from surgeon.formats.onnx.partition import ExportGraph, tensor
from surgeon.graph import DType, Graph, Node, TensorSpec
from surgeon.optional import require
from surgeon.targets import Target, print_version

Rendering: TypeAlias = Literal["auto", "native", "standard", "efficient-nms"]
RENDERING_NAMES: tuple[Rendering, ...] = ("auto", "native", "standard", "efficient-nms")


@dataclass
class LoweredPlugins:
    """The nodes, constants and output types that plugin nodes became, and how each was written."""

    nodes: list[Any] = field(default_factory=list)
    weights: dict[str, Weight] = field(default_factory=dict)
    specs: dict[str, TensorSpec] = field(default_factory=dict)
    rendered: list[Lowered] = field(default_factory=list)


def choose_lowering(
    spec: PluginSpec, target: Target, rendering: Rendering, has_standard: bool, open_batch: bool = False
) -> tuple[str, str]:
    """Return how a plugin is written for a target, and why.

    ``auto`` takes the plugin where the target's TensorRT has it and its parser finds it, standard operators
    where not, or where the batch is open and the plugin's interface knows fixed shapes only;
    ``efficient-nms`` the same. Raise SurgeonError X145 where ``native`` is asked for and that cannot be, X146
    where there are no standard operators for it.
    """
    version = target.tensorrt
    registration = None if version is None else spec.registration_for(version)
    lack = _lack(spec, version)
    if rendering == "native" and lack:
        raise error(
            "X145",
            f"the plugin {spec.op} cannot be a plugin node for the target '{target.name}': {lack}",
            help=["choose '--plugins auto' or '--plugins standard', or another target"],
        )
    if (
        not lack
        and registration is not None
        and open_batch
        and registration.interface in FIXED_SHAPES
        and has_standard
    ):
        lack = f"a plugin of the interface {registration.interface} takes no open batch"
    if rendering == "native":
        return "native", ""
    if rendering != "standard" and not lack:
        return "native", f"TensorRT {print_version(version or ())} has the plugin"
    if not has_standard:
        remedy = (
            "choose a TensorRT that has the plugin as the target" if lack else "choose '--plugins native'"
        )
        raise error(
            "X146",
            f"the plugin {spec.op} has no rendering in standard operators of ONNX",
            spec.folder,
            help=[remedy],
        )
    return "standard", "" if rendering == "standard" else lack


def expected_lowering(graph: Graph, target: Target, catalog: Catalog) -> Iterator[Lowered]:
    """Yield how the plugin nodes of a rewritten graph are written for a target, where they can be."""
    for node in graph:
        if node.op not in catalog:
            continue
        has_standard = standard_rendering(catalog, node.op) is not None
        rendering: Rendering = "auto" if target.runs_plugins else "standard"
        try:
            how, reason = choose_lowering(catalog[node.op], target, rendering, has_standard)
        except SurgeonError:
            continue  # the exporter says what is wrong
        yield Lowered(node.name, node.op, how, reason)


def _lack(spec: PluginSpec, version: tuple[int, ...] | None) -> str:
    """Return why a plugin cannot be a node that TensorRT ``version`` finds; empty where it can."""
    if version is None:
        return "the target's runtime has no plugins"
    if not spec.exists_in(version):
        return f"TensorRT {print_version(version)} does not have it"
    if spec.creator in OPERATORS:
        return f"TensorRT's parser takes the name {spec.creator} for ONNX's own operator"
    return ""


def lower_plugins(at: ExportGraph, target: Target, rendering: Rendering, opset: int) -> LoweredPlugins:
    """Return what the plugin nodes of a graph become.

    Raise SurgeonError as :func:`choose_lowering`, C102 to C108 for wrong fields, C111 for a plugin's file
    that fails, and X147 for a rendering that does not give the plugin's outputs.
    """
    found = LoweredPlugins()
    problems: dict[str, SurgeonError] = {}
    for node in at.plugins:
        try:
            _lower(at, node, target, rendering, opset, found)
        except SurgeonError as exc:
            problems.setdefault(node.op, exc)
    if problems:
        raise SurgeonError(*(diagnostic for exc in problems.values() for diagnostic in exc.diagnostics))
    return found


def _lower(
    at: ExportGraph, node: Node, target: Target, rendering: Rendering, opset: int, found: LoweredPlugins
) -> None:
    spec = at.catalog[node.op]
    given = {key: _plain(value) for key, value in node.attrs.items() if key in spec.fields}
    outputs = [f"{node.name}:{slot}" for slot in range(len(spec.output_ports(given)))]
    other = standard_rendering(at.catalog, node.op, "efficient_nms") if rendering == "efficient-nms" else None
    if other is not None:
        _check_efficient_nms(at, target)
        _write(at, node, other, given, outputs, target, opset, found)
        found.rendered.append(Lowered(node.name, node.op, "efficient-nms"))
        return
    standard = standard_rendering(at.catalog, node.op)
    how, reason = choose_lowering(spec, target, rendering, standard is not None, at.open_batch)
    if how == "standard" and standard is not None:
        _write(at, node, standard, given, outputs, target, opset, found)
        found.rendered.append(Lowered(node.name, node.op, how, reason))
        return
    fields = native_attributes(spec, given, target.version)
    helper = require("onnx.helper", "writing ONNX")
    inputs = _native_inputs(at, node, given, opset, target, found)
    found.nodes.append(
        helper.make_node(spec.creator, inputs, outputs, name=node.name, domain=DOMAIN, **fields)
    )
    for name, made in zip(
        outputs, spec.output_specs(given, [at.spec(ref) for ref in node.inputs]), strict=True
    ):
        if made.shape.rank is not None:
            found.specs[name] = TensorSpec(made.dtype or DType.FLOAT32, made.shape)
    found.rendered.append(Lowered(node.name, node.op, how, reason, fields["plugin_version"]))


def _native_inputs(
    at: ExportGraph, node: Node, given: Mapping[str, Any], opset: int, target: Target, found: LoweredPlugins
) -> list[str]:
    """Return what a plugin node reads.

    Where the plugin takes its inputs otherwise than the graph gives them, add the nodes that arrange them.
    """
    inputs = tuple(tensor(ref) for ref in node.inputs)
    arranged = standard_rendering(at.catalog, node.op, "native_inputs")
    if arranged is None:
        return list(inputs)
    spec = at.catalog[node.op]
    emit = Emitter(node.name, opset, target.lacks)
    specs = tuple(at.spec(ref) for ref in node.inputs)
    names = list(arranged(PluginNode(spec, spec.complete(given), inputs, specs, emit, at.catalog, target)))
    found.nodes += emit.nodes
    found.weights |= {proto.name: Weight.of_proto(proto) for proto in emit.initializers}
    return names


def _check_efficient_nms(at: ExportGraph, target: Target) -> None:
    spec = at.catalog["EfficientNMS_TRT"]
    lack = _lack(spec, target.tensorrt)
    if lack:
        raise error(
            "X145",
            f"the plugin {spec.op} cannot be a plugin node for the target '{target.name}': {lack}",
            help=["choose '--plugins auto', or another target"],
        )


def _write(
    at: ExportGraph,
    node: Node,
    rendering: Standard,
    given: Mapping[str, Any],
    outputs: list[str],
    target: Target,
    opset: int,
    found: LoweredPlugins,
) -> None:
    """Add the nodes of a rendering, its outputs under the names that readers know."""
    spec = at.catalog[node.op]
    emit = Emitter(node.name, opset, target.lacks)
    inputs, specs = tuple(tensor(ref) for ref in node.inputs), tuple(at.spec(ref) for ref in node.inputs)
    made = list(rendering(PluginNode(spec, spec.complete(given), inputs, specs, emit, at.catalog, target)))
    if len(made) != len(outputs):
        raise error(
            "X147",
            f"the rendering of {spec.op} gives {plural(len(made), 'output')}; expected {len(outputs)}",
            getattr(spec.code("onnx"), "__file__", None),
            help=["correct the function of this file"],
        )
    found.nodes += emit.nodes
    found.weights |= {proto.name: Weight.of_proto(proto) for proto in emit.initializers}
    helper = require("onnx.helper", "writing ONNX")
    for slot, (name, output) in enumerate(zip(made, outputs, strict=True)):
        found.nodes.append(helper.make_node("Identity", [name], [output], name=f"{node.name}/port_{slot}"))
    found.specs |= _specs_of_plugins(at, emit, specs)


def _specs_of_plugins(at: ExportGraph, emit: Emitter, specs: tuple[TensorSpec, ...]) -> dict[str, TensorSpec]:
    """Return types and shapes of the outputs of plugin nodes inside a rendering.

    Some are missing where the nodes' attributes do not tell them.
    """
    found: dict[str, TensorSpec] = {}
    batch = next((spec.shape.dims[0] for spec in specs if spec.shape.dims), None)
    for made in emit.nodes:
        if made.domain == DOMAIN and made.op_type == "EfficientNMS_TRT":
            most = attributes(made)["max_output_boxes"]
            shapes = (
                TensorSpec.of("int32", batch, 1),
                TensorSpec.of("float32", batch, most, 4),
                TensorSpec.of("float32", batch, most),
                TensorSpec.of("int32", batch, most),
            )
            found |= dict(zip(made.output, shapes, strict=True))
    return found


def _plain(value: Any) -> Any:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value
