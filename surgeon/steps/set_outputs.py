"""The step ``set-outputs``."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from surgeon.graph import Edit, Ref, SetOutputs
from surgeon.steps.placing import tensors_in_graph
from surgeon.steps.step import Step, StepContext


class DeclareOutputs(Step):
    """Declare the graph's outputs; nothing is taken out ('prune' does that).

    Before::

        graph v1
        x = Placeholder() {dtype: float32, shape: shape[1,4]}
        y = Relu(x) {T: float32}
        z = Neg(y) {T: float32}

    Step::

        step: set-outputs
        outputs: [y]

    After::

        graph v1
        outputs: y
        x = Placeholder() {dtype: float32, shape: shape[1,4]}
        y = Relu(x) {T: float32}
        z = Neg(y) {T: float32}
    """

    keyword: ClassVar[str] = "set-outputs"
    step: Literal["set-outputs"] = "set-outputs"
    outputs: tuple[str, ...] = Field(
        description="Outputs, in order: NODE, NODE:1, NODE:port or NODE:*.", min_length=1
    )

    def plan(self, context: StepContext) -> list[Edit]:
        found: list[Ref] = []
        for i, text in enumerate(self.outputs):
            found += tensors_in_graph(context, text, "outputs", i)
        return [SetOutputs(tuple(dict.fromkeys(found)), context.at("outputs"))]
