"""Arguments that several verbs share."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from surgeon.cli.settings import configured_target
from surgeon.display import short_file

if TYPE_CHECKING:
    from surgeon.diagnostics import Span


def add_recipe(
    parser: argparse.ArgumentParser,
    metavar: str = "RECIPE",
    text: str = "a shipped recipe's name, or the path of a .yaml file",
    *,
    optional: bool = False,
) -> None:
    """Add the positional RECIPE with its parameters and folders."""
    parser.add_argument("recipe", metavar=metavar, nargs="?" if optional else None, help=text)
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        type=_assignment,
        dest="parameters",
        help="set a parameter of the recipe; may be repeated",
    )
    add_inputs(parser)
    add_paths(parser)


def add_inputs(parser: argparse.ArgumentParser) -> None:
    """Add --input and --constant."""
    parser.add_argument(
        "--input",
        action="append",
        default=[],
        metavar="NAME=SHAPE[:dtype]",
        type=_assignment,
        dest="input_specs",
        help="give an input its shape, such as x=1x224x224x3 or ids=1x?:int32; another tensor that is named "
        "becomes an input; may be repeated",
    )
    parser.add_argument(
        "--constant",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        type=_assignment,
        dest="constants",
        help="put a value in the place of an input, such as keep_prob=1.0; may be repeated",
    )


def add_paths(parser: argparse.ArgumentParser) -> None:
    """Add --recipe-path and --plugin-path."""
    parser.add_argument(
        "--recipe-path",
        action="append",
        default=[],
        metavar="DIR",
        type=Path,
        dest="recipe_paths",
        help="a folder of further recipes; may be repeated",
    )
    add_plugin_path(parser)


def add_plugin_path(parser: argparse.ArgumentParser) -> None:
    """Add --plugin-path."""
    parser.add_argument(
        "--plugin-path",
        action="append",
        default=[],
        metavar="DIR",
        type=Path,
        dest="plugin_paths",
        help="a folder of further plugin folders, whose Python code is run; may be repeated",
    )


def add_target(parser: argparse.ArgumentParser, default: str = "uff@tensorrt-8.5") -> None:
    """Add --target."""
    parser.add_argument(
        "--target", metavar="T", help=f"format and runtime, such as uff@tensorrt-7.1 (default: {default})"
    )


def add_anchors(parser: argparse.ArgumentParser) -> None:
    """Add --anchors, --decode and --suppression."""
    parser.add_argument(
        "--anchors",
        choices=("auto", "plugin", "constant"),
        help="what makes the anchors: the recipe's plugin, or a constant with the graph's own "
        "(default: what the recipe says)",
    )
    parser.add_argument(
        "--decode",
        choices=("auto", "plugin", "graph"),
        help="what decodes boxes: the plugin that suppresses them, or operations in front of it, which do as "
        "the graph does where the plugin cannot (default: what the recipe says)",
    )
    parser.add_argument(
        "--suppression",
        choices=("auto", "plugin", "native"),
        help="what suppresses overlapping boxes: the recipe's plugin, or SurgeonDetection in the place of "
        "NMS_TRT, which follows every rule of the graph (default: what the recipe says)",
    )


def add_plugin_libraries(
    parser: argparse.ArgumentParser,
    help: str = "a library of TensorRT plugins to load, whose code is run; may be repeated",
) -> None:
    """Add --plugin-library."""
    parser.add_argument(
        "--plugin-library",
        action="append",
        default=[],
        metavar="LIB.so",
        type=Path,
        dest="plugin_libraries",
        help=help,
    )


def recipe_arguments(args: argparse.Namespace) -> dict[str, Any]:
    """Return the keyword arguments of :mod:`surgeon.api` that the shared arguments give."""
    return {
        "target": args.target or configured_target(args),
        # A recipe from standard input was read with its parameters.
        "parameters": dict(args.parameters) if isinstance(args.recipe, str | None) else None,
        "recipe_paths": args.recipe_paths,
        "plugin_paths": args.plugin_paths,
        **given_for_inputs(args),
    }


def given_for_inputs(args: argparse.Namespace) -> dict[str, dict[str, str]]:
    """Return what --input and --constant give, by the keyword arguments of :mod:`surgeon.api`.

    Raise SurgeonError S225 where an option names one input twice.
    """
    from surgeon.rewrite.input_specs import each_once

    return {
        "input_specs": each_once(args.input_specs, "--input"),
        "constants": each_once(args.constants, "--constant"),
    }


def shown_place(span: Span | None) -> str:
    """Return a place for people: shipped recipes without their folder, files below the working folder
    relative to it.
    """
    if span is None:
        return ""
    if span.file.startswith("<"):
        return "(" + span.file.strip("<>") + ")"
    return f"{short_file(span.file)}:{span.line}:{span.column}"


def _assignment(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise argparse.ArgumentTypeError(f"'{text}' is not an assignment; expected NAME=VALUE")
    return name, value


def add_engine_options(parser: argparse.ArgumentParser, where: str = "") -> None:
    """Add --fp32, --fp16, --int8, --no-tf32, --workspace, --batch and --best-batch."""
    precision = parser.add_mutually_exclusive_group()
    for name in ("fp32", "fp16", "int8"):
        precision.add_argument(
            f"--{name}",
            dest="precision",
            action="store_const",
            const=name,
            help=f"build with {name.upper()}{where} (default: what the recipe says, fp32 for a file)",
        )
    parser.add_argument(
        "--no-tf32",
        dest="tf32",
        action="store_false",
        help=f"compute FP32 layers without TF32{where}: slower, and exact",
    )
    parser.add_argument(
        "--workspace",
        metavar="SIZE",
        type=byte_size,
        help="memory for tactics, such as 512MiB (default: the recipe's, 1GiB)",
    )
    parser.add_argument(
        "--batch",
        metavar="N",
        type=positive,
        dest="max_batch",
        help="the largest batch (default: the recipe's, 1)",
    )
    parser.add_argument(
        "--best-batch",
        metavar="N",
        type=positive,
        help="the batch to tune an open batch for (default: the largest)",
    )


def positive(text: str) -> int:
    """Return the number that an option gives; 1 or more."""
    if not (text.isascii() and text.isdigit() and len(text) < 10 and int(text)):
        raise argparse.ArgumentTypeError(f"'{text}' is not a number; expected 1 or more")
    return int(text)


def byte_size(text: str) -> int:
    """Return the bytes that an option gives, as a number or with a unit."""
    from surgeon.language.recipe import byte_count

    try:
        found: int = byte_count(text)
    except ValueError as exc:
        raise argparse.ArgumentTypeError(str(exc)) from None
    return found


def port_number(text: str) -> int:
    """Return the port that an option gives; 0 to 65535."""
    if not (text.isascii() and text.isdigit() and len(text) < 6 and int(text) < 65536):
        raise argparse.ArgumentTypeError(f"'{text}' is not a port; expected a number from 0 to 65535")
    return int(text)
