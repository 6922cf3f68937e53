"""The step ``rename``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import ClassVar, Literal

from pydantic import Field

from surgeon.graph import NODE_NAME, Add, Drop, Edit, Node, Ref, Rewire, SetAttr, SetOutputs
from surgeon.steps.selector import split_optional, unmatched
from surgeon.steps.step import Step, StepContext

_COLOCATED = b"loc:@"


class Rename(Step):
    """Give nodes other names: a whole name, or a namespace with all that is in it.

    Readers, control edges, outputs and colocation ('_class') follow. The longest key wins. A name that is
    taken is refused.

    Before::

        graph v1
        outputs: FeatureExtractor/relu
        image = Placeholder() {dtype: float32, shape: shape[1,4]}
        FeatureExtractor/neg = Neg(image) {T: float32}
        FeatureExtractor/relu = Relu(FeatureExtractor/neg, ^image) {T: float32}

    Step::

        step: rename
        nodes: {image: Input, FeatureExtractor: backbone}

    After::

        graph v1
        outputs: backbone/relu
        Input = Placeholder() {dtype: float32, shape: shape[1,4]}
        backbone/neg = Neg(Input) {T: float32}
        backbone/relu = Relu(backbone/neg, ^Input) {T: float32}
    """

    keyword: ClassVar[str] = "rename"
    step: Literal["rename"] = "rename"
    nodes: Mapping[str, str] = Field(
        description="New names by name or namespace now; a key with '?' may match nothing.", min_length=1
    )

    def new_name(self, name: str) -> str:
        """Return what a node is called behind the step."""
        wanted = {split_optional(key)[0]: new for key, new in self.nodes.items()}
        prefix = name
        while prefix and prefix not in wanted:
            prefix = prefix.rpartition("/")[0]
        return wanted[prefix] + name[len(prefix) :] if prefix else name

    def plan(self, context: StepContext) -> list[Edit]:
        graph = context.graph
        names, keys = self._names(context)
        owner: dict[str, str] = {}
        for old, new in names.items():
            key = keys[old]
            if not NODE_NAME.match(new):
                raise context.fail(
                    "S207",
                    f"'{new}' is not a name for a node; expected letters, digits and . _ / \\ > -",
                    "nodes",
                    key,
                )
            if (new in graph and new not in names) or new in owner:
                whose = (
                    f"'{owner[new]}' gets it, too"
                    if new in owner
                    else f"the graph has a node of that name ({graph[new].op})"
                )
                raise context.fail(
                    "S207",
                    f"'{old}' cannot be renamed to '{new}'; {whose}",
                    "nodes",
                    key,
                    help=["choose another name, or rename or remove the other node first"],
                )
            owner[new] = old
        edits: list[Edit] = []
        for node in graph:
            inputs = tuple(Ref(names.get(r.node, r.node), r.slot) for r in node.inputs)
            control = tuple(names.get(c, c) for c in node.control)
            placed = _relocated(node, names)
            if node.name in names:
                new, span = names[node.name], context.at("nodes", keys[node.name])
                attrs = node.attrs if placed is None else {**node.attrs, "_class": placed}
                moved = replace(node, name=new, inputs=inputs, control=control, attrs=attrs)
                edits += [Drop(node.name, f"renamed to '{new}'", new, span), Add(moved, node.name, span)]
                continue
            if inputs != node.inputs or control != node.control:
                edits.append(Rewire(node.name, inputs, control, context.at("nodes")))
            if placed is not None:
                edits.append(SetAttr(node.name, "_class", placed, context.at("nodes")))
        outputs = tuple(Ref(names.get(r.node, r.node), r.slot) for r in graph.outputs)
        if outputs != graph.outputs:
            edits.append(SetOutputs(outputs, context.at("nodes")))
        return edits

    def _names(self, context: StepContext) -> tuple[dict[str, str], dict[str, str]]:
        """Return the new name of each node that gets one, and the key that gave it."""
        wanted = {split_optional(key)[0]: (key, new) for key, new in self.nodes.items()}
        names: dict[str, str] = {}
        keys: dict[str, str] = {}
        matched: set[str] = set()
        for node in context.graph:
            prefix = node.name
            while prefix and prefix not in wanted:
                prefix = prefix.rpartition("/")[0]
            if not prefix:
                continue
            key, new = wanted[prefix]
            matched.add(prefix)
            if new + node.name[len(prefix) :] != node.name:
                names[node.name] = new + node.name[len(prefix) :]
                keys[node.name] = key
        for key in self.nodes:
            plain, optional = split_optional(key)
            if plain not in matched and not optional:
                raise unmatched(context, plain, "nodes", key)
        return names, keys


def _relocated(node: Node, names: Mapping[str, str]) -> tuple[bytes, ...] | None:
    """Return the node's colocation with new names, or None where it names no renamed node."""
    places = node.attrs.get("_class")
    if not isinstance(places, tuple):
        return None
    out: list[bytes] = []
    for place in places:
        if not isinstance(place, bytes):
            return None
        old = place[len(_COLOCATED) :].decode("utf-8", "replace") if place.startswith(_COLOCATED) else ""
        out.append(_COLOCATED + names[old].encode() if old in names else place)
    return tuple(out) if tuple(out) != places else None
