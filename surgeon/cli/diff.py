"""Show how two graphs differ: nodes that only one has, and nodes that changed. The exit code is 0 either way.

surgeon diff frozen_inference_graph.pb rewritten.pb
surgeon diff frozen_inference_graph.pb rewritten.pb --html diff.html
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from surgeon.cli import console
from surgeon.cli.streams import product, spoken

NAME = "diff"
TASK = "look"
SUMMARY = "Show how two graphs differ."
INPUTS = ("a", "b")
OUTPUTS = ("html",)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "a", metavar="A", help="a frozen graph (.pb, .pbtxt), a SavedModel folder, a .uff or .onnx file"
    )
    parser.add_argument("b", metavar="B", help="another")
    parser.add_argument(
        "--html",
        metavar="FILE",
        type=Path,
        help="write the differences, by namespace, as an HTML page to this file",
    )


def run(args: argparse.Namespace) -> int:
    import surgeon
    from surgeon.graph.diff import render

    if args.html is None:
        found = surgeon.diff(args.a, args.b)
    else:
        with product(args, args.html, ".html") as page:
            found = surgeon.diff(args.a, args.b, html=page)
            size = page.stat().st_size if os.path.isfile(page) else 0
        console.say(f"{spoken(args, 'html')}: the page, {console.size(size)}")
    if args.json:
        console.show_json(found.to_json())
    elif args.html is None:
        console.show_lines(render(found).rstrip() or "no difference")
    return 0
