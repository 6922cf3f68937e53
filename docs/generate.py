"""Write the generated pages of this folder: the command line, the library, plugins, steps, targets,
diagnostics and so on.

python docs/generate.py            # write them
python docs/generate.py --check    # say which are out of date; exit code 1 then
"""

from __future__ import annotations

import argparse
import inspect
import re
import runpy
import sys
import textwrap
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import yaml

import surgeon
from surgeon.catalog import load_catalog
from surgeon.cli import parser as command_line
from surgeon.cli import verbs
from surgeon.cli.explain import plain_plugin, registered
from surgeon.cli.operations import operations
from surgeon.cli.usage import by_task, usage
from surgeon.diagnostics import all_codes, code_page
from surgeon.engine import known_messages, read_log
from surgeon.glossary import glossary
from surgeon.language import load_recipe, recipe_files
from surgeon.steps.example import read_example
from surgeon.steps.step import step_types
from surgeon.targets import load_target, target_names

HERE = Path(__file__).resolve().parent
NOTE = "<!-- Made by docs/generate.py; do not edit by hand. -->\n"

ROOMS = {
    "B": "Building and running engines",
    "C": "Plugin definitions and fields",
    "D": "Derivation from the graph",
    "E": "Files and environment",
    "F": "Fleets",
    "G": "Graphs",
    "I": "Inference",
    "L": "Lints and logs",
    "P": "Python scripts for graphsurgeon and uff",
    "R": "Recipes",
    "S": "Steps and surgery",
    "T": "Targets",
    "V": "Verification",
    "W": "Views",
    "X": "Export",
}


LIBRARY = {
    "Converting": (
        "convert",
        "Conversion",
        "check",
        "Check",
        "plan",
        "Plan",
        "Derivation",
        "apply",
        "init",
        "AuthoredRecipe",
        "migrate",
        "Migration",
        "load_recipe",
        "parse_recipe",
        "Recipe",
    ),
    "Proving and running": (
        "verify",
        "Verification",
        "evaluate",
        "Evaluation",
        "detect",
        "ImageResult",
        "build_engine",
        "BuildResult",
        "load_engine",
        "package",
        "Package",
        "fleet",
        "FleetReport",
        "Engine",
    ),
    "Looking": ("inspect", "Inspection", "view", "ChangeReport", "diff", "GraphDiff"),
    "Graphs": ("load_graph", "save_graph", "Graph", "Node", "Ref", "demo_model", "DemoModel"),
    "Catalog, targets, errors": (
        "load_catalog",
        "Catalog",
        "load_target",
        "Target",
        "Diagnostic",
        "Severity",
        "Span",
        "SurgeonError",
    ),
}
"""The public names by what they are for."""


SHARED = """\
| option | what it does |
| --- | --- |
| `--json` | print JSON in place of text |
| `-q, --quiet` | print the result and errors only: no warnings, hints or progress |
| `-v, --verbose` | say what is read and written, and how long each stage takes |
| `-h, --help` | explain the verb |

They may stand before the verb, too, and options may stand between arguments. Results go to standard output.
Warnings, hints and progress go to standard error; progress is shown on a terminal only, and not with `-q` or
`--json`.

`-` in the place of RECIPE, MODEL or PLAN is standard input, and in the place of an output file standard
output: `surgeon convert my.yaml - -o - < model.pb | surgeon inspect -`. Without `--target`, `convert -o -`
writes UFF. A binary file is not written to a terminal.

Wrong usage ends with exit code 2 and shows the verb's own usage. For a misspelt verb, option or choice, the
message names the nearest spelling. RECIPE comes before MODEL everywhere; where they are swapped, the message
shows the right command (`view` takes either order).
"""
"""What the page of the command line says of all verbs."""


def cli() -> str:
    top = command_line()
    below = next(action for action in top._actions if isinstance(action, argparse._SubParsersAction))
    parts = [
        "# The command line\n",
        f"{top.description}\n",
        f"{paragraphs(top.epilog or '')}\n",
        "## Verbs by task\n",
        table(
            ("to", "verb", "what it does"),
            [
                (title if not i else "", f"[`{name}`](#{name})", module.SUMMARY)
                for title, members in by_task(verbs()).items()
                for i, (name, module) in enumerate(members.items())
            ],
        ),
        "## What every verb takes\n",
        SHARED,
    ]
    for name in verbs():
        sub = below.choices[name]
        sub.finish()
        positionals = [a for a in sub._actions if not a.option_strings]
        options = [
            a for a in sub._actions if a.option_strings and a.dest not in ("help", "json", "quiet", "verbose")
        ]
        parts += [
            f"## {name}\n",
            f"```text\n{usage(sub)}\n```\n",
            f"{paragraphs(sub.description or '')}\n",
            table(("argument", "what it is"), [(f"`{positional(a)}`", told(a)) for a in positionals]),
            table(("option", "what it does"), [(f"`{spelled(a)}`", told(a)) for a in options]),
        ]
    return page(parts)


