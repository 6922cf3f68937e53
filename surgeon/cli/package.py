"""Write a folder that carries a model to a device on which surgeon cannot be installed, such as a Jetson: the
UFF or ONNX file, and one file of Python that builds, runs, measures and verifies the engine there. It needs
Python 3.6, NumPy and the device's own TensorRT.

    surgeon package ssd_mobilenet_v2_coco frozen_inference_graph.pb -o ssd-device --images pictures
    surgeon package my_recipe.yaml model.pb -o ssd-device --target onnx@tensorrt-8.5 --fp16
    surgeon package ssd.uff -o ssd-device --original original.npz
    surgeon package my_recipe.yaml model.pb -o ssd-triton --for triton --target onnx@onnxruntime --batch 8
    surgeon package my_recipe.yaml model.pb -o ssd-deepstream --for deepstream --batch 4

On the device: python3 detector.py build, then verify, run and bench. What the original computes is stored in
the folder; the exit code is 3 where the rewritten graph computes something else. --for triton writes a model
repository of Triton Inference Server and a client, --for deepstream the configuration of DeepStream's
Gst-nvinfer and a parser of the detections, both also for an engine.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from surgeon.cli import console
from surgeon.cli.options import (
    add_anchors,
    add_engine_options,
    add_plugin_libraries,
    add_recipe,
    add_target,
    recipe_arguments,
)
from surgeon.display import plural

NAME = "package"
TASK = "deploy"
SUMMARY = "Write a folder with a model and all that it needs on a device."
INPUTS = ("recipe", "model")
EXIT_NOT_VERIFIED = 3


def add_arguments(parser: argparse.ArgumentParser) -> None:
    from surgeon.packaging.kind import package_kinds

    add_recipe(
        parser,
        "RECIPE|FILE",
        "a recipe's name or path, or a .uff or .onnx file; an engine where it can be used",
    )
    parser.add_argument(
        "model", metavar="MODEL", nargs="?", help="a frozen graph (.pb, .pbtxt) or a SavedModel folder"
    )
    parser.add_argument(
        "-o",
        "--output",
        metavar="DIR",
        required=True,
        type=Path,
        help="the folder to write, which must be new",
    )
    kinds = package_kinds()
    parser.add_argument(
        "--for",
        dest="kind",
        choices=tuple(kinds),
        default="device",
        help="; ".join(f"{name}: {kind.summary}" for name, kind in kinds.items()),
    )
    add_target(parser)
    add_anchors(parser)
    add_engine_options(parser, " there")
    parser.add_argument(
        "--calibration-cache",
        metavar="FILE",
        type=Path,
        help="scales for INT8, as 'surgeon build --int8' leaves them beside an engine",
    )
    parser.add_argument(
        "--calibrator",
        choices=("entropy", "minmax"),
        default="entropy",
        help="how these scales were chosen (default: entropy)",
    )
    add_plugin_libraries(parser, "a plugin library that the engine was built with, for triton; repeatable")
    parser.add_argument(
        "--images",
        metavar="DIR",
        type=Path,
        help="pictures that the original is computed on; without it one is made",
    )
    parser.add_argument(
        "--inputs",
        dest="input_arrays",
        metavar="FILE|DIR",
        type=Path,
        help="arrays that the original is computed on, by the names of the model's inputs",
    )
    originals = parser.add_mutually_exclusive_group()
    originals.add_argument(
        "--original",
        metavar="FILE.npz",
        type=Path,
        help="take what 'verify --store' wrote instead of computing it; needs no TensorFlow",
    )
    originals.add_argument(
        "--no-originals",
        dest="originals",
        action="store_false",
        help="store no originals; the device then cannot verify",
    )
    parser.add_argument("--force", action="store_true", help="replace a folder that this command wrote")


def run(args: argparse.Namespace) -> int:
    import surgeon
    from surgeon.packaging.kind import package_kinds

    if args.model is None and (args.input_specs or args.constants or args.parameters):
        args.wrong_usage("--set, --input and --constant go with RECIPE and MODEL; a FILE has its inputs")
    if (args.model is None or args.original is not None or not args.originals) and (
        args.images is not None or args.input_arrays is not None
    ):
        args.wrong_usage("--images and --inputs are for the original, which is not computed here")
    found = surgeon.package(
        args.recipe,
        args.model,
        args.output,
        kind=args.kind,
        images=args.images,
        inputs=args.input_arrays,
        original=args.original,
        originals=args.originals,
        precision=args.precision,
        tf32=args.tf32,
        workspace=args.workspace,
        max_batch=args.max_batch,
        best_batch=args.best_batch,
        calibration_cache=args.calibration_cache,
        calibrator=args.calibrator,
        plugin_libraries=args.plugin_libraries,
        force=args.force,
        anchors=args.anchors,
        decode=args.decode,
        suppression=args.suppression,
        **recipe_arguments(args),
    )
    console.say_notes_and_warnings(found.diagnostics)
    verification = found.verification
    failed = verification is not None and not verification.passed
    if args.json:
        console.show_json(found.to_json())
        return EXIT_NOT_VERIFIED if failed else 0
    total = sum(each.bytes for each in found.files)
    console.say(
        f"{found.path}: {plural(len(found.files), 'file')}, {console.size(total)}, for "
        f"{found.description.target or 'TensorRT'}"
    )
    if verification is not None:
        console.say(
            f"the original was computed on {console.some(verification.pictures)}: {verification.outcome}"
        )
    elif package_kinds()[found.kind].keeps_originals and not found.description.original:
        console.say("there are no stored originals; the device cannot verify its engine")
    if failed:
        console.say("'surgeon verify' with the same recipe and model says what differs")
        return EXIT_NOT_VERIFIED
    console.say(package_kinds()[found.kind].next_step)
    return 0
