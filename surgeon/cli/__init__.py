"""The command line: a file for each verb, found by its ``NAME``."""

from __future__ import annotations

import argparse
import os
import re
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from types import ModuleType

from surgeon.cli import console
from surgeon.cli.completion import complete
from surgeon.cli.order import check_order
from surgeon.cli.progress import showing_stages
from surgeon.cli.settings import Settings, apply_settings, read_settings
from surgeon.cli.streams import received, streams_of
from surgeon.cli.usage import FrontPage, Parser, usage
from surgeon.diagnostics import Diagnostic, Severity, SurgeonError
from surgeon.discovery import discover
from surgeon.display import printable
from surgeon.ending import Ended, ended_by_signals
from surgeon.version import __version__

EXIT_OK, EXIT_ERROR, EXIT_USAGE, EXIT_BUG, EXIT_INTERRUPT, EXIT_PIPE = 0, 1, 2, 70, 130, 141
EXIT_SIGNAL = 128
_GO_ON = (None, "help", "explain", "doctor", "config", "completion")
"""The verbs that a damaged configuration file does not stop."""

_DESCRIPTION = (
    "Replace parts of frozen TensorFlow graphs by TensorRT plugins, as a recipe says, export them as UFF or "
    "ONNX, and prove that the detections are the same."
)
_EPILOG = """\
your own model, from its frozen graph to an engine:

    surgeon init model.pb -o my.yaml
    surgeon verify my.yaml model.pb
    surgeon convert my.yaml model.pb -o my.onnx
    surgeon build my.yaml model.pb -o my.engine

RECIPE is a shipped name ('surgeon list recipes') or the path of a .yaml file; MODEL is a frozen graph (.pb,
.pbtxt) or a SavedModel folder. 'surgeon help VERB' explains a verb; 'surgeon demo' shows everything on a
small detector.

Exit codes: 0 done, 1 an error that the message explains, 2 wrong usage, 3 a failed verification, 70 a bug of
surgeon, 130 interrupted, 129 and 143 ended by SIGHUP and SIGTERM."""

_EXAMPLE = re.compile(r"^(?=surgeon )", re.MULTILINE)
"""Where a line of a verb's text is a command, which its help shows indented."""


def verbs() -> Mapping[str, ModuleType]:
    """Return the modules of this package that are verbs, by name.

    Raise SurgeonError E112 where two claim one name.
    """
    return discover(__name__, "verbs named", lambda m: [(m.NAME, m)] if hasattr(m, "NAME") else [])


def parser() -> FrontPage:
    """Return the parser of the whole command line."""
    top = FrontPage(
        prog="surgeon", usage="surgeon VERB [arguments] [options]", description=_DESCRIPTION, epilog=_EPILOG
    )
    top.verbs = verbs()
    top.add_argument("--version", action="version", version=f"surgeon {__version__}")
    _add_shared(top, False)
    below = top.add_subparsers(dest="verb", metavar="VERB", prog="surgeon", parser_class=Parser)
    for name, module in top.verbs.items():
        text = _EXAMPLE.sub("    ", (module.__doc__ or "").strip())
        below.add_parser(name, help=module.SUMMARY, description=text, later=partial(_add_arguments, module))
    return top


def _add_arguments(module: ModuleType, parser: Parser) -> None:
    """Add what a verb takes to its parser."""
    module.add_arguments(parser)
    parser.set_defaults(run=module.run, wrong_usage=parser.error, **streams_of(module))
    _add_shared(parser, argparse.SUPPRESS)
    parser.usage = usage(parser).replace("%", "%%")


