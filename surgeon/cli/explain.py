"""Explain a diagnostic's code, a plugin with its fields, a step with an example, an operation, a target, a
recipe or a word that the output uses; or the messages in a log of TensorRT, of a converter or of CUDA. Write
hyphens for the blanks of a word. With --log, the exit code is 1 where nothing of it is known.

    surgeon explain R201
    surgeon explain NMS_TRT
    surgeon explain clip-first
    surgeon explain each-alone
    surgeon explain --log build.log
    trtexec --uff=ssd.uff ... 2>&1 | surgeon explain --log -
"""

from __future__ import annotations

import argparse
import inspect as introspection
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from surgeon.cli import console
from surgeon.cli.list import versions
from surgeon.cli.options import add_paths, add_target

if TYPE_CHECKING:
    from surgeon.catalog import FieldSpec, PluginSpec, PortSpec, Registration

NAME = "explain"
TASK = "look"
SUMMARY = "Explain an error code, plugin, step, operation, target, recipe or word, or a log."
STREAMS = ("log",)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument(
        "subject",
        metavar="CODE|PLUGIN|STEP|OP|TARGET|RECIPE|WORD",
        nargs="?",
        help="such as R201, NMS_TRT, collapse, Conv2D or clip-first",
    )
    what.add_argument(
        "--log", metavar="FILE", help="a log to look for known messages in; - is standard input"
    )
    add_target(parser, "all versions of a plugin")
    add_paths(parser)


def run(args: argparse.Namespace) -> int:
    if args.log is not None:
        from surgeon.cli.logs import explain_log

        return explain_log(args)
    for explainer in _EXPLAINERS:
        found = explainer(args.subject, args)
        if found is not None:
            if args.json:
                console.show_json(found)
            else:
                _SHOWN.get(found["kind"], _show_text)(found)
            return 0
    raise _unknown(args.subject, args)


def _code(subject: str, args: argparse.Namespace) -> dict[str, Any] | None:
    from surgeon.diagnostics import code_page

    page = code_page(subject.upper())
    return (
        None if page is None else {"kind": "code", "name": subject.upper(), "title": page[0], "text": page[1]}
    )


def _plugin(subject: str, args: argparse.Namespace) -> dict[str, Any] | None:
    from surgeon.catalog import load_catalog
    from surgeon.targets import load_target

    catalog = load_catalog(args.plugin_paths)
    if subject not in catalog:
        return None
    return plain_plugin(catalog[subject], load_target(args.target).version if args.target else None)


def plain_plugin(spec: PluginSpec, version: tuple[int, ...] | None = None) -> dict[str, Any]:
    """Return everything that the catalog knows of a plugin, as plain values."""
    return {
        "kind": "plugin",
        "name": spec.op,
        "title": spec.title,
        "summary": spec.summary,
        "versions": versions(spec),
        "registrations": [_registration(found) for found in spec.registrations_in(version)],
        "inputs": [_port(port) for port in spec.inputs],
        "outputs": [_port(port) for port in spec.outputs],
        "fields": [_field(field) for field in spec.fields_of(version)],
        "remarks": list(spec.remarks_for(version)),
        "newer": _newer(spec),
        "sources": list(spec.sources),
    }


def _registration(found: Registration) -> dict[str, Any]:
    from surgeon.targets import print_version

    return {
        "plugin_version": found.plugin_version,
        "interface": found.interface,
        "versions": versions(found),
        "deprecated": None if found.deprecated is None else print_version(found.deprecated),
    }


def _newer(spec: PluginSpec) -> dict[str, str]:
    """Return, for the releases after the last that reads UFF, whether they have the plugin and what to use
    instead.
    """
    from surgeon.targets import all_targets, print_version

    found: dict[str, str] = {}
    for target in all_targets().values():
        if target.version is None or target.version < _NEWER:
            continue
        there = spec.registration_for(target.version)
        instead = spec.replacement_in(target.version)
        state = "has no such plugin" if there is None else f"has plugin version {there.plugin_version}"
        if spec.library != "tensorrt":
            state = "needs your library"
        elif (
            there is not None and there.deprecated is not None and there.deprecated[:1] <= target.version[:1]
        ):
            state += f", deprecated from {print_version(there.deprecated)}"
        found[print_version(target.version[:1])] = state + (f"; instead: {instead}" if instead else "")
    return found


_NEWER = (9,)


def _port(port: PortSpec) -> dict[str, Any]:
    marks = [
        text
        for text, on in (("any number", port.variadic), ("optional", port.optional), ("ignored", port.unused))
        if on
    ]
    return {
        "name": f"{port.name}0, {port.name}1, ..." if port.repeat else port.name,
        "summary": port.summary,
        "marks": marks + ([f"as many as '{port.repeat}' says"] if port.repeat else []),
    }


def _field(field: FieldSpec) -> dict[str, Any]:
    marks = []
    if field.since or field.until:
        marks.append(versions(field))
    if field.derivable:
        marks.append("can be 'auto'")
    default = (
        None
        if field.default is None
        else list(field.default)
        if isinstance(field.default, tuple)
        else field.default
    )
    return {
        "name": field.name,
        "type": field.describe(),
        "required": field.required,
        "default": default,
        "summary": field.summary,
        "marks": marks,
        "source": field.source,
    }


def _step(subject: str, args: argparse.Namespace) -> dict[str, Any] | None:
    from surgeon.steps.step import step_types

    kind = step_types().get(subject)
    if kind is None:
        return None
    return {
        "kind": "step",
        "name": subject,
        "text": (introspection.getdoc(kind) or "").strip() + "\n",
        "options": {
            field.alias or name: field.description or ""
            for name, field in kind.model_fields.items()
            if name != "step"
        },
    }