def positional(action: argparse.Action) -> str:
    name = str(action.metavar or action.dest)
    return {"?": f"[{name}]", "*": f"[{name} ...]", "+": f"{name} [...]"}.get(str(action.nargs), name)


def spelled(action: argparse.Action) -> str:
    names = ", ".join(action.option_strings)
    if action.nargs == 0:
        return names
    choices = "{" + ",".join(map(str, action.choices)) + "}" if action.choices else action.dest.upper()
    return f"{names} {action.metavar or choices}"


def told(action: argparse.Action) -> str:
    return (action.help or "").replace("%(default)s", str(action.default)).replace("%%", "%")


def paragraphs(text: str) -> str:
    """Return text whose indented lines are commands as Markdown, those as code."""
    found = []
    for block in text.strip().split("\n\n"):
        lines = block.splitlines()
        indented = all(line.startswith("    ") for line in lines)
        found.append(
            "```text\n" + textwrap.dedent(block) + "\n```"
            if indented
            else textwrap.fill(" ".join(lines), 118)
        )
    return "\n\n".join(found)


def library() -> str:
    parts = [
        "# The library\n",
        "The names that `import surgeon` gives. Paths may be text or `pathlib.Path`. A user's mistake\n"
        "raises `SurgeonError`. Graphs, recipes, plans, verifications, diagnostics and other results show\n"
        "themselves in a notebook.\n",
    ]
    for title, names in LIBRARY.items():
        parts.append(f"## {title}\n")
        for name in names:
            value = getattr(surgeon, name)
            parts += (
                described(value, name)
                if inspect.isclass(value)
                else [f"### {name}\n", signature(value, name), documented(value)]
            )
    return page(parts)


def described(kind: type, name: str) -> list[str]:
    parts = [f"### {name}\n", documented(kind)]
    for key, member in vars(kind).items():
        target = (
            member.fget
            if isinstance(member, property)
            else getattr(member, "func", getattr(member, "__func__", member))
        )
        if key.startswith(("_", "model_")) or not inspect.isfunction(target) or not target.__doc__:
            continue
        shown = (
            f"`{name}.{key}`\n"
            if isinstance(member, property) or hasattr(member, "func")
            else signature(target, f"{name}.{key}")
        )
        parts += [shown, documented(target)]
    return parts


def signature(value: Callable[..., Any], name: str) -> str:
    """Return a call with its arguments, a line each where they are many."""
    found = inspect.signature(value)
    parameters = [
        one.replace(default=...) if isinstance(one.default, Path) else one
        for one in found.parameters.values()
        if one.name not in ("self", "cls")
    ]
    arguments = [str(one).replace("'", "").replace("Ellipsis", "...") for one in parameters]
    kinds = [one.kind for one in parameters]
    if inspect.Parameter.KEYWORD_ONLY in kinds and inspect.Parameter.VAR_POSITIONAL not in kinds:
        arguments.insert(kinds.index(inspect.Parameter.KEYWORD_ONLY), "*")
    back = (
        f" -> {found.return_annotation}".replace("'", "")
        if found.return_annotation is not found.empty
        else ""
    )
    flat = f"{name}({', '.join(arguments)}){back}"
    lines = "".join(f"    {one},\n" for one in arguments)
    return f"```python\n{flat if len(flat) <= 110 else f'{name}(' + chr(10) + lines + f'){back}'}\n```\n"


def documented(value: object) -> str:
    text = inspect.getdoc(value) or ""
    text = re.sub(r":(?:func|class|meth|attr|data|mod):`~?([^`]*)`", r"`\1`", text)
    return text.replace("``", "`") + "\n"


def targets() -> str:
    parts = [
        "# Targets\n",
        "A target is a format and the runtime that reads it; `--target` takes it. It decides which plugins "
        "exist,\n"
        "which of their fields are written, and what is an error.\n",
    ]
    found = [load_target(name) for name in target_names()]
    parts.append(
        table(
            ("target", "what it is", "until"),
            [(f"`{one.name}`", one.title, one.deprecated or "") for one in found],
        )
    )
    for one in found:
        if one.notes:
            parts += [f"## {one.name}\n", bullets(one.notes)]
    return page(parts)


