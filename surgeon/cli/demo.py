"""Take a small trained detector through everything: write a recipe for it, put plugins in the place of what
TensorRT cannot run, write the files, and prove on pictures that the same is detected.

    surgeon demo -o demo
"""

from __future__ import annotations

import argparse
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from surgeon.cli import console
from surgeon.display import plural

if TYPE_CHECKING:
    from surgeon.rewrite import Plan
    from surgeon.verification import Verification
    from surgeon.zoo.demo import DemoModel

NAME = "demo"
TASK = "look"
SUMMARY = "Take a small trained detector through everything, and show what was done."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "-o",
        "--output",
        metavar="DIR",
        type=Path,
        default=Path("demo"),
        help="folder for the files (default: demo)",
    )
    parser.add_argument(
        "--force", action="store_true", help="replace files of these names that hold something else"
    )


def run(args: argparse.Namespace) -> int:
    import surgeon
    from surgeon.language.schema import SCHEMA_FILE
    from surgeon.zoo.demo import demo_model

    folder = args.output
    made = demo_model(folder, force=args.force)
    model, recipe = made.model, folder / "ssd.yaml"
    surgeon.init(model, recipe, labels=made.labels, force=args.force)
    uff = surgeon.convert(recipe, model, folder / "ssd.uff")
    again = surgeon.convert(recipe, model, folder / "ssd_plugins.pb", target=uff.target)
    verified, missing = _verified(recipe, made, folder / "detections")
    out, into = _taken_out(uff.plan), _put_in(uff.plan)
    files = {
        str(model): f"a detector of coloured shapes, {plural(uff.nodes_before, 'node')}",
        str(made.labels): "its label map",
        str(made.pictures): "pictures that it was not trained on",
        str(recipe): "the recipe that 'surgeon init' writes for it",
        str(folder / SCHEMA_FILE): "the schema of recipes, for your editor",
        str(
            uff.output
        ): f"for {uff.target}, {plural(uff.nodes_after, 'node')}, {console.size(uff.bytes_written)}",
        str(again.output): "the same as a TensorFlow graph, for Netron and TensorBoard",
        **(dict.fromkeys(verified.drawn, "what both detect") if verified else {}),
    }
    if args.json:
        console.show_json(
            {
                "recipe": str(recipe),
                "target": uff.target,
                "nodes": {"before": uff.nodes_before, "after": uff.nodes_after},
                "taken out": out,
                "put in": into,
                "files": list(files),
                "verification": verified.to_json() if verified else None,
            }
        )
        return 0
    console.show(console.bold(f"taken out of {model}, by the recipe {recipe}"))
    console.table(
        [
            (
                name,
                console.number(entry["nodes"]),
                f"-> {entry['into']}" if entry["into"] else "nothing needs it any more",
            )
            for name, entry in out.items()
        ],
        right=(1,),
    )
    console.show()
    console.show(console.bold("put in"))
    console.table([(name, entry["op"], entry["fields"]) for name, entry in into.items()])
    console.show()
    console.show(console.bold("the same detections?"))
    console.table(_verdicts(verified) if verified else [(missing,)])
    console.table([(f"{name}:", text) for name, text in (verified.excuses if verified else {}).items()])
    console.show()
    console.show(console.bold("files"))
    console.table(list(files.items()))
    console.next_step(
        ["surgeon", "view", str(recipe), str(model), "--html", str(folder / "page.html")],
        ["surgeon", "convert", str(recipe), str(model), "-o", str(folder / "ssd.onnx")],
        ["surgeon", "init", "MODEL", "-o", "RECIPE.yaml"],
    )
    return 0


def _verified(recipe: Path, made: DemoModel, drawn: Path) -> tuple[Verification | None, str]:
    """Return what was found on the demo's pictures; None, and why, where a library for it is missing."""
    import surgeon
    from surgeon.diagnostics import SurgeonError

    try:
        return surgeon.verify(recipe, made.model, images=made.pictures, output=drawn), ""
    except SurgeonError as exc:
        if exc.diagnostics[0].code != "E108":
            raise
        return None, f"not compared: {exc.diagnostics[0].message}"


def _verdicts(found: Verification) -> list[tuple[str, ...]]:
    from surgeon.verification import DetectionComparison

    rows: list[tuple[str, ...]] = []
    for verdict in found.verdicts:
        detections = [c for c in verdict.comparisons if isinstance(c, DetectionComparison) and not c.is_probe]
        matched, total = sum(c.matched for c in detections), sum(c.original for c in detections)
        counts = Counter(name for c in detections for name in Counter(c.excused).elements())
        excused = ", ".join(f"{name} {count}" for name, count in counts.items())
        rows.append(
            (
                verdict.name,
                str(verdict.outcome),
                f"{matched} of {total} detections",
                f"box error {max((c.worst_box_error for c in detections), default=0.0):.1g}",
                f"excused: {excused}" if excused else "",
            )
        )
    return rows


def _taken_out(plan: Plan) -> dict[str, dict[str, Any]]:
    """Return, by top-level namespace, how many nodes went and what took their place."""
    from surgeon.graph import Drop

    found: dict[str, dict[str, Any]] = {}
    drops = [
        edit
        for step in plan.steps
        if step.step == "collapse"
        for edit in step.edits
        if isinstance(edit, Drop)
    ]
    for drop in drops:
        entry = found.setdefault(drop.name.partition("/")[0], {"nodes": 0, "into": ""})
        entry["nodes"] += 1
        entry["into"] = drop.into or entry["into"]
    return found


def _put_in(plan: Plan) -> dict[str, dict[str, str]]:
    """Return the nodes put in, with a plugin's fields."""
    from surgeon.catalog import load_catalog
    from surgeon.graph import Add

    catalog = load_catalog()
    adds = [
        edit.node
        for step in plan.steps
        for edit in step.edits
        if isinstance(edit, Add) and edit.node.op != "Const"
    ]
    decoding = f"{plan.decoding.node}/decode/" if plan.decoding is not None else None
    inside = [node for node in adds if decoding is not None and node.name.startswith(decoding)]
    found = {
        node.name: {
            "op": node.op,
            "fields": "; ".join(
                f"{key} {_plain(value)}"
                for key, value in node.attrs.items()
                if node.op in catalog and key in catalog[node.op].fields
            ),
        }
        for node in adds
        if node not in inside
    }
    if decoding is not None:
        what = "decode boxes, clip them and drop empty ones, as the graph does before suppression"
        found[f"{decoding}..."] = {"op": f"{len(inside)} operations", "fields": what}
    return found


def _plain(value: Any) -> str:
    if isinstance(value, tuple):
        return " ".join(map(_plain, value))
    return f"{value:g}" if isinstance(value, float) else str(value)
