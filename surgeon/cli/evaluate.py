"""Measure the average precision of a model, its rewritten graph, ONNX files and engines on pictures that a
person annotated, side by side: COCO's twelve numbers and those of each class, what each side loses against
the original, and how far that may be chance.

    surgeon evaluate ssd_mobilenet_v2_coco model.pb --dataset instances_val2017.json --images val2017
    surgeon evaluate my_recipe.yaml model.pb --dataset VOC2007 --split val --onnx ssd.onnx --engine ssd.engine
    surgeon evaluate my_recipe.yaml model.pb --dataset 'val.record-*' --max-drop 1 -o evaluated

With -o DIR there is a page, DIR/index.html, and what each side detected in each picture is kept: after an
interruption the same command goes on where it stopped, and another engine runs alone.

The exit code is 0 where every side loses at most --max-drop points, and 3 where one loses more.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

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
    from surgeon.evaluation import Evaluation, PrecisionDifference, SideResult

NAME = "evaluate"
TASK = "prove"
SUMMARY = "Measure average precision on annotated pictures, side by side."
INPUTS = ("recipe", "model")
EXIT_FAILED = 3

_CLASSES = 30
"""Classes that are shown; JSON has all."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_recipe(parser)
    parser.add_argument("model", metavar="MODEL", help="a frozen graph (.pb, .pbtxt) or a SavedModel folder")
    parser.add_argument(
        "--dataset",
        metavar="FILE|DIR",
        required=True,
        type=Path,
        help="annotated pictures: a JSON file as COCO writes it, a folder as Pascal VOC has it, or TFRecord "
        "files of the Object Detection API (a file, a folder or a pattern)",
    )
    parser.add_argument(
        "--images",
        metavar="DIR",
        type=Path,
        help="the folder of the pictures (default: that of the JSON file; JPEGImages for Pascal VOC)",
    )
    parser.add_argument("--split", metavar="NAME", help="a list of Pascal VOC's ImageSets/Main, such as val")
    parser.add_argument(
        "--pictures", metavar="N", type=positive, help="the first N pictures only (default: all)"
    )
    parser.add_argument(
        "--engine",
        metavar="ENGINE",
        action="append",
        default=[],
        type=Path,
        dest="engines",
        help="evaluate this engine, too ('surgeon build'); may be repeated",
    )
    parser.add_argument(
        "--onnx",
        metavar="FILE",
        action="append",
        default=[],
        type=Path,
        help="evaluate this ONNX file, too, in ONNX Runtime; may be repeated",
    )
    add_plugin_libraries(parser)
    add_target(parser, "that of the first file, else uff@tensorrt-8.5")
    add_anchors(parser)
    parser.add_argument(
        "--labels",
        metavar="FILE",
        type=Path,
        help="names of the detector's classes: a label map (.pbtxt), or a .txt file with a name a line, "
        "class 1 first (default: those of the recipe)",
    )
    parser.add_argument(
        "--class",
        metavar="NAME=OTHER",
        action="append",
        default=[],
        type=_class,
        dest="classes",
        help="the class NAME of the dataset is the detector's class OTHER, a name or a number; without OTHER "
        "it is left out; may be repeated",
    )
    parser.add_argument(
        "--max-drop",
        metavar="POINTS",
        type=float,
        default=0.5,
        help="points of average precision that a side may lose against the original (default: 0.5)",
    )
    parser.add_argument(
        "--batch",
        metavar="N",
        type=positive,
        help="pictures at once, as far as a side takes as many (default: a file's largest, 16 for an open "
        "one; 1 for the recipe; the original takes one)",
    )
    parser.add_argument(
        "--resamples",
        metavar="N",
        type=positive,
        default=1000,
        help="how often pictures are drawn for the intervals (default: 1000)",
    )
    parser.add_argument("--seed", metavar="N", type=int, default=0, help="seed of these draws (default: 0)")
    parser.add_argument(
        "-o",
        "--output",
        metavar="DIR",
        type=Path,
        help="write a page and the numbers into this folder, and keep there what was detected",
    )


