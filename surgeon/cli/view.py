"""Look at a model, and at what a recipe makes of it: one HTML page with the graph before and after, the fate of each
namespace, what was derived, what may go wrong, whether the same is detected, and which targets have the plugins. The
page needs no network.

    surgeon view model.pb --html model.html
    surgeon view model.pb ssd_mobilenet_v2_coco --html page.html --verify --images pictures
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from surgeon.cli import console
from surgeon.cli.options import add_anchors, add_recipe, add_target, recipe_arguments

if TYPE_CHECKING:
    from surgeon.verify import Verification
    from surgeon.view import Story

NAME = "view"
SUMMARY = "show a model before and after as an HTML page"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", metavar="MODEL", help="a frozen graph (.pb, .pbtxt) or a SavedModel folder")
    add_recipe(parser, optional=True)
    parser.add_argument("--html", metavar="FILE", type=Path, required=True, help="write the page to this file")
    add_target(parser)
    add_anchors(parser)
    parser.add_argument("--verification", metavar="VERDICT", type=Path, help="show what 'surgeon verify --json' wrote to this file")
    parser.add_argument("--verify", action="store_true", help="verify the recipe now, and show the result")
    parser.add_argument("--images", metavar="DIR", type=Path, help="with --verify: a picture or a folder of them")


def run(args: argparse.Namespace) -> int:
    from surgeon import api

    wrong = _wrong_usage(args)
    if wrong:
        console.say(f"surgeon view: error: {wrong}")
        return 2
    arguments = recipe_arguments(args)
    with tempfile.TemporaryDirectory(prefix="surgeon-view-") as folder:
        verification: Verification | Path | None = args.verification
        if args.verify:
            verification = api.verify(args.recipe, args.model, images=args.images, anchors=args.anchors, output=Path(folder), **arguments)
        story = api.view(args.model, args.recipe, html=args.html, verification=verification, anchors=args.anchors, **arguments)
    size = args.html.stat().st_size if args.html.is_file() else 0
    if args.json:
        console.show_json({"page": str(args.html), "bytes": size, **_plain(story)})
    else:
        console.say(f"{args.html}: the page, {console.size(size)}")
    return 0


def _wrong_usage(args: argparse.Namespace) -> str:
    """Return which options cannot go together, empty where all can."""
    if args.recipe is None and (args.verify or args.verification is not None):
        return "--verify and --verification need a RECIPE"
    if args.verify and args.verification is not None:
        return "--verify and --verification exclude each other"
    if args.images is not None and not args.verify:
        return "--images goes with --verify"
    return ""


def _plain(story: Story) -> dict[str, object]:
    sides = {"before": story.before, "after": story.after}
    return {
        "kind": story.kind, "recipe": story.recipe, "target": story.target,
        "graphs": {key: {"nodes": len(side.graph), "constant_bytes": side.constant_bytes, "ops": dict(side.ops)}
                   for key, side in sides.items() if side is not None},
        "namespaces": [{"name": n.name, "before": n.before, "after": n.after, "constant_bytes": n.constant_bytes, "fate": str(n.fate),
                        "into": dict(n.into), "by": [{"step": step, "at": at, "nodes": count} for (step, at), count in n.places.items()]}
                       for n in story.namespaces],
    }  # fmt: skip
