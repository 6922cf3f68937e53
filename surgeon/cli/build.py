"""Build a TensorRT engine on this machine's GPU, from a recipe and a model, or from a UFF, ONNX or Caffe
file. Beside the engine comes a manifest, ENGINE.json, that says what it was made of and how to feed it;
'surgeon run' and 'surgeon bench' read it. An engine that is there and was built of the same is kept.

    surgeon build ssd_inception_v2_coco frozen_inference_graph.pb -o ssd.engine --fp16
    surgeon build my_recipe.yaml model.pb -o ssd.engine --int8 --calibration pictures
    surgeon build ssd.uff -o ssd.engine --plugin-library libmine.so
    surgeon build deploy.prototxt weights.caffemodel -o net.engine --outputs prob
"""

from __future__ import annotations

import argparse
from pathlib import Path

from surgeon.cli import console
from surgeon.cli.options import (
    add_anchors,
    add_plugin_libraries,
    add_recipe,
    add_target,
    byte_size,
    positive,
    recipe_arguments,
)

NAME = "build"
TASK = "deploy"
SUMMARY = "Build a TensorRT engine from a recipe and a model, or from a UFF, ONNX or Caffe file."
INPUTS = ("recipe", "model")


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
    precision = parser.add_mutually_exclusive_group()
    for name in ("fp32", "fp16", "int8"):
        precision.add_argument(
            f"--{name}",
            dest="precision",
            action="store_const",
            const=name,
            help=f"build with {name.upper()} (default: what the recipe says, fp32 for a file)",
        )
    parser.add_argument(
        "--no-tf32",
        dest="tf32",
        action="store_false",
        help="compute FP32 layers without TF32: slower, and exact",
    )
    parser.add_argument(
        "--workspace",
        metavar="SIZE",
        type=byte_size,
        help="memory for tactics, such as 512MiB (default: the recipe's, 1GiB)",
    )
    parser.add_argument(
        "--batch",
        metavar="N",
        type=positive,
        dest="max_batch",
        help="the largest batch (default: the recipe's, 1)",
    )
    parser.add_argument(
        "--best-batch",
        metavar="N",
        type=positive,
        help="the batch to tune an open batch for (default: the largest)",
    )
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
    from surgeon.atomic import check_generated, write_text
    from surgeon.engine.builds import TIMEOUT

    if args.layers is not None:
        check_generated(args.layers)
    built = surgeon.build_engine(
        args.recipe,
        args.model,
        args.output,
        anchors=args.anchors,
        decode=args.decode,
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
        timing_cache=args.timing_cache,
        plugin_libraries=args.plugin_libraries,
        shapes=dict(args.shapes),
        outputs=args.outputs,
        report=args.layers is not None,
        force=args.force,
        timeout=args.timeout or TIMEOUT,
        **recipe_arguments(args),
    )
    if args.layers is not None and built.report:
        write_text(args.layers, built.report)
    manifest = built.manifest
    if args.json:
        console.show_json(
            {"engine": str(built.path), "reused": built.reused, "manifest": manifest.model_dump(mode="json")}
        )
        return 0
    precision = manifest.precision + (" with TF32" if manifest.precision == "fp32" and manifest.tf32 else "")
    done = (
        "is there already, built of the same" if built.reused else f"built in {manifest.build_seconds:.1f} s"
    )
    console.say(
        f"{built.path}: {console.size(manifest.engine.bytes)}, {precision}, batch up to "
        f"{manifest.max_batch}; {done}"
    )
    console.say(f"for TensorRT {manifest.tensorrt} on {manifest.gpu} ({manifest.compute_capability})")
    if manifest.image is not None:
        console.next_step(["surgeon", "run", str(built.path), "PICTURE", *_libraries(args)])
    else:
        console.next_step(["surgeon", "bench", str(built.path), *_libraries(args)])
    return 0


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
