"""Put pictures through an engine on this machine's GPU, or through a rewritten model on its CPU, and show
what is detected. A file that ends in .engine, .plan or .trt is an engine that 'surgeon build' built; its
manifest says how a picture becomes its input. Anything else is a recipe, followed by its model: TensorFlow
runs ordinary operations, references run the plugins.

    surgeon run ssd.engine pictures -o found
    surgeon run ssd_mobilenet_v2_coco frozen_inference_graph.pb street.jpg --threshold 0.5
    surgeon run bare.engine street.jpg --image-from ssd_mobilenet_v2_coco --labels coco.pbtxt --json

If a picture cannot be read, a message names it, the others are still run, and the exit code is 1.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from surgeon.cli import console
from surgeon.cli.options import (
    add_anchors,
    add_plugin_libraries,
    add_recipe,
    add_target,
    positive,
    recipe_arguments,
)
from surgeon.display import plural

if TYPE_CHECKING:
    from surgeon.diagnostics import SurgeonError
    from surgeon.runners.image_result import ImageResult

NAME = "run"
TASK = "run"
SUMMARY = "Detect objects in pictures with an engine, an ONNX file, or a recipe and its model."
INPUTS = ("recipe", "rest")
EXIT_UNREAD = 1

_LINES = 20
"""Detections of a picture that are shown; JSON has all."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_recipe(parser, "ENGINE|RECIPE", "an engine's file, or a recipe's name or path")
    parser.add_argument(
        "rest",
        metavar="[MODEL] PICTURE",
        nargs="+",
        help="files and folders of pictures; after a recipe first its model, a graph or a SavedModel folder",
    )
    add_target(parser)
    add_anchors(parser)
    add_plugin_libraries(parser)
    parser.add_argument(
        "--labels",
        metavar="FILE",
        type=Path,
        help="names of classes: a label map (.pbtxt), or a .txt file with a name a line, class 1 first",
    )
    parser.add_argument(
        "--threshold",
        metavar="X",
        type=_threshold,
        default=0.3,
        help="score that a detection needs (default: 0.3)",
    )
    parser.add_argument(
        "--batch",
        metavar="N",
        type=positive,
        help="pictures at once (default: the file's largest, 16 for an open one; 1 for a recipe)",
    )
    parser.add_argument(
        "--image-from",
        metavar="RECIPE",
        help="take what becomes of a picture from this recipe, for an engine without",
    )
    parser.add_argument(
        "--model", metavar="MODEL", help="the model that the 'image: auto' of --image-from is derived from"
    )
    parser.add_argument(
        "-o",
        "--output",
        metavar="DIR",
        type=Path,
        help="draw the detections, and write detections.json, into this folder",
    )
    parser.add_argument(
        "--tensors",
        action="store_true",
        help="write the network's outputs, too: an .npz file for each picture",
    )


def run(args: argparse.Namespace) -> int:
    import surgeon
    from surgeon.runners.image_result import report

    model, pictures = _model_and_pictures(args)
    if model is None and (args.input_specs or args.constants):
        args.wrong_usage("--input and --constant go with RECIPE and MODEL; an engine or file has its inputs")
    unread: list[SurgeonError] = []
    results = surgeon.detect(
        args.recipe,
        pictures,
        model=model,
        labels=args.labels,
        threshold=args.threshold,
        batch=args.batch,
        image_from=args.image_from,
        plugin_libraries=args.plugin_libraries,
        anchors=args.anchors,
        decode=args.decode,
        suppression=args.suppression,
        output=args.output,
        tensors=args.tensors,
        refused=unread.append,
        **recipe_arguments(args),
    )
    if args.json:
        console.show_json(report(results, args.threshold, unread))
    else:
        for result in results:
            _show(result, args.threshold)
    console.say_diagnostics(d for exc in unread for d in exc.diagnostics)
    if args.output is not None:
        console.say(f"{args.output}: {plural(len(results), 'picture')} and detections.json")
    if unread:
        console.say(f"{len(unread)} of {plural(len(unread) + len(results), 'picture')} could not be read")
    return EXIT_UNREAD if unread else 0


def _model_and_pictures(args: argparse.Namespace) -> tuple[str | None, list[str]]:
    from surgeon.diagnostics import error
    from surgeon.runners.detect import is_network

    if isinstance(args.recipe, str) and is_network(args.recipe):
        return args.model, args.rest
    model, *pictures = args.rest
    usage = "surgeon run RECIPE MODEL PICTURE..., or surgeon run ENGINE PICTURE... with a .engine file"
    if args.model is not None:
        raise error(
            "V113",
            f"'--model {args.model}' goes with '--image-from'; expected the model after the recipe",
            help=[usage],
        )
    if not pictures:
        raise error(
            "V113",
            f"there is no picture after the model '{model}'; expected picture files or folders",
            help=[usage],
        )
    return model, pictures


def _show(result: ImageResult, threshold: float) -> None:
    """Write what a picture holds."""
    size = f"{result.size[1]} x {result.size[0]}"
    if result.detections is None:
        console.show(console.bold(f"{result.picture}: {size}, no detections; the network's outputs"))
        console.table(list(_outputs(result)))
        return
    rows = result.rows()
    console.show(
        console.bold(f"{result.picture}: {size}, {plural(len(rows), 'detection')} of {threshold:g} or more")
    )
    console.table([_detection(row) for row in rows[:_LINES]], right=(0, 1))
    if len(rows) > _LINES:
        console.show(f"  and {len(rows) - _LINES} more; --json lists all")


def _detection(row: dict[str, Any]) -> tuple[str, ...]:
    left, top, right, bottom = row["pixels"]
    return (f"{row['score']:.3f}", str(row["class"]), row["label"] or "", f"{left},{top} to {right},{bottom}")


def _outputs(result: ImageResult) -> Iterator[tuple[str, ...]]:
    for name, value in result.outputs.items():
        largest = ", ".join(_value(entry) for entry in result.largest(name))
        yield name, f"{value.dtype}{list(value.shape)}", f"largest: {largest}" if largest else ""


def _value(entry: dict[str, Any]) -> str:
    name = f" {entry['label']}" if entry["label"] else ""
    return f"[{','.join(map(str, entry['index']))}]{name} {_number(entry['value'])}"


def _number(value: float | None) -> str:
    return "not finite" if value is None else f"{value:.4g}"


def _threshold(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"'{text}' is not a score; expected a number from 0 to 1")
    return value
