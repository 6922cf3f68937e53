"""How two graphs differ, as values, text and JSON."""

from __future__ import annotations

import json
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

from surgeon.display import Displayed, plural, printable
from surgeon.graph.graph import Graph
from surgeon.graph.node import Node, Ref
from surgeon.graph.printing import print_attr, print_node
from surgeon.graph.values import AttrValue, TensorDigest, TensorRef, TensorValue

LIMIT = 20
"""Nodes of one namespace above which :func:`render` counts them instead of listing them."""

_ROOM = 160


class _Item(NamedTuple):
    """What one node contributes to a section: its own lines, or one to each count."""

    name: str
    kinds: Sequence[str]
    lines: Sequence[str]


@dataclass(frozen=True, slots=True)
class Change:
    """One part of a node that differs.

    ``what`` is ``op``, ``inputs``, ``control``, ``attr``, ``device`` or ``extra``; ``key`` names the
    attribute. ``before`` and ``after`` are in text form, None where one side lacks the attribute.
    """

    what: str
    key: str
    before: str | None
    after: str | None

    @property
    def label(self) -> str:
        """The part's name: ``inputs``, ``attr strides``."""
        return f"{self.what} {self.key}" if self.key else self.what


@dataclass(frozen=True, slots=True)
class NodeChange:
    """A node of both graphs that differs, and in what; ``op`` is that of the second graph."""

    name: str
    op: str
    changes: tuple[Change, ...]


@dataclass(frozen=True, slots=True)
class GraphDiff(Displayed):
    """The changes that lead from a first graph to a second; false if they are equal.

    ``removed`` has the order of the first graph, everything else that of the second. ``moved`` names the
    fewest nodes that stand elsewhere relative to the other common ones. ``outputs`` holds both graphs'
    outputs if they differ. ``rest`` names other differences: ``versions``, ``library``, ``extra``.
    """

    added: tuple[Node, ...] = ()
    removed: tuple[Node, ...] = ()
    changed: tuple[NodeChange, ...] = ()
    moved: tuple[str, ...] = ()
    outputs: tuple[tuple[Ref, ...], tuple[Ref, ...]] | None = None
    rest: tuple[str, ...] = ()

    def __repr__(self) -> str:
        counts = {"removed": self.removed, "added": self.added, "changed": self.changed, "moved": self.moved}
        parts = [f"{len(found)} {what}" for what, found in counts.items() if found]
        return f"<GraphDiff: {', '.join([*parts, *self.others]) or 'no difference'}>"

    @property
    def others(self) -> tuple[str, ...]:
        """What differs besides nodes: ``outputs differ``, ``versions differ`` and so on."""
        return tuple(
            f"{name} differ{'s' if name == 'library' else ''}"
            for name in (*(("outputs",) if self.outputs else ()), *self.rest)
        )

    def __bool__(self) -> bool:
        return bool(self.added or self.removed or self.changed or self.moved or self.outputs or self.rest)

    def to_json(self) -> dict[str, object]:
        """Return the JSON twin of :func:`render`, complete."""
        return {
            "equal": not self,
            "added": [{"name": node.name, "op": node.op} for node in self.added],
            "removed": [{"name": node.name, "op": node.op} for node in self.removed],
            "changed": [
                {
                    "name": node.name,
                    "op": node.op,
                    "changes": [
                        {"what": c.what, "key": c.key, "before": c.before, "after": c.after}
                        for c in node.changes
                    ],
                }
                for node in self.changed
            ],
            "moved": list(self.moved),
            "outputs": None
            if self.outputs is None
            else {"before": [str(r) for r in self.outputs[0]], "after": [str(r) for r in self.outputs[1]]},
            "rest": list(self.rest),
        }


def diff_graphs(a: Graph, b: Graph) -> GraphDiff:
    """Return how ``b`` differs from ``a``, node by node, by name.

    Attributes are compared by their text form, so that 1, 1.0 and true differ; tensors by type, shape and
    value. The cost is linear in nodes and edges, but for finding the moved nodes, which takes n log n.
    """
    common = [node for node in b if node.name in a]
    changed = [
        NodeChange(node.name, node.op, parts)
        for node in common
        if (parts := tuple(_changes(a[node.name], node)))
    ]
    rest = [key for key in ("versions", "library", "extra") if getattr(a, key) != getattr(b, key)]
    return GraphDiff(
        added=tuple(node for node in b if node.name not in a),
        removed=tuple(node for node in a if node.name not in b),
        changed=tuple(changed),
        moved=_moved(a, [node.name for node in common]),
        outputs=(a.outputs, b.outputs) if a.outputs != b.outputs else None,
        rest=tuple(rest),
    )


