"""The step ``add-node``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

from pydantic import Field, model_validator

from surgeon.diagnostics import nearest_note
from surgeon.graph import Edit, Ref
from surgeon.steps.attributes import attr_value
from surgeon.steps.node_names import NodeName
from surgeon.steps.placing import place, resolve
from surgeon.steps.step import NodeSpec, Step, StepContext


class AddNode(Step):
    """Put a node in: one that the recipe defines under 'nodes', or one written here.

    Nothing reads it yet; 'connect' joins it to a reader. Nodes of the recipe that it reads and that are not
    in the graph yet come with it, so that one step adds a whole head. Type and count attributes (T, N) are
    filled in from what each reads.

    Before::

        graph v1
        x = Placeholder() {dtype: float32, shape: shape[1,4]}

    Step::

        step: add-node
        name: scores
        op: Softmax
        inputs: [x]

    After::

        graph v1
        x = Placeholder() {dtype: float32, shape: shape[1,4]}
        scores = Softmax(x) {T: float32}
    """

    keyword: ClassVar[str] = "add-node"
    step: Literal["add-node"] = "add-node"
    node: str | None = Field(None, description="Name of a node that the recipe defines under 'nodes'.")
    name: NodeName | None = Field(None, description="Name of a node written here.")
    op: str | None = Field(None, description="Its operation.")
    inputs: tuple[str, ...] | None = Field(
        None,
        description="Tensors read, in order: NODE, NODE:1, NODE:port or NODE:*; overrides those under "
        "'nodes'.",
    )
    attrs: Mapping[str, Any] = Field(default_factory=dict, description="Attributes of a node written here.")

    @model_validator(mode="after")
    def _one_kind(self) -> AddNode:
        if (self.node is None) == (self.name is None):
            raise ValueError("expected either 'node' (defined under 'nodes'), or 'name' and 'op'")
        if self.name is not None and self.op is None:
            raise ValueError("a node written here needs 'op'")
        if self.node is not None and (self.op is not None or self.attrs):
            raise ValueError("'op' and 'attrs' of a node of the recipe stand under 'nodes'")
        return self

    def plan(self, context: StepContext) -> list[Edit]:
        new = self._new(context)
        if new.name in context.graph:
            raise context.fail(
                "S102",
                f"node '{new.name}' cannot be added; the graph has one of that name "
                f"({context.graph[new.name].op})",
                "node" if self.node else "name",
                help=["choose another name, or remove that node first"],
            )
        edits: list[Edit] = []
        self._put(context, new, self.inputs, edits, {})
        return edits

    def _put(
        self,
        context: StepContext,
        new: NodeSpec,
        inputs: Sequence[str] | None,
        edits: list[Edit],
        begun: dict[str, None],
    ) -> None:
        """Plan a node behind the nodes of the recipe that it reads; ``begun`` names those that were begun."""
        begun[new.name] = None
        texts = inputs if inputs is not None else new.inputs
        if texts is None and new.is_plugin and not new.ignores_inputs:
            raise context.fail(
                "S209",
                f"'{new.name}' ({new.op}) says nothing of what it reads; expected 'inputs'",
                "node",
                help=[f"write 'inputs' here, or under 'nodes: {new.name}'"],
            )
        refs: list[Ref] = []
        for i, text in enumerate(texts or ()):
            refs += resolve(context, text, "inputs", i)
        for name in dict.fromkeys(ref.node for ref in refs):
            if name not in context.graph and name not in begun:
                self._put(context, context.nodes[name], None, edits, begun)
        edits += place(context, new, refs, taken=begun)

    def _new(self, context: StepContext) -> NodeSpec:
        if self.node is None:
            assert self.name is not None and self.op is not None
            attrs = {
                key: attr_value(context, key, value, None, "attrs", key) for key, value in self.attrs.items()
            }
            return NodeSpec(self.name, self.op, attrs, span=context.span)
        if self.node not in context.nodes:
            defined = ", ".join(f"'{n}'" for n in context.nodes) or "none"
            raise context.fail(
                "S202",
                f"the recipe defines no node '{self.node}'",
                "node",
                notes=[f"defined: {defined:.300}", *nearest_note(self.node, context.nodes)],
                help=["define it under 'nodes'"],
            )
        return context.nodes[self.node]
