"""The step ``connect``."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from surgeon.diagnostics import nearest_note
from surgeon.graph import Edit, Node, Rewire
from surgeon.steps.placing import tensors_in_graph
from surgeon.steps.removal import counted
from surgeon.steps.step import Step, StepContext


class Connect(Step):
    """Add an edge: a data input at a position, or a control edge.

    Count attributes (N) of Pack, ConcatV2 and AddN follow.

    Before::

        graph v1
        a = Placeholder() {dtype: float32, shape: shape[1,4]}
        b = Placeholder() {dtype: float32, shape: shape[1,4]}
        c = AddN(a) {N: 1, T: float32}

    Step::

        step: connect
        from: b
        to: c
        at: 0

    After::

        graph v1
        a = Placeholder() {dtype: float32, shape: shape[1,4]}
        b = Placeholder() {dtype: float32, shape: shape[1,4]}
        c = AddN(b, a) {N: 2, T: float32}
    """

    keyword: ClassVar[str] = "connect"
    step: Literal["connect"] = "connect"
    from_: str = Field(alias="from", description="Tensor that is read: NODE, NODE:1, NODE:port or NODE:*.")
    to: str = Field(description="Node that reads it.")
    at: int | Literal["end"] = Field(
        "end", description="Position among the data inputs, from 0; 'end' appends."
    )
    control: bool = Field(False, description="Add a control edge instead: the node runs after the other.")

    def plan(self, context: StepContext) -> list[Edit]:
        refs = tensors_in_graph(context, self.from_, "from")
        node = node_in_graph(context, self.to, "to")
        span = context.span
        if self.control:
            return [
                Rewire(node.name, None, tuple(dict.fromkeys((*node.control, *(r.node for r in refs)))), span)
            ]
        at = len(node.inputs) if self.at == "end" else self.at
        if not 0 <= at <= len(node.inputs):
            raise context.fail(
                "S210",
                f"'{node.name}' ({node.op}) has {len(node.inputs)} data inputs; position {at} is not "
                f"between 0 and {len(node.inputs)}",
                "at",
                help=["leave 'at' out to append"],
            )
        inputs = (*node.inputs[:at], *refs, *node.inputs[at:])
        return [Rewire(node.name, inputs, None, span), *counted(context, node.name, len(inputs))]


def node_in_graph(context: StepContext, name: str, *path: str | int) -> Node:
    """Return a node; raise SurgeonError S202 naming the nearest spellings where there is none."""
    node = context.graph.get(name)
    if node is None:
        notes = nearest_note(name, context.graph.nodes)
        raise context.fail(
            "S202",
            f"'{name}' is not in the graph at this step; expected the name of a node",
            *path,
            notes=notes,
        )
    return node
