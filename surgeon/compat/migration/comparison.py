"""A script's graph and the recipe's, node by node: what differs, and why."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from surgeon.catalog import Catalog
from surgeon.catalog.fields import FieldSpec, Unfit
from surgeon.compat.migration.final_graph import FinalGraph
from surgeon.compat.migration.history import History
from surgeon.compat.migration.placeholders import same_shape
from surgeon.compat.migration.roles import has_many_outputs, ignores_inputs
from surgeon.graph import AttrValue, Graph, Node, Ref
from surgeon.graph.diff import diff_graphs
from surgeon.graph.input_counts import INPUT_COUNTS
from surgeon.graph.op_sets import PLACEHOLDERS
from surgeon.graph.printing import print_attr
from surgeon.graph.reach import needed_by_data
from surgeon.language import Recipe
from surgeon.language.recipe import OPERANDS


@dataclass(frozen=True, slots=True)
class MigrationDifference:
    """One part of a node in which the recipe's graph differs from the script's.

    ``reason`` says why that is meant; it is empty for a difference that nothing explains.
    """

    node: str
    what: str
    script: str
    recipe: str
    reason: str = ""

    def __str__(self) -> str:
        text = (
            f"{self.node}: {self.what}: {self.script or 'none'} in the script, {self.recipe or 'none'} here"
        )
        return f"{text} ({self.reason})" if self.reason else text

    def to_json(self) -> dict[str, str]:
        """Return plain values."""
        return {
            "node": self.node,
            "what": self.what,
            "script": self.script,
            "recipe": self.recipe,
            "reason": self.reason,
        }


@dataclass(frozen=True)
class Comparison:
    """What :func:`compare` finds.

    ``script`` is the script's graph in this project's terms: what the outputs need, without what is meant to
    differ other than values of fields. ``recipe`` is the recipe's, likewise.
    """

    script: Graph
    recipe: Graph
    differences: tuple[MigrationDifference, ...]

    @property
    def unexplained(self) -> tuple[MigrationDifference, ...]:
        """The differences without a reason."""
        return tuple(each for each in self.differences if not each.reason)


class _Comparing:
    def __init__(
        self, final: FinalGraph, result: Graph, recipe: Recipe, history: History, catalog: Catalog
    ) -> None:
        self.final, self.result, self.recipe, self.catalog = final, result, recipe, catalog
        self.made = {history.last_name(name) for name in history.made} & set(recipe.nodes)
        self.found: list[MigrationDifference] = []

    def compare(self) -> Comparison:
        needed = needed_by_data(self.result)
        rewritten = Graph(
            [_as_written(node) for node in self.result if node.name in needed],
            self.result.outputs,
        )
        nodes: list[Node] = []
        for node in self.final.nodes.values():
            nodes += self._in_our_terms(node, rewritten.get(node.name))
        # What only an input led to that the plugin ignores is no part of either graph.
        outputs = [Ref(name) for name in self.final.outputs if any(node.name == name for node in nodes)]
        script = Graph(nodes, outputs)
        kept = needed_by_data(script)
        script = Graph([node for node in script if node.name in kept], outputs)
        self._diff(script, rewritten)
        return Comparison(script, rewritten, tuple(self.found))

    def _note(self, node: str, what: str, script: object, recipe: object, reason: str) -> None:
        self.found.append(MigrationDifference(node, what, str(script), str(recipe), reason))

    def _in_our_terms(self, node: Node, ours: Node | None) -> Iterator[Node]:
        """Yield a node of the script as a recipe would have it, constants that it reads first."""
        name = node.name
        for lost in self.final.dangling.get(name, ()):
            self._note(name, "inputs", lost, "", "the script leaves an edge to a node that is not there")
        for key, value in self.final.strange.get(name, {}).items():
            self._note(name, key, print_attr(value), "", f"{node.op} has no such field")
        if name in self.final.surplus:
            surplus = _listed(self.final.surplus[name])
            self._note(name, "inputs", surplus, "", f"{node.op} has no port for them")
        for ref, plugin in self.final.bypassed.get(name, {}).items():
            self._note(
                name, "inputs", ref, plugin, "what lies between moves no number, and TensorRT refuses it"
            )
        node = node.with_inputs(tuple(self._expanded(node.inputs)))
        if name in self.final.plugins:
            yield self._plugin(node, ours)
            return
        node = self._without_surplus(node)
        if name not in self.made:
            yield replace(node, extra=b"", device="")
            return
        if ours is not None and node.op in PLACEHOLDERS:
            yield Node(name, node.op, (), (), self._placeholder(node, ours))
            return
        operands = OPERANDS.get(node.op, ())
        if ours is not None and operands and any(key in node.attrs for key in operands):
            constants = [self.result[ref.node] for ref in ours.inputs[-len(operands) :]]
            yield from constants
            node = node.with_inputs((*node.inputs, *ours.inputs[-len(operands) :]))
        yield self._filled(node, ours, {*operands, "dtype"} if node.op != "Const" else set())

    def _expanded(self, inputs: tuple[Ref, ...]) -> Iterator[Ref]:
        """Yield tensors; UFF's one edge from a plugin with several outputs stands for all of them."""
        for ref in inputs:
            source = self.final.nodes.get(ref.node)
            count = 1
            if source is not None and source.name in self.final.plugins and not ref.slot:
                ours = self.result.get(ref.node)
                fields = {**(ours.attrs if ours is not None else {}), **source.attrs}
                spec = self.catalog[source.op]
                if has_many_outputs(spec):
                    count = len(spec.output_ports({k: v for k, v in fields.items() if k in spec.fields}))
            yield from (Ref(ref.node, ref.slot + at) for at in range(count))

    def _plugin(self, node: Node, ours: Node | None) -> Node:
        spec = self.catalog[node.op]
        attrs: dict[str, AttrValue] = {}
        for key, value in node.attrs.items():
            attrs[key] = _attr(spec.fields[key], value)
        if ours is not None:
            for key, value in ours.attrs.items():
                if key not in attrs and key in spec.fields:
                    attrs[key] = value
            attrs = {key: attrs[key] for key in [*ours.attrs, *attrs] if key in attrs}
        inputs = node.inputs
        if ignores_inputs(spec):
            if inputs:
                self._note(node.name, "inputs", _listed(inputs), "", f"{node.op} ignores its inputs")
            inputs = ()
        elif spec.order_field and len(inputs) > len(spec.order_ports):
            spare = [ref for ref in inputs if self._is_picture(ref)]
            if spare:
                self._note(
                    node.name,
                    "inputs",
                    _listed(spare),
                    "",
                    f"{node.op} has no port for the picture, which the script leaves among its inputs",
                )
            inputs = tuple(ref for ref in inputs if ref not in spare)
        return Node(node.name, node.op, inputs, (), attrs)

    def _is_picture(self, ref: Ref) -> bool:
        return ref.node in self.final.nodes and self.final.nodes[ref.node].op in PLACEHOLDERS

    def _without_surplus(self, node: Node) -> Node:
        most = INPUT_COUNTS.get(node.op, (0, None))[1]
        if most is None or len(node.inputs) <= most:
            return node
        self._note(
            node.name,
            "inputs",
            _listed(node.inputs[most:]),
            "",
            f"{node.op} reads {most} tensors; the script leaves further ones behind",
        )
        return node.with_inputs(node.inputs[:most])

    def _placeholder(self, node: Node, ours: Node) -> Mapping[str, AttrValue]:
        """Return the recipe's attributes where the script's are the same shape in UFF's layout."""
        attrs = dict(ours.attrs)
        if not same_shape(node.attrs.get("shape"), ours.attrs.get("shape")):
            attrs["shape"] = node.attrs.get("shape", attrs["shape"])
        if "dtype" in node.attrs:
            attrs["dtype"] = node.attrs["dtype"]
        return attrs

    def _filled(self, node: Node, ours: Node | None, left_out: set[str]) -> Node:
        """Return a node with the type and count attributes that the script leaves out, and without what the
        operation lacks.
        """
        attrs = {key: value for key, value in node.attrs.items() if key not in left_out}
        if ours is not None:
            attrs = {**{key: value for key, value in ours.attrs.items() if key not in attrs}, **attrs}
            attrs = {key: attrs[key] for key in [*ours.attrs, *attrs]}
        return Node(node.name, node.op, node.inputs, (), attrs)

    def _diff(self, script: Graph, rewritten: Graph) -> None:
        found = diff_graphs(script, rewritten)
        for node in found.removed:
            self._note(node.name, "node", node.op, "", "")
        for node in found.added:
            self._note(node.name, "node", "", node.op, "")
        for change in found.changed:
            for part in change.changes:
                what = part.key if part.what == "attr" else part.what
                reason = self._reason(script[change.name], rewritten[change.name], part.what, part.key)
                self._note(change.name, what, part.before or "", part.after or "", reason)

    def _reason(self, script: Node, ours: Node, what: str, key: str) -> str:
        if what != "attr":
            return ""
        if ours.op in self.catalog and key == self.catalog[ours.op].order_field:
            return "derived from the inputs by port"
        if script.attrs.get(key) == () and key not in ours.attrs:
            return "an empty list, as TensorFlow fills it in"
        replaced = script.name in self.result and script.name not in self.made and script.op == ours.op
        if replaced and key in script.attrs and key not in ours.attrs and key in ("U", "_class"):
            return f"{ours.op} has no such attribute" if key == "U" else "names a node that is not there"
        return ""


def _as_written(node: Node) -> Node:
    """Return a node without what is not compared, its numbers as a file holds them: float32."""
    attrs = {key: _rounded(value) for key, value in node.attrs.items()}
    return replace(node, control=(), extra=b"", device="", attrs=attrs)


def _rounded(value: AttrValue) -> AttrValue:
    if isinstance(value, float):
        return float(np.float32(value))
    if isinstance(value, tuple):
        return tuple(float(np.float32(item)) if isinstance(item, float) else item for item in value)
    return value


def compare(
    final: FinalGraph, result: Graph, recipe: Recipe, history: History, catalog: Catalog
) -> Comparison:
    """Compare a script's graph with what a recipe makes of the same model."""
    return _Comparing(final, result, recipe, history, catalog).compare()


def _attr(field: FieldSpec, value: AttrValue) -> AttrValue:
    """Return a field's value as a plugin would hold it; what it cannot hold stays as it is."""
    try:
        converted = field.convert(value)
    except Unfit:
        return value
    return converted.encode() if isinstance(converted, str) else converted


def _listed(refs: Any) -> str:
    return "(" + ", ".join(map(str, refs)) + ")"
