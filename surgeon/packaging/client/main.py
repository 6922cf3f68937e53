"""The command line of the client."""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from surgeon.diagnostics import Diagnostic, SurgeonError
from surgeon.packaging.client.kserve import InferenceServer
from surgeon.packaging.client.runner import PicturesToServer, ServedRunner
from surgeon.packaging.description import read_description
from surgeon.packaging.detector.talk import (
    DONE,
    REFUSED,
    exit_code,
    say,
    show_diagnostics,
    show_json,
    show_results,
)
from surgeon.runners.detect import detect_all
from surgeon.runners.detection_runner import DetectionRunner
from surgeon.runners.image import listed
from surgeon.runners.image_result import THRESHOLD, check_threshold, report
from surgeon.runners.result_folder import ResultFolder
from surgeon.version import __version__

URL = "http://localhost:8000"


def main(arguments: Sequence[str] | None = None) -> int:
    """Detect in pictures; return the exit code."""
    args = _parser().parse_args(arguments)

    def say_diagnostics(diagnostics: Iterable[Diagnostic], may_be_json: bool) -> None:
        show_diagnostics(diagnostics, may_be_json and args.json)

    return exit_code(lambda: _detect(args), say_diagnostics)


def _detect(args: argparse.Namespace) -> int:
    least = check_threshold(args.threshold)
    pictures = listed([str(each) for each in args.pictures])
    described = read_description(args.folder)
    results_folder = None
    if args.output is not None:
        drawing = _is_there("PIL")
        results_folder = ResultFolder(args.output, pictures, drawing=drawing)
        if not drawing:
            say("nothing is drawn: Pillow is not there; detections.json is written")
    unread: list[SurgeonError] = []
    server = InferenceServer(args.url, args.timeout, args.binary)
    with ServedRunner(described, server, args.on_server) as served:
        results = detect_all(
            PicturesToServer(served) if args.on_server else DetectionRunner(served),
            pictures,
            args.batch,
            threshold=least,
            labels=None,
            folder=results_folder,
            tensors=args.tensors and results_folder is not None,
            refused=unread.append,
            watch=None,
        )
    if args.json:
        show_json(report(results, least, unread))
    else:
        show_results(results)
    for exc in unread:
        show_diagnostics(exc.diagnostics, False)
    return REFUSED if unread else DONE


def _is_there(module: str) -> bool:
    try:
        importlib.import_module(module)
    except Exception:  # a broken package raises anything
        return False
    return True


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description="Detect objects in pictures with the model of this folder, which Triton serves.",
        epilog="Exit codes: 0 done, 1 an error that the message explains, 2 wrong usage.",
    )
    parser.add_argument("--version", action="version", version=f"surgeon {__version__}")
    parser.add_argument(
        "pictures", metavar="PICTURE", nargs="+", type=Path, help="pictures, folders, .npy arrays"
    )
    parser.add_argument(
        "--url", metavar="URL", default=URL, help=f"the address of Triton's HTTP service (default: {URL})"
    )
    parser.add_argument(
        "--on-server", action="store_true", help="let Triton prepare the pictures, by the ensemble"
    )
    parser.add_argument(
        "--no-binary", dest="binary", action="store_false", help="send and ask for tensors as JSON"
    )
    parser.add_argument(
        "--timeout", metavar="SECONDS", type=_seconds, default=60.0, help="for each request (default: 60)"
    )
    parser.add_argument(
        "--threshold", metavar="X", type=float, default=THRESHOLD, help="score that is needed"
    )
    parser.add_argument(
        "--batch", metavar="N", type=_positive, help="pictures in a request (default: as many as fit)"
    )
    parser.add_argument(
        "-o", "--output", metavar="DIR", type=Path, help="draw, and write detections.json, here"
    )
    parser.add_argument("--tensors", action="store_true", help="write the outputs, too (with -o)")
    parser.add_argument("--json", action="store_true", help="write the result as JSON")
    parser.add_argument(
        "--folder",
        metavar="DIR",
        type=Path,
        default=Path(os.path.dirname(os.path.abspath(sys.argv[0]))),
        help="the folder with detector.json (default: that of this program)",
    )
    return parser


def _positive(text: str) -> int:
    if not text.isdigit() or not 0 < int(text) <= 100000:
        raise argparse.ArgumentTypeError(f"'{text}' is not a count; expected 1 to 100000")
    return int(text)


def _seconds(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number <= 3600:
        raise argparse.ArgumentTypeError(f"'{text}' is not a time; expected more than 0, to 3600 seconds")
    return number
