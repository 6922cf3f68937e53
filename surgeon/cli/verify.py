"""Run a model and its rewritten graph on the CPU and compare what they detect: cut to cut, each replaced
namespace alone, and end to end from pixels. TensorFlow runs ordinary operations, references in numpy run the
plugins.

    surgeon verify ssd_mobilenet_v2_coco frozen_inference_graph.pb --images pictures
    surgeon verify my_recipe.yaml model.pb --max-excused 15 -o drawn

With --engine an engine is run in the place of the rewritten graph, with --onnx an ONNX file, with --file a
file that an installed runner is for. What the original computes can be stored where TensorFlow is, and
compared with where the GPU is:

    surgeon verify my_recipe.yaml model.pb --images pictures --store original.npz
    surgeon verify --engine ssd.engine --original original.npz

The exit code is 0 where every verdict passed and 3 where one did not.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from surgeon.cli import console
from surgeon.cli.next_step import after_verify, name_for, recipe_words
from surgeon.cli.options import add_anchors, add_plugin_libraries, add_recipe, add_target, recipe_arguments
from surgeon.cli.streams import spoken
from surgeon.display import plural

if TYPE_CHECKING:
    from surgeon.verification import DetectionComparison, Difference, TensorComparison, Verdict, Verification

NAME = "verify"
TASK = "prove"
SUMMARY = "Prove that a model and its rewritten graph detect the same."
INPUTS = ("recipe", "model")
EXIT_FAILED = 3

_LINES = 20
"""Comparisons and differences of one kind that are shown; JSON has all."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_recipe(parser, optional=True)
    parser.add_argument(
        "model", metavar="MODEL", nargs="?", help="a frozen graph (.pb, .pbtxt) or a SavedModel folder"
    )
    runtime = parser.add_mutually_exclusive_group()
    runtime.add_argument(
        "--engine", metavar="ENGINE", type=Path, help="compare with this engine ('surgeon build')"
    )
    runtime.add_argument(
        "--onnx", metavar="FILE", type=Path, help="compare with this ONNX file, in ONNX Runtime"
    )
    runtime.add_argument(
        "--file", metavar="FILE", type=Path, help="compare with this file, in the runner that its name is for"
    )
    runtime.add_argument(
        "--store", metavar="FILE.npz", type=Path, help="write what the original computes, for --original"
    )
    parser.add_argument(
        "--original",
        metavar="FILE.npz",
        type=Path,
        help="compare with what --store wrote; needs no RECIPE, MODEL or TensorFlow",
    )
    add_plugin_libraries(parser)
    add_target(parser)
    parser.add_argument(
        "--images",
        metavar="DIR",
        type=Path,
        help="a folder of pictures, or one picture; without it one is made",
    )
    parser.add_argument(
        "--inputs",
        dest="input_arrays",
        metavar="FILE|DIR",
        type=Path,
        help="arrays by the names of the model's inputs (.npz), or a folder of .npz and .npy files and of "
        "pictures; without it numbers are made",
    )
    parser.add_argument(
        "--seed",
        metavar="N",
        type=_count,
        default=0,
        help="seed of the picture or the numbers that are made (default: 0)",
    )
    add_anchors(parser)
    parser.add_argument(
        "--box-tolerance",
        metavar="X",
        type=_tolerance,
        help="largest difference of a coordinate, relative to the picture (default: 1e-4, of an engine 1e-3)",
    )
    parser.add_argument(
        "--score-tolerance",
        metavar="X",
        type=_tolerance,
        help="largest difference of a score (default: 1e-4, of an engine 1e-3)",
    )
    parser.add_argument(
        "--mask-tolerance",
        metavar="X",
        type=_tolerance,
        help="largest difference of a value of a mask, which is from 0 to 1 (default: 1e-3)",
    )
    parser.add_argument(
        "--max-excused",
        metavar="N",
        type=_count,
        help="differences of one picture that a known rule may explain (default: half of the detections "
        "for what no recipe can change, none for what it can)",
    )
    parser.add_argument(
        "-o",
        "--output",
        metavar="DIR",
        type=Path,
        help="draw both sets of detections on the pictures, into this folder",
    )