def run(args: argparse.Namespace) -> int:
    import surgeon

    try:
        found = surgeon.evaluate(
            args.recipe,
            args.model,
            args.dataset,
            engines=args.engines,
            onnx=args.onnx,
            images=args.images,
            split=args.split,
            pictures=args.pictures,
            labels=args.labels,
            classes=dict(args.classes),
            max_drop=args.max_drop,
            batch=args.batch,
            resamples=args.resamples,
            seed=args.seed,
            output=args.output,
            plugin_libraries=args.plugin_libraries,
            anchors=args.anchors,
            decode=args.decode,
            suppression=args.suppression,
            **recipe_arguments(args),
        )
    except KeyboardInterrupt:
        if args.output is not None:
            console.say(
                f"{args.output}: what was detected so far is kept; the same command goes on from there"
            )
        raise
    console.say_notes_and_warnings(found.diagnostics)
    if args.json:
        console.show_json(found.to_json())
    else:
        show(found)
    if found.page is not None:
        console.say(f"{found.page}: the numbers, curves, and the pictures in which the sides disagree most")
    return 0 if found.passed else EXIT_FAILED


def show(found: Evaluation) -> None:
    """Write an evaluation for a person."""
    console.show(
        f"recipe '{found.recipe}' for {found.target or 'no target'} on {found.dataset} ({found.kind}): "
        f"{plural(found.pictures, 'picture')}, {plural(found.objects, 'object')}, "
        f"{plural(len(found.classes), 'class', 'classes')}"
    )
    if found.left_out:
        console.show(f"left out: {', '.join(found.left_out)}")
    names = [side.name for side in found.sides]
    columns = range(1, 1 + len(names))
    console.show()
    console.show(console.bold("average precision (AP) and average recall (AR), in points"))
    numbers = list(found.sides[0].numbers)
    rows = [(name, *(_points(side.numbers[name]) for side in found.sides)) for name in numbers]
    console.table([("", *names), *rows], right=columns)
    console.show()
    console.show(console.bold("AP of each class, in points"))
    console.table([("", "objects", *names), *_class_rows(found)], right=range(1, 2 + len(names)))
    if len(found.sides[0].classes) > _CLASSES:
        console.show(f"  and {len(found.sides[0].classes) - _CLASSES} more; --json lists all")
    console.show()
    console.show(
        console.bold(f"loss of AP against the original, in points; at most {found.max_drop:g} are allowed")
    )
    console.table([(side.name, *_loss(side)) for side in found.sides if side.difference is not None])
    console.show(
        f"  (the interval holds the losses of 95 in 100 of {found.resamples} resamples of the pictures, seed "
        f"{found.seed})"
    )
    console.show()
    console.show(_conclusion(found))


def _class_rows(found: Evaluation) -> Iterator[tuple[str, ...]]:
    for index, each in enumerate(found.sides[0].classes[:_CLASSES]):
        others = (f"{100 * side.classes[index].ap:.2f}" for side in found.sides)
        yield (each.name, console.number(each.objects), *others)


def _loss(side: SideResult) -> tuple[str, ...]:
    from surgeon.evaluation.results import points

    difference = side.difference
    assert difference is not None
    return points(difference.loss), difference.interval, str(difference.outcome) + _doubt(difference)


def _doubt(difference: PrecisionDifference) -> str:
    if difference.is_certain:
        return ""
    return "; with so few pictures that may be chance"


def _points(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.2f}"


def _conclusion(found: Evaluation) -> str:
    from surgeon.verification import Outcome

    match found.outcome:
        case Outcome.FAILED:
            lost = [
                f"'{s.name}'" for s in found.sides if s.difference and s.difference.outcome is Outcome.FAILED
            ]
            return console.bold("failed") + f": {' and '.join(lost)} lose{'s' * (len(lost) == 1)} too much"
        case Outcome.PASSED:
            return console.bold("passed")
        case Outcome.INCONCLUSIVE | Outcome.NOT_COMPARED:
            return console.bold("inconclusive") + (
                ": the original finds nothing of what the dataset shows; check its classes and pictures"
            )


def _class(text: str) -> tuple[str, str | int | None]:
    name, mark, other = text.rpartition("=")
    if not mark or not name:
        raise argparse.ArgumentTypeError(
            f"'{text}' is no pair; expected NAME=OTHER, or NAME= to leave it out"
        )
    if not other:
        return name, None
    return name, int(other) if other.isdecimal() else other
