"""Write a recipe that does what a script for NVIDIA's graphsurgeon does, and show that it does. The script
is executed, so run only what you trust. It edits MODEL, in place of any graph that it reads, up to where it
converts the graph. Without -o the recipe is printed.

    surgeon migrate config.py frozen_inference_graph.pb -o my_ssd.yaml
    surgeon migrate build_engine.py frozen_inference_graph.pb --spec ssd_mobilenet_v2_coco -o my_ssd.yaml
    surgeon migrate convert.py model.pb -o my_model.yaml --arguments "--model model.pb"

Fields that equal what the graph says become 'auto', unless --literal is given. The recipe is planned, its
graph compared with the script's node by node, and verified where it gives detections and TensorFlow is
installed.

The exit code is 0 where the graphs are equal but for differences that have a reason, 1 where they are not,
and 3 where a verdict of the verification did not pass. The recipe is written in any case.
"""

from __future__ import annotations

import argparse
import contextlib
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from surgeon.cli import console
from surgeon.cli.next_step import given_model, suffixes
from surgeon.cli.options import add_plugin_path, add_target
from surgeon.cli.settings import configured_target
from surgeon.cli.streams import STREAM, spoken
from surgeon.cli.verify import EXIT_FAILED, show
from surgeon.display import plural

if TYPE_CHECKING:
    from surgeon.compat.migration import Migration

NAME = "migrate"
TASK = "write"
SUMMARY = "Write a recipe from a script for graphsurgeon, which is executed."
INPUTS = ("model",)
OUTPUTS = ("output",)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "script",
        metavar="SCRIPT",
        type=Path,
        help="a Python script that edits a graph, which is executed; OpenVINO's .json, Polygraphy's .yaml",
    )
    parser.add_argument("model", metavar="MODEL", help="a frozen graph (.pb, .pbtxt) or a SavedModel folder")
    parser.add_argument(
        "-o", "--output", metavar="RECIPE", type=Path, help="a .yaml file (default: standard output)"
    )
    parser.add_argument(
        "-O",
        "--output-node",
        metavar="NODE",
        dest="output_nodes",
        action="append",
        default=[],
        help="an output of the graph, as for 'convert-to-uff' (default: what the script converts)",
    )
    parser.add_argument(
        "--function",
        metavar="NAME",
        help="the function to call with the graph (default: preprocess or add_plugin, or run the script)",
    )
    parser.add_argument(
        "--spec", metavar="NAME", help="which of the script's dictionaries of numbers is for this model"
    )
    parser.add_argument(
        "--arguments", metavar="TEXT", type=_words, default=[], help="the script's own command line"
    )
    parser.add_argument(
        "--literal", action="store_true", help="keep the script's numbers (default: 'auto' where they agree)"
    )
    parser.add_argument("--no-verify", action="store_true", help="compare the graphs, and do not verify")
    parser.add_argument(
        "--images", metavar="DIR", type=Path, help="pictures for the verification (default: one is made)"
    )
    parser.add_argument("--name", metavar="NAME", help="the recipe's name (default: that of the output)")
    parser.add_argument(
        "--force", action="store_true", help="replace the file of -o, whatever it holds (default: refuse)"
    )
    add_target(parser)
    add_plugin_path(parser)


def run(args: argparse.Namespace) -> int:
    import surgeon

    if args.output == Path(STREAM):
        args.output = None
    if args.images is not None and args.no_verify:
        args.wrong_usage("--images is for the verification, which --no-verify leaves out")
    with contextlib.redirect_stdout(sys.stderr):  # what the script prints is no part of the recipe
        made = surgeon.migrate(
            args.script,
            args.model,
            args.output,
            name=args.name,
            function=args.function,
            spec=args.spec,
            arguments=args.arguments,
            outputs=args.output_nodes,
            literal=args.literal,
            verify=not args.no_verify,
            images=args.images,
            target=args.target or configured_target(args),
            plugin_paths=args.plugin_paths,
            force=args.force,
        )
    if args.json:
        console.show_json({**made.to_json(), "output": str(args.output) if args.output else None})
    elif args.output is None:
        console.show_lines(made.text.rstrip("\n"))
    console.say_diagnostics(made.diagnostics)
    _say_differences(made)
    if made.verification is not None and not args.json and args.output is not None:
        show(made.verification, spoken(args, "model"))
    elif made.unverified:
        console.say(f"not verified: {made.unverified}")
    if args.output is not None:
        console.say(f"{args.output}: the recipe '{made.name}'")
    if made.errors:
        return 1
    if made.verification is not None:
        outcome = f"verified: {made.verification.outcome}"
        console.say(outcome)
        if not made.verification.passed:
            return EXIT_FAILED
    if not args.json:
        recipe = "RECIPE" if args.output is None else str(args.output)
        console.next_step(
            ["surgeon", "convert", recipe, given_model(args), "-o", f"{made.name}{suffixes(args.target)[0]}"]
        )
    return 0


def _say_differences(made: Migration) -> None:
    """Say whether the recipe's graph is the script's, and list what differs, with its reason."""
    if made.script_graph is None and made.errors:
        console.say("the graphs were not compared, for the recipe cannot be planned")
    if made.script_graph is None:
        return
    reasons = [each for each in made.differences if each.reason]
    nodes = plural(len(made.script_graph), "node")
    if made.equal:
        rest = f"{plural(len(reasons), 'difference')} with a reason" if reasons else "no difference"
        console.say(f"the recipe gives the script's graph: {nodes} compared, {rest}")
    for each in made.differences:
        console.say(f"  {each}")


def _words(text: str) -> list[str]:
    try:
        return shlex.split(text)
    except ValueError as exc:
        raise argparse.ArgumentTypeError(f"'{text}' is no command line: {exc}") from None
