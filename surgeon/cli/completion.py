"""Print what makes a shell complete surgeon's commands: verbs, options, and the names of recipes, targets,
plugins, steps, codes and words. Put it where your shell starts. It needs the extra 'completion'.

    surgeon completion bash >> ~/.bashrc
    surgeon completion zsh >> ~/.zshrc
    surgeon completion fish > ~/.config/fish/completions/surgeon.fish
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Iterator

from surgeon.cli import console
from surgeon.cli.usage import Parser
from surgeon.optional import require

NAME = "completion"
TASK = "look"
SUMMARY = "Print a script that lets a shell complete surgeon's commands."

SHELLS = ("bash", "zsh", "fish")
ASKED = "_ARGCOMPLETE"
"""What the shell sets in the environment where it asks for completions."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("shell", metavar="SHELL", choices=SHELLS, help="bash, zsh or fish")


def run(args: argparse.Namespace) -> int:
    code = require("argcomplete", "completion").shellcode(["surgeon"], shell=args.shell)
    if args.json:
        console.show_json({"shell": args.shell, "text": code})
    else:
        console.show_lines(code.strip("\n"))
    return 0


def complete(top: Parser) -> None:
    """Answer the shell that asks for completions, and end the process; do nothing where none asks."""
    if ASKED not in os.environ:
        return
    argcomplete = require("argcomplete", "completion")
    for parser in _parsers(top):
        parser.finish()
        parser._mixing = True  # half a command line is no wrong usage
        for action in parser._actions:
            names = _NAMES.get((parser.prog.rpartition(" ")[2], action.dest)) or _NAMES.get(("", action.dest))
            if names is not None:
                action.completer = _Names(names)  # type: ignore[attr-defined]
    argcomplete.autocomplete(top, always_complete_options="long")


def _parsers(top: Parser) -> Iterator[Parser]:
    yield top
    for action in top._actions:
        if isinstance(action, argparse._SubParsersAction):
            yield from action.choices.values()


class _Names:
    """Completes names of one kind, and paths where a recipe may be one."""

    def __init__(self, names: Callable[[], list[str]]) -> None:
        self._names = names

    def __call__(self, prefix: str, action: argparse.Action, **_: object) -> list[str]:
        from surgeon.diagnostics import SurgeonError

        try:
            found = self._names()
        except SurgeonError:
            found = []
        if action.dest == "recipe":
            found += require("argcomplete.completers", "completion").FilesCompleter()(prefix)
        return found


def _recipes() -> list[str]:
    from surgeon.cli.settings import read_settings
    from surgeon.language import recipe_files

    return list(recipe_files([value.value for value in read_settings().paths("recipe-path")]))


def _targets() -> list[str]:
    from surgeon.targets import target_names

    return list(target_names())


def _plugins() -> list[str]:
    from surgeon.catalog import load_catalog
    from surgeon.cli.settings import read_settings

    return list(load_catalog([value.value for value in read_settings().paths("plugin-path")]))


def _subjects() -> list[str]:
    from surgeon.diagnostics import all_codes
    from surgeon.glossary import glossary
    from surgeon.steps.step import step_types

    words = [word.word.replace(" ", "-") for word in glossary().values()]
    return [*all_codes(), *_plugins(), *step_types(), *_targets(), *_recipes(), *words]


_NAMES: dict[tuple[str, str], Callable[[], list[str]]] = {
    ("", "target"): _targets,
    ("", "recipe"): _recipes,
    ("test", "recipe"): lambda: [*_recipes(), *_plugins()],
    ("explain", "subject"): _subjects,
}
"""What completes an argument, by verb and by its name; an empty verb stands for all others."""
