"""Verification of a part that a recipe adds behind heads of the original, which detects nothing by itself."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from raw_heads import RECIPE, raw_heads

import surgeon
from surgeon.catalog import load_catalog
from surgeon.graph import Graph, parse_graph, print_graph
from surgeon.kernels.suppression.probes import SuppressionRules
from surgeon.verification.graph_pair import GraphPair
from surgeon.verification.probes import probes_in_picture
from surgeon.verification.taken_as_given import describe_added

pytest.importorskip("tensorflow", reason="ordinary operations run in TensorFlow")
onnx = pytest.importorskip("onnx", reason="files are changed by it")
pytest.importorskip("onnxruntime", reason="files run in it")


@pytest.fixture(scope="module")
def graph() -> Graph:
    return raw_heads()


@pytest.fixture(scope="module")
def verification(graph: Graph) -> surgeon.Verification:
    return surgeon.verify(surgeon.parse_recipe(RECIPE), graph)


@pytest.fixture(scope="module")
def onnx_file(graph: Graph, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("added") / "raw_heads.onnx"
    surgeon.convert(surgeon.parse_recipe(RECIPE), graph, path)
    return path


def test_the_network_in_front_of_an_added_part_is_proven(verification: surgeon.Verification) -> None:
    assert verification.passed
    cut, alone, end = verification.verdicts
    detections, *boundary = cut.comparisons
    assert detections.matched == detections.original == detections.rewritten > 5
    assert [c.subject for c in boundary] == ["scores", "offsets"]
    assert all(c.outcome == "passed" and not c.excused for v in verification.verdicts for c in v.comparisons)
    (own,) = alone.comparisons
    assert alone.outcome == "not compared" and verification.has_cases_alone(alone)
    assert alone.reason == "of the plugins' own cases alone; nothing of this graph is compared there"
    assert own.subject.startswith("EfficientNMS_TRT, ") and own.subject.endswith("cases worked out by hand")
    assert end.outcome == "not compared" and "'image' is taken as given" in end.reason
    assert verification.takes_as_given(end) and verification.given["image.color"] == "RGB"


def test_what_is_added_is_named_as_the_recipes_own(verification: surgeon.Verification) -> None:
    added = verification.added
    assert added is not None
    assert (added.plugin, set(added.reads)) == ("NMS", {"offsets", "scores"})
    assert added.nodes == ("factor", "moved", "anchors", "boxes", "NMS")
    assert added.values["NMS.iou_threshold"] == 0.5
    assert added.values["factor.value"] == pytest.approx(0.05)
    assert added.values["anchors.value"] == "float32[1, 50, 4] from -0.15 to 1.15"
    told, head, factor, anchors, values = added.lines
    assert head.startswith("the recipe's own values")
    assert (factor, anchors) == (
        "  factor: value 0.05",
        "  anchors: value float32[1, 50, 4] from -0.15 to 1.15",
    )
    assert told.startswith("the recipe adds 'NMS', which reads 'scores', 'offsets'; the original detects")
    assert values.startswith("  NMS: score_threshold 0.4, iou_threshold 0.5")
    assert json.loads(json.dumps(verification.to_json()))["added"]["plugin"] == "NMS"


def test_every_value_of_the_recipes_nodes_is_listed() -> None:
    """Attributes, operands and what a step sets, beside constants and fields."""
    recipe = RECIPE.replace(
        "  boxes: {op: AddV2, inputs: [moved, anchors]}",
        "  padded: {op: LeakyRelu, inputs: [moved], attrs: {alpha: 0.75}}\n"
        "  part: {op: Slice, inputs: [anchors], begin: [0, 0, 0], size: [1, 50, 4]}\n"
        "  boxes: {op: AddV2, inputs: [padded, part]}",
    ).replace("  - prune", "  - {step: set-attr, nodes: [padded], attrs: {alpha: 0.5}}\n  - prune")
    plan = surgeon.plan(surgeon.parse_recipe(recipe), raw_heads())
    added = describe_added(GraphPair(plan, surgeon.parse_recipe(recipe), load_catalog()))
    assert added is not None
    assert added.values["padded.alpha"] == 0.5
    assert (added.values["part.begin"], added.values["part.size"]) == ((0, 0, 0), (1, 50, 4))
    assert added.values["set-attr.attrs"] == {"alpha": 0.5}


def test_probes_show_the_power_over_an_added_plugin(verification: surgeon.Verification) -> None:
    power = {f"{each.node}.{each.field}": dict(each.changes) for each in verification.power}
    assert set(power["NMS.iou_threshold"].values()) == {"probe: overlaps"}
    assert set(power["NMS.score_threshold"].values()) <= {"probe: scores at the threshold", "cut to cut"}
    assert all(power[f"NMS.{field}"] for field in ("max_output_boxes", "background_class", "box_coding"))
    assert not [name for name in verification.not_exercised if name.startswith("NMS.")]
    settings = {f"{each.node}.{each.field}": each.exercised for each in verification.recipe_power.settings}
    assert settings == {"factor.value": True, "anchors.value": True}


def test_a_picture_with_channels_first_is_prepared_for_both(tmp_path: Path) -> None:
    first = raw_heads(channels_first=True)
    recipe = RECIPE.replace("shape: [1, 10, 10, 3]", "shape: [1, 3, 10, 10]")
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 80, 3), np.uint8)).save(tmp_path / "a.png")
    found = surgeon.verify(surgeon.parse_recipe(recipe), first, images=tmp_path)
    assert found.passed and found.verdicts[0].comparisons[0].matched > 5
    assert found.takes_as_given(found.verdicts[2]) and "is taken as given" in found.verdicts[2].reason


def test_no_class_beside_the_background_gives_no_probes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("raw_heads.CLASSES", 1)
    recipe = RECIPE.replace("background_class: -1", "background_class: 0")
    found = surgeon.verify(surgeon.parse_recipe(recipe), raw_heads())
    assert found.outcome == "inconclusive"
    (reason,) = [c.reason for c in found.verdicts[1].comparisons if c.subject == "NMS"]
    assert reason.startswith("no probes: 'NMS' has no class")


@pytest.mark.parametrize(("boxes", "classes"), [(5, 0), (0, 3)])
def test_rules_without_a_candidate_make_no_probes(boxes: int, classes: int) -> None:
    rules = SuppressionRules(boxes, classes, 0.3, 0.5, 10, 10)
    assert not list(probes_in_picture(rules, [20]))


def test_an_onnx_file_is_compared_with_the_original_and_the_added_part(
    graph: Graph, onnx_file: Path, tmp_path: Path
) -> None:
    found = surgeon.verify(surgeon.parse_recipe(RECIPE), graph, onnx=onnx_file)
    assert found.passed and found.added is not None
    stored = tmp_path / "original.npz"
    surgeon.verify(surgeon.parse_recipe(RECIPE), graph, store=stored)
    again = surgeon.verify(onnx=onnx_file, original=stored)
    assert again.passed and again.added == found.added


def _initializer(model, wanted: np.ndarray):
    """Return the initializer that holds these numbers, in any order of axes."""
    numbers = np.sort(wanted.ravel())
    for tensor in model.graph.initializer:
        array = onnx.numpy_helper.to_array(tensor)
        if array.size == numbers.size and np.allclose(np.sort(array.ravel()), numbers):
            return tensor
    raise AssertionError("no such initializer")


@pytest.mark.parametrize("node", ["body/weights", "box/weights", "factor"])
def test_a_file_whose_network_or_added_part_differs_fails(
    graph: Graph, onnx_file: Path, tmp_path: Path, node: str
) -> None:
    model = onnx.load(onnx_file)
    value = np.float32(0.05) if node == "factor" else graph[node].attrs["value"].array()
    tensor = _initializer(model, np.asarray(value))
    array = onnx.numpy_helper.to_array(tensor) * np.float32(1.02)
    tensor.CopyFrom(onnx.numpy_helper.from_array(array, tensor.name))
    wrong = tmp_path / "wrong.onnx"
    onnx.save(model, wrong)
    found = surgeon.verify(surgeon.parse_recipe(RECIPE), graph, onnx=wrong)
    assert found.outcome == "failed"


def test_heads_joined_in_another_order_fail(graph: Graph) -> None:
    swapped = RECIPE.replace(
        "  factor:", "  joined: {op: ConcatV2, inputs: [far/scores, near/scores], axis: 1}\n  factor:"
    ).replace("namespaces: {", "namespaces: {join: joined, ")
    found = surgeon.verify(surgeon.parse_recipe(swapped), graph)
    assert found.outcome == "failed"
    cut, alone, _ = found.verdicts
    assert [c.subject for c in cut.comparisons if c.outcome == "failed"] == ["NMS", "scores"]
    assert [c.subject for c in alone.comparisons if c.outcome == "failed"] == ["join -> joined"]


def test_another_tensor_in_the_place_of_one_that_is_read_fails(graph: Graph) -> None:
    wrong = RECIPE.replace(
        "  factor:", "  likely: {op: Sigmoid, inputs: [far/scores], like: scores}\n  factor:"
    ).replace("scores: scores}", "scores: likely}")
    wrong = wrong.replace("namespaces: {", "namespaces: {scores: likely, ")
    with pytest.raises(surgeon.SurgeonError):
        surgeon.verify(surgeon.parse_recipe(wrong), graph)


def test_an_original_that_suppresses_by_itself_is_still_asked() -> None:
    from surgeon.graph import parse_graph

    text = """\
