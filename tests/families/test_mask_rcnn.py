"""Mask R-CNN of the Object Detection API: from the graph to a recipe, to ONNX, and to masks in a picture."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

import surgeon
from surgeon import SurgeonError
from surgeon.families import Family, recognise
from surgeon.formats.graphdef import load_graph
from surgeon.formats.onnx.metadata import read_onnx_metadata
from surgeon.graph import Graph, Ref
from surgeon.verification import Outcome, Verification
from surgeon.zoo.mask_rcnn import SAMPLES, MaskRcnnOptions, build_mask_rcnn

pytest.importorskip("tensorflow", reason="TensorFlow computes the original")

TARGET = "onnx@onnxruntime"
DATES = ("2018", "2019")
Make = Callable[[MaskRcnnOptions], Path]


@dataclass(frozen=True)
class Member:
    """A generated detector, its recipe by ``init``, and what ``verify`` says of them."""

    model: Path
    recipe: Path
    found: Verification


@pytest.fixture(scope="module")
def make(tmp_path_factory: pytest.TempPathFactory) -> Make:
    folder = tmp_path_factory.mktemp("mask_rcnn")

    def write(options: MaskRcnnOptions) -> Path:
        path = folder / f"detector_{len(list(folder.glob('*.pb')))}.pb"
        path.write_bytes(build_mask_rcnn(options))
        return path

    return write


@pytest.fixture(scope="module", params=DATES)
def member(request: pytest.FixtureRequest, make: Make) -> Member:
    model = make(MaskRcnnOptions(request.param))
    recipe = model.with_suffix(".yaml")
    surgeon.init(model, output=recipe, target=TARGET)
    return Member(model, recipe, surgeon.verify(recipe, model, target=TARGET))


def family_of(model: Path) -> Family:
    found = recognise(load_graph(model))
    assert isinstance(found, Family)
    return found


def test_the_third_stage_is_found(member: Member) -> None:
    family = family_of(member.model)
    assert family.kind == "mask_rcnn" and family.outputs.value["masks"] == Ref("detection_masks")
    stage = family.mask_stage
    assert stage.value.cut.node == "CropAndResize_1" and len(stage.evidence) == 2
    assert stage.value.boxes != stage.value.classes and stage.value.classes is not None


def test_every_mask_matches(member: Member) -> None:
    cut, alone, end = member.found.verdicts
    for verdict in (cut, end):
        (comparison,) = verdict.comparisons
        assert comparison.matched == comparison.masks == comparison.original == 10
        assert comparison.worst_mask_error < 1e-5 and not comparison.excused
    assert member.found.passed
    subjects = [each.subject for each in alone.comparisons if each.outcome is Outcome.PASSED]
    assert any(subject.endswith("mask_crops") for subject in subjects)


def test_onnx_runtime_gives_the_masks(member: Member, tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime", reason="ONNX Runtime runs the file")
    path = tmp_path / "detector.onnx"
    surgeon.convert(member.recipe, member.model, path)
    found = surgeon.verify(member.recipe, member.model, onnx=path, target=TARGET)
    assert found.passed and found.verdicts[0].comparisons[0].masks == 10
    picture = np.random.default_rng(1).integers(0, 256, (120, 80, 3), np.uint8)
    (result,) = surgeon.detect(path, [picture], threshold=0.0, output=tmp_path / "found")
    assert result.drawn is not None and result.detections.masks.shape[1:] == (7, 7)
    assert all(row["segmentation"]["size"] == [120, 80] for row in result.rows())


@pytest.mark.parametrize(
    ("plant", "reason"),
    [
        (("inputs: [mask_labels_from_0], shape", "inputs: [mask_labels_ones], shape"), "differ"),
        (("inputs: [mask_rows, order, order_axis]", "inputs: [mask_rows, crossed, order_axis]"), "differ"),
    ],
    ids=["the mask of another class", "regions with x and y exchanged"],
)
def test_a_wrong_third_stage_fails(make: Make, plant: tuple[str, str], reason: str, tmp_path: Path) -> None:
    model, recipe = make(MaskRcnnOptions()), tmp_path / "detector.yaml"
    surgeon.init(model, output=recipe, target=TARGET)
    text = recipe.read_text(encoding="utf-8")
    added = (
        "  crossed: {op: Const, dtype: int32, value: [0, 1, 2, 3]}\n"
        "  mask_labels_ones: {op: Mul, inputs: [mask_labels_from_0, zero]}\n"
    )
    wrong = text.replace(*plant).replace("nodes:\n", f"nodes:\n{added}", 1)
    assert plant[1] in wrong
    recipe.write_text(wrong, encoding="utf-8")
    found = surgeon.verify(recipe, model, target=TARGET)
    cut = found.verdicts[0]
    assert cut.outcome is Outcome.FAILED and reason in cut.comparisons[0].reason
    assert cut.comparisons[0].worst_box_error < 1e-5 and cut.comparisons[0].worst_mask_error > 1e-3


def test_one_class_has_no_mask_to_choose(make: Make) -> None:
    model = make(MaskRcnnOptions("2019", classes=1, max_detections=5))
    stage = family_of(model).mask_stage
    assert stage.value.classes is None
    recipe = model.with_suffix(".yaml")
    surgeon.init(model, output=recipe, target=TARGET)
    assert "mask_classes" not in recipe.read_text(encoding="utf-8")
    found = surgeon.verify(recipe, model, target=TARGET)
    assert found.passed and found.verdicts[0].comparisons[0].masks == 5


def test_without_masks_it_is_a_faster_rcnn(make: Make) -> None:
    family = family_of(make(MaskRcnnOptions(masks=False)))
    assert family.kind == "faster_rcnn" and family.mask_stage is None
    assert "masks" not in family.outputs.value


def test_masks_of_something_else_are_refused(make: Make) -> None:
    graph = load_graph(make(MaskRcnnOptions()))
    strange = graph["detection_masks"].with_inputs((Ref("CropAndResize"),), ())
    changed = Graph(
        [strange if node.name == "detection_masks" else node for node in graph], graph.output_refs
    )
    with pytest.raises(SurgeonError, match="it is not known how the masks are computed") as caught:
        surgeon.init(changed, target=TARGET)
    assert [each.code for each in caught.value.diagnostics] == ["D147", "D113"]


@pytest.mark.parametrize("member", DATES[:1], indirect=True)
def test_a_recipe_without_the_masks_is_told(member: Member, tmp_path: Path) -> None:
    text = member.recipe.read_text(encoding="utf-8")
    recipe = tmp_path / "boxes.yaml"
    stated = "detections: {masks: detection_masks}\n"
    boxes = text.replace(stated, "").replace("outputs: [NMS, detection_masks]", "outputs: [NMS]")
    recipe.write_text(boxes, encoding="utf-8")
    found = surgeon.check(recipe, member.model, target=TARGET)
    assert [each.code for each in found.warnings if "mask" in each.message] == ["D163"]
    verified = surgeon.verify(recipe, member.model, target=TARGET)
    assert verified.passed and not verified.compares_masks
    assert "D163" in [each.code for each in verified.diagnostics]
    kept = surgeon.check(member.recipe, member.model, target=TARGET)
    assert "D163" not in [each.code for each in kept.diagnostics]


@pytest.mark.parametrize("member", DATES[:1], indirect=True)
def test_an_open_batch_gives_the_masks_of_each_picture(member: Member, tmp_path: Path) -> None:
    onnxruntime = pytest.importorskip("onnxruntime", reason="ONNX Runtime runs the file")
    path = tmp_path / "open.onnx"
    surgeon.convert(member.recipe, member.model, path, batch="dynamic")
    session = onnxruntime.InferenceSession(str(path))
    (given,) = session.get_inputs()
    pictures = np.random.default_rng(1).uniform(-1, 1, (2, *given.shape[1:])).astype(np.float32)
    rows, masks = session.run(None, {given.name: pictures})
    for number in range(2):
        alone = session.run(None, {given.name: pictures[number : number + 1]})
        np.testing.assert_allclose(rows[number, :, :, 1:], alone[0][0, :, :, 1:], rtol=0, atol=1e-6)
        np.testing.assert_allclose(masks[number], alone[1][0], rtol=0, atol=1e-6)
    assert not np.allclose(masks[0], masks[1], atol=1e-3)


@pytest.mark.parametrize("member", DATES[:1], indirect=True)
def test_a_runtime_with_plugins_takes_it(member: Member, tmp_path: Path) -> None:
    path = tmp_path / "detector.onnx"
    surgeon.convert(member.recipe, member.model, path, target="onnx@tensorrt-8.5")
    info = read_onnx_metadata(path)
    assert info.detections["masks"] == "detection_masks"
    nodes = {row["node"] for row in info.plugins}
    assert nodes == {"first_stage", "crops_cut", "NMS", "mask_crops_cut"}


@pytest.mark.parametrize("member", DATES[:1], indirect=True)
def test_uff_says_what_it_cannot_express(member: Member, tmp_path: Path) -> None:
    with pytest.raises(SurgeonError) as caught:
        surgeon.convert(member.recipe, member.model, tmp_path / "detector.uff")
    assert [each.code for each in caught.value.diagnostics] == ["L123"]
    assert not (tmp_path / "detector.uff").exists()


def test_samples_are_detectors() -> None:
    assert sorted(SAMPLES) == ["mask_rcnn_2018", "mask_rcnn_2019"]
    for wrong in ({"date": "2017"}, {"classes": 0}, {"height": 100}):
        with pytest.raises(ValueError, match="expected"):
            MaskRcnnOptions(**wrong)
