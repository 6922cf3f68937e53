"""The step ``remove``."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from surgeon.graph import Edit
from surgeon.steps.removal import take_out
from surgeon.steps.selector import Selection, select
from surgeon.steps.step import Step, StepContext


class Remove(Step):
    """Take nodes out, with the control edges from them.

    A node that stays and reads one of them is an error that names it, unless 'disconnect' takes that input
    away from it. With 'exclusive', what only the removed nodes need goes as well, except placeholders and
    declared outputs.

    Before::

        graph v1
        x = Placeholder() {dtype: float32, shape: shape[1,4]}
        limit = Const() {dtype: float32, value: tensor<float32[]: 6.0>}
        summary/scaled = Mul(x, limit) {T: float32}
        summary/tag = Const() {dtype: string, value: tensor<string[]: "x">}
        summary = HistogramSummary(summary/tag, summary/scaled) {T: float32}
        y = Relu(x, ^summary) {T: float32}

    Step::

        step: remove
        nodes: [{op: HistogramSummary}]
        exclusive: true

    After::

        graph v1
        x = Placeholder() {dtype: float32, shape: shape[1,4]}
        y = Relu(x) {T: float32}
    """

    keyword: ClassVar[str] = "remove"
    step: Literal["remove"] = "remove"
    nodes: Selection = Field(description="Nodes to take out: namespaces, whole names and selectors.")
    exclusive: bool = Field(False, description="Take out what only they need as well.")
    disconnect: bool = Field(False, description="Take their edges away from nodes that stay and read them.")

    def plan(self, context: StepContext) -> list[Edit]:
        chosen = select(context, self.nodes, "nodes")
        return take_out(
            context,
            dict.fromkeys(chosen, "removed"),
            "nodes",
            exclusive="only needed by nodes that were removed" if self.exclusive else None,
            disconnect=self.disconnect,
        )
