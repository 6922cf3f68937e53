"""The step ``fold-constants``."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from surgeon.graph import (
    Add,
    AttrValue,
    Drop,
    Edit,
    Graph,
    Node,
    Ref,
    Rewire,
    SetAttr,
    SetOp,
    TensorDigest,
    TensorRef,
    TensorValue,
)
from surgeon.graph.frames import conditional
from surgeon.graph.op_sets import IDENTITIES, PLACEHOLDERS, SWITCHES
from surgeon.steps.branches import take_branches
from surgeon.steps.passes import one_batch
from surgeon.steps.placing import free_name
from surgeon.steps.removal import higher_outputs, unneeded
from surgeon.steps.selector import Selection, select
from surgeon.steps.step import Step, StepContext

_LEFT_ALONE = IDENTITIES | PLACEHOLDERS | {"Const"}

LIMIT = 16 << 20
"""Bytes by which folding may make a graph grow unless a recipe says otherwise."""


class FoldConstants(Step):
    """Replace nodes whose value does not depend on any input by constants of their names.

    Only what other nodes read is replaced; what computed it goes. An output above 0 becomes a constant
    'NODE/1'. A constant keeps the control inputs of all
    that it replaces. A conditional whose predicate is constant becomes the branch that is taken, unless
    'nodes' is given; nodes inside loops and other branches stay. 'limit' bounds each constant and, together,
    the bytes by which the graph may grow; a node above it stays.

    Before::

        graph v1
        x = Placeholder() {dtype: float32, shape: shape[1,2]}
        a = Const() {dtype: float32, value: tensor<float32[2]: 1.0, 2.0>}
        b = Const() {dtype: float32, value: tensor<float32[]: 3.0>}
        scaled = Mul(a, b) {T: float32}
        shifted = Add(scaled, b) {T: float32}
        y = Add(x, shifted) {T: float32}

    Step::

        step: fold-constants

    After::

        graph v1
        x = Placeholder() {dtype: float32, shape: shape[1,2]}
        shifted = Const() {dtype: float32, value: tensor<float32[2]: 6.0, 9.0>}
        y = Add(x, shifted) {T: float32}
    """

    keyword: ClassVar[str] = "fold-constants"
    step: Literal["fold-constants"] = "fold-constants"
    nodes: Selection | None = Field(None, description="Only among these nodes.")
    limit: int = Field(
        LIMIT, ge=0, description="Bytes of the largest constant made, and of the graph's growth."
    )

    def plan(self, context: StepContext) -> list[Edit]:
        if self.nodes is None and any(node.op in SWITCHES for node in context.graph):
            return one_batch(context, [take_branches, self._folded])
        return self._folded(context)

    def _folded(self, context: StepContext) -> list[Edit]:
        graph, span = context.graph, context.span
        names = [n.name for n in graph] if self.nodes is None else select(context, self.nodes, "nodes")
        values = self._values(context, names)
        read_outside = _read_outside(context, values)
        higher = _higher_values(context, values)
        folded: dict[str, TensorValue] = {}
        room = self.limit
        for name in (n for n in values if n in read_outside):
            made = values[name].nbytes + sum(value.nbytes for value in higher.get(name, {}).values())
            growth = max(0, made - _freed(graph, graph[name]))
            if growth <= room:
                folded[name] = values[name]
                room -= growth
        control = _controls(context, folded, values)
        gone = unneeded(graph, (), control, _kept_names(context))
        left = set(gone)
        edits: list[Edit] = []
        for name, value in folded.items():
            if name in left:
                continue
            edits += [SetOp(name, "Const", span), Rewire(name, (), control[name], span)]
            edits += [
                SetAttr(name, key, None, span)
                for key in graph[name].attrs
                if key not in ("dtype", "value", "_class")
            ]
            edits += [SetAttr(name, "dtype", value.dtype, span), SetAttr(name, "value", value, span)]
        edits += [Drop(name, "computed a constant that is now folded", None, span) for name in gone]
        apart = {name: higher[name] for name in folded if name in higher and name not in left}
        return edits + _apart(context, apart, control, {*left, *folded})

    def _values(self, context: StepContext, names: list[str]) -> dict[str, TensorValue]:
        """Return the nodes of which all that is read is constant and within the limit, in graph order, with
        the value of output 0.
        """
        graph = context.graph
        found: dict[str, TensorValue] = {}
        inside = conditional(graph)
        several = higher_outputs(graph)
        for name in names:
            node = graph[name]
            if node.op in _LEFT_ALONE or name in inside:
                continue
            if name in several and not self._all_constant(context, name):
                continue
            size = context.inference.spec(Ref(name))
            if (size.shape.size or 0) * ((size.dtype and size.dtype.itemsize) or 1) > self.limit:
                continue
            value = constant(context, Ref(name))
            if value is not None and value.nbytes <= self.limit:
                found[name] = value
        return found

    def _all_constant(self, context: StepContext, name: str) -> bool:
        """Return whether every output that other nodes read is constant, and none above 0 is one of the
        graph's.
        """
        outputs = [str(ref) for ref in context.graph.outputs] + list(context.outputs)
        if any(text.startswith(f"{name}:") and text != f"{name}:0" for text in outputs):
            return False
        values = [constant(context, ref) for ref in _read(context.graph, name)]
        return all(value is not None and value.nbytes <= self.limit for value in values)


def _read(graph: Graph, name: str) -> list[Ref]:
    """Return the outputs of a node that other nodes read, in order."""
    refs = (ref for reader in graph.readers[name] for ref in graph[reader].inputs if ref.node == name)
    return sorted(set(refs))


def _higher_values(context: StepContext, values: dict[str, TensorValue]) -> dict[str, dict[Ref, TensorValue]]:
    """Return, for each node of ``values``, its outputs above 0 that are read, with their values."""
    found: dict[str, dict[Ref, TensorValue]] = {}
    for name in higher_outputs(context.graph):
        if name in values:
            read = {ref: constant(context, ref) for ref in _read(context.graph, name) if ref.slot}
            found[name] = {ref: value for ref, value in read.items() if value is not None}
    return found


def _apart(
    context: StepContext,
    higher: dict[str, dict[Ref, TensorValue]],
    control: dict[str, tuple[str, ...]],
    settled: set[str],
) -> list[Edit]:
    """Plan constants for outputs above 0, since a constant has one output, and that other nodes read them.

    ``settled`` are nodes that read nothing any more.
    """
    graph, span = context.graph, context.span
    edits: list[Edit] = []
    now: dict[Ref, Ref] = {}
    for name, values in higher.items():
        for ref, value in values.items():
            made = free_name(context, f"{name}/{ref.slot}", [each.node for each in now.values()])
            now[ref] = Ref(made)
            attrs: dict[str, AttrValue] = {"dtype": value.dtype, "value": value}
            edits.append(Add(Node(made, "Const", (), control[name], attrs), name, span))
    for reader in dict.fromkeys(reader for name in higher for reader in graph.readers[name]):
        inputs = tuple(now.get(ref, ref) for ref in graph[reader].inputs)
        if inputs != graph[reader].inputs and reader not in settled:
            edits.append(Rewire(reader, inputs, None, span))
    return edits


def constant(context: StepContext, ref: Ref) -> TensorValue | None:
    """Return a tensor's constant value, or None where it depends on an input."""
    value = context.inference.value(ref)
    if value is None:
        return None
    return TensorValue.of(value, context.inference.spec(ref).dtype)


