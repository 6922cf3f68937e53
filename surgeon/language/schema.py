"""The recipe language as a JSON schema, so that an editor completes recipes."""

from __future__ import annotations

from typing import Any

from surgeon.display import first_paragraph
from surgeon.language.layers import _STEP_EDITS
from surgeon.language.recipe import Recipe
from surgeon.steps.step import step_types


def recipe_schema() -> dict[str, Any]:
    """Return the JSON schema (draft 2020-12) of a recipe file, before ``extends`` and parameters are
    resolved.
    """
    schema = Recipe.model_json_schema(by_alias=True)
    definitions: dict[str, Any] = schema.setdefault("$defs", {})
    steps: list[dict[str, Any]] = []
    for keyword, kind in step_types().items():
        step = kind.model_json_schema(by_alias=True)
        definitions.update(step.pop("$defs", {}))
        step["properties"]["step"] = {"const": keyword}
        step["required"] = sorted({"step", *step.get("required", ())})
        step["description"] = first_paragraph(kind)
        definitions[f"step-{keyword}"] = step
        steps.append({"$ref": f"#/$defs/step-{keyword}"})
    plain = {"enum": [keyword for keyword, kind in step_types().items() if not _required(kind)]}
    listed = {"type": "array", "items": {"anyOf": [plain, *steps]}}
    edits = {
        "before": {"type": "object", "additionalProperties": listed},
        "after": {"type": "object", "additionalProperties": listed},
        "drop": {"type": "array", "items": {"type": "string"}},
        "append": listed,
    }
    assert tuple(edits) == _STEP_EDITS
    properties = schema["properties"]
    properties["steps"] = {
        "anyOf": [listed, {"type": "object", "properties": edits, "additionalProperties": False}],
        "description": "A list that replaces the inherited one, or edits of it by step id.",
    }
    properties["extends"] = {
        "anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}],
        "description": "Recipes this one builds on, left to right: names or paths.",
    }
    for name in ("nodes", "namespaces", "labels"):
        _loosen(properties[name])
    rule = properties["namespaces"]["additionalProperties"]
    properties["namespaces"]["additionalProperties"] = {"anyOf": [rule, {"type": "string"}, {"type": "null"}]}
    for definition in definitions.values():
        for key, value in definition.get("properties", {}).items():
            if key not in ("step", "id", "when"):
                definition["properties"][key] = _or_null(_open(value))
        if not definition.get("properties", {}).get("step"):
            definition.pop("required", None)
    schema["required"] = ["recipe", "name"]
    schema["title"] = "surgeon recipe, version 1"
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def _required(kind: Any) -> list[str]:
    return [name for name, field in kind.model_fields.items() if field.is_required() and name != "step"]


def _loosen(schema: dict[str, Any]) -> None:
    """Let every entry of a mapping also be null, which deletes an inherited one."""
    schema["additionalProperties"] = {"anyOf": [schema["additionalProperties"], {"type": "null"}]}


_PARAMETER = {"type": "string", "pattern": r"^\$[A-Za-z_]"}


def _open(schema: Any) -> Any:
    """Return a schema in which every number, truth value and list may also be a ``$name``."""
    if isinstance(schema, list):
        return [_open(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    inside = ("items", "prefixItems", "anyOf", "additionalProperties")
    out = {key: _open(value) if key in inside else value for key, value in schema.items()}
    if out.get("type") in ("integer", "number", "boolean", "array"):
        return {"anyOf": [out, _PARAMETER]}
    return out


def _or_null(schema: dict[str, Any]) -> dict[str, Any]:
    """Return a schema that also takes null, which deletes an inherited key."""
    kept: dict[str, Any] = {k: schema[k] for k in ("description", "default", "title") if k in schema}
    inner = {k: v for k, v in schema.items() if k not in kept}
    return {"anyOf": [inner, _PARAMETER, {"type": "null"}], **kept}
