"""Recipes by name or path, validated, with the place of everything they say."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from surgeon.diagnostics import Diagnostic, Span, SurgeonError, error, nearest_note
from surgeon.discovery import entry_points
from surgeon.language.document import (
    Mapped,
    PathItem,
    Scalar,
    Value,
    parse_document,
    read_document,
    spans_of,
    to_plain,
)
from surgeon.language.document import Sequence as ListValue
from surgeon.language.layers import merge, moved, substitute
from surgeon.language.recipe import EngineSettings, Image, ImageStep, NamespaceRule, NodeDefinition, Recipe
from surgeon.steps.step import Step, step_types

_EXTENDS_LIMIT = 32


CASES = ".cases.yaml"
"""End of the name of a file that holds the test cases of the recipe beside it."""


def recipe_files(recipe_paths: Iterable[Path] = ()) -> dict[str, Path]:
    """Return the recipes that can be named, by name: from ``recipe_paths``, entry points and the package.

    Raise SurgeonError R111 where two folders hold recipes of one name.
    """
    folders = [Path(str(resources.files("surgeon.recipes"))), *_entry_points(), *recipe_paths]
    found: dict[str, Path] = {}
    for folder in folders:
        if not os.path.isdir(folder):
            raise error(
                "E101",
                f"the recipe folder '{folder}' cannot be read: no such folder",
                help=["check --recipe-path"],
            )
        for path in sorted(folder.glob("*.yaml")):
            if path.name.endswith(CASES):
                continue
            if path.stem in found and found[path.stem].resolve() != path.resolve():
                raise error(
                    "R111",
                    f"two recipes are named '{path.stem}': '{found[path.stem]}' and '{path}'",
                    help=["rename one of them, or give the recipe by its path"],
                )
            found[path.stem] = path
    return dict(sorted(found.items()))


def _entry_points() -> list[Path]:
    return [Path(str(resources.files(point.load()))) for point in entry_points("surgeon.recipes")]


def find_recipe(
    name: str | Path, recipe_paths: Sequence[Path] = (), base: Path | None = None, where: Span | None = None
) -> Path:
    """Return the file of a recipe given by path or by name; raise SurgeonError R112 where there is none."""
    text = str(name)
    if isinstance(name, Path) or text.endswith((".yaml", ".yml")) or "/" in text:
        path = (base / text) if base and not Path(text).is_absolute() else Path(text)
        if not os.path.isfile(path):
            raise error("R112", f"there is no recipe file '{path}'", where, help=["check the path"])
        return path
    files = recipe_files(recipe_paths)
    if text not in files:
        beside = [Path(text + ".yaml")] if os.path.isfile(Path(text + ".yaml")) else []
        notes = nearest_note(text, files) or (
            ("shipped: " + ", ".join(f"'{f}'" for f in files),) if files else ()
        )
        raise error(
            "R112",
            f"there is no recipe named '{text}'",
            where,
            notes,
            [
                f"give its path: '{beside[0]}'"
                if beside
                else "'surgeon list recipes' shows them; a path needs '.yaml'"
            ],
        )
    return files[text]


def load_recipe(
    name: str | Path, *, parameters: Mapping[str, Any] | None = None, recipe_paths: Sequence[Path] = ()
) -> Recipe:
    """Read a recipe by path or name, with everything that it extends.

    ``parameters`` replaces declared defaults, by values or by text that is read as YAML (as ``--set``
    gives it). Raise SurgeonError with all faults: R101 to R103 (YAML), R104 to R110 (keys, values, steps,
    parameters), R111 and R112 (names), R113 (a circle of ``extends``).
    """
    path = find_recipe(name, recipe_paths)
    return build_recipe(read_document(path), path, parameters or {}, recipe_paths)


def parse_recipe(
    text: str,
    file: str = "<recipe>",
    *,
    parameters: Mapping[str, Any] | None = None,
    recipe_paths: Sequence[Path] = (),
) -> Recipe:
    """Read a recipe from its text; as :func:`load_recipe`."""
    return build_recipe(parse_document(text, file), Path(file), parameters or {}, recipe_paths)


def build_recipe(
    document: Value, path: Path, parameters: Mapping[str, Any], recipe_paths: Sequence[Path]
) -> Recipe:
    """Return the recipe of a parsed document; as :func:`load_recipe`."""
    layers = _Layers(recipe_paths)
    layers.add(document, path)
    merged = merge(body for _, body in layers.bodies.values())
    declared = _parameters(merged, parameters)
    used = {key: substitute(item, declared) for key, item in merged.entries.items() if key != "parameters"}
    values: dict[str, Value] = dict(used)
    if "parameters" in merged.entries:
        values["parameters"] = Mapped(declared, dict.fromkeys(declared, merged.span), merged.span)
    recipe = _validated(Mapped(values, merged.keys, merged.span))
    recipe._sources = tuple(file for file, _ in layers.bodies.values())
    return recipe


@dataclass
class _Layers:
    """What a recipe builds on, gathered: each file is read once, and stands where it is named first."""

    recipe_paths: Sequence[Path]
    bodies: dict[Path, tuple[str, Mapped]] = field(default_factory=dict)

    def add(self, value: Value, path: Path, above: tuple[Path, ...] = ()) -> None:
        """Add everything that the recipe of a file builds on, and then the recipe itself."""
        if not isinstance(value, Mapped):
            raise error(
                "R106",
                "a recipe is a mapping; expected keys such as 'recipe', 'nodes' and 'namespaces'",
                value.span,
            )
        here = (*above, path.resolve())
        if len(above) > _EXTENDS_LIMIT:
            raise error("R113", f"recipes extend each other over {_EXTENDS_LIMIT} levels deep", value.span)
        for item in _names(value.entries.get("extends")):
            base = find_recipe(str(item.value), self.recipe_paths, path.parent, item.span)
            file = base.resolve()
            if file in here:
                chain = " -> ".join(p.name for p in (*here, file))
                raise error(
                    "R113",
                    f"'{item.value}' extends itself: {chain}",
                    item.span,
                    help=["take one of them out"],
                )
            if file not in self.bodies:
                self.add(read_document(base), base, here)
        body = value if not above else _without_title(value)
        self.bodies[here[-1]] = (str(path), body)


def _without_title(value: Mapped) -> Mapped:
    entries = {k: v for k, v in value.entries.items() if k not in ("name", "summary")}
    return Mapped(entries, value.keys, value.span)


def _names(extends: Value | None) -> list[Scalar]:
    if extends is None or (isinstance(extends, Scalar) and extends.value is None):
        return []
    items = extends.items if isinstance(extends, ListValue) else (extends,)
    names = [item for item in items if isinstance(item, Scalar) and isinstance(item.value, str)]
    if len(names) != len(items):
        raise error(
            "R106",
            "'extends' holds something else than names; expected names or paths of recipes",
            extends.span,
        )
    return names


def _parameters(merged: Mapped, given: Mapping[str, Any]) -> dict[str, Value]:
    declared = merged.entries.get("parameters")
    if declared is not None and not isinstance(declared, Mapped):
        raise error(
            "R106", "'parameters' is not a mapping; expected names with their defaults", declared.span
        )
    values: dict[str, Value] = dict(declared.entries) if declared else {}
    for name, value in given.items():
        if name not in values:
            raise error(
                "R110",
                f"the recipe has no parameter '{name}'",
                f"--set {name}",
                nearest_note(name, values),
                ["parameters: " + (", ".join(f"'{v}'" for v in values) or "none")],
            )
        values[name] = _given(name, value)
    return values


def _given(name: str, value: Any) -> Value:
    place = Span(f"--set {name}={value}", 1, 1)
    if isinstance(value, str):
        return moved(parse_document(value or '""', f"--set {name}"), place)
    if isinstance(value, list | tuple):
        return ListValue(tuple(_given(name, item) for item in value), place)
    return Scalar(value, place)


def _validated(value: Mapped) -> Recipe:
    spans = dict(spans_of(value))
    plain = to_plain(value)
    problems: list[Diagnostic] = []
    steps: list[Step] = []
    for i, step in enumerate(plain.get("steps", ())):
        try:
            steps.append(_step(step, i, spans))
        except SurgeonError as exc:
            problems += exc.diagnostics
    plain["steps"] = []
    version = plain.get("recipe")
    if version is not None and (version != 1 or isinstance(version, bool)):
        raise error(
            "R108",
            f"the recipe is of version {version}; this program reads version 1",
            spans.get(("recipe",)),
            help=["write 'recipe: 1', or use a newer program"],
        )
    recipe: Recipe | None = None
    try:
        recipe = Recipe.model_validate(plain)
    except ValidationError as exc:
        problems += validation_diagnostics(exc, plain, spans)
    if problems or recipe is None:
        raise SurgeonError(*problems)
    recipe = recipe.model_copy(update={"steps": tuple(steps)})
    recipe._spans = spans
    _check_names(recipe)
    return recipe


def _step(value: Any, index: int, spans: Mapping[tuple[PathItem, ...], Span]) -> Step:
    path: tuple[PathItem, ...] = ("steps", index)
    name = value.get("step") if isinstance(value, dict) else None
    types = step_types()
    if not isinstance(name, str):
        raise error(
            "R107",
            "a step has no name; expected 'step: NAME', or a name alone",
            spans.get(path),
            help=["'surgeon list steps' shows them"],
        )
    if name not in types:
        raise error(
            "R107",
            f"there is no step '{name}'",
            spans.get((*path, "step")) or spans.get(path),
            nearest_note(name, types),
            ["'surgeon list steps' shows them"],
        )
    try:
        return types[name].model_validate(value)
    except ValidationError as exc:
        raise SurgeonError(*validation_diagnostics(exc, value, spans, path, types[name])) from None


def validation_diagnostics(
    exc: ValidationError,
    value: Any,
    spans: Mapping[tuple[PathItem, ...], Span],
    prefix: tuple[PathItem, ...] = (),
    model: type[BaseModel] = Recipe,
    whole: str = "the recipe",
) -> list[Diagnostic]:
    """Return pydantic's findings in this package's form: one a place, at the file's own line and column.

    ``spans`` has the place of every value, ``prefix`` the path of what ``model`` was to be made of; ``whole``
    is what the file is called. The codes are R104 (unknown key), R105 (missing key) and R106 (value).
    """
    found: dict[tuple[PathItem, ...], Diagnostic] = {}
    for item in exc.errors(include_url=False, include_context=False):
        of_key = item["loc"][-1:] == ("[key]",)
        full = (*prefix, *_real_path(item["loc"][:-1] if of_key else item["loc"], value))
        where = next((spans[full[:end]] for end in range(len(full), -1, -1) if full[:end] in spans), None)
        key = str(item["loc"][-1]) if item["loc"] else ""
        shown = ".".join(map(str, full[:-1] if of_key else full)) or whole
        if item["type"] == "extra_forbidden":
            allowed = _allowed(full[len(prefix) : -1], model)
            text = f"unknown key '{key}'" + (f" in '{'.'.join(map(str, full[:-1]))}'" if full[:-1] else "")
            new = Diagnostic(
                "R104", text, where, nearest_note(key, allowed) or ("expected: " + ", ".join(allowed),)
            )
        elif item["type"] == "missing" and isinstance(item["loc"][-1], str):
            inside = ".".join(map(str, full[:-1])) or whole
            new = Diagnostic("R105", f"'{inside}' lacks the key '{key}'", where, (), (f"add '{key}:'",))
        else:
            message = (
                "too few values" if item["type"] == "missing" else item["msg"].removeprefix("Value error, ")
            )
            given = item["input"]
            note = (
                () if isinstance(given, dict) or item["type"] == "value_error" else (f"given: {given!r:.80}",)
            )
            new = Diagnostic("R106", f"'{shown}': {message[0].lower()}{message[1:]}", where, note)
        if full in found and found[full].code == "R106" and new.code == "R106":
            if new.message not in found[full].message:
                joined = f"{found[full].message}; or {new.message.partition(': ')[2]}"
                found[full] = Diagnostic("R106", joined, where, found[full].notes)
        else:
            found.setdefault(full, new)
    return list(found.values())


def _real_path(loc: tuple[PathItem, ...], value: Any) -> tuple[PathItem, ...]:
    """Return the part of a pydantic location that is a path into the value; union tags are left out."""
    out: list[PathItem] = []
    at: Any = value
    for i, item in enumerate(loc):
        inside = (
            item in at
            if isinstance(at, dict)
            else isinstance(at, list | tuple) and isinstance(item, int) and item < len(at)
        )
        if inside:
            at = at[item]
        elif not (isinstance(at, dict) and i == len(loc) - 1):
            continue
        out.append(item)
    return tuple(out)


def _allowed(path: tuple[PathItem, ...], model: type[BaseModel]) -> list[str]:
    """Return the keys that may stand at ``path``."""
    if model is Recipe and path:
        kinds: dict[PathItem, type[BaseModel]] = {
            "nodes": NodeDefinition,
            "namespaces": NamespaceRule,
            "image": Image,
            "engine": EngineSettings,
        }
        model = ImageStep if path[:2] == ("image", "steps") else kinds.get(path[0], Recipe)
    elif path:
        model = _model_at(model, path)
    names = [field.alias or name for name, field in model.model_fields.items()]
    return [*names, "extends"] if model is Recipe else names


def _model_at(model: type[BaseModel], path: tuple[PathItem, ...]) -> type[BaseModel]:
    """Return the model of what stands at ``path``, by the annotations of the models above it."""
    for item in path:
        if isinstance(item, str) and item in model.model_fields:
            kinds = (model.model_fields[item].annotation,)
            kinds = (*kinds, *get_args(kinds[0]))
            model = next((k for k in kinds if isinstance(k, type) and issubclass(k, BaseModel)), model)
    return model


def _check_names(recipe: Recipe) -> None:
    """Raise SurgeonError R114 for every use of a node that the recipe does not define."""
    problems: list[Diagnostic] = []
    for key, rule in recipe.namespaces.items():
        if rule.node != "auto" and rule.node not in recipe.nodes:
            problems.append(
                Diagnostic(
                    "R114",
                    f"the namespace '{key}' becomes '{rule.node}', which is not under 'nodes'",
                    recipe.span("namespaces", key, "node"),
                    nearest_note(rule.node, recipe.nodes),
                    ("define the node, or correct the name",),
                )
            )
    if problems:
        raise SurgeonError(*problems)