def run(args: argparse.Namespace) -> int:
    import surgeon

    lone = args.engine is None and args.onnx is None and args.file is None
    if args.original is not None and (lone or args.recipe is not None or args.images is not None):
        args.wrong_usage(
            "--original goes with --engine, --onnx or --file, and without RECIPE, MODEL and --images"
        )
    if args.original is not None and args.input_arrays is not None:
        args.wrong_usage("--inputs goes with RECIPE and MODEL; stored originals have theirs")
    if args.original is not None and (
        args.parameters
        or args.input_specs
        or args.constants
        or args.target
        or args.anchors
        or args.decode
        or args.suppression
    ):
        args.wrong_usage(
            "--set, --input, --constant, --target, --anchors, --decode and --suppression are for RECIPE and "
            "MODEL; stored originals have theirs"
        )
    if args.plugin_libraries and args.engine is None and args.file is None:
        args.wrong_usage("--plugin-library goes with --engine")
    if args.original is None and args.model is None:
        args.wrong_usage("RECIPE and MODEL are needed, or --original with --engine, --onnx or --file")
    arguments = recipe_arguments(args)
    found = surgeon.verify(
        args.recipe,
        args.model,
        images=args.images,
        inputs=args.input_arrays,
        box_tolerance=args.box_tolerance,
        score_tolerance=args.score_tolerance,
        mask_tolerance=args.mask_tolerance,
        max_excused=args.max_excused,
        anchors=args.anchors,
        decode=args.decode,
        suppression=args.suppression,
        seed=args.seed,
        output=args.output,
        engine=args.engine,
        onnx=args.onnx,
        file=args.file,
        plugin_libraries=args.plugin_libraries,
        original=args.original,
        store=args.store,
        **arguments,
    )
    for note in found.diagnostics:
        console.say_lines(note.render())
    if args.json:
        console.show_json(found.to_json())
    else:
        show(found, spoken(args, "model" if args.model else "original"))
    if args.store is not None:
        console.say(f"{args.store}: what the original computes of {plural(len(found.pictures), 'picture')}")
    if not args.json:
        _show_next(found, args)
    return 0 if found.passed else EXIT_FAILED


def _show_next(found: Verification, args: argparse.Namespace) -> None:
    """Say what to do after a verification: run what was proved, convert, or look at what differs."""
    from surgeon.verification import Outcome

    runtime = args.engine or args.onnx or args.file
    if args.store is not None:
        words = ["surgeon", "verify", "--engine", "ENGINE", "--original", str(args.store)]
        console.next_step(words)
    elif found.outcome is Outcome.PASSED and runtime is not None:
        console.next_step(["surgeon", "run", str(runtime), "PICTURE"])
    elif found.outcome is Outcome.PASSED:
        after_verify(args)
    elif args.original is None and runtime is None:
        images = ["--images", str(args.images or "PICTURES")]
        if found.outcome is Outcome.INCONCLUSIVE:
            given = ["--inputs", "FILE.npz"] if _made_numbers(found) else images
            console.next_step(["surgeon", "verify", *recipe_words(args), *given])
        elif found.outcome is Outcome.FAILED:
            page = f"{name_for(args)}.html"
            shown = images if args.images is not None else []
            console.next_step(["surgeon", "view", *recipe_words(args), "--html", page, "--verify", *shown])


def show(found: Verification, model: str) -> None:
    """Write a verification for a person."""
    option = "none were given with --inputs" if _made_numbers(found) else "none was given with --images"
    made = f" ({option})" if found.made else ""
    if found.runtime:
        console.show("run: " + ", ".join(f"{name} {value}" for name, value in found.runtime.items()))
    tolerances = found.tolerances
    console.show(f"recipe '{found.recipe}' on {model} for {found.target or 'no target'}")
    console.show(f"put in: {console.some(found.pictures)}{made}")
    masks = f"masks {tolerances.mask:g}, " if found.compares_masks else ""
    console.show(
        f"tolerances: boxes {tolerances.box:g} of the picture, scores {tolerances.score:g}, {masks}"
        f"other tensors {tolerances.tensor:g} of their largest value"
    )
    for verdict in found.verdicts:
        _show_verdict(verdict, found)
    _show_added(found)
    _show_given(found)
    _show_literals(found)
    _show_power(found)
    if found.excuses:
        console.show()
        console.show(
            console.bold(
                "excused, for with this rule alone changed in the plugin's reference the difference is gone"
            )
        )
        console.table([(name, text) for name, text in found.excuses.items()])
    console.show()
    console.show(_conclusion(found))
    for path in found.drawn:
        console.say(f"drawn: {path}")


def _made_numbers(found: Verification) -> bool:
    """Return whether numbers were made for inputs that are no pictures."""
    return any(name.startswith("made numbers") for name in found.pictures[:1])


def _show_added(found: Verification) -> None:
    for number, line in enumerate(found.added.lines if found.added is not None else ()):
        if not number:
            console.show()
        console.show(f"  {line}" if number else f"{console.bold('added')}: {line}")


def _show_given(found: Verification) -> None:
    for number, line in enumerate(found.given_lines):
        if not number:
            console.show()
        console.show(f"  {line}" if number else f"{console.bold('taken as given')}: {line}")


def _show_literals(found: Verification) -> None:
    if not found.literals:
        return
    console.show()
    console.show(console.bold("values in the recipe that differ from the graph"))
    for literal in found.literals:
        console.show(f"  {literal}")


def _show_power(found: Verification) -> None:
    for number, line in enumerate(found.power_lines):
        if not number:
            console.show()
        console.show(f"  {line}" if number else f"{console.bold('power')}: {line}")


