"""Print the JSON schema of recipes, by which an editor completes, explains and checks them: every key, every
step and the fields of every plugin.

    surgeon schema -o recipe.schema.json

'surgeon init' writes the same file beside its recipe. An editor with the YAML language server finds it by
the first line of a recipe, a path relative to the recipe:

    # yaml-language-server: $schema=recipe.schema.json
"""

from __future__ import annotations

import argparse
from pathlib import Path

from surgeon.cli import console
from surgeon.cli.options import add_plugin_path
from surgeon.cli.streams import STREAM

NAME = "schema"
TASK = "write"
SUMMARY = "Print the JSON schema of recipes, for editors."
OUTPUTS = ("output",)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-o", "--output", metavar="FILE", type=Path, help="write it to this file")
    add_plugin_path(parser)


def run(args: argparse.Namespace) -> int:
    from surgeon.atomic import check_generated, write_text
    from surgeon.catalog import load_catalog
    from surgeon.language import recipe_schema
    from surgeon.language.schema import schema_text

    catalog = load_catalog(args.plugin_paths)
    if args.output is None or args.output == Path(STREAM):
        console.show_json(recipe_schema(catalog))
    else:
        check_generated(args.output)
        write_text(args.output, schema_text(catalog))
        console.say(f"{args.output}: the schema")
    return 0
