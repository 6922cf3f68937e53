"""The step ``fix-inputs``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from pydantic import Field

from surgeon.diagnostics import nearest_note
from surgeon.graph import DType, Edit, Node, Ref, Rewire, SetAttr, SetOp, Shape, TensorValue
from surgeon.graph.op_sets import PLACEHOLDERS
from surgeon.steps.placing import tensor_of
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
            node = context.graph.get(name)
            if node is None or node.op not in PLACEHOLDERS:
                problem = "is not in the graph" if node is None else f"is not a placeholder, but {node.op}"
                inputs = [n.name for n in context.graph if n.op in PLACEHOLDERS]
                shown = ", ".join(f"'{n}'" for n in inputs[:8]) or "none"
                raise context.fail(
                    "S225",
                    f"'{name}' {problem}; expected an input of the graph",
                    "values",
                    name,
                    notes=[f"inputs: {shown}", *nearest_note(name, inputs)],
                    help=["name one of these inputs; 'cut-at' makes an input of another tensor"],
                )
            tensor = self._tensor(context, node, value)
            span = context.at("values", name)
            edits.append(SetOp(name, "Const", span))
            if node.inputs or node.control:
                edits.append(Rewire(name, (), (), span))
            edits += [
                SetAttr(name, key, None, span) for key in ("shape", "_output_shapes") if key in node.attrs
            ]
            edits += [SetAttr(name, "dtype", tensor.dtype, span), SetAttr(name, "value", tensor, span)]
        return edits

    def _tensor(self, context: StepContext, node: Node, value: Any) -> TensorValue:
        """Return the value in the type and shape that a placeholder declares."""
        import numpy as np

        dtype = node.attrs.get("dtype")
        what = f"the input '{node.name}'"
        wanted = dtype if isinstance(dtype, DType) else None
        tensor = tensor_of(context, value, what, wanted, "values", node.name)
        declared = context.inference.spec(Ref(node.name)).shape
        if not tensor.shape and declared.dims and declared.is_static:
            return TensorValue.of(np.full(declared.static(), tensor.array()), tensor.dtype)
        if not declared.compatible(Shape(tensor.shape)):
            raise context.fail(
                "S226",
                f"{what} is {tensor.dtype.value}{declared}; the value has the shape {Shape(tensor.shape)}",
                "values",
                node.name,
                help=["give a value of the input's shape, or one number for all of it"],
            )
        return tensor
