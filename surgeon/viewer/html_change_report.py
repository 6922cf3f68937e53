"""Pieces of HTML that tell a story.

Numbers, what was put in, steps, namespaces, changes, and what was derived.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

from surgeon.display import number, size, some
from surgeon.families import Derivation
from surgeon.graph import NodeChange
from surgeon.viewer.change_report import GraphStory, NamespaceStory, NodeStory, StepStory, Story, walk
from surgeon.viewer.html_parts import (
    badge,
    folding_table,
    lines_of,
    name_of,
    place_of,
    spec_of,
    table,
    value_of,
)
from surgeon.viewer.markup import Markup, element, join
from surgeon.viewer.node_status import Fate

MOST_NAMESPACES = 1500
"""Namespaces that a tree shows; deeper ones of a larger graph are counted only."""

MOST_CHANGED = 400
"""Nodes that differ and are listed one by one."""

_LONGEST = 240


def counts(story: Story) -> Markup:
    """Return nodes, bytes of constants and kinds of operations, before and after."""
    after, before = story.after, story.before
    rows = [
        ("nodes", *(number(len(side.graph)) for side in (before, after) if side is not None)),
        ("constants", *(size(side.constant_bytes) for side in (before, after) if side is not None)),
        ("kinds of operations", *(len(side.ops) for side in (before, after) if side is not None)),
        ("plugin nodes", *(len(side.plugins) for side in (before, after) if side is not None)),
    ]
    return table(["", *_sides(story)], rows, right=(1, 2))


def tensors(story: Story) -> Markup:
    """Return the graph's inputs and outputs, before and after."""
    rows: list[Sequence[object]] = []
    sides = [side for side in (story.before, story.after) if side is not None]
    for side, label in zip(sides, _sides(story), strict=True):
        for what, found in (("input", side.inputs), ("output", side.outputs)):
            rows += [
                (what, *([label] if len(sides) > 1 else []), name_of(name), spec_of(spec))
                for name, spec in found
            ]
    return table(["", *(["graph"] if len(sides) > 1 else []), "tensor", "type and shape"], rows)


def operations(story: Story) -> Markup:
    """Return how often each operation occurs, before and after, with bars."""
    sides = [side for side in (story.before, story.after) if side is not None]
    ops: dict[str, None] = {}
    for side in reversed(sides):
        ops.update(dict.fromkeys(side.ops))
    most = max((count for side in sides for count in side.ops.values()), default=1)
    ranked = sorted(ops, key=lambda op: -max(side.ops.get(op, 0) for side in sides))
    rows = [
        (
            _op(op, story.after),
            *(_bar(side.ops.get(op, 0), most, number(side.ops.get(op, 0))) for side in sides),
        )
        for op in sorted(ranked, key=lambda op: op not in story.after.catalog)
    ]
    return folding_table("operations", ["operation", *_sides(story)], rows, shown=12, right=(1, 2))


def put_in(story: Story) -> Markup:
    """Return the nodes that were put in: what they replace, and the recipe's line."""
    rows = [
        (
            name_of(s.node.name),
            _op(s.node.op, story.after),
            _replaced(story.replaced.get(s.node.name, {})),
            _fields(s, story),
            place_of(s.mark.span),
        )
        for s in story.put_in
    ]
    return table(["node", "operation", "in the place of", "fields", "recipe"], rows)


def steps(told: Sequence[StepStory]) -> Markup:
    """Return the plan's steps, the edits of each, and how many nodes are left."""
    rows = [(step.label, _edits(step), number(step.nodes), place_of(step.span)) for step in told]
    return table(["step", "edits", "nodes left", "recipe"], rows, right=(2,))


def _edits(step: StepStory) -> str:
    if step.skipped:
        return f"skipped: {step.skipped}"
    return ", ".join(f"{number(count)} {kind}" for kind, count in step.edits.items()) or "nothing to do"


def namespaces(story: Story, depth: int = 0) -> Markup:
    """Return the tree of namespaces with the fate of each, foldable.

    ``depth`` bounds it where it is not 0.
    """
    return _tree(story.namespaces, story.kind, depth)


def plain_namespaces(told: Sequence[NamespaceStory]) -> Markup:
    """Return a tree of namespaces without fates."""
    return _tree(told, "graph", 0)


def _tree(told: Sequence[NamespaceStory], of: Literal["graph", "plan", "diff"], depth: int) -> Markup:
    shown = _shown(told, depth)
    most = max((n.constant_bytes for n in told), default=0)
    rows = (_namespace(n, of, most, shown, 1) for n in told[:MOST_NAMESPACES])
    titles = {"graph": (), "plan": ("fate", "recipe"), "diff": ("fate",)}[of]
    numbers = (element("span", title, class_="n") for title in ("nodes", "constants"))
    head = element(
        "div",
        element("span", "namespace or node"),
        *numbers,
        *(element("span", title) for title in titles),
        class_="ns-row ns-head",
        aria_hidden="true",
    )
    left = len(list(walk(told))) - len(shown)
    more = element("p", f"{number(left)} more are not listed.", class_="muted") if left else None
    kind = {"graph": "ns ns-plain", "plan": "ns", "diff": "ns ns-short"}[of]
    return element("div", head, element("ul", *rows, class_="ns-tree"), more, class_=kind)


def changes(found: Sequence[NodeChange]) -> Markup:
    """Return the nodes that both graphs have and that differ, and in what."""
    rows = [
        (
            name_of(told.name),
            element("code", told.op),
            change.label,
            join(_side_of(change.before), element("span", " → ", class_="muted"), _side_of(change.after)),
        )
        for told in found[:MOST_CHANGED]
        for change in told.changes
    ]
    more = element("p", f"{number(len(found) - MOST_CHANGED)} further nodes are not listed.", class_="muted")
    listed = folding_table("changes", ["node", "operation", "what", "first → second"], rows, shown=12)
    return join(listed or element("p", "None.", class_="muted"), more if len(found) > MOST_CHANGED else None)


