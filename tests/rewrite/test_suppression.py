"""SurgeonDetection in the place of NMS_TRT: what is derived, what a recipe's numbers become, what is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from detector_graphs import load

from surgeon.diagnostics import Diagnostic, SurgeonError
from surgeon.graph import Graph, Node
from surgeon.language import Recipe, parse_recipe
from surgeon.rewrite import Plan, plan
from surgeon.targets import load_target

UFF, ONNX = "uff@tensorrt-8.5", "onnx@tensorrt-8.5"
SMALL = {"height": 96, "width": 96, "depth_multiplier": 0.125}


@pytest.fixture(scope="session")
def graphs(zoo_ssd: Callable[..., Path]) -> dict[str, Graph]:
    return {date: load(zoo_ssd(date, **SMALL)) for date in ("2018", "2019")}


def recipe(text: str = "", base: str = "ssd") -> Recipe:
    return parse_recipe(f"recipe: 1\nname: own\nextends: [{base}]\nsuppression: native\n{text}", "own.yaml")


def node(given: Recipe, graph: Graph, target: str = UFF) -> Node:
    made = plan(given, graph, target=load_target(target))
    assert made.result is not None
    return made.result["NMS"]


def test_every_rule_of_the_graph_is_in_the_fields(graphs: dict[str, Graph]) -> None:
    earlier = node(recipe(), graphs["2018"])
    assert earlier.op == "SurgeonDetection"
    fields = earlier.attrs
    assert (fields["classes"], fields["background"], fields["coding"], fields["scoreConverter"]) == (
        4,
        0,
        1,
        1,
    )
    assert (fields["maxPerClass"], fields["maxTotal"], fields["softSigma"]) == (100, 100, 0.0)
    assert (fields["clip"], fields["dropEmpty"]) == (1, 1)
    later = node(recipe(), graphs["2019"]).attrs
    assert (later["clip"], later["dropEmpty"]) == (2, 2)


def test_the_target_decides_on_the_kind_of_batch(graphs: dict[str, Graph]) -> None:
    assert node(recipe(), graphs["2018"], ONNX).op == "SurgeonDetectionDynamic"
    assert node(recipe(), graphs["2018"], "onnx@tensorrt-10").op == "SurgeonDetectionDynamic"


def test_numbers_of_a_recipe_stay(graphs: dict[str, Graph]) -> None:
    numbers = "parameters: {score_threshold: 0.3, iou_threshold: 0.5, keep_top_k: 20, top_k: 40}\n"
    attrs = node(recipe(numbers), graphs["2018"]).attrs
    assert (attrs["scoreThreshold"], attrs["iouThreshold"]) == (pytest.approx(0.3), 0.5)
    assert (attrs["maxTotal"], attrs["maxPerClass"]) == (20, 100)


def told(found: Plan) -> tuple[str, str]:
    (choice,) = (d for d in found.derivations if d.field == "suppression")
    return str(choice.value), " ".join(choice.evidence)


def planned(graph: Graph, target: str, text: str = "", **options: str) -> Plan:
    own = parse_recipe(f"recipe: 1\nname: own\nextends: [ssd]\n{text}", "own.yaml")
    return plan(own, graph, target=load_target(target), **options)


def test_standard_operators_follow_what_the_plugin_lacks(graphs: dict[str, Graph]) -> None:
    found = planned(graphs["2019"], "onnx@onnxruntime")
    assert found.result is not None and found.result["NMS"].op == "SurgeonDetection"
    value, evidence = told(found)
    assert value == "native" and "drops boxes without an area after suppression" in evidence
    assert found.planned is not None and found.planned.nodes["NMS"].plugin == "SurgeonDetection"
    same = planned(graphs["2018"], "onnx@onnxruntime")
    assert same.result is not None and same.result["NMS"].op == "NMS_TRT" and same.decoding is not None


@pytest.mark.parametrize("target", [UFF, ONNX])
def test_a_runtime_with_plugins_keeps_its_own_and_is_told_of_the_other(
    graphs: dict[str, Graph], target: str
) -> None:
    found = planned(graphs["2019"], target)
    assert found.result is not None and found.result["NMS"].op == "NMS_TRT"
    value, evidence = told(found)
    assert value == "plugin" and "'suppression: native' does" in evidence


@pytest.mark.parametrize(
    ("text", "reason"),
    [("parameters: {top_k: 100}\n", "topK 100 bounds"), ("", "'decode: graph' decodes boxes")],
)
def test_a_recipe_or_a_caller_that_says_otherwise_keeps_its_plugin(
    graphs: dict[str, Graph], text: str, reason: str
) -> None:
    found = planned(graphs["2019"], "onnx@onnxruntime", text, **({} if text else {"decode": "graph"}))
    assert found.result is not None and found.result["NMS"].op == "NMS_TRT"
    assert told(found)[0] == "plugin" and f"NMS_TRT stays: {reason}" in told(found)[1]


@pytest.mark.parametrize(
    ("target", "text", "options"),
    [
        ("onnx@onnxruntime", "", {}),
        (UFF, "suppression: native\n", {}),
        (UFF, "", {"suppression": "native"}),
    ],
)
def test_boxes_that_a_recipe_decodes_in_the_graph_are_decoded_by_it(
    graphs: dict[str, Graph], target: str, text: str, options: dict[str, str]
) -> None:
    found = planned(graphs["2019"], target, f"decode: graph\n{text}", **options)
    assert found.result is not None and found.result["NMS"].op.startswith("SurgeonDetection")
    assert found.decoding is None
    (how,) = [each for each in found.derivations if each.field == "decode"]
    assert how.value == "plugin" and "decodes boxes as the graph does" in how.evidence[0]
    with pytest.raises(SurgeonError, match="S414"):
        planned(graphs["2019"], UFF, "suppression: native\n", decode="graph")


def test_the_caller_chooses(graphs: dict[str, Graph]) -> None:
    graph = graphs["2019"]
    plugin = planned(graph, "onnx@onnxruntime", suppression="plugin")
    native = planned(graph, UFF, "suppression: plugin\n", suppression="native")
    assert plugin.result is not None and plugin.result["NMS"].op == "NMS_TRT"
    assert native.result is not None and native.result["NMS"].op == "SurgeonDetection"
    with pytest.raises(SurgeonError, match=r"S410.*what suppresses boxes"):
        planned(graph, UFF, suppression="natives")


BATCH = "Postprocessor/BatchMultiClassNonMaxSuppression/map/while/MultiClassNonMaxSuppression"


def test_each_rule_that_the_plugin_lacks_is_told(zoo_graph, edit) -> None:
    graph = zoo_graph("2018", classes=1)
    assert told_of(graph) == ""
    capped = edit.graph(graph, {f"{BATCH}/Minimum/x": edit.value(20)})
    assert "keeps at most 20 boxes of a class and 100 in all" in told_of(capped)
    scaled = edit.graph(graph, {"Postprocessor/scale_logits/y": edit.value(2.0)})
    assert "multiplies scores" in told_of(scaled)
    equal = edit.graph(graph, {f"{BATCH}/FilterGreaterThan/Greater": edit.op("GreaterEqual")})
    assert "may equal the threshold" in told_of(equal)
    several = zoo_graph("2018", height=600, width=600, classes=1)
    assert "boxes of a class, more than 4096" in told_of(several)


def told_of(graph: Graph) -> str:
    found = planned(graph, "onnx@onnxruntime")
    return told(found)[1] if found.planned is not None and found.decoding is None else ""


def test_a_softmax_that_the_graph_lacks_is_refused(graphs: dict[str, Graph]) -> None:
    """The recipe's Softmax is refused, for the graph has none; the plugin converts scores itself."""
    assert _refused(recipe(base="ssd_softmax"), graphs["2018"]).code == "D119"


@pytest.mark.parametrize(
    "text",
    ["nodes: {NMS: {fields: {isNormalized: 0}}}\n", "nodes: {NMS: {fields: {codeType: 1}}}\n"],
)
def test_what_it_cannot_do_is_refused(graphs: dict[str, Graph], text: str) -> None:
    found = _refused(recipe(text), graphs["2018"])
    assert found.code == "S415" and "'NMS'" in found.message


def test_nothing_to_replace(graphs: dict[str, Graph]) -> None:
    found = _refused(recipe(base="lenet5_clip"), graphs["2018"])
    assert (found.code, str(found.where).endswith("own.yaml:4:1")) == ("S415", True)


def _refused(recipe: Recipe, graph: Graph) -> Diagnostic:
    with pytest.raises(SurgeonError) as caught:
        plan(recipe, graph, target=load_target(UFF))
    return caught.value.diagnostics[0]
