"""Plans: what the steps give together, seams, refusals with the recipe's line, and plan files."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from surgeon.diagnostics import Span, SurgeonError
from surgeon.graph import Add, Drop, Graph, Ref, SetOutputs, parse_graph, print_graph
from surgeon.language import parse_recipe
from surgeon.rewrite import Plan, apply, plan, plan_from_json, plan_to_json, read_plan, write_plan
from surgeon.targets import load_target

GRAPH = """\
graph v1
x = Placeholder() {dtype: float32, shape: shape[?,4]}
check/ok = Const() {dtype: bool, value: tensor<bool[]: true>}
check/Assert = Assert(check/ok, x) {T: [float32], summarize: 3}
w = Const() {dtype: float32, value: tensor<float32[4]: 1.0, 2.0, 3.0, 4.0>}
w/read = Identity(w) {T: float32}
scaled = AddV2(x, w/read, ^check/Assert) {T: float32}
act/Relu6 = Relu6(scaled) {T: float32}
y = Neg(act/Relu6) {T: float32}
side = Abs(x) {T: float32}
"""
RECIPE = """\
recipe: 1
name: clip
outputs: [y]
nodes:
  clip: {plugin: CustomClipPlugin, fields: {clipMin: 0.0, clipMax: 6.0}}
namespaces:
  act: clip