def shipped_recipes() -> str:
    parts = [
        "# Shipped recipes\n",
        "`surgeon inspect MODEL` says which of them fit a graph. `surgeon explain NAME` shows one with its\n"
        "parameters.\n",
    ]
    for name, path in recipe_files(()).items():
        recipe = load_recipe(path)
        parts += [
            f"## {name}\n",
            f"{recipe.summary}\n",
            table(
                ("parameter", "default"),
                [(f"`{key}`", f"`{value}`") for key, value in recipe.parameters.items()],
            ),
            f"The file: [recipes/{path.name}](../recipes/{path.name}).\n",
        ]
    return page(parts)


def plugins() -> str:
    parts = [
        "# Plugins\n",
        "What a recipe can put in with `plugin:`. `surgeon explain PLUGIN --target T` shows the fields of "
        "one\n"
        "release of TensorRT. Fields that are left out are written with their defaults.\n",
    ]
    for spec in load_catalog().values():
        plain = plain_plugin(spec)
        parts.append(f"## {plain['name']}\n")
        parts.append(f"{plain['title']}. {plain['summary']}\n")
        parts.append(bullets(registered(found) + "." for found in plain["registrations"]))
        for title in ("inputs", "outputs"):
            parts.append(
                table((title[:-1], "what it is"), [(f"`{p['name']}`", noted(p)) for p in plain[title]])
            )
        fields = [
            (f"`{f['name']}`", f["type"], "required" if f["required"] else f"`{f['default']}`", noted(f))
            for f in plain["fields"]
        ]
        parts.append(table(("field", "type", "default", "what it means"), fields))
        parts.append(bullets(plain["remarks"]))
        parts.append(bullets(f"TensorRT {release} {text}." for release, text in plain["newer"].items()))
        parts.append("Sources: " + "; ".join(plain["sources"]) + ".\n")
    return page(parts)


def steps() -> str:
    parts = [
        "# Steps\n",
        "What can stand under `steps:` of a recipe, each with a tested example: a graph before, the step, "
        "the graph\n"
        "after. Every step also takes `id` (the name by which another recipe edits it; default: the step's "
        "own) and\n"
        "`when: {target: PATTERN}` (take it only for these targets).\n",
    ]
    for name, kind in step_types().items():
        example = read_example(kind)
        parts.append(f"## {name}\n")
        parts.append(example.summary + "\n")
        if example.explanation:
            parts.append(example.explanation + "\n")
        options = [
            (f"`{f.alias or key}`", "yes" if f.is_required() else "", f.description or "")
            for key, f in kind.model_fields.items()
            if key not in ("step", "id", "when")
        ]
        parts.append(table(("option", "needed", "what it means"), options))
        for title, text in (("before", example.before), ("step", example.step), ("after", example.after)):
            parts.append(f"*{title}*\n\n```{'yaml' if title == 'step' else 'text'}\n{text.strip()}\n```\n")
    return page(parts)


def operation_table() -> str:
    every = operations()
    parts = [
        "# Operations\n",
        "What is known of TensorFlow's operations. *UFF*: `converted`; `expanded` (written in\n"
        "operations that UFF has, [where that is exact](uff.md#operations-that-are-expanded)); or\n"
        "`passed over` (what reads it reads its input). One without an entry has to be covered by a\n"
        "plugin or taken out. *Shape*: dtype and shape are computed. *Value*: the value is computed\n"
        "where the inputs are constants.\n",
        f"{sum(o.export == 'converted' for o in every)} operations are converted to UFF, "
        f"{sum(o.export == 'expanded' for o in every)} more are expanded, the shape of "
        f"{sum(o.shape for o in every)} is computed, and the value of {sum(o.value for o in every)}.\n",
    ]
    rows = [(f"`{o.op}`", o.export, "yes" if o.shape else "", "yes" if o.value else "") for o in every]
    return page([*parts, table(("operation", "UFF", "shape", "value"), rows)])


def diagnostics() -> str:
    parts = [
        "# Diagnostics\n",
        "Every error has a code; its letter is its subject. `surgeon explain CODE` prints what stands "
        "here.\n",
    ]
    for letter, title in ROOMS.items():
        parts.append(f"## {letter}: {title}\n")
        for code in all_codes():
            found = code_page(code) if code.startswith(letter) else None
            if found is not None:
                parts.append(f'<a id="{code.lower()}"></a>\n\n### {code}: {found[0]}\n\n{found[1]}')
    return page(parts)


def words() -> str:
    parts = [
        "# Glossary\n",
        "The words that the program's output uses. `surgeon explain WORD` prints what stands here; write "
        "hyphens for\nblanks, as in `surgeon explain each-alone`.\n",
    ]
    groups: dict[str, list[tuple[str, str]]] = {}
    for each in glossary().values():
        groups.setdefault(each.group, []).append((f"`{each.word}`", each.meaning))
    for group, rows in groups.items():
        parts += [f"## {group}\n", table(("word", "what it means"), rows)]
    return page(parts)


