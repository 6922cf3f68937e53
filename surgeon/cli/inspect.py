"""Show what a model consists of: namespaces, operations, inputs, outputs, what the target cannot run and
which recipes fit. A .uff or .onnx file is read back.

    surgeon inspect frozen_inference_graph.pb --depth 2
    surgeon inspect frozen_inference_graph.pb --under FeatureExtractor --depth 3
    surgeon inspect ssd.uff --ops
    surgeon inspect ssd.onnx
"""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from surgeon.cli import console
from surgeon.cli.next_step import given_model
from surgeon.cli.options import add_paths, add_target
from surgeon.cli.settings import configured_target
from surgeon.cli.streams import spoken
from surgeon.deprecation import Alias
from surgeon.display import plural

if TYPE_CHECKING:
    from surgeon.inspection import Inspection, Namespace

NAME = "inspect"
TASK = "look"
SUMMARY = "Show what a model consists of and which recipes fit it."
INPUTS = ("model",)
_REMARKS = Alias("surgeon.cli.inspect --json", "remarks", "diagnostics", removal="0.2.0")

MOST = 40
"""Lines that a section shows; the JSON twin has all."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "model",
        metavar="MODEL",
        help="a frozen graph (.pb, .pbtxt), a SavedModel folder, a .uff or .onnx file",
    )
    parser.add_argument(
        "--depth",
        type=_depth,
        default=1,
        metavar="N",
        help="components of namespaces told apart (default: 1)",
    )
    parser.add_argument("--under", default="", metavar="NAMESPACE", help="look into this namespace only")
    parser.add_argument("--ops", action="store_true", help="count operations, too")
    add_target(parser)
    add_paths(parser)


def run(args: argparse.Namespace) -> int:
    import surgeon

    found = surgeon.inspect(
        args.model,
        depth=args.depth,
        under=args.under,
        target=args.target or configured_target(args),
        recipe_paths=args.recipe_paths,
        plugin_paths=args.plugin_paths,
    )
    if args.json:
        console.show_json(_plain(found))
    else:
        _show(found, args.ops, spoken(args, "model"))
        console.say_diagnostics(found.diagnostics)
        _show_next(found, args)
    return 0


def _depth(text: str) -> int:
    if not text.isdigit() or not 1 <= int(text) <= 64:
        raise argparse.ArgumentTypeError(f"'{text}' is not a depth; expected 1 to 64")
    return int(text)


def _plain(found: Inspection) -> dict[str, Any]:
    diagnostics = [each.to_json() for each in found.diagnostics]
    return {**dataclasses.asdict(found), "diagnostics": diagnostics, _REMARKS.name: diagnostics}


def _show(found: Inspection, ops: bool, model: str) -> None:
    console.show(
        f"{model}: {found.kind}, {plural(found.nodes, 'node')}, "
        f"{console.size(found.constant_bytes)} of constants"
    )
    _section("it says", list(found.told.items()))
    _section("inputs", [(name, text) for name, text in found.inputs.items()])
    _section("outputs", [(name, text) for name, text in found.outputs.items()])
    _section("plugins", [(name, text) for name, text in found.plugins.items()])
    _section("namespaces", _tree(found.namespaces), right=(1, 2))
    if ops:
        _section(
            "operations",
            [(op, console.number(count)) for op, count in found.ops.items()],
            right=(1,),
            most=200,
        )
    _section(
        f"what {found.target} cannot run",
        [
            (u.namespace or "(outside)", plural(u.nodes, "node"), console.some(list(u.ops)), u.remedy)
            for u in found.unsupported
        ],
        right=(1,),
    )
    _section("family", [(found.family,)] if found.family else [])
    _section("the network", list(found.network.items()))
    _section("recipes that fit", [(fit.recipe, fit.summary) for fit in found.fits])


def _tree(namespaces: Sequence[Namespace]) -> list[tuple[str, ...]]:
    """Return the rows of a tree: open namespaces and folded ones, nodes, and a bar beside the size of
    constants.
    """
    most = max((n.constant_bytes for n in namespaces), default=0)
    opens, folds, full, little = "▾▸█▏" if console.writes("▾▸█▏") else "-+#."
    rows: list[tuple[str, ...]] = []
    for i, one in enumerate(namespaces):
        opened = i + 1 < len(namespaces) and namespaces[i + 1].depth > one.depth
        sign = opens if opened else folds if one.folded else " "
        bar = full * round(10 * one.constant_bytes / most) or little if one.constant_bytes > 0 else ""
        rows.append(
            (
                "  " * (one.depth - 1) + f"{sign} {one.name.split('/')[-1]}",
                console.number(one.nodes),
                console.size(one.constant_bytes),
                bar,
            )
        )
    return rows


def _section(title: str, rows: list[tuple[str, ...]], right: tuple[int, ...] = (), most: int = MOST) -> None:
    if not rows:
        return
    console.show()
    console.show(console.bold(title))
    console.table(rows[:most], right=right)
    if len(rows) > most:
        console.show(f"  and {console.number(len(rows) - most)} more; --json shows all")


def _show_next(found: Inspection, args: argparse.Namespace) -> None:
    """Say what to do with a model: verify a recipe that fits, write one, or build an engine of a file."""
    from surgeon.formats import format_of

    folders = [("--recipe-path", args.recipe_paths), ("--plugin-path", args.plugin_paths)]
    given = [word for flag, paths in folders for path in paths for word in (flag, str(path))]
    given += ["--target", args.target] if args.target else []
    model = Path("my" if args.received else args.model)
    if found.fits:
        console.next_step(["surgeon", "verify", found.fits[0].recipe, given_model(args), *given])
    elif found.family:
        console.next_step(["surgeon", "init", given_model(args), "-o", f"{model.stem}.yaml"])
    elif not format_of(args.model).rewritable and not args.received:
        console.next_step(["surgeon", "build", args.model, "-o", str(model.with_suffix(".engine"))])