graph v1
outputs: kept
boxes = Placeholder() {dtype: float32, shape: shape[6,4]}
scores = Placeholder() {dtype: float32, shape: shape[6]}
most = Const() {dtype: int32, value: tensor<int32[]: 3>}
kept = NonMaxSuppressionV2(boxes, scores, most, most) {T: float32}
"""
    recipe = """\
recipe: 1
name: own
outputs: [NMS]
nodes:
  all_boxes: {op: ExpandDims, inputs: [boxes], axis: 0}
  NMS: {plugin: EfficientNMS_TRT, inputs: {boxes: all_boxes, scores: all_scores}, fields: $all}
  all_scores: {op: Reshape, inputs: [scores], shape: [1, 6, 1]}
steps: [{step: add-node, node: NMS}, prune]
"""
    fields = {"score_threshold": 0, "iou_threshold": 0.5, "max_output_boxes": 3, "background_class": -1}
    recipe = recipe.replace("$all", json.dumps({**fields, "score_activation": 0, "box_coding": 0}))
    with pytest.raises(surgeon.SurgeonError, match=r"D11[23]"):
        surgeon.verify(surgeon.parse_recipe(recipe), parse_graph(text))


QUANTIZED = """\
graph v1
outputs: y
x = Placeholder() {{dtype: float32, shape: shape[1,2]}}
q = Const() {{dtype: quint8, value: tensor<quint8[2]: 0, {most}>}}
least = Const() {{dtype: float32, value: tensor<float32[]: 0.0>}}
most = Const() {{dtype: float32, value: tensor<float32[]: {range}>}}
weights = Dequantize(q, least, most) {{T: quint8, axis: -1, dtype: float32, mode: "MIN_FIRST", narrow_range: false}}
y = Add(x, weights) {{T: float32}}
"""


@pytest.mark.parametrize(("range_", "noted"), [("1.1754944e-38", True), ("0.5", False)])
def test_quantized_constants_of_faint_range_are_numbers(range_: str, noted: bool) -> None:
    from surgeon.graph import parse_graph

    graph = parse_graph(QUANTIZED.format(most=0 if noted else 255, range=range_))
    found = surgeon.verify(
        surgeon.parse_recipe("recipe: 1\nname: q\noutputs: [y]\nsteps: [for-inference]"), graph
    )
    assert found.passed
    assert [d.code for d in found.diagnostics if d.code == "V134"] == ["V134"] * noted


@pytest.fixture(scope="module")
def finds_peaks(graph: Graph) -> Graph:
    """The raw heads, and behind them the best score of each box and boxes that the graph decodes itself."""
    text = print_graph(graph, 10_000).replace("outputs: offsets, scores", "outputs: own_boxes, own_scores")
    return parse_graph(
        text
        + """\