def _side_of(text: str | None) -> Markup:
    if text is None:
        return element("span", "not there", class_="muted")
    return element(
        "code", text if len(text) <= _LONGEST else f"{text[: _LONGEST - 20]}… ({len(text)} characters)"
    )


def derivations(found: Iterable[Derivation]) -> Markup:
    """Return derived values by node, each with its evidence."""
    groups: dict[str, list[Derivation]] = {}
    for one in found:
        groups.setdefault(one.node, []).append(one)
    rows = [
        (
            "" if i else element("b", name_of(node)),
            name_of(one.field),
            element("code", value_of(one.value)),
            lines_of(one.evidence),
        )
        for node, members in groups.items()
        for i, one in enumerate(members)
    ]
    if not rows:
        return element("p", "Nothing was derived: every value is written in the recipe.", class_="muted")
    return table(["node", "field", "value", "evidence"], rows)


def _sides(story: Story) -> tuple[str, ...]:
    return {"graph": ("nodes",), "plan": ("before", "after"), "diff": ("first", "second")}[story.kind]


def sizes(side: GraphStory) -> str:
    return f"{number(len(side.graph))} nodes, {size(side.constant_bytes)} of constants"


def _op(op: str, side: GraphStory) -> Markup:
    return badge(op, "plugin") if op in side.catalog else element("code", op)


def _bar(value: int, most: int, text: str) -> Markup:
    width = 0.0 if not most else 100.0 * value / most
    return element(
        "span", element("i", style=f"width:{width:.1f}%") if value else None, element("b", text), class_="bar"
    )


def _replaced(counts: Mapping[str, int]) -> Markup:
    items = [f"{name} ({number(count)})" for name, count in counts.items()]
    return element("span", some(items, 6))


def _fields(story: NodeStory, of: Story) -> Markup:
    catalog = of.after.catalog
    if story.node.op not in catalog:
        return Markup("")
    derived = {one.field for one in of.derivations if one.node == story.node.name}
    known = catalog[story.node.op].fields
    parts = [
        join(key, " ", element("b", value_of(value)), badge("derived", "derived") if key in derived else "")
        for key, value in story.node.attrs.items()
        if key in known
    ]
    return element("span", *(element("span", part, class_="field") for part in parts))


def _shown(roots: Sequence[NamespaceStory], depth: int) -> dict[str, None]:
    """Return the names of the namespaces that are shown: level by level, until there are enough."""
    found: dict[str, None] = {}
    level = list(roots)
    reached = 1
    while level and (not depth or reached <= depth):
        for namespace in level[: MOST_NAMESPACES - len(found)]:
            found[namespace.name] = None
        level = [inner for namespace in level if namespace.name in found for inner in namespace.inside]
        reached += 1
    return found


def _namespace(told: NamespaceStory, kind: str, most: int, shown: Mapping[str, None], level: int) -> Markup:
    label = told.name if level == 1 else told.name.rpartition("/")[2]
    nodes = (
        number(told.after)
        if kind == "graph" or told.before == told.after
        else f"{number(told.before)} → {number(told.after)}"
    )
    cells = [
        element("span", element("code", label)),
        element("span", nodes, class_="n"),
        element(
            "span",
            _bar(told.constant_bytes, most, size(told.constant_bytes)) if told.constant_bytes else None,
            class_="n",
        ),
    ]
    if kind != "graph":
        cells.append(
            element("span", badge(_fate_name(told.fate, kind), told.fate.value), " ", _fate_text(told, kind))
        )
    if kind == "plan":
        cells.append(element("span", _places(told)))
    attributes = {
        "class_": f"ns-row f-{told.fate.value}",
        "style": f"--level:{level - 1}",
        "data_path": told.name,
    }
    inside = [_namespace(inner, kind, most, shown, level + 1) for inner in told.inside if inner.name in shown]
    if not inside:
        return element("li", element("div", *cells, **attributes))
    return element("li", element("details", element("summary", *cells, **attributes), element("ul", *inside)))


def _fate_name(fate: Fate, kind: str) -> str:
    return "removed" if kind == "diff" and fate is Fate.DROPPED else fate.value


def _fate_text(told: NamespaceStory, kind: str) -> Markup:
    parts: list[object] = []
    counts = dict(sorted(told.fates.items(), key=lambda item: -item[1]))
    if told.fate is Fate.COLLAPSED:
        parts.append(join("into ", *_separated(name_of(name) for name in list(told.into)[:3])))
        del counts[Fate.COLLAPSED]
    if counts and (len(told.fates) > 1 or told.fate is Fate.PARTLY):
        parts += [f"{number(count)} {_fate_name(fate, kind)}" for fate, count in counts.items()]
    return element("span", *_separated(parts), class_="muted")


def _separated(parts: Iterable[object]) -> list[object]:
    out: list[object] = []
    for part in parts:
        out += [", ", part] if out else [part]
    return out


def _places(told: NamespaceStory) -> Markup:
    if not told.places:
        return Markup("")
    lines = [f"{step} {at}: {number(count)}" for (step, at), count in told.places.items()]
    (step, at), _ = next(iter(told.places.items()))
    more = f" +{len(lines) - 1}" if len(lines) > 1 else ""
    # A step of the default list is no line that someone wrote.
    return element(
        "code",
        f"{step if not at or at.startswith('(') else at}{more}",
        class_="place",
        title="\n".join(lines),
    )
