"""Write a recipe, a plugin, a family of detectors or a step that works as it is, with a small model where it
needs one and a test that passes, into a folder of its own. Change it into what you want. Nothing that is
there already is overwritten.

    surgeon new recipe my_detector
    surgeon new plugin ScaleShift -o scale_shift
    surgeon new family my_family
    surgeon new step my-step
"""

from __future__ import annotations

import argparse
from pathlib import Path

from surgeon.cli import console

NAME = "new"
TASK = "write"
SUMMARY = "Write a recipe, plugin, family or step to start from, with its test."

_KINDS = ("recipe", "plugin", "family", "step")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("kind", metavar="KIND", choices=_KINDS, help="recipe, plugin, family or step")
    parser.add_argument("name", metavar="NAME", help="its name, such as my_detector or ScaleShift")
    parser.add_argument(
        "-o", "--output", metavar="DIR", type=Path, help="the folder for the files (default: NAME)"
    )


def run(args: argparse.Namespace) -> int:
    from surgeon.authoring.skeleton import write_skeleton

    folder = args.output or Path(args.name)
    files = write_skeleton(args.kind, args.name, folder)
    if args.json:
        console.show_json({"kind": args.kind, "name": args.name, "files": [str(file) for file in files]})
        return 0
    for file in files:
        console.show(str(file))
    console.next_step(["python", "-m", "pytest", str(folder)])
    return 0