def _add_shared(parser: argparse.ArgumentParser, default: object) -> None:
    """Add the options that every verb takes, which may stand before the verb, too."""
    parser.add_argument("--json", action="store_true", default=default, help="print JSON instead of text")
    parser.add_argument(
        "-q",
        "--quiet",
        action="store_true",
        default=default,
        help="print the result and errors only: no warnings, hints or progress",
    )
    parser.add_argument(
        "-v",
        "--verbose",
        action="store_true",
        default=default,
        help="say what is read and written, and how long each stage takes",
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; return its exit code.

    SystemExit is raised by --help, --version and wrong usage only.
    """
    with _ending() as ended:
        args = _parsed(argv)
        ended.code = args if isinstance(args, int) else _run(args)
    return ended.code


def guarded(command: str, call: Callable[[], int]) -> int:
    """Run a command of its own, such as convert-to-uff; return its exit code as :func:`main` does."""
    with _ending() as ended:
        ended.code = _guarded(command, False, call)
    return ended.code


@dataclass
class _Exit:
    code: int = EXIT_OK


@contextmanager
def _ending() -> Iterator[_Exit]:
    """Prepare the terminal, and give the exit code of a block that a signal or a closed pipe ends."""
    ended = _Exit()
    console.prepare()
    console.only_errors(False)
    try:
        with ended_by_signals():
            yield ended
    except BrokenPipeError:
        console.abandon()
        ended.code = EXIT_PIPE
    except Ended as exc:
        console.say_error("ended by a signal")
        ended.code = EXIT_SIGNAL + exc.number
    except KeyboardInterrupt:
        console.say_error("interrupted")
        ended.code = EXIT_INTERRUPT


def _parsed(argv: Sequence[str] | None) -> argparse.Namespace | int:
    """Return the arguments, or the exit code where help or the version could not be printed."""
    try:
        top = parser()
        complete(top)
        args = top.parse_args(sys.argv[1:] if argv is None else [*argv])
        if args.verb is None:
            args.run = show_help
        else:
            if args.quiet and args.verbose:
                args.wrong_usage("--quiet and --verbose exclude each other")
            check_order(args)
        console.only_errors(args.quiet)
        return args
    except SystemExit:
        try:
            console.finish()
        except SurgeonError as exc:
            return _refused(exc.diagnostics, False)
        raise


def show_help(args: argparse.Namespace) -> int:
    """Write the help of the whole command line."""
    console.show_lines(parser().format_help().rstrip())
    return EXIT_OK


def _run(args: argparse.Namespace) -> int:
    def call() -> int:
        shows_line = _configure(args) and not (args.quiet or args.json)
        showing = showing_stages(line=shows_line, verbose=args.verbose and not args.quiet)
        with showing, received(args):
            code: int = args.run(args)
        return code

    return _guarded(f"surgeon {args.verb}", args.json, call)


def _guarded(command: str, as_json: bool, call: Callable[[], int]) -> int:
    """Return the exit code of a call; what it raises becomes diagnostics."""
    try:
        code = call()
        console.finish()
        return code
    except SurgeonError as exc:
        return _refused(exc.diagnostics, as_json)
    except (MemoryError, RecursionError) as exc:
        what = "the memory does not suffice" if isinstance(exc, MemoryError) else "the input nests too deeply"
        return _refused(
            [
                Diagnostic(
                    "E109",
                    f"'{command}' had to stop: {what}",
                    None,
                    (),
                    ("give a smaller input, or check that it is what it should be",),
                )
            ],
            as_json,
        )
    except (BrokenPipeError, KeyboardInterrupt):
        raise
    except Exception as exc:
        return _bug(exc, as_json)


def _configure(args: argparse.Namespace) -> bool:
    """Take over what configuration files say; return whether they allow a progress line.

    The verbs that explain things say what is wrong with a file, and go on.
    """
    try:
        settings = read_settings()
    except SurgeonError as exc:
        if args.verb not in _GO_ON:
            raise
        settings = Settings(
            warnings=tuple(replace(each, severity=Severity.WARNING) for each in exc.diagnostics)
        )
    console.say_diagnostics(settings.warnings)
    apply_settings(args, settings)
    color, progress = settings.first("display.color"), settings.first("display.progress")
    console.configure("auto" if color is None else color.value)
    return progress is None or bool(progress.value)


def _refused(diagnostics: Sequence[Diagnostic], as_json: bool) -> int:
    if as_json:
        console.show_json({"diagnostics": [d.to_json() for d in diagnostics]})
    console.say_diagnostics(diagnostics)
    return EXIT_ERROR


def _bug(exc: Exception, as_json: bool) -> int:
    kind, message = type(exc).__name__, " ".join(str(exc).split())
    if as_json:
        console.show_json({"diagnostics": [], "bug": {"type": kind, "message": message}})
    console.say_error("this is a bug of surgeon; please report it")
    console.say_error(f"  {kind}: {message}")
    if os.environ.get("SURGEON_TRACEBACK") == "1":
        console.write_error(printable("".join(traceback.format_exception(exc)), keep="\t\n"))
    else:
        console.say_error("  with SURGEON_TRACEBACK=1 in the environment, the place in the program is shown")
    return EXIT_BUG
