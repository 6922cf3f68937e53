"""Recipes: validation with places, extends, null, step edits, parameters, and the schema."""

from __future__ import annotations

from pathlib import Path

import pytest

from surgeon.diagnostics import Span, SurgeonError
from surgeon.language import load_recipe, parse_recipe, recipe_files, recipe_schema

GOOD = """\
recipe: 1
name: r
outputs: [y]
nodes:
  clip: {plugin: CustomClipPlugin, fields: {clipMin: 0.0, clipMax: 6.0}}
namespaces:
  act: clip
"""


def refused(text: str, **options: object):  # type: ignore[no-untyped-def]
    with pytest.raises(SurgeonError) as caught:
        parse_recipe(text, "r.yaml", **options)  # type: ignore[arg-type]
    return caught.value.diagnostics


def test_a_recipe_is_read_with_the_default_steps() -> None:
    recipe = parse_recipe(GOOD)
    assert [s.label for s in recipe.steps] == [
        "remove-asserts",
        "forward-identities",
        "collapse",
        "addv2",
        "fusedbatchnormv3",
        "prune",
    ]
    assert recipe.namespaces["act"].node == "clip"
    assert str(recipe.span("nodes", "clip", "fields", "clipMax")) == "<recipe>:5:59"
    assert str(recipe.span("nodes", "clip", "nothing")) == "<recipe>:5:3"


@pytest.mark.parametrize(
    ("change", "code", "place"),
    [
        (("name: r\n", ""), "R105", None),
        (("outputs: [y]\n", ""), "R105", None),
        (("nodes:", "nodse:"), "R104", (4, 1)),
        (("plugin: CustomClipPlugin, ", ""), "R106", (5, 3)),
        (("fields", "feilds"), "R104", (5, 36)),
        (("act: clip", "act: clap"), "R114", (7, 8)),
        (("recipe: 1", "recipe: 2"), "R108", (1, 1)),
        (("act: clip", "act: {node: clip, optoinal: true}"), "R104", (7, 21)),
        (("outputs: [y]", "outputs: y"), "R106", (3, 1)),
        (("outputs: [y]", "outputs: []"), "R106", (3, 1)),
        (("outputs: [y]", "outputs: [y]\nsteps: [prnue]"), "R107", (4, 9)),
        (("outputs: [y]", "outputs: [y]\nsteps: [{stpe: prune}]"), "R107", (4, 9)),
        (("outputs: [y]", "outputs: [y]\nsteps: [{step: prune, keeps: 1}]"), "R104", (4, 23)),
        (("outputs: [y]", "outputs: [y]\nsteps: {before: {nothing: [prune]}}"), "R109", (4, 18)),
        (("outputs: [y]", "outputs: [y]\nsteps: {drop: [prune, prune]}"), "R109", (4, 23)),
        (("outputs: [y]", "outputs: [y]\nsteps: {befor: {prune: [prune]}}"), "R104", (4, 9)),
        (("outputs: [y]", "outputs: [y]\nsteps: 3"), "R106", (4, 8)),
        (("clipMax: 6.0", "clipMax: $top"), "R110", (5, 68)),
        (("outputs: [y]", "outputs: [y]\nextends: [nowhere]"), "R112", (4, 11)),
        (("outputs: [y]", "outputs: [y]\nimage: {size: [1]}"), "R106", None),
        (("outputs: [y]", "outputs: [y]\nimage: {size: [1, 1], brightness: [0.2, 0.7, 0.1]}"), "R106", None),
        (
            ("outputs: [y]", "outputs: [y]\nimage: {size: [1, 1], color: GRAY, brightness: [.nan, 0, 1]}"),
            "R106",
            None,
        ),
        (("outputs: [y]", "outputs: [y]\nimage: {size: [1, 1], color: GRAY, brightness: [1]}"), "R106", None),
        (("outputs: [y]", "outputs: [y]\nengine: {workspace: 3XB}"), "R106", (4, 10)),
        (("outputs: [y]", "outputs: [y]\nengine: {max_batch: true}"), "R106", (4, 10)),
        (("  clip: {", "  clip: {op: Relu, inputs: [x]}\n  '^x': {"), "R106", (6, 3)),
        (
            ("outputs: [y]", "outputs: [y]\nsteps: [{step: add-node, name: a b, op: Relu, inputs: [y]}]"),
            "R106",
            (4, 26),
        ),
        (("outputs: [y]", "outputs: [y]\nsteps: [{step: cut-at, tensors: [y], as: ['']}]"), "R106", (4, 43)),
    ],
)
def test_a_mistake_is_placed(change: tuple[str, str], code: str, place: tuple[int, int] | None) -> None:
    assert change[0] in GOOD
    diagnostic = refused(GOOD.replace(*change))[0]
    assert diagnostic.code == code, diagnostic.render()
    if place is not None:
        assert isinstance(diagnostic.where, Span)
        assert (diagnostic.where.line, diagnostic.where.column) == place, diagnostic.render()


@pytest.mark.parametrize("name", ["^x", "", "x y", "a:1", "_x", "é", "x\\n"])
def test_names_of_nodes_are_those_that_tensorflow_takes(name: str) -> None:
    found = refused(GOOD.replace("  clip: {", f'  clip: {{op: Relu, inputs: [x]}}\n  "{name}": {{'))
    assert [each.code for each in found] == ["R106"]
    assert found[0].message.startswith("'nodes': '")
    assert "is not a name for a node; expected letters, digits" in found[0].message


def test_several_mistakes_are_reported_together() -> None:
    found = refused(GOOD.replace("name: r\n", "nmae: r\nimage: {sise: [1, 2]}\nsteps: [prnue]\n"))
    assert {"R104", "R105", "R107"} <= {d.code for d in found}


