"""Validate a recipe; with a model, plan it too, show every derived value with its evidence, and look for what
the target would refuse. Nothing is written.

    surgeon check my_recipe.yaml
    surgeon check my_recipe.yaml frozen_inference_graph.pb --target uff@tensorrt-7.1
    surgeon check --recipes recipes/*.yaml
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from surgeon.cli import console
from surgeon.cli.next_step import recipe_words
from surgeon.cli.options import add_anchors, add_recipe, add_target, recipe_arguments
from surgeon.deprecation import Alias
from surgeon.diagnostics import Severity

if TYPE_CHECKING:
    from surgeon.api.check import Check
    from surgeon.rewrite import Plan

NAME = "check"
TASK = "write"
SUMMARY = "Validate a recipe; with a model, try it without writing anything."
INPUTS = ("recipe", "model")
_REMARKS = Alias("surgeon.cli.check --json", "remarks", "diagnostics", removal="0.2.0")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_recipe(parser, optional=True)
    parser.add_argument(
        "model", metavar="MODEL", nargs="?", help="a frozen graph (.pb, .pbtxt) or a SavedModel folder"
    )
    parser.add_argument(
        "--recipes",
        nargs="+",
        metavar="RECIPE",
        help="validate these recipes, each without a model, and go on after a wrong one; in place of RECIPE",
    )
    add_target(parser)
    add_anchors(parser)


def run(args: argparse.Namespace) -> int:
    import surgeon

    if args.recipes is not None:
        return _check_each(args)
    if args.recipe is None:
        args.wrong_usage("the following arguments are required: RECIPE")
    if args.model is None and (args.input_specs or args.constants):
        args.wrong_usage("--input and --constant go with MODEL")
    found = surgeon.check(
        args.recipe,
        args.model,
        anchors=args.anchors,
        decode=args.decode,
        suppression=args.suppression,
        **recipe_arguments(args),
    )
    if args.json:
        console.show_json(_plain(found))
    else:
        _show(found)
    console.say_diagnostics([*found.errors, *found.warnings])
    if not args.json and not found.errors:
        verb, model = ("check", "MODEL") if args.model is None else ("verify", args.model)
        console.next_step(["surgeon", verb, *recipe_words(args, model)])
    return 1 if found.errors else 0


def _check_each(args: argparse.Namespace) -> int:
    """Validate several recipes without a model."""
    import surgeon

    given = {
        "RECIPE": args.recipe,
        "--anchors": args.anchors,
        "--decode": args.decode,
        "--suppression": args.suppression,
        "--input": args.input_specs or None,
        "--constant": args.constants or None,
    }
    wrong = [name for name, value in given.items() if value is not None]
    if wrong:
        args.wrong_usage(f"--recipes goes without {wrong[0]}")
    rows: list[dict[str, Any]] = []
    errors: list[surgeon.Diagnostic] = []
    for recipe in args.recipes:
        try:
            found = surgeon.check(recipe, **recipe_arguments(args))
        except surgeon.SurgeonError as exc:
            rows.append({"file": recipe, "diagnostics": [d.to_json() for d in exc.diagnostics]})
            errors += exc.diagnostics
            continue
        rows.append({"file": recipe, **_plain(found)})
        if not args.json:
            _show(found)
    if args.json:
        console.show_json({"recipes": rows})
    console.say_diagnostics(errors)
    return 1 if errors else 0


def _plain(found: Check) -> dict[str, Any]:
    out: dict[str, Any] = {
        "recipe": found.recipe.name,
        "sources": found.recipe.sources,
        "target": found.target,
        "parameters": dict(found.recipe.parameters),
        "diagnostics": [d.to_json() for d in found.diagnostics],
    }
    if found.plan is not None:
        out["derivations"] = [d.to_json() for d in found.plan.derivations]
        out[_REMARKS.name] = [d.to_json() for d in found.plan.diagnostics]
        out["nodes"] = nodes_of(found.plan)
    return out


def _show(found: Check) -> None:
    console.show(
        f"recipe '{found.recipe.name}' for {found.target}: {'fine' if not found.errors else 'refused'}"
    )
    if found.recipe.parameters:
        console.show("parameters: " + ", ".join(f"{k}={v}" for k, v in found.recipe.parameters.items()))
    if found.plan is None:
        return
    nodes = nodes_of(found.plan)
    console.show(f"plan: {console.number(nodes['before'])} nodes become {console.number(nodes['after'])}")
    show_derivations(found.plan)
    for note in found.diagnostics:
        if note.severity is Severity.NOTE:
            console.show_lines(note.render())


def nodes_of(plan: Plan) -> dict[str, int]:
    """Return the number of nodes before and after a plan."""
    before = len(plan.source) if plan.source is not None else 0
    return {"before": before, "after": plan.steps[-1].nodes if plan.steps else before}


def show_derivations(plan: Plan) -> None:
    """Write every derived value, its evidence below it."""
    if plan.derivations:
        console.show()
        console.show(console.bold("derived from the graph"))
    for derived in plan.derivations:
        console.show(f"  {derived.node}.{derived.field} = {derived.value}")
        for line in derived.evidence[:6]:
            console.show(f"      {line}")
        if len(derived.evidence) > 6:
            console.show(f"      and {len(derived.evidence) - 6} more")
