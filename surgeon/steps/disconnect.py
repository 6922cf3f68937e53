"""The step ``disconnect``."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from surgeon.graph import Edit, Node, Ref, Rewire
from surgeon.steps.connect import node_in_graph
from surgeon.steps.placing import resolve
from surgeon.steps.removal import counted
from surgeon.steps.step import Step, StepContext


class Disconnect(Step):
    """Take an edge away: every data input of a node that is one tensor, or a control edge.

    Count attributes (N) of Pack, ConcatV2 and AddN follow.

    Before::

        graph v1
        Input = Placeholder() {dtype: float32, shape: shape[1,4]}
        boxes = Relu(Input) {T: float32}
        NMS = NMS_TRT(boxes, Input)

    Step::

        step: disconnect
        from: Input
        to: NMS

    After::

        graph v1
        Input = Placeholder() {dtype: float32, shape: shape[1,4]}
        boxes = Relu(Input) {T: float32}
        NMS = NMS_TRT(boxes)
    """

    keyword: ClassVar[str] = "disconnect"
    step: Literal["disconnect"] = "disconnect"
    from_: str = Field(
        alias="from", description="Tensor that is no longer read: NODE, NODE:1, NODE:port; NODE:* for all."
    )
    to: str = Field(description="Node that reads it.")
    control: bool = Field(False, description="Take the control edge away instead.")
    optional: bool = Field(False, description="No error where there is no such edge.")

    def plan(self, context: StepContext) -> list[Edit]:
        if self.optional and self.to not in context.graph:
            return []
        node = node_in_graph(context, self.to, "to")
        name, _, port = self.from_.rpartition(":")
        if self.control:
            control = tuple(c for c in node.control if c != self.from_)
            if len(control) < len(node.control):
                return [Rewire(node.name, None, control, context.span)]
            return self._nothing(context, node)
        if port == "*" and name not in context.nodes:
            gone = {ref for ref in node.inputs if ref.node == name}
        elif self.from_ in context.graph or self.from_ in context.nodes or not self.optional:
            gone = set(resolve(context, self.from_, "from"))
        else:
            gone = {Ref(self.from_)}
        inputs = tuple(ref for ref in node.inputs if ref not in gone)
        if len(inputs) == len(node.inputs):
            return self._nothing(context, node)
        return [Rewire(node.name, inputs, None, context.span), *counted(context, node.name, len(inputs))]

    def _nothing(self, context: StepContext, node: Node) -> list[Edit]:
        if self.optional:
            return []
        reads = ", ".join([f"'{r}'" for r in node.inputs] + [f"'^{c}'" for c in node.control]) or "nothing"
        kind = "no control edge from" if self.control else "does not read"
        problem = f"has {kind}" if self.control else kind
        other = {ref.node for ref in node.inputs} if self.control else set(node.control)
        hint = f"'control: {'false' if self.control else 'true'}' takes the other kind of edge away"
        raise context.fail(
            "S211",
            f"'{node.name}' ({node.op}) {problem} '{self.from_}'; expected an edge to take away",
            "from",
            notes=[f"it reads {reads:.300}"],
            help=[hint] if self.from_ in other else ["write 'optional: true' if that may be"],
        )
