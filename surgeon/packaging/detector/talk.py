"""How programs of one file end, and what they say: JSON, diagnostics, and what was found in pictures."""

import json
import os
import sys
from typing import Any, Callable, Iterable

from surgeon.diagnostics import Diagnostic, SurgeonError, error
from surgeon.ending import ended_by_signals
from surgeon.runners.image_result import ImageResult
from surgeon.version import __version__

DONE, REFUSED, NOT_VERIFIED, BUG, INTERRUPTED, CUT_OFF = 0, 1, 3, 70, 130, 141


def exit_code(work: Callable[[], int], say_diagnostics: Callable[[Iterable[Diagnostic], bool], None]) -> int:
    """Return what ``work`` returns, or the exit code of what ends it, which is said.

    ``say_diagnostics`` is told whether the diagnostics go to JSON as well, where that is wanted.
    """
    try:
        with ended_by_signals():
            code = work()
            sys.stdout.flush()
            return code
    except SurgeonError as exc:
        say_diagnostics(exc.diagnostics, True)
        return REFUSED
    except BrokenPipeError:
        _drop_output()
        return CUT_OFF
    except KeyboardInterrupt:
        return INTERRUPTED
    except MemoryError:
        lacking = error("B145", "the host's memory ran out; expected enough for the pictures and the engine")
        say_diagnostics(lacking.diagnostics, True)
        return REFUSED
    except OSError as exc:
        _drop_output()
        reason = f"{exc.filename or 'the output'} cannot be read or written: {exc.strerror or exc}"
        say_diagnostics(error("E105", reason, help=["check the path and the disk"]).diagnostics, False)
        return REFUSED
    except Exception as exc:
        if os.environ.get("SURGEON_TRACEBACK"):
            raise
        say(f"bug: {type(exc).__name__}: {exc}")
        say(f"  a fault of surgeon {__version__}, please report it; SURGEON_TRACEBACK=1 shows where it is")
        return BUG


def _drop_output() -> None:
    """Let what could not be written to standard output be lost; Python would try again at its end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


def say(text: str) -> None:
    """Write a line to standard error."""
    sys.stderr.write(text + "\n")


def show_json(value: Any) -> None:
    """Write a value to standard output as JSON."""
    sys.stdout.write(json.dumps(value, indent=2, default=list) + "\n")
    sys.stdout.flush()


def show_diagnostics(diagnostics: Iterable[Diagnostic], as_json: bool) -> None:
    """Say diagnostics, and write them as JSON, too, where that is asked for."""
    found = list(diagnostics)
    for each in found:
        say(each.render())
    if as_json:
        show_json({"diagnostics": [each.to_json() for each in found]})


def show_results(results: Iterable[ImageResult]) -> None:
    """Write what was found in pictures to standard output, for a person."""
    for result in results:
        print(f"{result.picture}: {result.size[1]} x {result.size[0]}")
        for row in result.rows():
            left, top, right, bottom = row["pixels"]
            name = row["label"] or ""
            place = f"{left},{top} to {right},{bottom}"
            print(f"  {row['score']:.3f}  {row['class']:3} {name:20} {place}")
        for name in () if result.detections is not None else result.outputs:
            print(f"  {name}: largest {result.largest(name)[:3]}")
