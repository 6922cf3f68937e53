"""Which tensor of the original graph stands behind a tensor of the rewritten one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from surgeon.graph import (
    Add,
    Drop,
    DType,
    Graph,
    Node,
    Ref,
    Rewire,
    SetAttr,
    SetOp,
    Shape,
    TensorRef,
    TensorValue,
)
from surgeon.graph.op_sets import CONSTANTS, PASSED_OVER, PLACEHOLDERS
from surgeon.graph.reach import needed_by_data
from surgeon.language import Recipe
from surgeon.rewrite import Plan


@dataclass(frozen=True)
class Replacement:
    """A node put in for nodes of the original.

    ``namespaces`` are their first name components, in graph order.
    """

    node: Node
    namespaces: tuple[str, ...]
    members: tuple[str, ...]

    def __str__(self) -> str:
        shown = ", ".join(self.namespaces[:3]) + (", ..." if len(self.namespaces) > 3 else "")
        return f"{shown} -> {self.node.name}"


class Correspondence:
    """The tensors that a plan's result shares with its source, and those that stand for others."""

    def __init__(self, plan: Plan, recipe: Recipe) -> None:
        """Read a plan that was made in this process: one read from a file knows neither graph."""
        assert plan.source is not None and plan.result is not None
        self.original: Graph = plan.source
        self.rewritten: Graph = plan.result
        self._edits = [edit for step in plan.steps for edit in step.edits]
        self._added = {edit.node.name for edit in self._edits if isinstance(edit, Add)}
        self._like = {name: Ref.parse(d.like) for name, d in recipe.nodes.items() if d.like is not None}

    @cached_property
    def replacements(self) -> tuple[Replacement, ...]:
        """The nodes of the result that were put in for others, in graph order.

        A node that was only renamed is none.
        """
        members: dict[str, list[str]] = {}
        for edit in self._edits:
            if (
                isinstance(edit, Drop)
                and edit.into in self._added
                and edit.into in self.rewritten
                and edit.name in self.original
            ):
                members.setdefault(edit.into, []).append(edit.name)
        found = []
        for node in self.rewritten:
            names = members.get(node.name, [])
            if names and not (len(names) == 1 and self.original[names[0]].op == node.op):
                spaces = dict.fromkeys(name.partition("/")[0] for name in names)
                found.append(Replacement(node, tuple(spaces), tuple(names)))
        return tuple(found)

    def origin(self, ref: Ref) -> Ref | None:
        """Return the tensor of the original that a tensor of the result is, or takes the place of; None where
        there is none.

        A node that is in both graphs gives the tensor of the same name. A node put in stands for its ``like``
        tensor, for what its readers read before, or for the one tensor that left the nodes whose place it
        took.
        """
        if ref.node not in self._added:
            return ref if ref.node in self.original else None
        if ref.slot == 0 and ref.node in self._like and self._like[ref.node].node in self.original:
            return self._like[ref.node]
        return self._read_before.get(ref) or self._left.get(ref)

    @cached_property
    def fixed(self) -> Mapping[str, np.ndarray]:
        """The values of the original's placeholders that the recipe fixes to constants, by name.

        A constant takes the place of the placeholder, or of an identity behind it, or is what a reader of
        either reads now. Steps may have folded the constant since. A placeholder that the result's outputs
        still read is not fixed.
        """
        constants = {
            edit.node.name: edit.node
            for edit in self._edits
            if isinstance(edit, Add) and edit.node.op in CONSTANTS
        }
        table: dict[str, np.ndarray] = {}
        for edit in self._edits:
            if isinstance(edit, Drop) and edit.into in constants:
                self._fix(table, Ref(edit.name), constants[edit.into])
            elif isinstance(edit, Rewire) and edit.inputs is not None and edit.name in self.original:
                before = self.original[edit.name].inputs
                for old, new in zip(before, edit.inputs, strict=False):
                    if new.node in constants:
                        self._fix(table, old, constants[new.node])
            elif isinstance(edit, SetOp) and edit.op in CONSTANTS and edit.name in self.original:
                values = {
                    each.key: each.value
                    for each in self._edits
                    if isinstance(each, SetAttr) and each.name == edit.name and each.value is not None
                }
                self._fix(table, Ref(edit.name), Node(edit.name, edit.op, attrs=values))
        return table

    def _fix(self, table: dict[str, np.ndarray], ref: Ref, constant: Node) -> None:
        """Enter the value of a constant that stands for a placeholder's tensor, in its shape."""
        node = self.original.get(ref.node)
        while node is not None and node.op in PASSED_OVER and len(node.inputs) == 1:
            node = self.original.get(node.inputs[0].node)
        value = constant.attrs.get("value")
        if node is None or node.op not in PLACEHOLDERS or not isinstance(value, TensorValue | TensorRef):
            return
        if node.name in self._read_placeholders:
            return
        array = value.array()
        dtype, shape = node.attrs.get("dtype"), node.attrs.get("shape")
        if isinstance(dtype, DType) and dtype.itemsize is not None:
            array = array.astype(dtype.numpy())
        if isinstance(shape, Shape) and shape.is_static and array.size == 1:
            array = np.broadcast_to(array, shape.static())
        table.setdefault(node.name, array)

    @cached_property
    def _read_placeholders(self) -> frozenset[str]:
        """The placeholders whose numbers the result's outputs still depend on (membership only).

        A constant that one of their readers reads now fixes none of them.
        """
        needed = needed_by_data(self.rewritten)
        return frozenset(name for name in needed if self.rewritten[name].op in PLACEHOLDERS)

    @cached_property
    def _read_before(self) -> Mapping[Ref, Ref]:
        """For tensors put in, what their readers read at the same place in the original."""
        table: dict[Ref, Ref] = {}
        for node in self.rewritten:
            before = self.original.get(node.name)
            if node.name in self._added or before is None or len(before.inputs) != len(node.inputs):
                continue
            for old, new in zip(before.inputs, node.inputs, strict=True):
                if new.node in self._added:
                    table.setdefault(new, old)
        return table

    @cached_property
    def _left(self) -> Mapping[Ref, Ref]:
        """For nodes with one output, the tensor that others read from the nodes taken out, or that is an
        output of the original, where it is one.
        """
        table: dict[Ref, Ref] = {}
        for replaced in self.replacements:
            inside = set(replaced.members)
            left = {
                ref: None
                for name in replaced.members
                for reader in self.original.readers[name]
                if reader not in inside
                for ref in self.original[reader].inputs
                if ref.node == name
            }
            left |= {ref: None for ref in self.original.output_refs if ref.node in inside}
            if len(left) == 1:
                table[Ref(replaced.node.name)] = next(iter(left))
        return table
