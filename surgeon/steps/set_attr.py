"""The step ``set-attr``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from pydantic import Field

from surgeon.graph import Edit, SetAttr
from surgeon.steps.attributes import attr_value
from surgeon.steps.selector import Selection, select
from surgeon.steps.step import Step, StepContext


class SetAttributes(Step):
    """Set attributes of nodes, each in the kind that it has now.

    Kinds are whole numbers, numbers, text, truth values, element types, shapes, tensors, and lists of one of
    them. For an attribute that a node does not have yet, a type may be written by name for T and dtype, and
    any kind as, say, '{shape: [1, 4]}'. 'null' takes an attribute away.

    Before::

        graph v1
        x = Placeholder() {dtype: float32, shape: shape[1,8,8,3]}
        y = MaxPool(x) {T: float32, ksize: [1, 2, 2, 1], padding: "SAME", _note: 1}

    Step::

        step: set-attr
        nodes: [y]
        attrs: {ksize: [1, 3, 3, 1], padding: VALID, alpha: 0.5, _note: null}

    After::

        graph v1
        x = Placeholder() {dtype: float32, shape: shape[1,8,8,3]}
        y = MaxPool(x) {T: float32, ksize: [1, 3, 3, 1], padding: "VALID", alpha: 0.5}
    """

    keyword: ClassVar[str] = "set-attr"
    step: Literal["set-attr"] = "set-attr"
    nodes: Selection = Field(description="Nodes to change: namespaces, whole names and selectors.")
    attrs: Mapping[str, Any] = Field(
        description="Values by attribute; null takes the attribute away.", min_length=1
    )

    def plan(self, context: StepContext) -> list[Edit]:
        edits: list[Edit] = []
        for name in select(context, self.nodes, "nodes"):
            present = context.graph[name].attrs
            for key, value in self.attrs.items():
                new = (
                    None if value is None else attr_value(context, key, value, present.get(key), "attrs", key)
                )
                if new is not None or key in present:
                    edits.append(SetAttr(name, key, new, context.at("attrs", key)))
        return edits