post/factor = Const() {dtype: float32, value: tensor<float32[]: 0.1>}
post/axis = Const() {dtype: int32, value: tensor<int32[]: 2>}
post/best = Max(scores, post/axis) {T: float32, Tidx: int32, keep_dims: false}
own_scores = Identity(post/best) {T: float32}
own_boxes = Mul(offsets, post/factor) {T: float32}
"""
    )


def test_outputs_of_the_original_that_an_added_part_replaces_are_named(
    finds_peaks: Graph, tmp_path: Path
) -> None:
    stored = tmp_path / "original.npz"
    found = surgeon.verify(surgeon.parse_recipe(RECIPE), finds_peaks, store=stored)
    assert found.outcome == "inconclusive" and not found.passed
    cut = found.verdicts[0]
    assert [c.subject for c in cut.comparisons if c.outcome == "inconclusive"] == ["own_boxes", "own_scores"]
    assert found.added is not None and found.added.given_up == ("own_boxes", "own_scores")
    assert "in the place of 'own_boxes', 'own_scores' of the original" in found.added.lines[0]
    file = tmp_path / "raw_heads.onnx"
    surgeon.convert(surgeon.parse_recipe(RECIPE), finds_peaks, file)
    again = surgeon.verify(onnx=file, original=stored)
    assert again.outcome == "inconclusive" and again.added == found.added


def test_outputs_that_an_added_part_reads_or_that_the_recipe_keeps_are_compared(finds_peaks: Graph) -> None:
    kept = RECIPE.replace('outputs: [NMS, "NMS:1"', 'outputs: [own_boxes, own_scores, NMS, "NMS:1"')
    found = surgeon.verify(surgeon.parse_recipe(kept), finds_peaks)
    assert found.passed and found.added is not None and not found.added.given_up
    subjects = [c.subject for c in found.verdicts[0].comparisons]
    assert {"own_boxes", "own_scores"} <= set(subjects)


_BEHIND = (
    RECIPE.replace('outputs: [NMS, "NMS:1",', "outputs: [NMS, halved,")
    .replace("image:", '  halved: {op: Mul, inputs: ["NMS:1", half]}\nimage:')
    .replace("  factor:", "  half: {op: Const, value: 0.5, dtype: float32, inputs: []}\n  factor:")
    .replace("node: NMS}", "node: NMS}\n  - {step: add-node, node: halved}")
)


def test_detections_may_be_computed_behind_an_added_plugin(graph: Graph) -> None:
    stated = 'detections: {count: NMS, boxes: halved, scores: "NMS:2", classes: "NMS:3"}\nimage:'
    found = surgeon.verify(surgeon.parse_recipe(_BEHIND.replace("image:", stated)), graph)
    assert found.passed and found.added is not None
    assert {"half", "halved"} <= set(found.added.nodes)


def test_detections_beside_an_added_plugin_are_refused(graph: Graph) -> None:
    beside = RECIPE.replace("outputs: [", "outputs: [offsets, scores, ").replace(
        "image:", "detections: {boxes: offsets, class_scores: scores}\nimage:"
    )
    with pytest.raises(surgeon.SurgeonError, match="'offsets' of the original beside 'NMS'") as caught:
        surgeon.verify(surgeon.parse_recipe(beside), graph)
    assert caught.value.diagnostics[0].code == "V109"
