"""The step ``pin-batch``."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar, Literal

from pydantic import Field

from surgeon.graph import Add, Drop, Edit, Graph, Node, Ref, Rewire, SetAttr, Shape, apply_edits
from surgeon.graph.frames import conditional
from surgeon.graph.op_sets import PLACEHOLDERS
from surgeon.steps.attributes import declared_spec
from surgeon.steps.placing import free_name, tensor_of
from surgeon.steps.removal import unneeded
from surgeon.steps.step import Step, StepContext


class PinBatch(Step):
    """Fix the batch size, and make reshape targets that are built from it constant.

    Placeholders get the batch as their first dimension where that is unknown. The target of a Reshape that is
    computed (from tf.shape, most often) becomes a constant, with -1 for one dimension at most; what only
    computed it goes. A Reshape inside a loop or branch stays. One of which more than one dimension is unknown
    stays, with a note.

    Before::

        graph v1
        x = Placeholder() {dtype: float32, shape: shape[?,2,3]}
        shape = Shape(x) {T: float32, out_type: int32}
        zero = Const() {dtype: int32, value: tensor<int32[1]: 0>}
        one = Const() {dtype: int32, value: tensor<int32[1]: 1>}
        batch = StridedSlice(shape, zero, one, one) {Index: int32, T: int32, shrink_axis_mask: 1}
        rest = Const() {dtype: int32, value: tensor<int32[]: -1>}
        target = Pack(batch, rest) {N: 2, T: int32, axis: 0}
        y = Reshape(x, target) {T: float32, Tshape: int32}

    Step::

        step: pin-batch
        batch: 1

    After::

        graph v1
        x = Placeholder() {dtype: float32, shape: shape[1,2,3]}
        y/shape = Const() {dtype: int32, value: tensor<int32[2]: 1, -1>}
        y = Reshape(x, y/shape) {T: float32, Tshape: int32}
    """

    keyword: ClassVar[str] = "pin-batch"
    step: Literal["pin-batch"] = "pin-batch"
    batch: int = Field(1, ge=1, lt=1 << 31, strict=True, description="Number of pictures at a time.")

    def plan(self, context: StepContext) -> list[Edit]:
        pins = self.pins(context)
        pinned = replace(context, graph=apply_edits(context.graph, pins))
        inside = conditional(context.graph)
        targets = [
            n for n in context.graph if n.name not in inside and _has_computed_target(context.graph, n)
        ]
        edits: list[Edit] = []
        rewired: dict[str, tuple[str, ...]] = {}
        taken: set[str] = set()
        for node in targets:
            dims = _target(pinned, node)
            if dims is None:
                context.note(
                    "S214",
                    f"the target of '{node.name}' (Reshape) stays computed; more than one of its dimensions "
                    "is unknown with the batch pinned",
                    notes=(f"target: '{node.inputs[1]}'",),
                )
                continue
            name = free_name(context, f"{node.name}/shape", taken)
            taken.add(name)
            dtype = context.inference.spec(node.inputs[1]).dtype
            value = tensor_of(context, list(dims), f"the target of '{node.name}'", dtype)
            edits.append(
                Add(
                    Node(name, "Const", attrs={"dtype": value.dtype, "value": value}), node.name, context.span
                )
            )
            edits.append(Rewire(node.name, (node.inputs[0], Ref(name)), None, context.span))
            rewired[node.name] = (node.inputs[0].node, *node.control)
        keep = {n.name for n in context.graph if n.op in PLACEHOLDERS} | {
            t.rpartition(":")[0] or t for t in context.outputs
        }
        for name in unneeded(context.graph, (), rewired, keep):
            edits.append(Drop(name, "computed a reshape target that is now constant", None, context.span))
        return [*pins, *edits]

    def pins(self, context: StepContext) -> list[Edit]:
        """Return the edits that give the placeholders of open batch this one."""
        pins: list[Edit] = []
        for node in context.graph:
            dims = declared_spec(node.attrs).shape.dims
            if node.op in PLACEHOLDERS and dims and dims[0] is None:
                pins.append(SetAttr(node.name, "shape", Shape((self.batch, *dims[1:])), context.at("batch")))
        return pins


def _has_computed_target(graph: Graph, node: Node) -> bool:
    return node.op == "Reshape" and len(node.inputs) == 2 and graph[node.inputs[1].node].op != "Const"


def _target(context: StepContext, node: Node) -> tuple[int, ...] | None:
    """Return a Reshape's target with -1 for its one unknown dimension; None where more are unknown."""
    result = context.inference.spec(Ref(node.name)).shape.dims
    dims = context.inference.shape_value(node.inputs[1]) or result
    if dims is None:
        return None
    if result is not None and len(result) == len(dims):
        dims = tuple(r if d is None else d for d, r in zip(dims, result, strict=True))
    out = tuple(-1 if d is None else d for d in dims)
    return out if sum(d < 0 for d in out) <= 1 else None
