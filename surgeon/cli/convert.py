"""Rewrite a model by a recipe and write it as UFF or ONNX, or as a graph again.

surgeon convert ssd_mobilenet_v2_coco frozen_inference_graph.pb -o ssd.uff
surgeon convert ssd_mobilenet_v2_coco frozen_inference_graph.pb -o ssd.onnx --target onnx@tensorrt-10
surgeon convert ssd_custom model.pb -o ssd.uff --set num_classes=3
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from surgeon.cli import console
from surgeon.cli.next_step import after_convert, recipe_words, suffixes
from surgeon.cli.options import add_anchors, add_recipe, add_target, recipe_arguments
from surgeon.cli.streams import product, spoken
from surgeon.deprecation import Alias
from surgeon.formats.format import shipped_formats

NAME = "convert"
TASK = "convert"
SUMMARY = "Rewrite a model by a recipe and export it as UFF, ONNX or a graph."
INPUTS = ("recipe", "model")
OUTPUTS = ("output",)
_REMARKS = Alias("surgeon.cli.convert --json", "remarks", "diagnostics", removal="0.2.0")
_WARNINGS = Alias("surgeon.cli.convert --json", "warnings", "diagnostics", removal="0.2.0")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_recipe(parser)
    parser.add_argument("model", metavar="MODEL", help="a frozen graph (.pb, .pbtxt) or a SavedModel folder")
    parser.add_argument(
        "-o", "--output", metavar="OUT", required=True, type=Path, help="a .uff, .onnx, .pb or .pbtxt file"
    )
    add_target(parser, "by the output's suffix")
    add_anchors(parser)
    add_format_options(parser)


def add_format_options(parser: argparse.ArgumentParser) -> None:
    """Add the choices of each format, a group for each."""
    for form in shipped_formats().values():
        if not form.options:
            continue
        group = parser.add_argument_group(f"for {form.suffixes[0]}")
        for option in form.options:
            group.add_argument(
                option.flag,
                dest=option.name,
                help=option.help,
                metavar=option.metavar,
                choices=option.choices,
                type=option.type or str,
            )


def format_arguments(args: argparse.Namespace) -> dict[str, Any]:
    """Return the keyword arguments of :mod:`surgeon.api` that :func:`add_format_options` gives."""
    options = [option for form in shipped_formats().values() for option in form.options]
    return {option.name: getattr(args, option.name) for option in options}


def run(args: argparse.Namespace) -> int:
    import surgeon

    with product(args, args.output, suffixes(args.target)[0]) as output:
        done = surgeon.convert(
            args.recipe,
            args.model,
            output,
            anchors=args.anchors,
            decode=args.decode,
            suppression=args.suppression,
            **format_arguments(args),
            **recipe_arguments(args),
        )
    console.say_notes_and_warnings(done.diagnostics)
    if args.json:
        console.show_json(
            {
                "output": str(done.output),
                "target": done.target,
                "recipe": done.plan.recipe,
                "bytes": done.bytes_written,
                "nodes": {"before": done.nodes_before, "after": done.nodes_after},
                "derivations": [d.to_json() for d in done.plan.derivations],
                "diagnostics": [d.to_json() for d in done.diagnostics],
                _REMARKS.name: [d.to_json() for d in done.plan.diagnostics],
                _WARNINGS.name: [d.to_json() for d in done.warnings],
                "plugins": [rendered.to_json() for rendered in done.plugins],
            }
        )
        return 0
    console.say(
        f"{spoken(args, 'output')}: {console.size(done.bytes_written)} for {done.target}; "
        f"{console.number(done.nodes_before)} nodes became {console.number(done.nodes_after)}"
    )
    for rendered in done.plugins:
        how = {
            "native": "a plugin node",
            "standard": "standard operators",
            "efficient-nms": "EfficientNMS_TRT",
        }[rendered.rendering]
        console.say(
            f"  {rendered.node} ({rendered.op}): {how}" + (f"; {rendered.reason}" if rendered.reason else "")
        )
    after_convert(args.output, done.target, recipe_words(args))
    return 0
