"""Make a small SSD detector as the TensorFlow Object Detection API exports them, cut out what TensorRT cannot run, put
plugins in its place, and write the files.

    surgeon demo -o demo
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from surgeon.cli import console

if TYPE_CHECKING:
    from surgeon.rewrite import Plan

NAME = "demo"
SUMMARY = "make a detector, convert it, and show what was done"
RECIPE = "ssd_mobilenet_v1_coco"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-o", "--output", metavar="DIR", type=Path, default=Path("demo"), help="folder for the files (default: demo)")
    parser.add_argument("--date", choices=("2017", "2018", "2019"), default="2018", help="exporter to imitate (default: 2018)")


def run(args: argparse.Namespace) -> int:
    from surgeon import api
    from surgeon.zoo import SsdOptions, write_ssd

    folder = _made(args.output)
    model = write_ssd(folder / "ssd.pb", SsdOptions(date=args.date, classes=90))
    uff = api.convert(RECIPE, model, folder / "ssd.uff")
    again = api.convert(RECIPE, model, folder / "ssd_plugins.pb", target=uff.target)
    out, into = _taken_out(uff.plan), _put_in(uff.plan)
    files = {
        str(model): f"the detector, {console.plural(uff.nodes_before, 'node')}",
        str(uff.output): f"for {uff.target}, {console.plural(uff.nodes_after, 'node')}, {console.size(uff.bytes_written)}",
        str(again.output): "the same as a TensorFlow graph, for Netron and TensorBoard",
    }
    if args.json:
        console.show_json({"recipe": RECIPE, "target": uff.target, "nodes": {"before": uff.nodes_before, "after": uff.nodes_after},
                           "taken out": out, "put in": into, "files": list(files)})  # fmt: skip
        return 0
    console.show(console.bold(f"taken out of {model}, by the recipe {RECIPE}"))
    console.table([(name, console.number(entry["nodes"]), f"-> {entry['into']}" if entry["into"] else "nothing needs it any more")
                   for name, entry in out.items()], right=(1,))  # fmt: skip
    console.show()
    console.show(console.bold("put in"))
    console.table([(name, entry["op"], entry["fields"]) for name, entry in into.items()])
    console.show()
    console.show(console.bold("files"))
    console.table(list(files.items()))
    console.show()
    console.show(f"next: surgeon inspect {model}; surgeon plan {RECIPE} {model}; surgeon explain NMS_TRT")
    return 0


def _made(folder: Path) -> Path:
    from surgeon.diagnostics import error

    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as exc:
        raise error("E105", f"the folder '{folder}' cannot be made: {exc.strerror or exc}", help=["give another with -o"]) from None
    return folder


def _taken_out(plan: Plan) -> dict[str, dict[str, Any]]:
    """Return, by top-level namespace, how many nodes went and what took their place."""
    from surgeon.graph import Drop

    found: dict[str, dict[str, Any]] = {}
    drops = [edit for step in plan.steps if step.step == "collapse" for edit in step.edits if isinstance(edit, Drop)]
    for drop in drops:
        entry = found.setdefault(drop.name.partition("/")[0], {"nodes": 0, "into": ""})
        entry["nodes"] += 1
        entry["into"] = drop.into or entry["into"]
    return found


def _put_in(plan: Plan) -> dict[str, dict[str, str]]:
    """Return the nodes put in, with the values that were derived from the graph."""
    from surgeon.graph import Add

    derived: dict[str, list[str]] = {}
    for value in plan.derivations:
        text = f"in place of {value.value}" if value.field == "namespace" else f"{value.field} {value.value}"
        derived.setdefault(value.node, []).append(text)
    adds = [edit for step in plan.steps for edit in step.edits if isinstance(edit, Add) and edit.node.op != "Const"]
    return {add.node.name: {"op": add.node.op, "fields": "; ".join(derived.get(add.node.name, []))} for add in adds}
