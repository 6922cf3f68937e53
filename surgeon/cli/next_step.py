"""What comes next: every verb that leaves something to do ends with the command that does it.

The path is init, verify, convert, build, run.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from surgeon.cli import console


def recipe_words(args: argparse.Namespace, model: object = None) -> list[str]:
    """Return a verb's recipe and model with the options that belong to them, as another verb takes them."""
    recipe = args.recipe if isinstance(args.recipe, str) else "RECIPE"
    words = [recipe, str(model) if model is not None else given_model(args)]
    for name, value in args.parameters:
        words += ["--set", f"{name}={value}"]
    for flag, given in (("--input", args.input_specs), ("--constant", args.constants)):
        for name, value in given:
            words += [flag, f"{name}={value}"]
    for flag, folders in (("--recipe-path", args.recipe_paths), ("--plugin-path", args.plugin_paths)):
        for folder in folders:
            words += [flag, str(folder)]
    for flag, value in (("--target", args.target), ("--anchors", getattr(args, "anchors", None))):
        words += [flag, value] if value else []
    return words


def name_for(args: argparse.Namespace) -> str:
    """Return the name that files made by a recipe may have, without a suffix."""
    recipe = args.recipe
    if not isinstance(recipe, str):
        return str(recipe.name)
    return Path(recipe).stem if recipe.endswith((".yaml", ".yml")) else recipe


def given_model(args: argparse.Namespace) -> str:
    """Return a verb's model as it was given, or a placeholder for one from standard input."""
    return "MODEL" if args.received in ("model", "rest") else str(args.model)


def after_verify(args: argparse.Namespace) -> None:
    """Say how to convert: for the target, or to UFF and to ONNX."""
    words, name = recipe_words(args), name_for(args)
    console.next_step(
        *(["surgeon", "convert", *words, "-o", name + suffix] for suffix in suffixes(args.target))
    )


def suffixes(target: str | None) -> tuple[str, ...]:
    """Return what outputs for a target end in; without one, UFF and ONNX files."""
    from surgeon.formats import all_formats
    from surgeon.targets import load_target

    if target is not None:
        return all_formats()[load_target(target).format].suffixes[:1]
    return tuple(form.suffixes[0] for form in all_formats().values() if not form.rewritable)[::-1]


def after_convert(output: Path, target: str, recipe: list[str] | None) -> None:
    """Say what to do with a file that was written for a target.

    ``recipe`` is what :func:`recipe_words` gives; None for a plan.
    """
    from surgeon.formats import format_of
    from surgeon.targets import load_target

    if os.fspath(output) == "-":
        return
    form = format_of(output)
    engine = str(output.with_suffix(".engine"))
    if form.rewritable:
        console.next_step(["surgeon", "inspect", str(output)])
    elif load_target(target).runtime == "tensorrt-rtx":
        console.next_step(
            ["surgeon", "run", str(output), "PICTURE"],
            ["tensorrt_rtx", f"--onnx={output}", f"--saveEngine={engine}"],
        )
    elif load_target(target).runtime != "tensorrt":
        console.next_step(
            ["surgeon", "run", str(output), "PICTURE"], ["surgeon", "build", str(output), "-o", engine]
        )
    elif recipe is None or form.states_facts:
        console.next_step(["surgeon", "build", str(output), "-o", engine])
    else:
        # A UFF file does not say how a picture becomes its input; the recipe does.
        console.next_step(["surgeon", "build", *recipe, "-o", engine])
