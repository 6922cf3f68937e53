"""Build a TensorRT engine on this machine's GPU, from a recipe and a model, or from a UFF, ONNX or Caffe
file. Beside the engine comes a manifest, ENGINE.json, that says what it was made of and how to feed it;
'surgeon run' and 'surgeon bench' read it. An engine that is there and was built of the same is kept.

    surgeon build ssd_inception_v2_coco frozen_inference_graph.pb -o ssd.engine --fp16
    surgeon build my_recipe.yaml model.pb -o ssd.engine --int8 --calibration pictures
    surgeon build my_recipe.yaml model.pb -o ssd.engine --int8 --calibration pictures --keep-accuracy 0.5
    surgeon build ssd.uff -o ssd.engine --plugin-library libmine.so
    surgeon build deploy.prototxt weights.caffemodel -o net.engine --outputs prob

With --keep-accuracy the exit code is 3 where every engine loses more than that; the best of them is written.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from surgeon.cli import console
from surgeon.cli.options import (
    add_anchors,
    add_engine_options,
    add_plugin_libraries,
    add_recipe,
    add_target,
    positive,
    recipe_arguments,
)
from surgeon.display import plural

if TYPE_CHECKING:
    from surgeon.engine import Manifest

NAME = "build"
TASK = "deploy"
SUMMARY = "Build a TensorRT engine from a recipe and a model, or from a UFF, ONNX or Caffe file."
INPUTS = ("recipe", "model")
EXIT_NOT_REACHED = 3

_NAMES = 4
"""Layers of a precision that are named; JSON has all."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_recipe(parser, "RECIPE|FILE", "a recipe's name or path, or a .uff, .onnx or .prototxt file")
    parser.add_argument(
        "model", metavar="MODEL", nargs="?", help="the recipe's model; for a .prototxt, its .caffemodel"
    )
    parser.add_argument(
        "-o",
        "--output",
        metavar="ENGINE",
        required=True,
        type=Path,
        help="the engine's file, such as ssd.engine",
    )
    add_target(parser, "the installed TensorRT's")
    add_anchors(parser)
    add_plugin_libraries(parser)
    add_engine_options(parser)
    parser.add_argument(
        "--shape",
        metavar="NAME=MIN,BEST,MAX",
        action="append",
        default=[],
        type=_shape,
        dest="shapes",
        help="shapes of an input with open sizes, such as x=1x3x64x64,1x3x512x512,1x3x800x800; repeatable",
    )
    parser.add_argument(
        "--dla-core",
        metavar="N",
        type=int,
        help="build for this deep learning accelerator; the GPU does what it cannot",
    )
    parser.add_argument(
        "--calibration",
        metavar="DIR",
        type=Path,
        help="a folder of pictures for INT8, like those it will see",
    )
    parser.add_argument(
        "--calibration-pictures",
        metavar="N",
        type=positive,
        default=500,
        help="how many of them (default: 500)",
    )
    parser.add_argument(
        "--calibration-cache",
        metavar="FILE",
        type=Path,
        help="scales from an earlier calibration, instead of pictures",
    )
    parser.add_argument(
        "--calibrator",
        choices=("entropy", "minmax"),
        default="entropy",
        help="how scales are chosen (default: entropy)",
    )
    parser.add_argument(
        "--keep-accuracy",
        metavar="POINTS",
        nargs="?",
        type=_points,
        const=0.5,
        help="keep layers in FP32 until the engine loses at most this many points of mean average precision "
        "against FP32 on the pictures of --calibration (0.5 if no number follows)",
    )
    parser.add_argument(
        "--max-builds",
        metavar="N",
        type=positive,
        default=8,
        help="engines to build for --keep-accuracy at most, the FP32 engine included (default: 8)",
    )
    parser.add_argument(
        "--timing-cache",
        metavar="FILE",
        type=Path,
        help="read and write what layers took, so that the next build is faster",
    )
    parser.add_argument(
        "--outputs",
        metavar="NAME",
        nargs="+",
        default=[],
        help="tensors of a Caffe network to be outputs (default: the last)",
    )
    parser.add_argument(
        "--layers",
        metavar="FILE",
        type=Path,
        help="write what TensorRT tells of the engine's layers, as JSON",
    )
    parser.add_argument(
        "--timeout",
        metavar="SECONDS",
        type=positive,
        help="give a build up after this time (default: 3600)",
    )
    parser.add_argument(
        "--force", action="store_true", help="build even where the engine that is there is right"
    )


