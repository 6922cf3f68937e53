"""Look at a model, and at what a recipe makes of it.

Without further options, Google's Model Explorer opens in the browser: the graph before and after side by
side, every node with its fields, its fate and the recipe line that did it. --netron opens Netron instead,
--export writes the files for Model Explorer, and --html writes one page that needs no network, no server and
neither package.

    surgeon view ssd_mobilenet_v2_coco model.pb
    surgeon view ssd_mobilenet_v2_coco model.pb --no-open --port 8085
    surgeon view ssd_mobilenet_v2_coco model.pb --netron
    surgeon view ssd_mobilenet_v2_coco model.pb --export explorer
    surgeon view model.pb --html model.html
    surgeon view ssd_mobilenet_v2_coco model.pb --html page.html --verify --images pictures
"""

from __future__ import annotations

import argparse
import os
import shlex
import tempfile
import webbrowser
from pathlib import Path
from typing import TYPE_CHECKING, Any

from surgeon.cli import console
from surgeon.cli.options import add_anchors, add_recipe, add_target, port_number, recipe_arguments
from surgeon.cli.streams import product, spoken
from surgeon.cli.verify import EXIT_FAILED

if TYPE_CHECKING:
    from collections.abc import Sequence

    from surgeon.verification import Verification
    from surgeon.viewer import ChangeReport
    from surgeon.viewer.serving import Viewer

NAME = "view"
TASK = "look"
SUMMARY = "Show a model before and after, in the browser or as an HTML page."
INPUTS = ("recipe", "model", "verification")
OUTPUTS = ("html",)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_recipe(parser, optional=True)
    parser.add_argument(
        "model",
        metavar="MODEL",
        help="a frozen graph (.pb, .pbtxt) or a SavedModel folder; without RECIPE also .uff and .onnx; "
        "it may stand before RECIPE, too",
    )
    parser.add_argument(
        "--html", metavar="FILE", type=Path, help="write one page to this file, and open nothing"
    )
    parser.add_argument(
        "--export",
        metavar="DIR",
        type=Path,
        help="write the files for Model Explorer to this folder, and open nothing",
    )
    parser.add_argument(
        "--netron", action="store_true", help="open Netron: the rewritten graph, or MODEL without RECIPE"
    )
    parser.add_argument(
        "--port",
        metavar="N",
        type=port_number,
        help="serve here, 0 for any free port (default: one from 8080 to 8099)",
    )
    parser.add_argument("--no-open", action="store_true", help="print the address, and open no browser")
    add_target(parser)
    add_anchors(parser)
    parser.add_argument(
        "--verification",
        metavar="VERDICT",
        type=Path,
        help="with --html: show what 'surgeon verify --json' wrote to this file",
    )
    parser.add_argument(
        "--verify", action="store_true", help="with --html: verify the recipe now, and show the result"
    )
    parser.add_argument(
        "--images", metavar="DIR", type=Path, help="with --verify: a picture or a folder of them"
    )


def run(args: argparse.Namespace) -> int:
    wrong = _wrong_usage(args)
    if wrong:
        args.wrong_usage(wrong)
    if args.html is not None or args.export is not None:
        return _write(args)
    return _open_netron(args) if args.netron else _open_explorer(args)


def _wrong_usage(args: argparse.Namespace) -> str:
    """Return which options cannot go together, empty where all can."""
    writes = args.html is not None or args.export is not None
    if writes and args.netron:
        return "--netron opens a viewer, --html and --export write files; give one"
    if writes and (args.no_open or args.port is not None):
        return "--port and --no-open go with a viewer, which --html and --export do not open"
    if args.html is None and (args.verify or args.verification is not None):
        return "--verify and --verification go with --html"
    if args.recipe is None and (args.verify or args.verification is not None):
        return "--verify and --verification need a RECIPE"
    choices = (args.target, args.anchors, args.decode, args.suppression)
    given = args.parameters or args.input_specs or args.constants
    if args.recipe is None and (given or any(choice is not None for choice in choices)):
        return "--target, --set, --input, --constant, --anchors, --decode and --suppression go with a RECIPE"
    if args.verify and args.verification is not None:
        return "--verify and --verification exclude each other"
    if args.images is not None and not args.verify:
        return "--images goes with --verify"
    return ""


def _write(args: argparse.Namespace) -> int:
    """Write the page, the files for Model Explorer, or both."""
    import surgeon
    from surgeon.viewer.explorer import write_explorer

    with tempfile.TemporaryDirectory(prefix="surgeon-view-") as folder:
        verified: Verification | None = None
        if args.verify:
            verified = surgeon.verify(
                args.recipe,
                args.model,
                images=args.images,
                anchors=args.anchors,
                decode=args.decode,
                suppression=args.suppression,
                output=Path(folder),
                **recipe_arguments(args),
            )
        verification = verified if verified is not None else args.verification
        if args.html is None:
            report, page = _report(args, verification=verification), 0
        else:
            with product(args, args.html, ".html") as file:
                report = _report(args, html=file, verification=verification)
                page = file.stat().st_size if os.path.isfile(file) else 0
    written = write_explorer(report, args.export) if args.export is not None else ()
    if args.json:
        files = {"explorer": [str(path) for path in written]} if written else {}
        pages = {"page": str(args.html), "bytes": page} if args.html is not None else {}
        console.show_json({**pages, **files, **_plain(report)})
    else:
        if args.html is not None:
            console.say(f"{spoken(args, 'html')}: the page, {console.size(page)}")
        _say_export(written)
    return 0 if verified is None or verified.passed else EXIT_FAILED


