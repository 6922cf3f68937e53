"""The step ``remove-asserts``."""

from __future__ import annotations

from typing import ClassVar, Literal

from surgeon.graph import Edit
from surgeon.graph.op_sets import CHECKS
from surgeon.steps.removal import take_out
from surgeon.steps.step import Step, StepContext


class RemoveAsserts(Step):
    """Take out Assert and PrintV2 nodes, the control edges from them, and what only they need.

    Placeholders and declared outputs stay. In a loop or branch, where a control edge may be all that holds a
    constant in it, the edge is replaced by one from what the check needed.

    Before::

        graph v1
        x = Placeholder() {dtype: float32, shape: shape[?]}
        zero = Const() {dtype: float32, value: tensor<float32[]: 0.0>}
        check/ok = GreaterEqual(x, zero) {T: float32}
        check/text = Const() {dtype: string, value: tensor<string[]: "negative">}
        check/Assert = Assert(check/ok, check/text) {T: [string], summarize: 3}
        y = Sqrt(x, ^check/Assert) {T: float32}

    Step::

        step: remove-asserts

    After::

        graph v1
        x = Placeholder() {dtype: float32, shape: shape[?]}
        y = Sqrt(x) {T: float32}
    """

    keyword: ClassVar[str] = "remove-asserts"
    step: Literal["remove-asserts"] = "remove-asserts"

    def plan(self, context: StepContext) -> list[Edit]:
        checks = {n.name: f"{n.op} taken out" for n in context.graph if n.op in CHECKS}
        return take_out(context, checks, exclusive="only needed by checks") if checks else []