def _op(subject: str, args: argparse.Namespace) -> dict[str, Any] | None:
    from surgeon.cli.operations import operations

    found = next((o for o in operations() if o.op == subject), None)
    if found is None:
        return None
    lines = [
        {
            "converted": "UFF: converted.",
            "passed over": "UFF: passed over; what reads it reads its input.",
        }.get(
            found.export, "UFF: cannot be expressed. Map its namespace to a plugin, or take it out by a step."
        ),
        "shape and element type: " + ("computed." if found.shape else "not computed."),
        "value: " + ("computed where the inputs are constants." if found.value else "not computed."),
    ]
    return {
        "kind": "op",
        "name": subject,
        "title": "an operation of TensorFlow",
        "text": "\n".join(lines) + "\n",
    }


def _target(subject: str, args: argparse.Namespace) -> dict[str, Any] | None:
    from surgeon.targets import load_target, target_names

    if subject not in target_names():
        return None
    target = load_target(subject)
    lines = [*target.notes, *([f"deprecated: {target.deprecated}"] if target.deprecated else [])]
    return {
        "kind": "target",
        "name": subject,
        "title": target.title,
        "text": "".join(f"{line}\n" for line in lines),
    }


def _recipe(subject: str, args: argparse.Namespace) -> dict[str, Any] | None:
    from surgeon.language import load_recipe, recipe_files

    path = recipe_files(args.recipe_paths).get(subject)
    if path is None:
        return None
    recipe = load_recipe(path, recipe_paths=args.recipe_paths)
    lines = [f"file: {path}", *(f"parameter: {name} = {value}" for name, value in recipe.parameters.items())]
    lines += [
        f"takes out: {key} -> {rule.node}{' (if there)' if rule.optional else ''}"
        for key, rule in recipe.namespaces.items()
    ]
    return {"kind": "recipe", "name": subject, "title": recipe.summary, "text": "\n".join(lines) + "\n"}


def _word(subject: str, args: argparse.Namespace) -> dict[str, Any] | None:
    from surgeon.glossary import glossary, key

    found = glossary().get(key(subject))
    if found is None:
        return None
    return {"kind": "word", "name": found.word, "title": found.group, "text": f"{found.meaning}\n"}


_EXPLAINERS: tuple[Callable[[str, argparse.Namespace], dict[str, Any] | None], ...] = (
    _code,
    _plugin,
    _step,
    _op,
    _target,
    _recipe,
    _word,
)


def _unknown(subject: str, args: argparse.Namespace) -> Exception:
    from surgeon.catalog import load_catalog
    from surgeon.cli.operations import operations
    from surgeon.diagnostics import all_codes, error, nearest_note
    from surgeon.glossary import glossary
    from surgeon.language import recipe_files
    from surgeon.steps.step import step_types
    from surgeon.targets import target_names

    names = [
        *all_codes(),
        *load_catalog(args.plugin_paths),
        *step_types(),
        *(o.op for o in operations()),
        *target_names(),
        *recipe_files(args.recipe_paths),
        *(word.word for word in glossary().values()),
    ]
    return error(
        "E111",
        f"there is nothing to explain by the name '{subject:.80}'; expected a code, plugin, step, operation, "
        "target, recipe or word of the output",
        notes=nearest_note(subject, names),
        help=["'surgeon list plugins' and its like show the names"],
    )


def _show_text(found: dict[str, Any]) -> None:
    console.show(console.bold(f"{found['name']}: {found['title']}"))
    if found["text"].strip():
        console.show()
        console.show_lines(found["text"].rstrip())


def _show_step(found: dict[str, Any]) -> None:
    console.show(console.bold(found["name"]))
    console.show()
    console.show_lines(found["text"].rstrip())
    console.show()
    console.show(console.bold("options"))
    console.table(list(found["options"].items()))


def _show_plugin(found: dict[str, Any]) -> None:
    console.show(console.bold(f"{found['name']}: {found['title']}"))
    console.show(found["summary"])
    for registration in found["registrations"]:
        console.show(registered(registration))
    for title in ("inputs", "outputs"):
        console.show()
        console.show(console.bold(title))
        console.table([(p["name"], _marked(p)) for p in found[title]] or [("none",)])
    console.show()
    console.show(console.bold("fields"))
    console.table(
        [
            (f["name"], f["type"], "required" if f["required"] else f"default {f['default']}", _marked(f))
            for f in found["fields"]
        ]
    )
    for title, lines in (
        ("remarks", found["remarks"]),
        ("on newer releases", [f"TensorRT {release} {text}" for release, text in found["newer"].items()]),
        ("sources", found["sources"]),
    ):
        if lines:
            console.show()
            console.show(console.bold(title))
            console.table([(line,) for line in lines])


def registered(found: dict[str, Any]) -> str:
    """Return a plugin version, its interface and where it exists as one line."""
    interface = f" ({found['interface']})" if found["interface"] else ""
    deprecated = f", deprecated from {found['deprecated']}" if found["deprecated"] else ""
    return f"plugin version {found['plugin_version']}{interface}: {found['versions']}{deprecated}"


def _marked(item: dict[str, Any]) -> str:
    marks = "; ".join(item["marks"])
    return f"{item['summary']} ({marks})" if marks else str(item["summary"])


_SHOWN: dict[str, Callable[[dict[str, Any]], None]] = {"plugin": _show_plugin, "step": _show_step}