def run(args: argparse.Namespace) -> int:
    import surgeon
    from surgeon.api.keep_accuracy import not_reached
    from surgeon.atomic import check_generated, write_text
    from surgeon.engine.builds import TIMEOUT

    if args.model is None and (args.input_specs or args.constants):
        args.wrong_usage("--input and --constant go with RECIPE and MODEL; a FILE has its inputs")
    if args.layers is not None:
        check_generated(args.layers)
    built = surgeon.build_engine(
        args.recipe,
        args.model,
        args.output,
        anchors=args.anchors,
        decode=args.decode,
        suppression=args.suppression,
        precision=args.precision,
        tf32=args.tf32,
        workspace=args.workspace,
        max_batch=args.max_batch,
        best_batch=args.best_batch,
        dla_core=args.dla_core,
        calibration=args.calibration,
        calibration_pictures=args.calibration_pictures,
        calibration_cache=args.calibration_cache,
        calibrator=args.calibrator,
        keep_accuracy=args.keep_accuracy,
        max_builds=args.max_builds,
        timing_cache=args.timing_cache,
        plugin_libraries=args.plugin_libraries,
        shapes=dict(args.shapes),
        outputs=args.outputs,
        report=args.layers is not None,
        force=args.force,
        timeout=args.timeout or TIMEOUT,
        **recipe_arguments(args),
    )
    manifest = built.manifest
    console.say_notes_and_warnings(built.diagnostics)
    if built.report and args.layers is not None:
        write_text(args.layers, built.report)
    elif args.layers is not None:
        console.say(f"{args.layers} is not written: TensorRT {manifest.tensorrt} tells nothing of layers")
    if args.json:
        console.show_json(built.to_json())
        console.say_diagnostics(not_reached(built))
        return EXIT_NOT_REACHED if not_reached(built) else 0
    precision = manifest.precision + (" with TF32" if manifest.precision == "fp32" and manifest.tf32 else "")
    done = (
        "is there already, built of the same" if built.reused else f"built in {manifest.build_seconds:.1f} s"
    )
    console.say(
        f"{built.path}: {console.size(manifest.engine.bytes)}, {precision}, batch up to "
        f"{manifest.max_batch}; {done}"
    )
    console.say(f"for TensorRT {manifest.tensorrt} on {manifest.gpu} ({manifest.compute_capability})")
    for line in (*_layer_lines(manifest), *_accuracy_lines(manifest)):
        console.say(line)
    if not_reached(built):
        console.say_diagnostics(not_reached(built))
        return EXIT_NOT_REACHED
    if manifest.image is not None:
        console.next_step(["surgeon", "run", str(built.path), "PICTURE", *_libraries(args)])
    else:
        console.next_step(["surgeon", "bench", str(built.path), *_libraries(args)])
    return 0


def _layer_lines(manifest: Manifest) -> Iterator[str]:
    """Yield how many layers compute in which precision, and which do not in the one that was asked for."""
    from surgeon.engine.layer_report import REFORMAT, by_precision

    layers = by_precision(manifest.engine_layers)
    if not layers:
        return
    counts = ", ".join(f"{len(names)} in {precision}" for precision, names in layers.items())
    reformats = sum(layer.type == REFORMAT for layer in manifest.engine_layers)
    yield f"layers: {counts}" + (f"; {reformats} more change formats" if reformats else "")
    asked = manifest.precision.upper()
    for precision, names in layers.items():
        if asked in ("INT8", "FP16") and precision in ("FP16", "FP32") and precision != asked:
            more = len(names) - _NAMES
            listed = ", ".join(names[:_NAMES]) + (f" and {more} more" if more > 0 else "")
            yield f"  in {precision}: {listed}"


def _accuracy_lines(manifest: Manifest) -> Iterator[str]:
    """Yield what an engine loses against FP32, and what was tried to keep it small."""
    accuracy = manifest.accuracy
    if accuracy is None:
        return
    yield (
        f"accuracy: mAP {accuracy.map:.4f} against the FP32 engine on "
        f"{plural(accuracy.pictures, 'picture')} ({accuracy.map50:.4f} at an overlap of 0.5); "
        f"it loses {accuracy.loss:.2f} points, {accuracy.target:g} are allowed"
    )
    for trial in accuracy.trials:
        result = trial.problem if trial.map is None else f"mAP {trial.map:.4f}"
        yield f"  {plural(trial.in_fp32, 'layer')} kept in FP32: {result}"


def _points(text: str) -> float:
    try:
        points = float(text)
    except ValueError:
        points = -1.0
    if not 0 <= points <= 100:
        raise argparse.ArgumentTypeError(
            f"'{text}' is not a loss; expected 0 to 100 points, or the option behind the other arguments"
        )
    return points


def _libraries(args: argparse.Namespace) -> list[str]:
    return [word for path in args.plugin_libraries for word in ("--plugin-library", str(path))]


def _shape(text: str) -> tuple[str, list[list[int]]]:
    name, _, shapes = text.partition("=")
    try:
        found = [[int(size) for size in shape.split("x")] for shape in shapes.split(",")]
    except ValueError:
        found = []
    if (
        not name
        or len(found) != 3
        or len({len(shape) for shape in found}) != 1
        or any(size < 1 for shape in found for size in shape)
    ):
        raise argparse.ArgumentTypeError(
            f"'{text}' gives no shapes; expected NAME=MIN,BEST,MAX with sizes such as 1x3x300x300"
        )
    return name, found