def pain() -> str:
    rows = yaml.safe_load((HERE / "pain.yaml").read_text(encoding="utf-8"))["rows"]
    parts = [
        "# Known problems\n",
        "Errors that people meet between a frozen detector and TensorRT, and what becomes of each here:\n",
        bullets(
            [
                "*prevented*: a conversion by recipe does not lead to it.",
                "*linted*: `surgeon check RECIPE MODEL` and `surgeon convert` name it before TensorRT sees "
                "the file.",
                "*doctor*: `surgeon doctor` finds it.",
                "*explained*: `surgeon explain --log FILE` knows its message.",
            ]
        ),
        "`docs/pain.yaml` names for each row the tests that show it.\n",
    ]
    parts.append(
        table(
            ("", "what people see", "why", "what becomes of it", "here", "codes"),
            [
                (
                    str(number),
                    row["message"],
                    row["cause"],
                    ", ".join(row["treatment"]),
                    row["here"],
                    ", ".join(row.get("codes", ())),
                )
                for number, row in rows.items()
            ],
        )
    )
    known = [read_log([message.examples[0]]).explained[0] for message in known_messages()]
    parts.append(
        f"## Messages\n\nThe {len(known)} messages that `surgeon explain --log` knows, each with a text that "
        "was reported.\n"
    )
    parts.append(
        table(
            ("message", "what it means", "what to do", "from"),
            [
                (f"`{shortened(one.text)}`", one.means, "; ".join(one.do), "; ".join(one.message.source))
                for one in known
            ],
        )
    )
    return page(parts)


def architecture() -> str:
    """Return the page as it is, with the table of rooms as the architecture test has it."""
    rules = runpy.run_path(str(HERE.parent / "tests" / "project" / "test_architecture.py"))

    def unknown(room: str) -> str:
        return ", ".join(
            f"`{name}`" for name in (*rules["UNKNOWN_TO"].get(room, ()), *rules["FOREIGN"].get(room, ()))
        )

    rooms = [(f"`{room}`", purpose, unknown(room)) for room, purpose in rules["ROOMS"].items()]
    owners = [
        (f"`{package}`", ", ".join(f"`{owner.removeprefix('surgeon.')}`" for owner in owned))
        for package, owned in rules["OWNERS"].items()
    ]
    text = (HERE / "architecture.md").read_text(encoding="utf-8")
    head, begin, rest = text.partition("<!-- rooms:begin -->\n")
    _, end, tail = rest.partition("<!-- rooms:end -->")
    return "".join(
        (
            head,
            begin,
            table(
                ("room", "what lives there", "what it must not know, though it stands above or is installed"),
                rooms,
            ),
            "\n",
            table(("package", "imported only by"), owners),
            end,
            tail,
        )
    )


def shortened(text: str) -> str:
    return textwrap.shorten(text.replace("`", "'"), 160, placeholder=" ...")


PAGES: dict[str, Callable[[], str]] = {
    "architecture.md": architecture,
    "plugins.md": plugins,
    "steps.md": steps,
    "operations.md": operation_table,
    "diagnostics.md": diagnostics,
    "glossary.md": words,
    "pain.md": pain,
    "cli.md": cli,
    "library.md": library,
    "targets.md": targets,
    "shipped-recipes.md": shipped_recipes,
}


def page(parts: Iterable[str]) -> str:
    return NOTE + "\n" + "\n".join(part.rstrip("\n") + "\n" for part in parts if part.strip())


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [[cell.replace("|", "\\|").replace("\n", " ") for cell in row] for row in rows]
    if not lines:
        return ""
    return "".join(f"| {' | '.join(line)} |\n" for line in (head, ["---"] * len(head), *lines))


def bullets(lines: Iterable[str]) -> str:
    return "".join(
        textwrap.fill(line, 118, initial_indent="- ", subsequent_indent="  ") + "\n" for line in lines
    )


def noted(item: dict[str, Any]) -> str:
    return str(item["summary"]) + (f" ({'; '.join(item['marks'])})" if item["marks"] else "")


def main(arguments: Sequence[str]) -> int:
    """Write the pages, or compare them; return the exit code."""
    stale = 0
    for name, make in PAGES.items():
        path = HERE / name
        text = make()
        if path.is_file() and path.read_text(encoding="utf-8") == text:
            continue
        if "--check" in arguments:
            print(f"{path} is out of date; run: python docs/generate.py", file=sys.stderr)
            stale += 1
        else:
            path.write_text(text, encoding="utf-8")
            print(path)
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