def _say_export(written: Sequence[Path]) -> None:
    """Say what was written for Model Explorer, and how to open it."""
    if not written:
        return
    from surgeon.viewer.explorer import COLOURS_FILE, MAPPING_FILE

    for path in written:
        console.say(f"{path}: {console.size(path.stat().st_size)}")
    graphs = [str(path) for path in written if path.name not in (COLOURS_FILE, MAPPING_FILE)]
    console.say(
        "open: "
        + shlex.join(
            ["model-explorer", *graphs, "--node_data_paths", str(written[0].with_name(COLOURS_FILE))]
        )
    )
    if len(graphs) > 1:
        console.say(
            "then open the second graph in the split pane, from the list of graphs at the top, and give "
            f"{MAPPING_FILE} to Sync, 'Upload mapping from computer'"
        )


def _open_explorer(args: argparse.Namespace) -> int:
    """Show the graphs in Model Explorer until somebody presses Ctrl-C."""
    from surgeon.viewer.explorer import MAPPING_FILE, explorer_query, write_explorer
    from surgeon.viewer.serving import MODEL_EXPLORER, choose_port

    MODEL_EXPLORER.check()
    choose_port(args.port)
    with tempfile.TemporaryDirectory(prefix="surgeon-view-") as name:
        folder = Path(name)
        report = _report(args)
        write_explorer(report, folder)
        if report.before is not None and not args.json:
            console.say(
                f"Sync, 'Upload mapping from computer' takes {folder / MAPPING_FILE}; "
                "then a node that was taken out leads to what took its place"
            )
        query = explorer_query(report, folder)
        return _serve(args, MODEL_EXPLORER, query, (), _plain(report), folder, [folder])


def _open_netron(args: argparse.Namespace) -> int:
    """Show the rewritten graph, or the model as it is, in Netron until somebody presses Ctrl-C."""
    from surgeon.formats.graphdef import save_graph
    from surgeon.viewer.serving import NETRON, choose_port, served_file

    NETRON.check()
    choose_port(args.port)
    if args.recipe is None:
        return _serve(args, NETRON, "/", [served_file(Path(args.model))], {})
    with tempfile.TemporaryDirectory(prefix="surgeon-view-") as folder:
        report = _report(args)
        file = Path(folder) / f"{Path(args.model).stem}.rewritten.pb"
        save_graph(report.after.graph, file)
        return _serve(args, NETRON, "/", [file], _plain(report), None, [Path(folder)])


def _serve(
    args: argparse.Namespace,
    viewer: Viewer,
    query: str,
    files: Sequence[Path],
    told: dict[str, object],
    folder: Path | None = None,
    temporary: Sequence[Path] = (),
) -> int:
    from surgeon.stages import tell_stage
    from surgeon.viewer.serving import can_show_browser, serve_until_interrupted, serving

    with serving(viewer, args.port, files, folder, temporary) as server:
        tell_stage("")
        address = server.address(query)
        if args.json:
            console.show_json({"address": address, **told})
        else:
            console.show(address)
        console.finish()
        if not args.no_open and not (can_show_browser() and webbrowser.open(address)):
            console.say("no browser could be opened here; open the address above in one of this machine")
        console.say(f"{viewer.title} serves whoever has this address, on this machine only; Ctrl-C ends it")
        serve_until_interrupted(viewer, server.process)
    return 0


def _report(args: argparse.Namespace, **choices: Any) -> ChangeReport:
    import surgeon

    return surgeon.view(
        args.model,
        args.recipe,
        anchors=args.anchors,
        decode=args.decode,
        suppression=args.suppression,
        **recipe_arguments(args),
        **choices,
    )


def _plain(report: ChangeReport) -> dict[str, object]:
    sides = {"before": report.before, "after": report.after}
    return {
        "kind": report.kind,
        "recipe": report.recipe,
        "target": report.target,
        "graphs": {
            key: {"nodes": len(side.nodes), "constant_bytes": side.constant_bytes, "ops": dict(side.ops)}
            for key, side in sides.items()
            if side is not None
        },
        "namespaces": [
            {
                "name": n.name,
                "before": n.before,
                "after": n.after,
                "constant_bytes": n.constant_bytes,
                "fate": str(n.status),
                "into": dict(n.into),
                "by": [{"step": step, "at": at, "nodes": count} for (step, at), count in n.places.items()],
            }
            for n in report.namespaces
        ],
    }