def _conclusion(found: Verification) -> str:
    from surgeon.verification import DetectionComparison, Outcome

    bad = [verdict for verdict in found.verdicts if verdict.outcome is found.outcome]
    names = " and ".join(f"'{verdict.name}'" for verdict in bad)
    excused = ": the same, but for the differences excused above" if found.excuses else ""
    match found.outcome:
        case Outcome.PASSED:
            return "; ".join([console.bold("passed") + excused, *_taken_as_given(found)])
        case Outcome.FAILED:
            return console.bold("failed") + f": {names}"
        case Outcome.INCONCLUSIVE:
            detects = any(isinstance(c, DetectionComparison) for each in bad for c in each.comparisons)
            pictures = "give pictures in which something is detected (--images)"
            advice = pictures if detects else "give other inputs (--images, --inputs)"
            return console.bold("inconclusive") + f": {names} proves nothing; {advice}"
        case Outcome.NOT_COMPARED:
            return console.bold("not verified") + f": {names} could not be compared"


def _taken_as_given(found: Verification) -> Iterator[str]:
    """Yield which verdict compares nothing, and why."""
    for verdict in found.verdicts:
        if found.takes_as_given(verdict):
            yield f"'{verdict.name}' is not compared, 'image' is taken as given"
        elif found.has_cases_alone(verdict):
            yield f"'{verdict.name}' is not compared, nothing in the graph stands for what the recipe adds"


def _show_verdict(verdict: Verdict, of: Verification) -> None:
    from surgeon.verification import DetectionComparison

    console.show()
    console.show(
        console.bold(f"{verdict.name}: {verdict.outcome}")
        + (f" ({verdict.reason})" if verdict.reason else "")
    )
    probes = verdict.passed_probes
    shown = [c for c in verdict.comparisons if c not in probes]
    worst_first = sorted(shown, key=lambda c: c.outcome == "passed")[:_LINES]
    detections = [c for c in worst_first if isinstance(c, DetectionComparison)]
    tensors = [c for c in worst_first if not isinstance(c, DetectionComparison)]
    several = len(of.pictures) > 1
    if tensors:
        console.table([("", "tensor", "error", "allowed", ""), *(_tensor(c, several) for c in tensors)])
    if detections:
        masks = any(c.masks for c in detections)
        mask_error = ("mask error",) if masks else ()
        head = ("original", "rewritten", "matched", "box error", "(median)", "score error", *mask_error)
        rows = [_detections(c, several, masks) for c in detections]
        console.table([("", *head, "excused", ""), *rows], right=range(1, 1 + len(head)))
    if len(shown) > _LINES:
        console.show(f"  and {plural(len(shown) - _LINES, 'comparison')} more; --json lists all")
    if probes:
        console.show(f"  {plural(len(probes), 'probe')} passed, too; --json lists them")
    for comparison in detections:
        _show_differences(comparison, of)


def _tensor(found: TensorComparison, several: bool) -> tuple[str, ...]:
    measured = (f"{found.error:.2g}", f"{found.tolerance:.2g}") if found.tolerance else ("-", "-")
    excuse = f" [{found.excuse}]" if found.excuse else ""
    what = _subject(found.subject, found.picture, several) + excuse + _because(found.reason)
    return (str(found.outcome), found.tensor or "-", *measured, what)


def _detections(found: DetectionComparison, several: bool, masks: bool) -> tuple[str, ...]:
    mask_error = f"{found.worst_mask_error:.2g}" if found.masks else "-"
    excused = ", ".join(f"{name} {count}" for name, count in found.excused.items())
    return (
        str(found.outcome),
        console.number(found.original),
        console.number(found.rewritten),
        console.number(found.matched),
        f"{found.worst_box_error:.2g}",
        f"{found.median_box_error:.2g}",
        f"{found.worst_score_error:.2g}",
        *((mask_error,) if masks else ()),
        excused or "-",
        _subject(found.subject, found.picture, several) + _because(found.reason),
    )


def _subject(subject: str, picture: str, several: bool) -> str:
    from surgeon.verification.results import PROBE

    return f"{subject}, {picture}" if picture and (several or picture.startswith(PROBE)) else subject


def _because(reason: str) -> str:
    return f": {reason}" if reason else ""


def _show_differences(found: DetectionComparison, of: Verification) -> None:
    left: Sequence[Difference] = found.unexcused
    if not left:
        return
    console.show(f"  not explained, {found.subject}, {found.picture}:")
    console.table([_difference(d, of) for d in left[:_LINES]], indent="    ")
    if len(left) > _LINES:
        console.show(f"    and {len(left) - _LINES} more; --json lists all")


def _difference(found: Difference, of: Verification) -> tuple[str, ...]:
    row = found.original or found.rewritten
    assert row is not None
    name = of.labels.get(row.label)
    mask = f", mask by {found.mask_error:.2g}" if found.mask_error else ""
    errors = (
        f"box off by {found.box_error:.2g}, score by {found.score_error:.2g}{mask}"
        if found.kind == "differs"
        else ""
    )
    return (
        found.kind,
        f"class {row.label}" + (f" ({name})" if name else ""),
        f"score {row.score:.4f}",
        _box(row.box),
        errors,
    )


def _box(box: Iterable[float]) -> str:
    return "[" + ", ".join(f"{value:.4f}" for value in box) + "]"


def _tolerance(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value < 1:
        raise argparse.ArgumentTypeError(
            f"'{text}' is not a tolerance; expected a number above 0 and below 1"
        )
    return value


def _count(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise argparse.ArgumentTypeError(f"'{text}' is not a count; expected 0 or more")
    return int(text)
