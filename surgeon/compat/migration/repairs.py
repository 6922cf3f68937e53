"""What a first draft leaves different from the script's graph, made up for by further steps."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

from surgeon.compat.migration.comparison import Comparison, MigrationDifference
from surgeon.compat.migration.drafting import Refinement, plain_attr
from surgeon.compat.migration.history import History
from surgeon.graph import Ref
from surgeon.language import Recipe
from surgeon.language.writing import Item


def refined(
    before: Refinement, comparison: Comparison, recipe: Recipe, history: History, script: str
) -> Refinement:
    """Return a refinement that makes up for differences that nothing explains; the same where none can."""
    found = Refinement(set(before.explicit), set(before.literal), list(before.repairs), set(before.apart))
    attrs: dict[str, dict[str, Any]] = {}
    for each in comparison.unexplained:
        first = history.earlier.get(each.node, each.node)
        definition = recipe.nodes.get(first)
        if each.node not in comparison.script or each.node not in comparison.recipe:
            continue
        if definition is not None:
            if each.what == "inputs":
                found.explicit.add(first)
            elif (definition.fields or {}).get(each.what) == "auto":
                found.literal.add((first, each.what))
        elif each.what == "inputs":
            found.repairs += _edges(each, first, comparison, history, script)
        elif each.what == "op":
            node = comparison.script[each.node]
            step: dict[str, Any] = {
                "step": "replace-op",
                "from": each.recipe,
                "to": node.op,
                "nodes": [first],
            }
            found.repairs.append(Item(step, (f"{script} changes the operation",)))
        elif (
            each.what in comparison.script[each.node].attrs or each.what in comparison.recipe[each.node].attrs
        ):
            value = comparison.script[each.node].attrs.get(each.what)
            written = plain_attr(value)
            if value is None or written is not None:
                attrs.setdefault(first, {})[each.what] = written
    for name, values in attrs.items():
        step = {"step": "set-attr", "nodes": [name], "attrs": values}
        found.repairs.append(Item(step, (f"{script} sets attributes",)))
    return found


def _edges(
    each: MigrationDifference, first: str, comparison: Comparison, history: History, script: str
) -> Iterator[Item]:
    """Yield steps that give a node of the model the script's inputs."""
    wanted = comparison.script[each.node].inputs
    now = list(comparison.recipe[each.node].inputs)
    spelt = {ref: str(Ref(history.earlier.get(ref.node, ref.node), ref.slot)) for ref in (*wanted, *now)}
    comment = (_comment(each.node, history, script),)
    surplus = Counter(now) - Counter(wanted)
    for ref in surplus:
        yield Item({"step": "disconnect", "from": spelt[ref], "to": first}, comment)
        now = [other for other in now if other != ref]
    for at, ref in enumerate(wanted):
        if now.count(ref) < wanted[: at + 1].count(ref):
            yield Item({"step": "connect", "from": spelt[ref], "to": first, "at": at}, comment)
            now.insert(at, ref)
    if tuple(now) != wanted and len(set(wanted)) == len(wanted):
        order = [spelt[ref] for ref in wanted]
        yield Item({"step": "reorder-inputs", "node": first, "order": order}, comment)


def _comment(node: str, history: History, script: str) -> str:
    lines = [
        edit.line
        for edit in history.edits
        if edit.method in ("connect", "disconnect", "sort") and edit.line and node in edit.nodes
    ]
    return f"{script}, {', '.join(lines)}" if lines else f"{script} edits the inputs of '{node}'"
