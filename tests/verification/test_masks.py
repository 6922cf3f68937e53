"""Masks in a verification: paired with their detections, counted, stored, and never excused."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import surgeon
from surgeon import SurgeonError
from surgeon.api.build import converted
from surgeon.catalog.reference import Counterfactual
from surgeon.formats.graphdef import save_graph
from surgeon.graph import DType, Graph, Node, Ref, Shape, TensorValue
from surgeon.language.loading import parse_recipe
from surgeon.request import Request
from surgeon.rewrite.planfile import plan_from_json, plan_to_json
from surgeon.runners.detections import WHOLE, Detections
from surgeon.verification import Limits, Outcome, Tolerances
from surgeon.verification.compare_detections import compare_detections
from surgeon.verification.records import RunInfo, RunRecord, RunRecorder, read_records
from surgeon.verification.results import Verification
from surgeon.verification.verification import verdict
from surgeon.viewer.verdict_file import verification_from_json

RANDOM = np.random.default_rng(9)
BOXES = np.float32([[0.1 * i, 0.1, 0.1 * i + 0.05, 0.9] for i in range(6)])
SIX = Detections(
    BOXES,
    np.linspace(0.9, 0.4, 6, dtype=np.float32),
    np.ones(6, np.int64),
    RANDOM.random((6, 7, 7), np.float32),
)


def with_masks(masks: np.ndarray | None) -> Detections:
    return replace(SIX, masks=masks)


def test_masks_are_compared_with_their_detections() -> None:
    reversed_rows = SIX.rows(np.arange(6)[::-1])
    noise = with_masks(SIX.masks + np.float32(4e-4))
    assert compare_detections("NMS", "a", SIX, noise, Limits(Tolerances(mask=1e-4))).outcome is Outcome.FAILED
    for other, error in ((SIX, 0), (reversed_rows, 0), (noise, 4e-4)):
        found = compare_detections("NMS", "a", SIX, other, Limits())
        assert found.outcome is Outcome.PASSED and found.masks == 6
        assert found.worst_mask_error == pytest.approx(error, abs=1e-6)


@pytest.mark.parametrize(
    ("masks", "differing"),
    [
        (SIX.masks[[1, 0, 2, 3, 4, 5]], 2),
        (np.roll(SIX.masks, 1, axis=2), 6),
        (SIX.masks.transpose(0, 2, 1), 6),
        (np.where(np.arange(6)[:, None, None] == 3, np.nan, SIX.masks), 1),
        (SIX.masks[:, :5], 6),
        (SIX.masks + np.float32(2e-3), 6),
    ],
    ids=["swapped", "shifted", "transposed", "not a number", "of another size", "above the tolerance"],
)
def test_a_wrong_mask_fails(masks: np.ndarray, differing: int) -> None:
    found = compare_detections("NMS", "a", SIX, with_masks(masks.astype(np.float32)), Limits())
    assert (found.outcome, found.reason) == (Outcome.FAILED, f"{differing} differ")
    assert json.loads(json.dumps(found.to_json(), allow_nan=False))["masks"] == 6
    assert all(each.box_error == 0 and not each.mask_error <= 1e-3 for each in found.differences)


def test_no_rule_of_a_plugin_excuses_a_mask() -> None:
    rule = Counterfactual("clip-first", "clipped first")
    wrong = with_masks(np.roll(SIX.masks, 1, axis=2))
    changed = SIX.without_masks  # with a rule changed, no masks are computed
    found = compare_detections("NMS", "a", SIX, wrong, Limits(), [rule], lambda change: changed)
    assert found.outcome is Outcome.FAILED and not found.excused
    # A box that differs is excused as ever.
    boxes = BOXES.copy()
    boxes[2, 2] += 0.01
    moved = replace(SIX, boxes=boxes)
    found = compare_detections("NMS", "a", SIX, moved, Limits(), [rule], lambda change: changed)
    assert found.outcome is Outcome.PASSED and found.excused == {"clip-first": 1} and found.masks == 5


def test_masks_that_one_side_lacks_are_told() -> None:
    lost = compare_detections("NMS", "a", SIX, SIX.without_masks, Limits())
    assert (lost.outcome, lost.reason) == (Outcome.FAILED, "it gives no masks; the original does")
    unknown = compare_detections("NMS", "a", SIX.without_masks, SIX, Limits())
    assert unknown.outcome is Outcome.INCONCLUSIVE and "not known which tensor" in unknown.reason
    assert not lost.masks and not unknown.masks


def test_a_mask_tolerance_that_is_none_is_refused() -> None:
    with pytest.raises(SurgeonError, match=r"the mask tolerance is 1\.5"):
        Limits(Tolerances(mask=1.5)).check()


def test_a_verdict_is_read_back_with_its_masks() -> None:
    wrong = with_masks(np.roll(SIX.masks, 1, axis=2))
    comparison = compare_detections("NMS", "a", SIX, wrong, Limits())
    one = Verification("r", "t", ("a",), False, Tolerances(mask=0.01), None, (verdict("cut", [comparison]),))
    again = verification_from_json(json.loads(json.dumps(one.to_json())))
    assert again.to_json() == one.to_json() and again.compares_masks
    plain = one.to_json()
    del plain["tolerances"]["mask"], plain["verdicts"][0]["comparisons"][0]["masks"]
    assert verification_from_json(plain).tolerances.mask == 1e-3


def record(detections: Detections) -> RunRecord:
    inputs = {"x": np.ones((1, 4, 4, 3), np.float32)}
    return RunRecord("a.png", None, WHOLE, inputs, detections, cut=lambda change: detections)


def test_stored_originals_hold_masks(tmp_path: Path) -> None:
    for name, detections, version in (("with", SIX, 2), ("without", SIX.without_masks, 1)):
        recorder = RunRecorder(RunInfo(graph="", recipe="r", target="t", made=False))
        recorder.add(record(detections))
        recorder.write(tmp_path / f"{name}.npz")
        info, (again,) = read_records(tmp_path / f"{name}.npz")
        assert info.version == version  # without masks, older releases read it
        for found in (again.detections, again.cut("")):
            assert (found.masks is None) == (detections.masks is None)
        assert compare_detections("NMS", "a", detections, again.detections, Limits()).worst_mask_error == 0


def test_damaged_masks_of_a_file_are_refused(tmp_path: Path) -> None:
    recorder = RunRecorder(RunInfo(graph="", recipe="r", target="t", made=False))
    recorder.add(record(SIX))
    recorder._arrays["0/original/masks"] = SIX.masks[:4]
    recorder.write(tmp_path / "a.npz")
    with pytest.raises(SurgeonError, match=r"'0/original/masks' is float32\[4, 7, 7\]; expected") as caught:
        list(read_records(tmp_path / "a.npz")[1])
    assert caught.value.diagnostics[0].code == "V123"


def masking_graph() -> Graph:
    """Return a network float32[1, 8, 8, 3] to five boxes with their scores, classes and masks."""
    nodes = [Node("x", "Placeholder", attrs={"dtype": DType.FLOAT32, "shape": Shape.of(1, 8, 8, 3)})]

    def const(name: str, value: object, dtype: DType) -> Ref:
        array = np.asarray(value, dtype.numpy())
        nodes.append(Node(name, "Const", attrs={"dtype": dtype, "value": TensorValue.of(array, dtype)}))
        return Ref(name)

    def add(name: str, op: str, *inputs: Ref, **attrs: object) -> Ref:
        nodes.append(Node(name, op, inputs, attrs={"T": DType.FLOAT32, **attrs}))  # type: ignore[arg-type]
        return Ref(name)

    flat = add("flat", "Reshape", Ref("x"), const("flat/shape", [1, 192], DType.INT32), Tshape=DType.INT32)
    for name, shape in (("boxes", [1, 5, 4]), ("scores", [1, 5]), ("masks", [1, 5, 4, 4])):
        weights = const(f"{name}/w", RANDOM.normal(0, 1e-3, (192, int(np.prod(shape)))), DType.FLOAT32)
        product = add(f"{name}/product", "MatMul", flat, weights)
        shaped = const(f"{name}/shape", shape, DType.INT32)
        value = add(f"{name}/value", "Reshape", product, shaped, Tshape=DType.INT32)
        add(name, "Sigmoid", value)
    one, classes = const("one", 1.0, DType.FLOAT32), const("class_numbers", [[1, 2, 1, 2, 1]], DType.FLOAT32)
    add("classes", "Mul", classes, one)
    return Graph(nodes, [Ref(name) for name in ("boxes", "scores", "classes", "masks")])


RECIPE = """
recipe: 1
name: masking
outputs: [boxes, scores, classes, masks]
steps: [prune]
detections: {boxes: boxes, scores: scores, classes: classes, masks: masks}
image: {size: [8, 8], steps: [{scale: 0.00392156862}]}
"""

TURN = """
nodes: {Turned: {op: Transpose, inputs: [masks/value], perm: [0, 1, 3, 2]}}
steps:
  - {step: add-node, node: Turned}
  - {step: disconnect, from: masks/value, to: masks}
  - {step: connect, from: Turned, to: masks}
  - prune
