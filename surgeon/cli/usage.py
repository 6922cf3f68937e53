"""How a command line is read: what wrong usage says, and how help is laid out."""

from __future__ import annotations

import argparse
import shlex
import textwrap
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import ModuleType
from typing import Any, NoReturn

from surgeon.cli.order import is_graph, missing_recipe
from surgeon.diagnostics import nearest
from surgeon.display import either

TASKS = {
    "look": "look at models, recipes and this installation",
    "write": "write and check a recipe",
    "convert": "convert a model by a recipe",
    "prove": "prove that nothing changed",
    "run": "run a model on pictures",
    "deploy": "build and measure TensorRT engines",
}
"""What verbs are for, in the order of the help; a verb names its own as ``TASK``."""

_WIDEST = 110


def by_task(verbs: Mapping[str, ModuleType]) -> dict[str, dict[str, ModuleType]]:
    """Return the verbs of each task; those of no known task are the last."""
    found: dict[str, dict[str, ModuleType]] = {title: {} for title in TASKS.values()}
    for name, module in verbs.items():
        title = TASKS.get(getattr(module, "TASK", ""), "more")
        found.setdefault(title, {})[name] = module
    return {title: members for title, members in found.items() if members}


def did_you_mean(word: str, names: Iterable[str]) -> str:
    """Return the end of a message that names the nearest spellings; empty where none is near."""
    close = [f"'{name}'" for name in nearest(word, names)]
    if not close:
        return ""
    return f"; did you mean {either(close)}?"


