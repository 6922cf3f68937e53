"""The step ``forward-identities``."""

from __future__ import annotations

from typing import ClassVar, Literal

from surgeon.graph import Edit
from surgeon.graph.op_sets import IDENTITIES
from surgeon.steps.forwarding import forward, obstacles
from surgeon.steps.step import Step, StepContext


class ForwardIdentities(Step):
    """Take out Identity nodes and join their readers to what they read.

    So are StopGradient, CheckNumerics, Snapshot and PreventGradient. Their control inputs move to the
    readers. Kept are those that nothing reads or that are outputs, since a caller may ask for them by name,
    and those that a control edge needs: behind a Switch, where a control edge cannot name the branch, and
    before a Merge, to which one branch's control inputs cannot move.

    Before::

        graph v1
        w = Const() {dtype: float32, value: tensor<float32[]: 1.0>}
        w/read = Identity(w) {T: float32}
        y = Neg(w/read) {T: float32}
        out = Identity(y) {T: float32}

    Step::

        step: forward-identities

    After::

        graph v1
        w = Const() {dtype: float32, value: tensor<float32[]: 1.0>}
        y = Neg(w) {T: float32}
        out = Identity(y) {T: float32}
    """

    keyword: ClassVar[str] = "forward-identities"
    step: Literal["forward-identities"] = "forward-identities"

    def plan(self, context: StepContext) -> list[Edit]:
        graph = context.graph
        outputs = {ref.node for ref in graph.outputs} | {
            text.rpartition(":")[0] or text for text in context.outputs
        }
        wanted = [
            n
            for n in graph
            if n.op in IDENTITIES and n.name not in outputs and len(n.inputs) == 1 and graph.readers[n.name]
        ]
        staying = obstacles(graph, wanted)
        return forward(context, [n for n in wanted if n.name not in staying], "forwarded")
