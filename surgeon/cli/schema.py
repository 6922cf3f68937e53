"""Print the JSON schema of recipes, by which an editor completes and checks them.

    surgeon schema > recipe.schema.json

and, as the first line of a recipe:

    # yaml-language-server: $schema=recipe.schema.json
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from surgeon.cli import console

NAME = "schema"
TASK = "write"
SUMMARY = "Print the JSON schema of recipes, for editors."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-o", "--output", metavar="FILE", type=Path, help="write it to this file")


def run(args: argparse.Namespace) -> int:
    from surgeon.atomic import check_generated, write_text
    from surgeon.language import recipe_schema

    schema = recipe_schema()
    if args.output is None:
        console.show_json(schema)
    else:
        check_generated(args.output)
        write_text(args.output, json.dumps(schema, indent=2) + "\n")
        console.say(f"{args.output}: the schema")
    return 0
