"""The step ``for-inference``."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from pydantic import Field, model_validator

from surgeon.garbage import no_garbage_collection
from surgeon.graph import (
    Drop,
    DType,
    Edit,
    Graph,
    Node,
    Ref,
    Rewire,
    SetAttr,
    SetOp,
    Shape,
    TensorValue,
)
from surgeon.graph.frames import conditional
from surgeon.graph.input_counts import check_input_counts
from surgeon.graph.op_sets import CHECKS, PLACEHOLDERS, RANDOM, has_effect, is_data_default, is_sink
from surgeon.infer.open_inputs import InputRole, open_inputs
from surgeon.steps.branches import take_branches
from surgeon.steps.dropout import inert_nodes
from surgeon.steps.fix_inputs import as_constant, check_input, input_value
from surgeon.steps.forward_identities import ForwardIdentities
from surgeon.steps.passes import Pass, one_batch
from surgeon.steps.prune import roots
from surgeon.steps.quantized_constants import quantized_constants
from surgeon.steps.removal import take_out, unneeded
from surgeon.steps.step import Step, StepContext

_OF_TRAINING = (InputRole.TRAINING, InputRole.KEEP_PROBABILITY, InputRole.DROPOUT_RATE)


class ForInference(Step):
    """Reduce a graph to what inference needs, without changing a number of its outputs.

    Conditionals and selections whose predicate is constant become the branch that is taken. Dropout and noise
    go where the bounds of their random numbers prove that they change nothing: with a rate of 0, or a
    probability to keep of 1. Rounding of constant weights is computed (FakeQuant, QuantizeAndDequantize,
    Dequantize of constants and of QuantizeV2). Asserts, control edges without effect, identities, and what no
    output needs, such as gradients, summaries, savers and losses, go.

    A scalar that is for training by the way it is read, such as 'phase_train' or 'keep_prob', gets its value
    for inference; 'constants' gives values to others, or other values. A placeholder that 'namespaces' maps
    to a Const of the recipe counts as this constant, and stays for 'collapse'. A PlaceholderWithDefault whose
    default is no data becomes its default. A note names each of them. What 'keep' lists stays an input.

    Before::

        graph v1
        outputs: out
        x = Placeholder() {dtype: float32, shape: shape[?,4]}
        keep_prob = Placeholder() {dtype: float32, shape: shape[]}
        dropout/Shape = Shape(x) {T: float32, out_type: int32}
        dropout/random = RandomUniform(dropout/Shape) {T: int32, dtype: float32, seed: 0, seed2: 0}
        dropout/add = Add(keep_prob, dropout/random) {T: float32}
        dropout/Floor = Floor(dropout/add) {T: float32}
        dropout/div = RealDiv(x, keep_prob) {T: float32}
        dropout/mul = Mul(dropout/div, dropout/Floor) {T: float32}
        out = Softmax(dropout/mul) {T: float32}
        label = Placeholder() {dtype: float32, shape: shape[?,4]}
        loss = SoftmaxCrossEntropyWithLogits(out, label) {T: float32}

    Step::

        step: for-inference
        constants: {keep_prob: 1.0}

    After::

        graph v1
        outputs: out
        x = Placeholder() {dtype: float32, shape: shape[?,4]}
        out = Softmax(x) {T: float32}
    """

    keyword: ClassVar[str] = "for-inference"
    step: Literal["for-inference"] = "for-inference"
    constants: Mapping[str, Any] = Field(
        default_factory=dict, description="Values of placeholders that are the same in every run, by name."
    )
    keep: tuple[str, ...] = Field((), description="Placeholders that stay inputs, such as 'keep_prob'.")

    @model_validator(mode="after")
    def _fixed_or_kept(self) -> ForInference:
        for name in self.keep:
            if name in self.constants:
                raise ValueError(f"'{name}' is in 'constants' and in 'keep'; expected one of the two")
        return self

    def plan(self, context: StepContext) -> list[Edit]:
        check_input_counts(context.graph)
        passes: dict[Pass, str] = {
            self._fixed: "a default",
            _without_checks: "a print",
            take_branches: "a conditional with a constant predicate",
            _without_dropout: "dropout, noise or a selection that changes nothing",
            _without_idle_control: "",
            _without_unneeded: "",
            _without_bundles: "",
            ForwardIdentities(id=None, when=None).plan: "",
            _rounded: "",
            _with_random_noted: "",
        }
        with no_garbage_collection():
            return one_batch(context, passes, _given_by_namespaces(context))

    def _fixed(self, context: StepContext) -> list[Edit]:
        """Plan to replace placeholders of constant value by constants, and note each."""
        graph = context.graph
        edits: list[Edit] = []
        values = dict(_given_by_namespaces(context))
        for i, name in enumerate(self.keep):
            check_input(context, name, "keep", i)
        for name, given in self.constants.items():
            values[name] = input_value(context, name, given, "constants", name)
        for name, value in values.items():
            edits += as_constant(graph[name], value, context.at("constants", name))
            if name in self.constants:
                _note(context, name, _shown(value), "constants", name)
        for scalar in open_inputs(graph) if any(map(_may_be_scalar, graph)) else ():
            name = scalar.ref.node
            if scalar.role not in _OF_TRAINING or not scalar.must_be_fixed or name in (*values, *self.keep):
                continue
            dtype = graph[name].attrs.get("dtype")
            values[name] = TensorValue.of(scalar.inference, dtype if isinstance(dtype, DType) else None)
            edits += as_constant(graph[name], values[name], context.span)
            _note(context, name, _shown(values[name]), why=scalar.reason)
        for node in graph:
            if node.op != "PlaceholderWithDefault" or node.name in (*values, *self.keep):
                continue
            if is_data_default(node):
                continue
            default = context.inference.value(node.inputs[0])
            if default is None or default.size != 1:
                continue  # what is no constant number is data, whose rank is not stated
            edits += _as_identity(context, node, node.inputs[0], "dtype")
            _note(context, node.name, f"its default, {_shown(TensorValue.of(default))},")
        return edits


def _may_be_scalar(node: Node) -> bool:
    shape = node.attrs.get("shape")
    return node.op in PLACEHOLDERS and not (isinstance(shape, Shape) and shape.rank)


def _note(context: StepContext, name: str, value: str, *path: str | int, why: str = "") -> None:
    message = f"the input '{name}' is fixed to {value} for inference"
    context.note("S420", message, *path, notes=(why,) if why else ())


def _shown(value: TensorValue) -> str:
    text = json.dumps(value.array().tolist(), default=str)
    return text if len(text) <= 60 else f"a constant {value.spec}"


def _given_by_namespaces(context: StepContext) -> dict[str, TensorValue]:
    """Return the placeholders that a namespace maps to a constant of the recipe, with its value."""
    found: dict[str, TensorValue] = {}
    for key, rule in context.namespaces.items():
        node = context.graph.get(key)
        constant_node = context.nodes.get(rule.node)
        if node is None or node.op not in PLACEHOLDERS or constant_node is None:
            continue
        value = constant_node.attrs.get("value")
        if constant_node.op == "Const" and isinstance(value, TensorValue):
            found[key] = value
    return found


def _as_identity(context: StepContext, node: Node, kept: Ref, type_key: str = "T") -> list[Edit]:
    """Plan to make a node pass on one of its inputs, under its name and with its control inputs."""
    name, span = node.name, context.span
    edits: list[Edit] = [SetOp(name, "Identity", span), Rewire(name, (kept,), None, span)]
    edits += [SetAttr(name, key, None, span) for key in node.attrs if key not in ("T", "_class")]
    dtype = node.attrs.get(type_key)
    return edits if type_key == "T" or dtype is None else [*edits, SetAttr(name, "T", dtype, span)]


def _without_checks(context: StepContext) -> list[Edit]:
    outputs = {ref.node for ref in roots(context)}
    checks = {n.name: f"{n.op} taken out" for n in context.graph if n.op in CHECKS and n.name not in outputs}
    edits = take_out(context, checks) if checks else []
    for node in context.graph:
        if node.op == "Print" and node.inputs:
            edits += _as_identity(context, node, node.inputs[0])
    return edits


def _without_dropout(context: StepContext) -> list[Edit]:
    edits: list[Edit] = []
    for name, kept in inert_nodes(context).items():
        edits += _as_identity(context, context.graph[name], kept)
    return edits


def _without_idle_control(context: StepContext) -> list[Edit]:
    """Plan to take away control edges that order nothing.

    Those in loops and branches may hold a node in them, and stay; so do those behind which something lasts.
    """
    graph = context.graph
    if not any(node.control for node in graph):
        return []
    inside = conditional(graph)
    lasting = _behind_effects(graph)
    edits: list[Edit] = []
    for node in graph:
        if not node.control or node.name in inside:
            continue
        control = tuple(c for c in node.control if c in inside or c in lasting)
        if control != node.control:
            edits.append(Rewire(node.name, None, control, context.span))
    return edits


def _behind_effects(graph: Graph) -> set[str]:
    """Return the nodes that have an effect, or wait for one that has; membership only."""
    waiting = [node.name for node in graph if has_effect(node.op)]
    found = set(waiting)
    while waiting:
        for reader in graph.readers[waiting.pop()]:
            if reader not in found:
                found.add(reader)
                waiting.append(reader)
    return found


def _without_unneeded(context: StepContext) -> list[Edit]:
    graph = context.graph
    outputs = [ref.node for ref in (*roots(context), *graph.outputs)]
    if not graph.outputs:
        results = [name for name in outputs if not is_sink(graph[name].op)]
        outputs = results or outputs
    needed = graph.ancestors([*outputs, *_given_by_namespaces(context)])
    return [Drop(n.name, "no output needs it", None, context.span) for n in graph if n.name not in needed]


def _without_bundles(context: StepContext) -> list[Edit]:
    """Plan to join the readers of IdentityN nodes to what these read, where no control edge needs them."""
    graph, span = context.graph, context.span
    outputs = {ref.node for ref in (*roots(context), *graph.outputs)}
    behind = {
        node.name: node.inputs
        for node in graph
        if node.op == "IdentityN" and not node.control and node.name not in outputs
    }
    for node in graph if behind else ():
        for name in node.control:
            behind.pop(name, None)
    for node in graph if behind else ():
        for ref in node.inputs:
            if ref.node in behind and ref.slot >= len(behind[ref.node]):
                del behind[ref.node]

    def source(ref: Ref) -> Ref:
        for _ in range(len(behind)):
            if ref.node not in behind:
                break
            ref = behind[ref.node][ref.slot]
        return ref

    edits: list[Edit] = [Drop(name, "its inputs are forwarded", None, span) for name in behind]
    for node in graph if behind else ():
        if node.name not in behind and any(ref.node in behind for ref in node.inputs):
            edits.append(Rewire(node.name, tuple(map(source, node.inputs)), None, span))
    return edits


def _with_random_noted(context: StepContext) -> list[Edit]:
    """Note the random numbers that the network still draws; plan nothing."""
    drawing = [node for node in context.graph if node.op in RANDOM]
    if drawing:
        more = f" and {len(drawing) - 1} more" if len(drawing) > 1 else ""
        context.note(
            "S421",
            f"the network draws random numbers at inference: '{drawing[0].name}' ({drawing[0].op}){more}",
        )
    return []


def _rounded(context: StepContext) -> list[Edit]:
    """Plan to compute the rounding of constant weights, whatever their size."""
    graph, span = context.graph, context.span
    values = quantized_constants(context)
    if not values:
        return []
    gone = unneeded(graph, (), dict.fromkeys(values, ()))
    edits: list[Edit] = []
    for name, value in values.items():
        if name not in gone:
            edits += as_constant(graph[name], value, span)
    return [*edits, *(Drop(name, "its rounding is computed", None, span) for name in gone)]