class Formatter(argparse.RawDescriptionHelpFormatter):
    """Help that fits the terminal: paragraphs are filled, lines of commands stay as they are."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=30)
        self._width = min(self._width, _WIDEST)

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        blocks = (_filled(block, width, indent) for block in text.split("\n\n"))
        return "\n\n".join(blocks)


def _filled(block: str, width: int, indent: str) -> str:
    lines = block.splitlines()
    if any(line.startswith("    ") for line in lines):
        return "\n".join(indent + line for line in lines)
    return textwrap.fill(
        " ".join(lines), width, initial_indent=indent, subsequent_indent=indent, break_on_hyphens=False
    )


class Parser(argparse.ArgumentParser):
    """A parser of one verb, or of the whole command line.

    Options may stand between the arguments. Wrong usage shows the verb's own usage, and the nearest spelling
    of what is not known; the exit code is 2. Where ``passes_on`` is set, what stands behind that many
    arguments is not parsed, but given on as ``passed_on``. ``later`` adds the arguments when :meth:`finish`
    is called: a command reads those of its own verb only.
    """

    passes_on = 0

    def __init__(self, *, later: Callable[[Parser], None] | None = None, **options: Any) -> None:
        super().__init__(allow_abbrev=False, formatter_class=Formatter, **options)
        self._later = later
        self._mixing = False
        self._given: list[str] = []

    def finish(self) -> None:
        """Add the arguments that were left for later."""
        later, self._later = self._later, None
        if later is not None:
            later(self)

    def parse_known_args(  # type: ignore[override]
        self, args: Sequence[str], namespace: argparse.Namespace | None = None
    ) -> tuple[argparse.Namespace, list[str]]:
        """Parse arguments; exit with code 2 where one is wrong."""
        self.finish()
        if self._mixing:
            return super().parse_known_args(args, namespace)
        own = self._own(args)
        passed_on, args = list(args[own:]), args[:own]
        self._given = list(args)
        self._refuse_unknown_options()
        self._mixing = True
        try:
            parse = self.parse_known_intermixed_args if self._may_mix() else super().parse_known_args
            found, rest = parse(args, namespace)
        finally:
            self._mixing = False
        if rest:
            self.error(f"'{rest[0]}' is one argument too many")
        found.words = self._given
        found.passed_on = passed_on
        return found, rest

    def _own(self, args: Sequence[str]) -> int:
        """Return how many words are for this parser."""
        positionals, value_follows = 0, False
        for number, word in enumerate(args):
            if not value_follows and not word.startswith("-"):
                positionals += 1
                if positionals == self.passes_on:
                    return number + 1
            action = None if value_follows else self._option_string_actions.get(word)
            value_follows = action is not None and action.nargs is None
        return len(args)

    def _may_mix(self) -> bool:
        """Return whether argparse lets options stand between the arguments: not where an argument excludes an
        option, nor behind '--'.
        """
        grouped = [action for group in self._mutually_exclusive_groups for action in group._group_actions]
        return "--" not in self._given and all(action.option_strings for action in grouped)

    def _refuse_unknown_options(self) -> None:
        known = self._option_string_actions
        for word in self._given:
            name = word.partition("=")[0]
            if word == "--":
                return
            if not name.startswith("-") or name == "-" or " " in word or name in known:
                continue
            if not name.startswith("--") and (name[:2] in known or _is_number(name)):
                continue
            hint = did_you_mean(name, (option for option in known if option.startswith("--")))
            self.error(f"there is no option '{name}'{hint}")

    def _get_value(self, action: argparse.Action, arg_string: str) -> Any:
        expected = {int: "a whole number", float: "a number"}.get(action.type)  # type: ignore[call-overload]
        try:
            return super()._get_value(action, arg_string)
        except argparse.ArgumentError:
            if expected is None:
                raise
        raise argparse.ArgumentError(None, f"{_named(action)} cannot be '{arg_string}'; expected {expected}")

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if action.choices is None or value in action.choices:
            return
        choices = [str(choice) for choice in action.choices]
        name = _named(action)
        raise argparse.ArgumentError(
            None, f"{name} cannot be '{value}'; expected {either(choices)}{did_you_mean(str(value), choices)}"
        )

    def error(self, message: str) -> NoReturn:
        """Write the usage, the message and where to read more; exit with code 2."""
        from surgeon.cli import console

        model = next((word for word in self._given if is_graph(word)), None)
        if model is not None and "required: MODEL" in message:
            message = missing_recipe(model, "plan" if self.prog.endswith(" apply") else "recipe")
        console.say_error(self.format_usage().rstrip())
        console.say_error(f"{self.prog}: error: {message}")
        self.hint()
        self.exit(2)

    def hint(self) -> None:
        """Say where the arguments are explained."""
        from surgeon.cli import console

        console.say_error(f"'{self.prog} --help' explains the arguments")


def _named(action: argparse.Action) -> str:
    return "/".join(action.option_strings) or str(action.metavar or action.dest)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def usage(parser: argparse.ArgumentParser) -> str:
    """Return the usage of a verb: its arguments, the options that it cannot do without, and '[options]'."""
    words = [_argument(action) for action in parser._actions if not action.option_strings]
    for action in parser._actions:
        if action.option_strings and action.required:
            words.append(f"{action.option_strings[0]} {action.metavar}")
    return " ".join([parser.prog, *words, "[options]"])


def _argument(action: argparse.Action) -> str:
    name = str(action.metavar or action.dest)
    return {"?": f"[{name}]", "*": f"[{name} ...]", "+": f"{name} [...]"}.get(str(action.nargs), name)


class FrontPage(Parser):
    """The parser of the whole command line, whose help lists the verbs by task."""

    verbs: Mapping[str, ModuleType] = {}

    def format_help(self) -> str:
        """Return the help: what surgeon is, the verbs by task, and the options that every verb takes."""
        formatter = self._get_formatter()
        formatter.add_usage(self.usage, (), ())
        formatter.add_text(self.description)
        for title, members in by_task(self.verbs).items():
            formatter.start_section(title)
            formatter.add_arguments([_Line(name, module.SUMMARY) for name, module in members.items()])
            formatter.end_section()
        formatter.start_section("options")
        formatter.add_arguments([action for action in self._actions if action.option_strings])
        formatter.end_section()
        formatter.add_text(self.epilog)
        return formatter.format_help()

    def parse_known_args(  # type: ignore[override]
        self, args: Sequence[str], namespace: argparse.Namespace | None = None
    ) -> tuple[argparse.Namespace, list[str]]:
        """Parse arguments; exit with code 2 where one is wrong."""
        self._given = list(args)
        for i, word in enumerate(self._given):
            if not word.startswith("-"):
                self._given = self._given[:i]
                break
        self._refuse_unknown_options()
        return argparse.ArgumentParser.parse_known_args(self, args, namespace)

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if value not in self.verbs:
            self.unknown_verb(str(value))

    def unknown_verb(self, word: str) -> NoReturn:
        """Say that there is no such verb, and which may be meant; exit with code 2."""
        about = [
            name
            for name, module in self.verbs.items()
            if len(word) > 3 and word.lower() in module.SUMMARY.lower()
        ]
        hint = did_you_mean(word, self.verbs)
        if not hint and about:
            hint = f"; did you mean {either([repr(name) for name in about])}?"
        if not hint and is_graph(word):
            hint = f"; 'surgeon inspect {shlex.quote(word)}' shows what a model consists of"
        self.error(f"there is no verb '{word}'{hint}")

    def hint(self) -> None:
        """Say where the verbs are listed."""
        from surgeon.cli import console

        console.say_error("'surgeon help' lists the verbs")


class _Line(argparse.Action):
    """A line of the list of verbs."""

    def __init__(self, name: str, summary: str) -> None:
        super().__init__([], name, metavar=name, help=summary.replace("%", "%%"))

    def __call__(self, *args: object, **options: object) -> None:
        """Do nothing; the line is shown only."""
