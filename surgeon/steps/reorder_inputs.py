"""The step ``reorder-inputs``."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from surgeon.graph import Edit, Ref, Rewire
from surgeon.steps.connect import node_in_graph
from surgeon.steps.placing import resolve
from surgeon.steps.step import Step, StepContext


class ReorderInputs(Step):
    """Put data inputs of a node into an order: those listed first, in that order, the others after them as
    they were.

    Before::

        graph v1
        conf = Placeholder() {dtype: float32, shape: shape[1,4]}
        loc = Placeholder() {dtype: float32, shape: shape[1,4]}
        prior = Placeholder() {dtype: float32, shape: shape[1,4]}
        NMS = NMS_TRT(conf, loc, prior)

    Step::

        step: reorder-inputs
        node: NMS
        order: [loc, prior]

    After::

        graph v1
        conf = Placeholder() {dtype: float32, shape: shape[1,4]}
        loc = Placeholder() {dtype: float32, shape: shape[1,4]}
        prior = Placeholder() {dtype: float32, shape: shape[1,4]}
        NMS = NMS_TRT(loc, prior, conf)
    """

    keyword: ClassVar[str] = "reorder-inputs"
    step: Literal["reorder-inputs"] = "reorder-inputs"
    node: str = Field(description="Node whose inputs are put in order.")
    order: tuple[str, ...] = Field(description="Tensors that it reads, in the order wanted.", min_length=1)

    def plan(self, context: StepContext) -> list[Edit]:
        node = node_in_graph(context, self.node, "node")
        left: dict[Ref, int] = {}
        for ref in node.inputs:
            left[ref] = left.get(ref, 0) + 1
        front: list[Ref] = []
        for i, text in enumerate(self.order):
            for ref in resolve(context, text, "order", i):
                if not left.get(ref):
                    reads = ", ".join(f"'{r}'" for r in node.inputs) or "nothing"
                    problem = "is listed more often than it is read" if ref in left else "is not read"
                    raise context.fail(
                        "S212",
                        f"'{text}' {problem} by '{node.name}' ({node.op}); expected its data inputs",
                        "order",
                        i,
                        notes=[f"it reads {reads:.300}"],
                    )
                left[ref] -= 1
                front.append(ref)
        rest: list[Ref] = []
        skip = {ref: front.count(ref) for ref in dict.fromkeys(front)}
        for ref in node.inputs:
            if skip.get(ref, 0):
                skip[ref] -= 1
            else:
                rest.append(ref)
        return [Rewire(node.name, (*front, *rest), None, context.at("order"))]
