"""Show how two graphs differ: nodes that only one has, and nodes that changed. The exit code is 0 either way.

    surgeon diff frozen_inference_graph.pb rewritten.pb
    surgeon diff frozen_inference_graph.pb rewritten.pb --html diff.html
"""

from __future__ import annotations

import argparse
from pathlib import Path

from surgeon.cli import console

NAME = "diff"
SUMMARY = "show how two graphs differ"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("a", metavar="A", help="a frozen graph (.pb, .pbtxt) or a SavedModel folder")
    parser.add_argument("b", metavar="B", help="another")
    parser.add_argument("--html", metavar="FILE", type=Path, help="write the differences, by namespace, as an HTML page to this file")


def run(args: argparse.Namespace) -> int:
    from surgeon import api
    from surgeon.graph.diff import render

    found = api.diff(args.a, args.b)
    if args.html is not None:
        _write_page(args.a, args.b, args.html)
    if args.json:
        console.show_json(found.to_json())
    elif args.html is None:
        console.show(render(found).rstrip() or "no difference")
    return 0


def _write_page(a: str, b: str, to: Path) -> None:
    from surgeon.atomic import write_text
    from surgeon.graphdef import load_graph
    from surgeon.view import Page, render_page, tell_difference

    page = render_page(Page(tell_difference(load_graph(a), load_graph(b), title=f"{a} and {b}")))
    write_text(to, page)
    console.say(f"{to}: the page, {console.size(len(page.encode()))}")
