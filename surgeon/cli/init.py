"""Write a recipe for a frozen graph. For a detector of the Object Detection API: which namespaces go, what
takes their place, and every value read off the graph, with a comment that says where it came from. For any
other network, a start: inputs, outputs and the steps that it needs. Without -o the recipe is printed.

A number that the graph does not tell is left open, as 'auto' with a comment. The exit code is 1 where
'surgeon check' refuses the recipe as it is; the recipe is written all the same.

    surgeon init frozen_inference_graph.pb -o my_ssd.yaml
    surgeon init model.pb -o my_ssd.yaml --pipeline-config pipeline.config --labels label_map.pbtxt
    surgeon init unet.pb -o unet.yaml --input x=1x256x256x3
"""

from __future__ import annotations

import argparse
from pathlib import Path

from surgeon.cli import console
from surgeon.cli.next_step import given_model
from surgeon.cli.options import add_inputs, add_plugin_path, add_target, given_for_inputs
from surgeon.cli.settings import configured_target
from surgeon.cli.streams import STREAM
from surgeon.deprecation import Alias

NAME = "init"
TASK = "write"
SUMMARY = "Write a recipe for a model, read off its graph."
INPUTS = ("model", "pipeline_config")
OUTPUTS = ("output",)
_REMARKS = Alias("surgeon.cli.init --json", "remarks", "diagnostics", removal="0.2.0")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", metavar="MODEL", help="a frozen graph (.pb, .pbtxt) or a SavedModel folder")
    parser.add_argument(
        "-o", "--output", metavar="RECIPE", type=Path, help="a .yaml file (default: standard output)"
    )
    parser.add_argument(
        "--pipeline-config",
        metavar="FILE",
        type=Path,
        help="the pipeline.config of the training: compared with the graph, which wins",
    )
    parser.add_argument(
        "--labels",
        metavar="FILE",
        type=Path,
        help="names of the classes: a label map (.pbtxt), or a .txt file with one a line",
    )
    parser.add_argument(
        "--name", metavar="NAME", help="the recipe's name (default: the output's, or the architecture's)"
    )
    parser.add_argument(
        "--unchecked",
        action="store_true",
        help="write the recipe even where it cannot be planned on the graph",
    )
    parser.add_argument(
        "--force", action="store_true", help="replace the file of -o, whatever it holds (default: refuse)"
    )
    add_inputs(parser)
    add_target(parser)
    add_plugin_path(parser)


def run(args: argparse.Namespace) -> int:
    import surgeon

    if args.output == Path(STREAM):
        args.output = None
    target = args.target or configured_target(args)
    made = surgeon.init(
        args.model,
        args.output,
        pipeline_config=args.pipeline_config,
        labels=args.labels,
        name=args.name,
        unchecked=args.unchecked,
        target=target,
        plugin_paths=args.plugin_paths,
        **given_for_inputs(args),
        force=args.force,
    )
    if args.json:
        diagnostics = [d.to_json() for d in made.diagnostics]
        console.show_json(
            {
                "recipe": made.name,
                "summary": made.summary,
                "output": str(args.output) if args.output else None,
                "text": made.text,
                "pipeline_config": [match.to_json() for match in made.config_matches],
                "family": made.family,
                "accepted_by": list(made.accepted_by),
                "diagnostics": diagnostics,
                _REMARKS.name: diagnostics,
            }
        )
    elif args.output is None:
        console.show_lines(made.text.rstrip("\n"))
    console.say_diagnostics(made.diagnostics)
    if args.output is not None:
        console.say(f"{args.output}: the recipe '{made.name}'; {made.summary}")
    if made.errors:
        console.say(
            f"'surgeon check' refuses the recipe as it is, for {len(made.errors)} "
            f"reason{'' if len(made.errors) == 1 else 's'} above; correct it by hand, or give --target"
            + (f": {' and '.join(made.accepted_by)} may take it" if made.accepted_by else "")
        )
        return 1
    if not args.json:
        given = [word for path in args.plugin_paths for word in ("--plugin-path", str(path))]
        given += ["--target", args.target] if args.target else []
        recipe = "RECIPE" if args.output is None else str(args.output)
        console.next_step(["surgeon", "verify", recipe, given_model(args), *given])
    return 0
