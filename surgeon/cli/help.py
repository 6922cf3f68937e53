"""Show the verbs by what they are for, or explain one.

surgeon help
surgeon help convert
"""

from __future__ import annotations

import argparse

from surgeon.cli import console

NAME = "help"
TASK = "look"
SUMMARY = "Show the verbs by task, or explain one."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("topic", metavar="VERB", nargs="?", help="the verb to explain")


def run(args: argparse.Namespace) -> int:
    from surgeon.cli import parser, verbs

    top = parser()
    if args.topic is None:
        console.show_lines(top.format_help().rstrip())
    elif args.topic in verbs():
        top.parse_args([args.topic, "--help"])
    else:
        top.unknown_verb(args.topic)
    return 0
