"""The step ``prune``."""

from __future__ import annotations

from typing import ClassVar, Literal

from surgeon.graph import Drop, Edit, Ref
from surgeon.steps.placing import resolve
from surgeon.steps.step import Step, StepContext


class Prune(Step):
    """Take out every node that no output needs, by data or control edges.

    The outputs are those of the recipe once all of them are in the graph, before that those that the graph
    declares; in a graph without any, nodes that nothing reads.

    Before::

        graph v1
        outputs: y
        x = Placeholder() {dtype: float32, shape: shape[1,4]}
        spare = Neg(x) {T: float32}
        y = Relu(x) {T: float32}

    Step::

        step: prune

    After::

        graph v1
        outputs: y
        x = Placeholder() {dtype: float32, shape: shape[1,4]}
        y = Relu(x) {T: float32}
    """

    keyword: ClassVar[str] = "prune"
    step: Literal["prune"] = "prune"

    def plan(self, context: StepContext) -> list[Edit]:
        needed = context.graph.ancestors(
            [*(ref.node for ref in roots(context)), *(ref.node for ref in context.graph.outputs)]
        )
        return [Drop(n.name, "unused", None, context.span) for n in context.graph if n.name not in needed]


def roots(context: StepContext) -> tuple[Ref, ...]:
    """Return the outputs that count for a graph on its way; raise SurgeonError S216 where there are none."""
    names = [text.rpartition(":")[0] or text for text in context.outputs]
    if names and all(name in context.graph for name in names):
        return tuple(ref for text in context.outputs for ref in resolve(context, text))
    found = context.graph.output_refs
    if not found and len(context.graph):
        raise context.fail(
            "S216",
            "the graph has no outputs; expected declared ones, or a node that nothing reads",
            help=["put 'set-outputs' before 'prune'"],
        )
    return found
