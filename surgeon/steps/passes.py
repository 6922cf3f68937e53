"""Steps that plan in several passes, each of which sees the graph as the passes before left it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from typing import TypeAlias

from surgeon.graph import Add, Drop, Edit, Graph, Rewire, SetAttr, SetOp, SetOutputs, apply_edits
from surgeon.graph.op_sets import PLACEHOLDERS
from surgeon.steps.step import StepContext

Pass: TypeAlias = Callable[[StepContext], list[Edit]]


def one_batch(
    context: StepContext, passes: Mapping[Pass, str] | Sequence[Pass], held: Collection[str] = ()
) -> list[Edit]:
    """Plan what the passes plan, one after the other, as one batch of edits of the first graph.

    Placeholders that ``held`` names stay placeholders, whatever the passes make of them. A placeholder that
    becomes a constant and then goes is edited and dropped, so that the plan tells its value. A mapping of
    passes says what the nodes are that the pass makes identities, for the plan to tell if they go.
    """
    graph = context.graph
    kinds = passes if isinstance(passes, Mapping) else {}
    turned: dict[str, str] = {}
    fates: dict[str, list[Edit]] = {}
    for plan in passes:
        edits = plan(replace(context, graph=graph))
        for edit in edits:
            if isinstance(edit, SetOp) and edit.op == "Identity" and kinds.get(plan):
                turned[edit.name] = kinds[plan]
            if isinstance(edit, Drop):
                if edit.name in turned:
                    edit = replace(edit, fate=f"{turned[edit.name]}; {edit.fate}")
                fates.setdefault(edit.name, []).append(edit)
            elif isinstance(edit, SetOp | SetAttr) and _is_placeholder(context.graph, edit.name):
                fates.setdefault(edit.name, []).append(edit)
        if edits:
            graph = apply_edits(graph, edits)
    return _difference(context, graph, fates, held)


def _is_placeholder(graph: Graph, name: str) -> bool:
    return name in graph and graph[name].op in PLACEHOLDERS


def _difference(
    context: StepContext, after: Graph, fates: dict[str, list[Edit]], held: Collection[str]
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
            edits += fates[name]
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
