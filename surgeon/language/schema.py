"""The recipe language as a JSON schema, so that an editor completes, explains and checks recipes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from surgeon.catalog import Catalog, FieldSpec, PluginSpec, load_catalog
from surgeon.display import first_paragraph
from surgeon.language.layers import _STEP_EDITS
from surgeon.language.recipe import Recipe
from surgeon.steps.step import Step, step_types

SCHEMA_ID = "urn:trt-surgeon:recipe:1"
"""The schema's name. It is no address: the schema depends on the plugins that are installed."""

SCHEMA_FILE = "recipe.schema.json"
"""The file beside a recipe that holds the schema."""

MODELINE = f"# yaml-language-server: $schema={SCHEMA_FILE}\n"
"""The first line of a recipe, which names its schema to an editor. The path is relative to the recipe."""

_EDITS = {
    "before": "Steps to insert before the step of this id.",
    "after": "Steps to insert after the step of this id.",
    "drop": "Ids of inherited steps to leave out.",
    "append": "Steps to add at the end.",
}


def recipe_schema(catalog: Catalog | None = None) -> dict[str, Any]:
    """Return the JSON schema (draft 2020-12) of a recipe file, before ``extends`` and parameters are
    resolved.

    The fields of the plugins of ``catalog``, by default the installed ones, are part of it. Every key has a
    description.
    """
    schema = Recipe.model_json_schema(by_alias=True)
    definitions: dict[str, Any] = schema.setdefault("$defs", {})
    definitions.pop("Step", None)
    steps: list[dict[str, Any]] = []
    for keyword, kind in step_types().items():
        step = kind.model_json_schema(by_alias=True)
        definitions.update(step.pop("$defs", {}))
        summary = first_paragraph(kind)
        step["properties"]["step"] = {"const": keyword, "description": summary}
        step["required"] = sorted({"step", *step.get("required", ())})
        step["description"] = summary
        definitions[f"step-{keyword}"] = step
        steps.append({"$ref": f"#/$defs/step-{keyword}"})
    for definition in definitions.values():
        for key, value in definition.get("properties", {}).items():
            if key not in ("step", "id", "when"):
                definition["properties"][key] = _or_null(_open(value))
        if not definition.get("properties", {}).get("step"):
            definition.pop("required", None)
    properties = schema["properties"]
    properties["steps"] = _steps(steps)
    properties["extends"] = {
        "anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}],
        "description": "Recipes this one builds on, left to right: names or paths.",
    }
    for value in properties.values():
        if "$ref" in value:  # pydantic leaves out a description that is the type's own
            own = definitions[value["$ref"].rpartition("/")[2]]
            value.setdefault("description", own["description"])
    for name in ("nodes", "namespaces", "labels"):
        _loosen(properties[name])
    rule = properties["namespaces"]["additionalProperties"]
    properties["namespaces"]["additionalProperties"] = {"anyOf": [rule, {"type": "string"}, {"type": "null"}]}
    _add_plugins(definitions["NodeDefinition"], load_catalog() if catalog is None else catalog)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": SCHEMA_ID,
        **schema,
        "title": "surgeon recipe, version 1",
        "description": "Which parts of a frozen graph are taken out, and what takes their place.",
        "required": ["recipe", "name"],
    }


def schema_text(catalog: Catalog | None = None) -> str:
    """Return :func:`recipe_schema` as the text of a file."""
    return json.dumps(recipe_schema(catalog), indent=1) + "\n"


def is_schema(data: bytes) -> bool:
    """Return whether the content of a file is a recipe schema, of this release or another."""
    return f'"$id": "{SCHEMA_ID.rpartition(":")[0]}:'.encode() in data[:1000]


