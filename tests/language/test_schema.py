"""The JSON schema of recipes: every key described, and what it accepts and underlines."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from surgeon.catalog import load_catalog
from surgeon.language import recipe_schema
from surgeon.language.schema import SCHEMA_ID, is_schema, schema_text
from surgeon.steps.step import step_types

SCHEMA = recipe_schema()
RECIPE = {"recipe": 1, "name": "r", "outputs": ["c"]}


def undescribed(value: Any, path: str = "") -> Iterator[str]:
    """Yield the paths of all keys of a schema, at any depth, that say nothing."""
    if isinstance(value, list):
        for i, item in enumerate(value):
            yield from undescribed(item, f"{path}/{i}")
    if isinstance(value, dict):
        for key, item in value.get("properties", {}).items():
            if len(item.get("description", "").strip()) < 5:
                yield f"{path}/{key}"
        for key, item in value.items():
            if key != "if":  # a condition is not shown
                yield from undescribed(item, f"{path}/{key}")


def errors(**keys: Any) -> list[str]:
    jsonschema = pytest.importorskip("jsonschema", reason="jsonschema is not installed")
    validator = jsonschema.Draft202012Validator(SCHEMA)
    return [error.message for error in validator.iter_errors({**RECIPE, **keys})]


def test_every_key_has_a_description() -> None:
    schema = recipe_schema()
    assert list(undescribed(schema)) == []
    assert schema["$id"] == SCHEMA_ID and schema["description"]
    del schema["$defs"]["NodeDefinition"]["properties"]["plugin"]["description"]
    assert list(undescribed(schema)) == ["/$defs/NodeDefinition/plugin"]


def test_it_is_a_schema() -> None:
    jsonschema = pytest.importorskip("jsonschema", reason="jsonschema is not installed")
    small = {**SCHEMA, "$defs": {**SCHEMA["$defs"], "NodeDefinition": {**SCHEMA["$defs"]["NodeDefinition"]}}}
    node = small["$defs"]["NodeDefinition"]
    node["allOf"] = [one for one in node["allOf"] if one["if"]["properties"]["plugin"]["const"] == "NMS_TRT"]
    jsonschema.Draft202012Validator.check_schema(small)  # one plugin for all: it takes long


def test_every_step_says_what_it_does() -> None:
    definitions = recipe_schema()["$defs"]
    for keyword in step_types():
        assert definitions[f"step-{keyword}"]["properties"]["step"]["description"].endswith(".")


def test_every_plugin_has_its_fields_and_ports() -> None:
    branches = {
        branch["if"]["properties"]["plugin"]["const"]: branch["then"]["properties"]
        for branch in recipe_schema()["$defs"]["NodeDefinition"]["allOf"]
    }
    assert list(branches) == list(load_catalog())
    for name, spec in load_catalog().items():
        assert list(branches[name]["fields"]["properties"]) == list(spec.fields)
        assert list(branches[name]["inputs"]["properties"]) == [port.name for port in spec.inputs]
    topk = branches["NMS_TRT"]["fields"]["properties"]["topK"]
    assert topk["description"].startswith(load_catalog()["NMS_TRT"].fields["topK"].summary.rstrip("."))


@pytest.mark.parametrize(
    "fields",
    [
        {"clipMin": 0, "clipMax": 6.5},
        {"clipMin": "$low", "clipMax": None},
        None,
        {},
    ],
)
def test_fields_are_accepted(fields: Any) -> None:
    assert errors(nodes={"c": {"plugin": "CustomClipPlugin", "fields": fields}}) == []


@pytest.mark.parametrize(
    ("plugin", "fields"),
    [
        ("CustomClipPlugin", {"clipMinimum": 0}),
        ("CustomClipPlugin", {"clipMin": "low"}),
        ("CustomClipPlugin", {"clipMin": [0]}),
        ("NMS_TRT", {"topK": 1.5}),
        ("NMS_TRT", {"topK": -1}),
        ("NMS_TRT", {"inputOrder": [0, 1]}),
        ("NMS_TRT", {"confidenceThreshold": "auto "}),
        ("GridAnchor_TRT", {"variance": [0.1, 0.1, 0.2]}),
    ],
)
def test_fields_are_underlined(plugin: str, fields: Any) -> None:
    assert errors(nodes={"c": {"plugin": plugin, "fields": fields}}) != []
    assert errors(nodes={"c": {"plugin": "YourOwn", "fields": fields}}) == []  # another machine may have it


def test_auto_is_for_fields_that_a_graph_tells() -> None:
    assert errors(nodes={"n": {"plugin": "NMS_TRT", "fields": {"inputOrder": "auto"}}}) == []
    assert errors(nodes={"c": {"plugin": "CustomClipPlugin", "fields": {"clipMin": "auto"}}}) != []


def test_steps_and_their_edits() -> None:
    assert errors(steps={"before": {"collapse": ["prune"]}, "drop": ["addv2"]}) == []
    assert errors(steps={"befor": {}}) != []
    assert errors(steps=["prun"]) != []


def test_a_schema_is_known_by_its_name() -> None:
    assert is_schema(schema_text().encode())
    assert not is_schema(b'{"$id": "urn:other:1"}') and not is_schema(b"")
