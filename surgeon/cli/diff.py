"""Show how two graphs differ: nodes that only one has, and nodes that changed. The exit code is 0 either way.

    surgeon diff frozen_inference_graph.pb rewritten.pb
"""

from __future__ import annotations

import argparse

from surgeon.cli import console

NAME = "diff"
SUMMARY = "show how two graphs differ"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("a", metavar="A", help="a frozen graph (.pb, .pbtxt) or a SavedModel folder")
    parser.add_argument("b", metavar="B", help="another")


def run(args: argparse.Namespace) -> int:
    from surgeon import api
    from surgeon.graph.diff import render

    found = api.diff(args.a, args.b)
    if args.json:
        console.show_json(found.to_json())
    else:
        console.show(render(found).rstrip() or "no difference")
    return 0
