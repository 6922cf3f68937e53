"""Rewrite a model by a recipe and write it as UFF for TensorRT, or as a graph again.

    surgeon convert ssd_mobilenet_v2_coco frozen_inference_graph.pb -o ssd.uff
    surgeon convert ssd_custom model.pb -o ssd.uff --set num_classes=3
"""

from __future__ import annotations

import argparse
from pathlib import Path

from surgeon.cli import console
from surgeon.cli.options import add_anchors, add_recipe, add_target, recipe_arguments

NAME = "convert"
SUMMARY = "rewrite a model by a recipe and export it"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_recipe(parser)
    parser.add_argument("model", metavar="MODEL", help="a frozen graph (.pb, .pbtxt) or a SavedModel folder")
    parser.add_argument("-o", "--output", metavar="OUT", required=True, type=Path, help="a .uff, .pb or .pbtxt file")
    add_target(parser, "by the output's suffix")
    add_anchors(parser)


def run(args: argparse.Namespace) -> int:
    from surgeon import api

    done = api.convert(args.recipe, args.model, args.output, anchors=args.anchors, **recipe_arguments(args))
    for remark in done.plan.remarks:
        console.say(remark.render())
    console.say_diagnostics(done.warnings)
    if args.json:
        console.show_json({
            "output": str(done.output), "target": done.target, "recipe": done.plan.recipe, "bytes": done.bytes_written,
            "nodes": {"before": done.nodes_before, "after": done.nodes_after},
            "derivations": [d.to_json() for d in done.plan.derivations],
            "remarks": [d.to_json() for d in done.plan.remarks],
            "warnings": [d.to_json() for d in done.warnings],
        })  # fmt: skip
    else:
        console.say(f"{done.output}: {console.size(done.bytes_written)} for {done.target}; "
                    f"{console.number(done.nodes_before)} nodes became {console.number(done.nodes_after)}")  # fmt: skip
    return 0
