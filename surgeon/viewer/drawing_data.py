"""The story as JSON that the page's script draws: two graphs as columns, with tables of what occurs often."""

from __future__ import annotations

import json
from collections.abc import Hashable, Mapping
from typing import Any

from surgeon.diagnostics import SurgeonError
from surgeon.graph import Tensor, TensorSpec, print_attr
from surgeon.graph.values import TensorDigest
from surgeon.viewer.change_report import CONSTANTS, MAX_DEPTH, GraphStory, NodeStory, Story, place
from surgeon.viewer.html_parts import value_of
from surgeon.viewer.markup import Markup
from surgeon.viewer.node_status import Mark

MOST_NODES = 60_000
"""Nodes of one graph that the page draws; of a larger graph it draws the plugins and the first others."""

_LONGEST = 240
_MOST_ATTRIBUTES = 64
_MOST_INPUTS = 4096


class _Table:
    """Values numbered in the order in which they are first met."""

    def __init__(self) -> None:
        self.values: list[Any] = []
        self._numbers: dict[Hashable, int] = {}

    def number(self, key: Hashable, value: Any = None) -> int:
        """Return the number of a value; ``value`` is what is written for a key that is not itself plain."""
        if key not in self._numbers:
            self._numbers[key] = len(self.values)
            self.values.append(key if value is None else value)
        return self._numbers[key]


class _Tables:
    def __init__(self) -> None:
        self.ops, self.specs, self.attributes, self.marks, self.changes = (_Table() for _ in range(5))


def drawing_data(story: Story) -> dict[str, Any]:
    """Return the story as plain values.

    ``graphs`` holds one or two graphs. A graph's ``names`` are pairs of how many components a name shares
    with the one before it and the rest; ``ops``, ``outputs``, ``attributes``, ``marks`` and ``changes`` are
    numbers in ``tables``; ``inputs`` are numbers of nodes, or pairs of node and slot.
    """
    tables = _Tables()
    sides = {"before": story.before, "after": story.after}
    graphs = {key: _graph(side, tables) for key, side in sides.items() if side is not None}
    used = {op for side in sides.values() if side is not None for op in side.ops}
    return {
        "kind": story.kind,
        "depth": MAX_DEPTH,
        "graphs": graphs,
        "tables": {
            "ops": tables.ops.values,
            "specs": tables.specs.values,
            "attributes": tables.attributes.values,
            "marks": tables.marks.values,
            "changes": tables.changes.values,
        },
        "constants": sorted(CONSTANTS),
        "plugins": {op: _plugin(op, story.after) for op in story.after.catalog if op in used},
        "replaced": {
            name: [[top, count] for top, count in counts.items()] for name, counts in story.replaced.items()
        },
        "derived": _derived(story),
    }


def script_json(data: Mapping[str, Any]) -> Markup:
    """Return plain values as JSON that may stand in a ``<script>`` element, whatever the names in it are."""
    text = json.dumps(data, separators=(",", ":"), allow_nan=False)
    return Markup(text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026"))


def _graph(side: GraphStory, tables: _Tables) -> dict[str, Any]:
    chosen = _chosen(side)
    numbers = {story.node.name: index for index, story in enumerate(chosen)}
    columns: dict[str, list[Any]] = {
        key: [] for key in ("names", "ops", "inputs", "control", "outputs", "attributes", "marks", "changes")
    }
    previous: list[str] = []
    for story in chosen:
        node = story.node
        parts = node.name.split("/")
        shared = _shared(previous, parts)
        previous = parts
        columns["names"].append([shared, "/".join(parts[shared:])])
        columns["ops"].append(tables.ops.number(node.op))
        columns["inputs"].append(
            [
                numbers[ref.node] if not ref.slot else [numbers[ref.node], ref.slot]
                for ref in node.inputs[:_MOST_INPUTS]
                if ref.node in numbers
            ]
        )
        columns["control"].append([numbers[name] for name in node.control[:_MOST_INPUTS] if name in numbers])
        columns["outputs"].append([tables.specs.number(str(spec)) for spec in specs_of(side, node.name)])
        columns["attributes"].append(
            [tables.attributes.number(pair, list(pair)) for pair in attributes_of(story, side)]
        )
        columns["marks"].append(tables.marks.number(story.mark, _mark(story.mark)))
        columns["changes"].append(
            [tables.changes.number(c, [c.label, _short(c.before), _short(c.after)]) for c in story.changes]
        )
    return {
        **columns,
        "total": len(side.nodes),
        "results": [numbers[ref.node] for ref in side.graph.output_refs if ref.node in numbers],
    }


def _chosen(side: GraphStory) -> list[NodeStory]:
    stories = list(side.nodes.values())
    if len(stories) <= MOST_NODES:
        return stories
    ranked = sorted(stories, key=lambda story: story.node.op not in side.catalog)
    names = {story.node.name for story in ranked[:MOST_NODES]}
    return [story for story in stories if story.node.name in names]


def _shared(previous: list[str], parts: list[str]) -> int:
    count = 0
    for a, b in zip(previous, parts[:-1], strict=False):
        if a != b:
            break
        count += 1
    return count


def specs_of(side: GraphStory, name: str) -> tuple[TensorSpec, ...]:
    """Return element type and shape of each output of a node; none where they are not known."""
    try:
        return side.specs(name)
    except SurgeonError:
        return ()  # a plugin node whose fields are wrong has no shapes; the diagnostics say why


def attributes_of(story: NodeStory, side: GraphStory) -> list[tuple[str, str]]:
    """Return fields or attributes of a node for people, the first of many, long ones cut short."""
    fields = side.catalog[story.node.op].fields if story.node.op in side.catalog else {}
    found: list[tuple[str, str]] = []
    for key, value in list(story.node.attrs.items())[:_MOST_ATTRIBUTES]:
        if key in fields:
            text = value_of(value)
        elif isinstance(value, Tensor) and (isinstance(value, TensorDigest) or value.count > 8):
            text = f"{value.spec}"
        else:
            text = print_attr(value, limit=64)
        found.append((key, _short(text) or ""))
    if story.node.device:
        found.append(("device", story.node.device))
    return found


def _mark(mark: Mark) -> list[Any]:
    return [mark.fate.value, mark.reason, mark.into, mark.step, place(mark.span)]


def _short(text: str | None) -> str | None:
    return (
        text
        if text is None or len(text) <= _LONGEST
        else f"{text[: _LONGEST - 20]}… ({len(text)} characters)"
    )


def _plugin(op: str, side: GraphStory) -> dict[str, Any]:
    spec = side.catalog[op]
    return {
        "title": spec.title,
        "summary": spec.summary,
        "fields": {name: field.summary for name, field in spec.fields.items()},
        "inputs": [port.name for port in spec.inputs],
        "outputs": [port.name for port in spec.outputs],
    }


def _derived(story: Story) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for one in story.derivations:
        found.setdefault(one.node, {})[one.field] = [value_of(one.value), list(one.evidence)]
    return found