def _steps(steps: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the schema of ``steps``: a list of steps, or edits of an inherited one."""
    plain = {"enum": [keyword for keyword, kind in step_types().items() if not _required(kind)]}
    listed = {"type": "array", "items": {"anyOf": [plain, *steps]}}
    kinds: dict[str, dict[str, Any]] = {
        "before": {"type": "object", "additionalProperties": listed},
        "after": {"type": "object", "additionalProperties": listed},
        "drop": {"type": "array", "items": {"type": "string"}},
        "append": listed,
    }
    assert tuple(kinds) == _STEP_EDITS
    edits = {name: {**kind, "description": _EDITS[name]} for name, kind in kinds.items()}
    return {
        "anyOf": [listed, {"type": "object", "properties": edits, "additionalProperties": False}],
        "description": "A list that replaces the inherited one, or edits of it by step id.",
    }


def _required(kind: type[Step]) -> list[str]:
    return [name for name, field in kind.model_fields.items() if field.is_required() and name != "step"]


def _loosen(schema: dict[str, Any]) -> None:
    """Let every entry of a mapping also be null, which deletes an inherited one."""
    schema["additionalProperties"] = {"anyOf": [schema["additionalProperties"], {"type": "null"}]}


def _add_plugins(node: dict[str, Any], catalog: Catalog) -> None:
    """Add the plugins' names and, for a node that names one, the plugin's fields and input ports."""
    node["properties"]["plugin"]["examples"] = list(catalog)
    node["allOf"] = [
        {
            "if": {"properties": {"plugin": {"const": name}}, "required": ["plugin"]},
            "then": {"properties": {"fields": _fields(spec), "inputs": _inputs(spec)}},
        }
        for name, spec in catalog.items()
    ]


def _fields(spec: PluginSpec) -> dict[str, Any]:
    return {
        "properties": {name: _field(field) for name, field in spec.fields.items()},
        "additionalProperties": False,
        "description": f"Fields of {spec.op}. {spec.summary}",
    }


def _inputs(spec: PluginSpec) -> dict[str, Any]:
    return {
        "properties": {port.name: {"description": port.summary} for port in spec.inputs},
        "description": f"Tensors that {spec.op} reads, by port, or as a list in the order of the ports.",
    }


def _field(field: FieldSpec) -> dict[str, Any]:
    """Return the schema of a plugin's field, whose value may also be ``auto``, a ``$name`` or null."""
    item: dict[str, Any] = {
        "type": {"int": "integer", "float": "number"}.get(field.type.removesuffix("[]"), "string")
    }
    bounds = {"minimum": field.minimum, "maximum": field.maximum, "exclusiveMinimum": field.exclusive_minimum}
    item.update({key: bound for key, bound in bounds.items() if bound is not None})
    if field.choices is not None:
        item["enum"] = list(field.choices)
    value = item
    if field.is_list:
        least, most = (
            field.length if field.length is not None else each
            for each in (field.min_length, field.max_length)
        )
        counts = {"minItems": least, "maxItems": most}
        items = {"anyOf": [item, _PARAMETER]}
        value = {"type": "array", "items": items, **{key: n for key, n in counts.items() if n is not None}}
    derived = [{"const": "auto"}] if field.derivable else []
    default = "" if field.default is None else f" Default: {_shown(field.default)}."
    return {
        "anyOf": [value, *derived, _PARAMETER, {"type": "null"}],
        "description": f"{field.summary.rstrip('.')} ({field.describe()}).{default}",
    }


def _shown(value: object) -> str:
    return json.dumps(list(value) if isinstance(value, tuple) else value)


_PARAMETER = {"type": "string", "pattern": r"^\$[A-Za-z_]"}
_TEXTS = ("description", "default", "title")


def _open(schema: Any) -> Any:
    """Return a schema in which every number, truth value and list may also be a ``$name``, and every entry
    of a mapping null.
    """
    if isinstance(schema, list):
        return [_open(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    inside = ("items", "prefixItems", "anyOf", "additionalProperties")
    out = {key: _open(value) if key in inside else value for key, value in schema.items()}
    if isinstance(out.get("additionalProperties"), dict):
        _loosen(out)
    if out.get("type") in ("integer", "number", "boolean", "array"):
        return {"anyOf": [_without(out, _TEXTS), _PARAMETER], **_only(out, _TEXTS)}
    return out


def _or_null(schema: dict[str, Any]) -> dict[str, Any]:
    """Return a schema that also takes null, which deletes an inherited key."""
    inner = _without(schema, _TEXTS)
    kinds = inner["anyOf"] if list(inner) == ["anyOf"] else [inner]
    more = [kind for kind in (_PARAMETER, {"type": "null"}) if kind not in kinds]
    return {"anyOf": [*kinds, *more], **_only(schema, _TEXTS)}


def _only(schema: Mapping[str, Any], keys: tuple[str, ...]) -> dict[str, Any]:
    return {key: schema[key] for key in keys if key in schema}


def _without(schema: Mapping[str, Any], keys: tuple[str, ...]) -> dict[str, Any]:
    return {key: value for key, value in schema.items() if key not in keys}
