"""Show what a recipe would do to a model, step by step: what is taken out and what becomes of it, what is put
in, what is connected again, each with the recipe's line. With -o, keep the plan; 'surgeon apply' replays it.

    surgeon plan ssd_mobilenet_v2_coco model.pb
    surgeon plan ssd_mobilenet_v2_coco model.pb -o plan.json
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from surgeon.cli import console
from surgeon.cli.check import nodes_of, show_derivations
from surgeon.cli.next_step import after_verify, given_model, name_for, suffixes
from surgeon.cli.options import add_anchors, add_recipe, add_target, recipe_arguments, shown_place
from surgeon.cli.streams import STREAM
from surgeon.display import plural

if TYPE_CHECKING:
    from surgeon.graph import Drop, Edit, Ref
    from surgeon.rewrite import Plan, PlannedStep

NAME = "plan"
TASK = "write"
SUMMARY = "Show what a recipe would change in a model, step by step."
INPUTS = ("recipe", "model")
OUTPUTS = ("output",)

MOST = 12
"""Lines that one step shows of a kind; the JSON twin has all."""

_QUOTED = re.compile(r"'[^']*'")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_recipe(parser)
    parser.add_argument("model", metavar="MODEL", help="a frozen graph (.pb, .pbtxt) or a SavedModel folder")
    parser.add_argument(
        "-o", "--output", metavar="PLAN", type=Path, help="write the plan, as JSON, to this file"
    )
    add_target(parser)
    add_anchors(parser)


def run(args: argparse.Namespace) -> int:
    import surgeon
    from surgeon.rewrite import plan_to_json, write_plan

    made = surgeon.plan(
        args.recipe,
        args.model,
        anchors=args.anchors,
        decode=args.decode,
        suppression=args.suppression,
        **recipe_arguments(args),
    )
    to_stream = args.output == Path(STREAM)
    if args.output is not None and not to_stream:
        write_plan(made, args.output)
        console.say(f"{args.output}: the plan")
    if args.json or to_stream:
        console.show_json(plan_to_json(made))
    elif args.output is None:
        show_plan(made)
    if not args.json and not to_stream:
        if args.output is None:
            after_verify(args)
        else:
            output = name_for(args) + suffixes(args.target)[0]
            console.next_step(["surgeon", "apply", str(args.output), given_model(args), "-o", output])
    return 0


def show_plan(plan: Plan) -> None:
    """Write a plan for people."""
    nodes = nodes_of(plan)
    target = f" for {plan.target}" if plan.target else ""
    console.show(
        f"recipe '{plan.recipe}'{target}: {console.number(nodes['before'])} nodes become "
        f"{console.number(nodes['after'])}"
    )
    show_derivations(plan)
    for step in plan.steps:
        _show_step(step)
    for note in plan.diagnostics:
        console.show_lines(note.render())


def _show_step(step: PlannedStep) -> None:
    from surgeon.graph import Add, Drop, Rewire, SetAttr, SetOp, SetOutputs

    own = shown_place(step.span)

    def at(edit: Edit) -> str:
        place = shown_place(edit.span)
        return "" if place == own else place

    name = step.step if step.label == step.step else f"{step.step} ({step.label})"
    console.show()
    console.show(f"{console.bold(name)}  {own}".rstrip())
    if step.skipped:
        console.show(f"  skipped: {step.skipped}")
        return
    if not step.edits:
        console.show("  nothing to do")
    _show_drops([(e, at(e)) for e in step.edits if isinstance(e, Drop)])
    added = {e.node.name: e for e in step.edits if isinstance(e, Add)}
    console.table(
        [("put in  ", e.node.name, f"{e.node.op}({_refs(e.node.inputs)})", at(e)) for e in added.values()]
    )
    rewired = [e for e in step.edits if isinstance(e, Rewire)]
    seams = [e for e in rewired if any(ref.node in added for ref in e.inputs or ())]
    console.table([("rewire  ", e.name, f"reads {_refs(e.inputs or ())}", at(e)) for e in seams[:MOST]])
    rest = _counts(e.name for e in rewired if e not in seams[:MOST])
    console.table(
        [("rewire  ", top, plural(count, "node")) for top, count in rest.items()][:MOST], right=(2,)
    )
    values = [
        ("set     ", e.name, f"{e.key} is {'taken away' if e.value is None else _short(e.value)}", at(e))
        for e in step.edits
        if isinstance(e, SetAttr)
    ]
    values += [
        ("set     ", e.name, f"the operation is {e.op}", at(e)) for e in step.edits if isinstance(e, SetOp)
    ]
    console.table(values[:MOST])
    if len(values) > MOST:
        console.show(f"  and {console.number(len(values) - MOST)} more set")
    console.table([("outputs ", _refs(e.outputs), at(e)) for e in step.edits if isinstance(e, SetOutputs)])


def _show_drops(drops: list[tuple[Drop, str]]) -> None:
    """Write what is taken out, by namespace and by what became of it; names differ within a group."""
    groups: dict[tuple[str, str, str], list[str]] = {}
    for drop, place in drops:
        key = (drop.name.partition("/")[0], _QUOTED.sub("...", drop.fate), place)
        groups.setdefault(key, []).append(drop.fate)
    rows = [
        (
            "take out",
            top,
            plural(len(fates), "node"),
            fates[0] if len(set(fates)) == 1 else fate,
            place,
        )
        for (top, fate, place), fates in groups.items()
    ]
    console.table(rows[: 4 * MOST], right=(2,))
    if len(rows) > 4 * MOST:
        console.show(f"  and {plural(len(rows) - 4 * MOST, 'group')} more")


def _counts(names: Iterable[str]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for name in names:
        top = name.partition("/")[0]
        counts[top] = counts.get(top, 0) + 1
    return counts


def _refs(refs: tuple[Ref, ...]) -> str:
    return console.some([str(ref) for ref in refs], 3)


def _short(value: object) -> str:
    from surgeon.graph import print_attr

    text = print_attr(value)  # type: ignore[arg-type]
    return text if len(text) <= 60 else text[:57] + "..."