def _kept_names(context: StepContext) -> set[str]:
    outputs = {text.rpartition(":")[0] or text for text in context.outputs}
    return outputs | {n.name for n in context.graph if n.op in PLACEHOLDERS}


def _read_outside(context: StepContext, values: dict[str, TensorValue]) -> set[str]:
    """Return the nodes of ``values`` that a node without a constant value reads, or that are outputs."""
    graph = context.graph
    outputs = {ref.node for ref in graph.outputs} | {
        text.rpartition(":")[0] or text for text in context.outputs
    }
    needed: set[str] = set()
    for node in graph:
        if node.name in values:
            if node.name in outputs or not graph.readers[node.name]:
                needed.add(node.name)
            continue
        needed.update(source for source in node.sources if source in values)
    return needed


def _freed(graph: Graph, node: Node) -> int:
    """Return the bytes of the constants that only ``node`` reads."""
    total = 0
    for source in dict.fromkeys(ref.node for ref in node.inputs):
        value = graph[source].attrs.get("value")
        if graph.readers[source] == (node.name,) and isinstance(
            value, TensorValue | TensorRef | TensorDigest
        ):
            total += value.nbytes
    return total


def _controls(
    context: StepContext, folded: dict[str, TensorValue], values: dict[str, TensorValue]
) -> dict[str, tuple[str, ...]]:
    """Return, for each folded node, the control inputs of it and of the constants that its value came
    from.
    """
    graph = context.graph

    def is_constant(name: str) -> bool:
        op = graph[name].op
        return (
            name in values
            or op == "Const"
            or (op in IDENTITIES and context.inference.value(Ref(name)) is not None)
        )

    found: dict[str, dict[str, None]] = {}
    for start in folded:
        stack = [start]
        while stack:
            node = graph[stack[-1]]
            constants = [] if node.name in found else [s for s in node.sources if is_constant(s)]
            waiting = [s for s in constants if s not in found]
            if waiting:
                stack += waiting
                continue
            stack.pop()
            if node.name not in found:
                merged = {c: None for c in node.control if c not in constants}
                for source in constants:
                    merged.update(found[source])
                found[node.name] = merged
    return {name: tuple(found[name]) for name in folded}
