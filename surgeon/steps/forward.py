"""The step ``forward``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

from pydantic import Field

from surgeon.graph import Edit, Node, Ref
from surgeon.steps.forwarding import forward, obstacles
from surgeon.steps.removal import higher_outputs
from surgeon.steps.selector import Selection, select
from surgeon.steps.step import Step, StepContext


class Forward(Step):
    """Take nodes out and join their readers to one of their data inputs.

    Refused where the types or shapes of input and output are known and differ, where a reader reads an output
    above 0, and where control edges cannot follow.

    Before::

        graph v1
        x = Placeholder() {dtype: float32, shape: shape[1,4]}
        rate = Const() {dtype: float32, value: tensor<float32[]: 1.0>}
        dropout = Mul(x, rate) {T: float32}
        y = Relu(dropout) {T: float32}

    Step::

        step: forward
        nodes: [dropout]

    After::

        graph v1
        x = Placeholder() {dtype: float32, shape: shape[1,4]}
        rate = Const() {dtype: float32, value: tensor<float32[]: 1.0>}
        y = Relu(x) {T: float32}
    """

    keyword: ClassVar[str] = "forward"
    step: Literal["forward"] = "forward"
    nodes: Selection = Field(description="Nodes to take out: namespaces, whole names and selectors.")
    input: int = Field(0, ge=0, description="Data input that the readers are joined to, from 0.")

    def plan(self, context: StepContext) -> list[Edit]:
        gone = [context.graph[name] for name in select(context, self.nodes, "nodes")]
        several = higher_outputs(context.graph)
        for node in gone:
            self._check(context, node, several)
        for name, reason in obstacles(context.graph, gone, self.input).items():
            raise context.fail(
                "S205",
                f"node '{name}' ({context.graph[name].op}) cannot be forwarded; {reason}",
                "nodes",
                help=["leave the node out, or disconnect that edge first"],
            )
        return forward(context, gone, "forwarded", self.input, "nodes")

    def _check(self, context: StepContext, node: Node, several: Mapping[str, tuple[str, int]]) -> None:
        shown = f"node '{node.name}' ({node.op})"
        if self.input >= len(node.inputs):
            raise context.fail(
                "S205",
                f"{shown} cannot be forwarded to input {self.input}; it has {len(node.inputs)} data inputs",
                "input" if self.input else "nodes",
            )
        if node.name in several:
            reader, slot = several[node.name]
            problem = f"'{reader}' reads" if reader else "the graph declares"
            raise context.fail(
                "S205",
                f"{shown} cannot be forwarded; {problem} its output {slot}, and only output 0 is joined to "
                "an input",
                "nodes",
            )
        check_join(context, node.inputs[self.input], Ref(node.name), "nodes")


def check_join(context: StepContext, source: Ref, place: Ref, *path: str | int) -> None:
    """Raise SurgeonError S204 where ``source`` cannot stand for ``place``: known type or shape differ."""
    given, needed = context.inference.spec(source), context.inference.spec(place)
    if not given.compatible(needed):
        raise context.fail(
            "S204",
            f"'{source}' cannot stand for '{place}'; it is {given}, and {needed} is expected",
            *path,
            notes=[f"'{source}': {given}", f"'{place}': {needed}"],
            help=["choose the input that has the output's type and shape"],
        )
