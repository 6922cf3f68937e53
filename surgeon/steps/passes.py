"""Steps that plan in several passes, each of which sees the graph as the passes before left it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from typing import TypeAlias

from surgeon.graph import Add, Drop, Edit, Graph, Rewire, SetAttr, SetOp, SetOutputs, apply_edits
from surgeon.graph.op_sets import PLACEHOLDERS
from surgeon.steps.step import StepContext

Pass: TypeAlias = Callable[[StepContext], list[Edit]]


def one_batch(context: StepContext, passes: Sequence[Pass], held: Collection[str] = ()) -> list[Edit]:
    """Plan what the passes plan, one after the other, as one batch of edits of the first graph.

    Placeholders that ``held`` names stay placeholders, whatever the passes make of them.
    """
    graph = context.graph
    fates: dict[str, Drop] = {}
    for plan in passes:
        edits = plan(replace(context, graph=graph))
        fates.update((edit.name, edit) for edit in edits if isinstance(edit, Drop))
        if edits:
            graph = apply_edits(graph, edits)
    return _difference(context, graph, fates, held)


def _difference(
    context: StepContext, after: Graph, fates: dict[str, Drop], held: Collection[str]
) -> list[Edit]:
    before, span = context.graph, context.span
    edits: list[Edit] = []
    for node in before:
        name = node.name
        now = after.get(name)
        if name in held and node.op in PLACEHOLDERS:
            if node.inputs:
                edits += [SetOp(name, "Placeholder", span), Rewire(name, (), None, span)]
            continue
        if now is None:
            edits.append(fates[name])
            continue
        if now is node:
            continue
        if now.op != node.op:
            edits.append(SetOp(name, now.op, span))
        if now.inputs != node.inputs or now.control != node.control:
            edits.append(Rewire(name, now.inputs, now.control, span))
        keys = dict.fromkeys([*node.attrs, *now.attrs])
        changed = [key for key in keys if now.attrs.get(key) is not node.attrs.get(key)]
        edits += [SetAttr(name, key, now.attrs.get(key), span) for key in changed]
    edits += [Add(node, None, span) for node in after if node.name not in before]
    if after.outputs != before.outputs:
        edits.append(SetOutputs(after.outputs, span))
    return edits
