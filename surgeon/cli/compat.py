"""Run a Python script that was written for NVIDIA's graphsurgeon and uff packages, unchanged.

surgeon compat run my_script.py frozen_inference_graph.pb
surgeon compat run --strict my_script.py

The script's code is executed, with all that it does besides surgery. 'import graphsurgeon' and 'import uff'
lead to surgeon's own layers where NVIDIA's packages are not installed; names of TensorFlow 1 work under
TensorFlow 2; and modules that are not installed, such as tensorrt and pycuda, are stood in for until the
script uses them.

NVIDIA's packages are silent about much that ends in a broken engine: namespaces that match nothing, edges
that lose their port, a picture fed to NMS_TRT, an 'inputOrder' that does not fit the graph, operations that
stay as custom ones. Each is a warning here, and with --strict an error. Everything behind SCRIPT.py goes to
the script.

'convert-to-uff' is a command of its own, with the options of NVIDIA's.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
from pathlib import Path

from surgeon.cli import console
from surgeon.cli.options import add_target
from surgeon.cli.settings import configured_target

NAME = "compat"
TASK = "convert"
SUMMARY = "Run a script written for graphsurgeon and uff; its code is executed."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.passes_on = 2  # type: ignore[attr-defined]
    parser.add_argument("action", metavar="run", choices=("run",), help="what to do with the script")
    parser.add_argument(
        "script",
        metavar="SCRIPT.py",
        type=Path,
        help="a Python script, whose code is run; its arguments follow",
    )
    parser.add_argument("--strict", action="store_true", help="make warnings about the script errors")
    add_target(parser)


def run(args: argparse.Namespace) -> int:
    from surgeon.compat.running import run_script
    from surgeon.compat.target import DEFAULT_TARGET

    target = args.target or configured_target(args) or DEFAULT_TARGET
    # The product of --json is the report, so what the script prints goes with the talk.
    aside = contextlib.redirect_stdout(sys.stderr) if args.json else contextlib.nullcontext()
    with aside:
        done = run_script(args.script, args.passed_on, target=target, strict=args.strict)
    sys.stdout.flush()
    if args.json:
        console.show_json(
            {
                "script": str(args.script),
                "arguments": args.passed_on,
                "target": target,
                "exit_code": done.code,
                "diagnostics": [d.to_json() for d in done.diagnostics],
            }
        )
    console.say_diagnostics(done.diagnostics)
    return done.code