def render(diff: GraphDiff, limit: int | None = LIMIT) -> str:
    """Return the text form: a line of counts, then ``-``, ``+``, ``~`` and ``>`` (moved) lines.

    Where more than ``limit`` nodes of one top-level namespace share a sign, one line counts them by op or by
    what changed; of more than ``limit`` namespaces the last ones are counted too. ``limit=None`` lists
    everything.
    """
    if not diff:
        return "the graphs are equal\n"
    lines = [
        f"{len(diff.removed)} removed, {len(diff.added)} added, {len(diff.changed)} changed, "
        f"{len(diff.moved)} moved"
    ]
    if diff.outputs is not None:
        before, after = (_shown(", ".join(map(str, refs)) or "(none)") for refs in diff.outputs)
        lines.append(f"outputs: {before} -> {after}")
    if diff.rest:
        lines.append("other fields that differ: " + ", ".join(diff.rest))
    lines += _section("-", [_Item(n.name, [n.op], [_shown(print_node(n))]) for n in diff.removed], limit)
    lines += _section("+", [_Item(n.name, [n.op], [_shown(print_node(n))]) for n in diff.added], limit)
    lines += _section(
        "~", [_Item(c.name, [p.label for p in c.changes], _change_lines(c)) for c in diff.changed], limit
    )
    lines += _section(">", [_Item(name, ["moved"], [f"{name} moved"]) for name in diff.moved], limit)
    return "\n".join(map(printable, lines)) + "\n"


def _changes(a: Node, b: Node) -> Iterator[Change]:
    if a is b:
        return
    if a.op != b.op:
        yield Change("op", "", a.op, b.op)
    if a.inputs != b.inputs:
        yield Change("inputs", "", _listed(a.inputs), _listed(b.inputs))
    if a.control != b.control:
        yield Change("control", "", *(_listed(f"^{name}" for name in node.control) for node in (a, b)))
    for key in dict.fromkeys([*a.attrs, *b.attrs]):
        before, after = a.attrs.get(key), b.attrs.get(key)
        if not _same(before, after):
            yield Change("attr", key, *(None if v is None else print_attr(v) for v in (before, after)))
    if a.device != b.device:
        yield Change("device", "", json.dumps(a.device), json.dumps(b.device))
    if a.extra != b.extra:
        yield Change("extra", "", a.extra.hex(), b.extra.hex())


def _same(a: AttrValue | None, b: AttrValue | None) -> bool:
    if a is b:
        return True
    if a is None or b is None:
        return False
    tensors = (TensorValue, TensorRef, TensorDigest)
    if isinstance(a, tensors) and isinstance(b, tensors):
        return a == b
    return print_attr(a, limit=0) == print_attr(b, limit=0)


def _listed(items: Iterable[object]) -> str:
    return "(" + ", ".join(map(str, items)) + ")"


def _moved(a: Graph, names: Sequence[str]) -> tuple[str, ...]:
    """Return the names outside the longest run of ``names`` that stands in the order of ``a``."""
    places = {node.name: number for number, node in enumerate(a)}
    order = [places[name] for name in names]
    if all(x < y for x, y in pairwise(order)):
        return ()
    tails: list[int] = []  # the smallest place that ends a run of each length, and where in the order it is
    ends: list[int] = []
    previous: list[int] = []
    for index, place in enumerate(order):
        length = bisect_left(tails, place)
        previous.append(ends[length - 1] if length else -1)
        if length == len(tails):
            tails.append(place)
            ends.append(index)
        else:
            tails[length], ends[length] = place, index
    kept: set[int] = set()
    at = ends[-1]
    while at >= 0:
        kept.add(at)
        at = previous[at]
    return tuple(name for index, name in enumerate(names) if index not in kept)


def _change_lines(change: NodeChange) -> list[str]:
    lines = [f"{change.name} ({change.op})"]
    for part in change.changes:
        before, after = ("(none)" if v is None else _shown(v) for v in (part.before, part.after))
        lines.append(f"    {part.label}: {before} -> {after}")
    return lines


def _section(sign: str, items: Sequence[_Item], limit: int | None) -> list[str]:
    """Return the lines of the items, namespaces in the order of their first item."""
    groups: dict[str, list[_Item]] = {}
    for item in items:
        top, slash, _ = item.name.partition("/")
        groups.setdefault(top + slash if slash else "", []).append(item)
    lines: list[str] = []
    bound = len(items) if limit is None else limit
    for number, (namespace, members) in enumerate(groups.items()):
        if number == bound:
            left = list(groups.values())[bound:]
            rest = plural(sum(map(len, left)), "node")
            lines.append(f"{sign} ... {plural(len(left), 'more namespace')} ({rest})")
            break
        if len(members) > bound:
            label = namespace or "outside namespaces"
            lines.append(f"{sign} {label} ({plural(len(members), 'node')}: {_counts(members)})")
            continue
        for item in members:
            lines += [f"{sign} {item.lines[0]}", *item.lines[1:]]
    return lines


def _counts(items: Iterable[_Item]) -> str:
    table: dict[str, int] = {}
    for item in items:
        for key in item.kinds:
            table[key] = table.get(key, 0) + 1
    ranked = sorted(table.items(), key=lambda item: (-item[1], item[0]))
    shown = ", ".join(f"{count} {key}" for key, count in ranked[:5])
    return shown + (f", {len(ranked) - 5} more kinds" if len(ranked) > 5 else "")


def _shown(text: str) -> str:
    return text if len(text) <= _ROOM else f"{text[: _ROOM - 20]}... ({len(text)} characters)"
