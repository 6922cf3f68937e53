"""The step ``fix-inputs``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from pydantic import Field

from surgeon.diagnostics import Span
from surgeon.graph import DType, Edit, Node, Ref, Rewire, SetAttr, SetOp, Shape, TensorValue
from surgeon.steps.placing import placeholder, tensor_of
from surgeon.steps.step import Step, StepContext


class FixInputs(Step):
    """Make inputs of the graph constants: ``phase_train`` false, ``keep_prob`` 1.0.

    A placeholder keeps its name. Put the step first: steps behind it that fold constants and branches then
    leave only what is computed at inference.

    Before::

        graph v1
        x = Placeholder() {dtype: float32, shape: shape[1,4]}
        scale = Placeholder() {dtype: float32, shape: shape[]}
        y = Mul(x, scale) {T: float32}

    Step::

        step: fix-inputs
        values: {scale: 1}

    After::

        graph v1
        x = Placeholder() {dtype: float32, shape: shape[1,4]}
        scale = Const() {dtype: float32, value: tensor<float32[]: 1.0>}
        y = Mul(x, scale) {T: float32}
    """

    keyword: ClassVar[str] = "fix-inputs"
    step: Literal["fix-inputs"] = "fix-inputs"
    values: Mapping[str, Any] = Field(
        description="Placeholders with their value: a number, true or false, a text, or nested lists. One "
        "number fills a shape that is known.",
        min_length=1,
    )

    def plan(self, context: StepContext) -> list[Edit]:
        edits: list[Edit] = []
        for name, value in self.values.items():
            tensor = input_value(context, name, value, "values", name)
            edits += as_constant(context.graph[name], tensor, context.at("values", name))
        return edits


def input_value(context: StepContext, name: str, value: Any, *path: str | int) -> TensorValue:
    """Return the value in the type and shape that a placeholder declares; one number fills a known shape.

    ``path`` places the value in the step. Raise SurgeonError S225 where ``name`` is no placeholder of the
    graph, S226 where the placeholder cannot have this value.
    """
    import numpy as np

    node = check_input(context, name, *path)
    dtype = node.attrs.get("dtype")
    what = f"the input '{name}'"
    tensor = tensor_of(context, value, what, dtype if isinstance(dtype, DType) else None, *path)
    declared = context.inference.spec(Ref(name)).shape
    if not tensor.shape and declared.dims and declared.is_static:
        return TensorValue.of(np.full(declared.static(), tensor.array()), tensor.dtype)
    if not declared.compatible(Shape(tensor.shape)):
        raise context.fail(
            "S226",
            f"{what} is {tensor.dtype.value}{declared}; the value has the shape {Shape(tensor.shape)}",
            *path,
            help=["give a value of the input's shape, or one number for all of it"],
        )
    return tensor


def check_input(context: StepContext, name: str, *path: str | int) -> Node:
    """Return a placeholder of the graph; raise SurgeonError S225 where ``name`` is none."""
    help = ["name one of these inputs; 'cut-at' makes an input of another tensor"]
    return placeholder(context, name, "S225", *path, help=help)


def as_constant(node: Node, value: TensorValue, span: Span | None) -> list[Edit]:
    """Plan to make a node a constant of its name, without inputs."""
    edits: list[Edit] = [SetOp(node.name, "Const", span)]
    if node.inputs or node.control:
        edits.append(Rewire(node.name, (), (), span))
    edits += [
        SetAttr(node.name, key, None, span) for key in node.attrs if key not in ("dtype", "value", "_class")
    ]
    return [
        *edits,
        SetAttr(node.name, "dtype", value.dtype, span),
        SetAttr(node.name, "value", value, span),
    ]