"""


def planned(recipe: str = RECIPE, graph: str = GRAPH, target: str | None = "uff@tensorrt-8.5") -> Plan:
    return plan(
        parse_recipe(recipe, "r.yaml"), parse_graph(graph), target=load_target(target) if target else None
    )


def refused(code: str, recipe: str = RECIPE, graph: str = GRAPH, target: str | None = None):  # type: ignore[no-untyped-def]
    with pytest.raises(SurgeonError) as caught:
        planned(recipe, graph, target)
    assert caught.value.diagnostics[0].code == code, str(caught.value)
    return caught.value.diagnostics[0]


def test_the_default_steps_together() -> None:
    result = planned().result
    assert result is not None
    assert [n.name for n in result] == ["x", "w", "scaled", "clip", "y"]
    assert (
        result["scaled"].op == "Add"
        and result["scaled"].control == ()
        and result["scaled"].inputs == (Ref("x"), Ref("w"))
    )
    assert dict(result["clip"].attrs) == {"clipMin": 0.0, "clipMax": 6.0}
    assert result.outputs == (Ref("y"),)


def test_a_step_for_another_target_is_skipped_and_says_so() -> None:
    found = planned(target="graphdef")
    assert found.result is not None and found.result["scaled"].op == "AddV2"
    assert {s.label: s.skipped for s in found.steps}["addv2"] == "for the target uff only"


def test_every_edit_of_the_collapse_has_its_line_and_every_dropped_node_its_fate() -> None:
    found = planned()
    edits = [e for s in found.steps for e in s.edits]
    drops = {e.name: e for e in edits if isinstance(e, Drop)}
    assert drops["act/Relu6"].into == "clip" and drops["act/Relu6"].fate == "collapsed into 'clip'"
    assert drops["side"].fate and drops["check/Assert"].fate
    assert str(drops["act/Relu6"].span) == "r.yaml:7:3"
    assert all(e.span is not None for e in edits)


def test_planning_is_pure_and_repeatable() -> None:
    graph = parse_graph(GRAPH)
    before = print_graph(graph)
    recipe = parse_recipe(RECIPE)
    one, two = plan(recipe, graph), plan(recipe, graph)
    assert print_graph(graph) == before and one.steps == two.steps and one.result == two.result


def test_a_plan_survives_its_file(tmp_path: Path) -> None:
    found = planned()
    write_plan(found, tmp_path / "plan.json")
    again = read_plan(tmp_path / "plan.json")
    assert again.digest == found.digest and again.target == "uff@tensorrt-8.5"
    assert apply(again, parse_graph(GRAPH)) == found.result


def test_a_plan_refuses_another_graph() -> None:
    again = plan_from_json(json.loads(json.dumps(plan_to_json(planned()))))
    with pytest.raises(SurgeonError, match="S404"):
        apply(again, parse_graph(GRAPH.replace("4.0>", "5.0>")))


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"surgeon plan": 0}', '{"surgeon plan": 1}', "[" * 100_000, "\x00"]
)
def test_damaged_plans_are_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "plan.json").write_text(text)
    with pytest.raises(SurgeonError, match="S408"):
        read_plan(tmp_path / "plan.json")


def test_a_plan_with_damaged_edits_is_refused() -> None:
    data = plan_to_json(planned())
    for edit in (
        {},
        {"add": 3},
        {"add": "a ="},
        {"rewire": "y", "inputs": ["^x"]},
        {"drop": "x"},
        {"set-attr": "y", "key": "k", "value": "?"},
    ):
        broken = json.loads(json.dumps(data))
        broken["steps"][0]["edits"] = [edit]
        with pytest.raises(SurgeonError, match=r"S408|G108"):
            plan_from_json(broken)


@pytest.mark.parametrize(
    ("edit", "place", "reason"),
    [
        ({"drop": ["x"], "fate": "gone"}, "drop", "valid string"),
        ({"drop": "x", "fate": 3}, "fate", "valid string"),
        ({"rewire": 1}, "rewire", "valid string"),
        ({"rewire": "y", "inputs": ["x", {}]}, "inputs.1", "valid string"),
        ({"rewire": "y", "control": [[]]}, "control.0", "valid string"),
        ({"set-op": {}, "op": "Neg"}, "set-op", "valid string"),
        ({"set-attr": "y", "key": [], "value": None}, "key", "valid string"),
        ({"outputs": [None]}, "outputs.0", "valid string"),
        ({"drop": "x", "fate": "gone", "at": ["r.yaml", 1.5, 2]}, "at.1", "integer"),
        ({"drop": "x", "fate": "gone", "at": ["r.yaml", 1]}, "at.2", "required"),
        ({"add": "a ="}, "", "expected a name"),
        ({"step": "x"}, "", "expected one of add, drop"),
    ],
)
def test_a_damaged_edit_is_placed(edit: dict[str, object], place: str, reason: str) -> None:
    data = json.loads(json.dumps(plan_to_json(planned())))
    data["steps"][0]["edits"] = [edit]
    with pytest.raises(SurgeonError) as caught:
        plan_from_json(data, "plan.json")
    found = caught.value.diagnostics[0]
    assert (found.code, found.where) == ("S408", "plan.json")
    assert f"'steps.0.edits.0{'.' * bool(place)}{place}" in found.message and reason in found.message


def test_seams_compare_type_and_shape() -> None:
    recipe = RECIPE.replace(
        "clip: {plugin: CustomClipPlugin, fields: {clipMin: 0.0, clipMax: 6.0}}",
        "clip: {op: Placeholder, dtype: float32, shape: [1, 5]}",
    )
    found = refused("S405", recipe)
    assert "float32[1,5]" in found.message and "float32[?,4]" in found.message
    assert isinstance(found.where, Span) and found.where.line == 7
    assert planned(recipe.replace("[1, 5]", "[1, 4]")).result is not None


def test_refusals_are_placed() -> None:
    found = refused("S202", RECIPE.replace("outputs: [y]", "outputs: [yy]"))
    assert isinstance(found.where, Span) and (found.where.line, found.where.column) == (3, 11)
    refused("S406", RECIPE.replace("outputs: [y]", "outputs: [clip]\nsteps: [remove-asserts]"))
    refused("R201", RECIPE.replace("act: clip", "atc: clip"))
    refused(
        "S402", RECIPE.replace("plugin: CustomClipPlugin,", "plugin: CustomClipPlugin, inputs: {data: y},")
    )
    refused(
        "S402",
        RECIPE.replace(
            "clip: {plugin: CustomClipPlugin, fields: {clipMin: 0.0, clipMax: 6.0}}",
            "clip: {op: Neg, inputs: {x: y}}",
        ),
    )
    refused(
        "S403",
        RECIPE.replace(
            "clip: {plugin: CustomClipPlugin, fields: {clipMin: 0.0, clipMax: 6.0}}",
            "clip: {op: Neg, attrs: {T: {a: 1}}}",
        ),
    )
    refused("S407", graph=GRAPH.replace("Relu6(scaled)", "Add(scaled, side)"))


def test_the_target_decides_which_plugins_there_are() -> None:
    recipe = RECIPE.replace(
        "CustomClipPlugin, fields: {clipMin: 0.0, clipMax: 6.0}", "EfficientNMS_TRT, fields: {}"
    )
    found = refused("S401", recipe, target="uff@tensorrt-7.2")
    assert isinstance(found.where, Span) and found.where.line == 5


def test_an_input_like_a_tensor_takes_its_type_and_shape() -> None:
    recipe = "recipe: 1\nname: r\noutputs: [y]\nnodes: {Input: {op: Placeholder, like: scaled}}\nnamespaces: {x: Input, scaled: Input}\n"
    found = planned(recipe)
    assert found.result is not None and str(found.result["Input"].attrs["shape"]) == "[1,4]"
    assert found.derivations[0].value == "float32[1,4]" and any(
        "batch" in e for e in found.derivations[0].evidence
    )
    assert refused("D105", recipe.replace("like: scaled", "like: scald")).notes == ("nearest: 'scaled'",)
    refused("D101", recipe.replace("like: scaled", "like: scaled, shape: [1, 5]"))
    refused("D101", recipe.replace("like: scaled", "like: scaled, dtype: float23"))
    refused("D102", recipe.replace("like: scaled", "like: y"), GRAPH.replace("y = Neg", "y = Mystery"))


def test_outputs_are_declared_once_they_exist() -> None:
    found = planned()
    batches = [s.label for s in found.steps if any(isinstance(e, SetOutputs) for e in s.edits)]
    assert batches and isinstance(found.result, Graph)
    assert not any(isinstance(e, Add) for e in found.steps[0].edits)
