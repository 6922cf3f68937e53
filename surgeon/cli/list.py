"""List recipes, plugins, steps, operations or targets, or what is looked for before TensorRT sees a file.

surgeon list recipes
surgeon list plugins --target uff@tensorrt-7.1
surgeon list ops --target uff@tensorrt-8.5
surgeon list lints
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from surgeon.cli import console
from surgeon.cli.options import add_paths, add_target
from surgeon.display import first_paragraph

if TYPE_CHECKING:
    from surgeon.catalog import FieldSpec, PluginSpec, Registration

NAME = "list"
TASK = "look"
SUMMARY = "List the recipes, plugins, steps, operations, targets or lints."

Rows = list[dict[str, Any]]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("what", metavar="KIND", choices=tuple(_LISTS), help=f"{', '.join(_LISTS)}")
    add_target(parser, "all plugins and lints; operations of uff@tensorrt-8.5")
    add_paths(parser)


def run(args: argparse.Namespace) -> int:
    rows = _LISTS[args.what](args)
    if args.json:
        console.show_json(rows)
    else:
        console.table([[_cell(value) for value in row.values()] for row in rows], indent="")
    return 0


def _recipes(args: argparse.Namespace) -> Rows:
    from surgeon.diagnostics import SurgeonError
    from surgeon.language import load_recipe, recipe_files

    rows: Rows = []
    for name, path in recipe_files(args.recipe_paths).items():
        try:
            summary = load_recipe(path, recipe_paths=args.recipe_paths).summary
        except SurgeonError as exc:
            summary = f"cannot be used: {exc.diagnostics[0].message}"
        rows.append({"name": name, "summary": summary, **({"path": str(path)} if args.json else {})})
    return rows


def _plugins(args: argparse.Namespace) -> Rows:
    from surgeon.catalog import load_catalog
    from surgeon.targets import load_target, print_version

    target = load_target(args.target) if args.target else None
    version = target.tensorrt if target is not None else None
    rows: Rows = []
    for op, spec in load_catalog(args.plugin_paths).items():
        there = spec.registration_for(version)
        if there is None:
            continue
        deprecated = "" if there.deprecated is None else f"deprecated from {print_version(there.deprecated)}"
        rows.append(
            {
                "op": op,
                "version": there.plugin_version,
                "title": spec.title,
                "versions": versions(spec),
                "deprecated": deprecated,
            }
        )
    return rows


def _steps(args: argparse.Namespace) -> Rows:
    from surgeon.steps.step import step_types

    return [{"step": name, "summary": first_paragraph(kind)} for name, kind in step_types().items()]


def _ops(args: argparse.Namespace) -> Rows:
    from surgeon.cli.operations import operations
    from surgeon.targets import load_target

    target = load_target(args.target or "uff@tensorrt-8.5")
    return [
        {
            "op": o.op,
            "in UFF": o.export,
            "shape": "shape" if o.shape else "",
            "value": "value" if o.value else "",
        }
        for o in operations()
        if args.target is None or o.runs_on(target)
    ]


def _targets(args: argparse.Namespace) -> Rows:
    from surgeon.targets import all_targets

    return [
        {"name": name, "title": t.title, "deprecated": t.deprecated or ""}
        for name, t in all_targets().items()
    ]


def _lints(args: argparse.Namespace) -> Rows:
    from surgeon.lints import all_lints
    from surgeon.targets import load_target

    target = load_target(args.target) if args.target else None
    return [
        {"code": code, "title": lint.title, "targets": ", ".join(lint.targets)}
        for code, lint in all_lints().items()
        if target is None or lint.fits(target)
    ]


_LISTS: dict[str, Callable[[argparse.Namespace], Rows]] = {
    "recipes": _recipes,
    "plugins": _plugins,
    "steps": _steps,
    "ops": _ops,
    "targets": _targets,
    "lints": _lints,
}


def _cell(value: object) -> str:
    return str(value)


def versions(thing: PluginSpec | FieldSpec | Registration) -> str:
    """Return in which versions of TensorRT a plugin, a plugin version or a field exists."""
    from surgeon.catalog import span_of_versions

    return (
        span_of_versions(thing).replace("it exists", "TensorRT", 1)
        if thing.since or thing.until
        else "any TensorRT"
    )
