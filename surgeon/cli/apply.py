"""Replay a plan on the graph it was made for, and export the result.

surgeon apply plan.json model.pb -o ssd.uff
"""

from __future__ import annotations

import argparse
from pathlib import Path

from surgeon.cli import console
from surgeon.cli.next_step import after_convert, suffixes
from surgeon.cli.options import add_plugin_path, add_target
from surgeon.cli.streams import product, spoken

NAME = "apply"
TASK = "convert"
SUMMARY = "Replay a plan on the model it was made for, and export the result."
INPUTS = ("plan", "model")
OUTPUTS = ("output",)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("plan", metavar="PLAN", type=Path, help="a file of 'surgeon plan -o'")
    parser.add_argument("model", metavar="MODEL", help="the graph that the plan was made for")
    parser.add_argument(
        "-o", "--output", metavar="OUT", required=True, type=Path, help="a .uff, .pb or .pbtxt file"
    )
    add_plugin_path(parser)
    add_target(parser, "the plan's, or by the output's suffix")


def run(args: argparse.Namespace) -> int:
    from surgeon.api.convert import replay
    from surgeon.rewrite import read_plan

    plan = read_plan(args.plan)
    with product(args, args.output, suffixes(args.target or plan.target or None)[0]) as output:
        done = replay(plan, args.model, output, target=args.target, plugin_paths=args.plugin_paths)
    console.say_diagnostics(done.warnings)
    if args.json:
        console.show_json(
            {
                "output": str(done.output),
                "target": done.target,
                "recipe": done.plan.recipe,
                "bytes": done.bytes_written,
                "nodes": {"before": done.nodes_before, "after": done.nodes_after},
                "diagnostics": [d.to_json() for d in done.diagnostics],
            }
        )
    else:
        console.say(
            f"{spoken(args, 'output')}: {console.size(done.bytes_written)} for {done.target}; "
            f"{console.number(done.nodes_before)} nodes became {console.number(done.nodes_after)}"
        )
        after_convert(args.output, done.target, None)
    return 0
