"""SurgeonDetection in the place of NMS_TRT: what is derived, what a recipe's numbers become, what is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from detector_graphs import load

from surgeon.diagnostics import Diagnostic, SurgeonError
from surgeon.graph import Graph, Node
from surgeon.language import Recipe, parse_recipe
from surgeon.rewrite import plan
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