def test_the_nearest_spelling_is_named() -> None:
    assert "'nodes'" in refused(GOOD.replace("nodes:", "nodse:"))[0].notes[0]
    assert "'prune'" in refused(GOOD + "steps: [prnue]\n")[0].notes[0]


def test_extends_merges_deletes_and_edits(tmp_path: Path) -> None:
    (tmp_path / "base.yaml").write_text(GOOD + "summary: base\nengine: {max_batch: 4, precision: fp16}\n")
    (tmp_path / "child.yaml").write_text(
        "recipe: 1\nname: child\nextends: [base.yaml]\n"
        "nodes: {clip: {fields: {clipMax: 7.0}}}\nnamespaces: {act: null, other?: clip}\n"
        "engine: {precision: null}\nsteps: {before: {collapse: [{step: prune, id: early}]}, drop: [addv2], append: [prune]}\n"
    )
    recipe = load_recipe(tmp_path / "child.yaml")
    assert recipe.nodes["clip"].fields == {"clipMin": 0.0, "clipMax": 7.0}
    assert {k: (v.node, v.optional) for k, v in recipe.namespaces.items()} == {"other": ("clip", True)}
    assert (recipe.engine.max_batch, recipe.engine.precision, recipe.summary) == (4, "fp32", "")
    assert [s.label for s in recipe.steps] == [
        "remove-asserts",
        "forward-identities",
        "early",
        "collapse",
        "fusedbatchnormv3",
        "prune",
        "prune",
    ]
    assert [Path(s).name for s in recipe.sources] == ["base.yaml", "child.yaml"]
    where = recipe.span("nodes", "clip", "fields", "clipMin")
    assert where is not None and where.file.endswith("base.yaml")


def test_extends_in_a_circle_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("recipe: 1\nname: a\nextends: [b.yaml]\n")
    (tmp_path / "b.yaml").write_text("recipe: 1\nname: b\nextends: [a.yaml]\n")
    with pytest.raises(SurgeonError, match="R113"):
        load_recipe(tmp_path / "a.yaml")


def test_a_shared_base_is_merged_once(tmp_path: Path) -> None:
    (tmp_path / "base.yaml").write_text(GOOD + "steps: {append: [prune]}\n")
    for name in "ab":
        (tmp_path / f"{name}.yaml").write_text(f"recipe: 1\nname: {name}\nextends: [base.yaml]\n")
    (tmp_path / "both.yaml").write_text("recipe: 1\nname: both\nextends: [a.yaml, b.yaml]\n")
    assert [s.label for s in load_recipe(tmp_path / "both.yaml").steps].count("prune") == 2


def test_a_file_that_many_extend_is_read_once(tmp_path: Path) -> None:
    levels = 24
    for level in range(levels):
        below = f"extends: [a{level + 1}.yaml, sub/../b{level + 1}.yaml]\n" if level + 1 < levels else ""
        for side in "ab":
            text = f"recipe: 1\nname: r\noutputs: [y]\n{below}steps: {{append: [{{step: prune, id: {side}{level}}}]}}\n"
            (tmp_path / f"{side}{level}.yaml").write_text(text)
    (tmp_path / "sub").mkdir()
    recipe = load_recipe(tmp_path / "a0.yaml")
    assert len(recipe.sources) == 2 * levels - 1
    added = [step.label for step in recipe.steps][-len(recipe.sources) :]
    assert added[:3] == ["a23", "b23", "a22"] and added[-3:] == ["a1", "b1", "a0"]


PARAMETERS = GOOD.replace("clipMax: 6.0", "clipMax: $top") + "parameters: {top: 6.0}\n"


def test_parameters_are_replaced_and_set() -> None:
    def top(**given: object) -> object:
        fields = parse_recipe(PARAMETERS, parameters=given).nodes["clip"].fields
        assert fields is not None
        return fields["clipMax"]

    assert (top(), top(top="7.5"), top(top=8)) == (6.0, 7.5, 8)
    assert refused(PARAMETERS, parameters={"topp": 1})[0].code == "R110"
    assert parse_recipe(PARAMETERS.replace("$top", "$$top")).nodes["clip"].fields["clipMax"] == "$top"  # type: ignore[index]


def test_two_folders_with_one_name_are_refused(tmp_path: Path) -> None:
    for folder in ("x", "y"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "mine.yaml").write_text(GOOD)
    with pytest.raises(SurgeonError, match="R111"):
        recipe_files([tmp_path / "x", tmp_path / "y"])
    assert load_recipe("mine", recipe_paths=[tmp_path / "x"]).name == "r"


@pytest.mark.parametrize("name", sorted(recipe_files()))
def test_shipped_recipes_load(name: str) -> None:
    recipe = load_recipe(name)
    assert recipe.name == name and recipe.summary and recipe.outputs


def test_the_schema_names_every_key_and_step() -> None:
    schema = recipe_schema()
    assert {"recipe", "name", "extends", "nodes", "namespaces", "steps", "image", "engine"} <= set(
        schema["properties"]
    )
    listed = schema["properties"]["steps"]["anyOf"][0]["items"]["anyOf"]
    assert {"$ref": "#/$defs/step-collapse"} in listed and "prune" in listed[0]["enum"]


def test_the_digest_counts_options_of_steps_and_no_comments() -> None:
    def digest(step: str, comment: str = "") -> str:
        text = f"recipe: 1\nname: n\nsummary: A test.\noutputs: [y]\nsteps: [{{step: replace-op, {step}}}]\n{comment}"
        return parse_recipe(text).digest()

    same = digest("from: AddV2, to: Add")
    assert digest("from: AddV2, to: Add", "# a comment\n") == same
    assert digest("from: AddV2, to: Sub") != same