"""


@pytest.fixture(scope="module")
def masking() -> Graph:
    return masking_graph()


def test_a_recipe_states_detections_and_their_masks(masking: Graph, tmp_path: Path) -> None:
    pytest.importorskip("tensorflow", reason="TensorFlow computes the original")
    recipe = parse_recipe(RECIPE)
    found = surgeon.verify(recipe, masking)
    (comparison,) = found.verdicts[0].comparisons
    assert found.passed and comparison.masks == 5 and comparison.matched == 5
    plan = surgeon.plan(recipe, masking)
    again = plan_from_json(json.loads(json.dumps(plan_to_json(plan))))
    assert again.detections == plan.detections and plan.detections["masks"] == Ref("masks")
    assert plan_to_json(plan)["surgeon plan"] == 2
    damaged = {**plan_to_json(plan), "detections": {"masks": "masks:last"}}
    with pytest.raises(SurgeonError, match="'masks:last' is not a tensor name") as caught:
        plan_from_json(json.loads(json.dumps(damaged)))
    assert caught.value.diagnostics[0].code == "S408"
    save_graph(masking, tmp_path / "masking.pb")
    pixels = np.zeros((8, 8, 3), np.uint8)
    (result,) = surgeon.detect(recipe, [pixels], model=masking, threshold=0.0)
    assert len(result.rows()) == 5 and result.detections.masks.shape == (5, 4, 4)
    assert result.rows()[0]["segmentation"]["size"] == [8, 8]


def test_an_onnx_file_says_which_output_holds_masks(masking: Graph, tmp_path: Path) -> None:
    pytest.importorskip("tf2onnx", reason="tf2onnx writes ONNX")
    pytest.importorskip("onnxruntime", reason="ONNX Runtime runs it")
    recipe, path = parse_recipe(RECIPE), tmp_path / "masking.onnx"
    surgeon.convert(recipe, masking, path)
    found = surgeon.verify(recipe, masking, onnx=path)
    assert found.passed and found.verdicts[0].comparisons[0].masks == 5
    (result,) = surgeon.detect(path, [np.zeros((8, 8, 3), np.uint8)], threshold=0.0)
    assert result.detections.masks.shape == (5, 4, 4)
    surgeon.verify(recipe, masking, store=tmp_path / "original.npz")
    stored = surgeon.verify(onnx=path, original=tmp_path / "original.npz")
    assert stored.passed and stored.verdicts[0].comparisons[0].masks == 5


def test_turned_masks_are_not_the_originals(masking: Graph) -> None:
    pytest.importorskip("tensorflow", reason="TensorFlow computes the original")
    found = surgeon.verify(parse_recipe(RECIPE.replace("steps: [prune]\n", TURN)), masking)
    assert found.outcome is Outcome.FAILED
    (comparison,) = found.verdicts[0].comparisons
    assert (comparison.reason, comparison.worst_box_error) == ("5 differ", 0)


@pytest.mark.parametrize(
    ("code", "change", "message"),
    [
        ("R116", ("masks: masks", "masks: flat"), "'masks' of the detections is 'flat', which is no output"),
        (
            "R116",
            ("masks: masks", "masks: scores"),
            r"the masks 'scores' are float32\[1,5\]; expected \[N, K, height",
        ),
        ("R116", (" boxes: boxes, scores: scores, classes: classes,", ""), "no plugin gives boxes"),
        ("R116", ("boxes: boxes", "boxes: masks"), "the boxes 'masks' are"),
        ("R116", ("scores: scores", "scores: boxes"), r"the scores 'boxes' are .*; expected \[N, 5\]"),
        ("R116", ("classes: classes", "classes: masks"), r"the classes 'masks' are .*; expected \[N, 5\]"),
        ("R116", ("scores: scores, classes: classes", "class_scores: scores"), "class scores 'scores' are"),
        ("R116", ("masks: masks", "count: masks"), r"the count 'masks' is .*; expected \[N\]"),
        (
            "R116",
            ("boxes: boxes, scores: scores, classes: classes, masks: masks", "rows: boxes"),
            r"the rows 'boxes' are float32\[1,5,4\]; expected \[N, K, 7\]",
        ),
        ("S202", ("masks: masks", "masks: maskz"), "'maskz' names no node"),
        (
            "R106",
            ("masks: masks", "masks: masks, mask_axes: [width, height]"),
            "the axes of a mask are width, height",
        ),
        ("R106", ("scores: scores, ", ""), "expected 'rows', or all of 'boxes'"),
    ],
)
def test_what_a_recipe_states_wrongly_is_refused(
    masking: Graph, code: str, change: tuple[str, str], message: str
) -> None:
    text = RECIPE.replace("detections: {", "detections: { ").replace(*change)
    with pytest.raises(SurgeonError, match=message) as caught:
        surgeon.plan(parse_recipe(text, "masking.yaml"), masking)
    (diagnostic,) = caught.value.diagnostics
    assert diagnostic.code == code and diagnostic.where is not None


@pytest.mark.parametrize("target", ["onnx@tensorrt-10", "uff@tensorrt-8.5"])
def test_a_manifest_says_which_output_holds_masks(masking: Graph, target: str, tmp_path: Path) -> None:
    if target.startswith("onnx"):
        pytest.importorskip("tf2onnx", reason="tf2onnx writes ONNX")
    work = Request.of(parse_recipe(RECIPE), masking, target=target).resolve()
    source, _ = converted(work, tmp_path, 1)
    assert source.detections == {name: name for name in ("boxes", "scores", "classes", "masks")}
    assert {output.name for output in source.outputs} == set(source.detections.values())
