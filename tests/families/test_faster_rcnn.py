"""Detectors of two stages: recognised by structure at every date, and the recipe's detections are the graph's."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

import surgeon
from surgeon.diagnostics import Severity, SurgeonError
from surgeon.families import Refusal, recognise
from surgeon.families.faster_rcnn import FAMILY as TwoStageDetector
from surgeon.formats.graphdef import load_graph
from surgeon.graph import AttrValue, Graph, Ref
from surgeon.verification.results import Verification
from surgeon.zoo.faster_rcnn import SAMPLES, FasterRcnnOptions, build_faster_rcnn
from surgeon.zoo.options import Date

TARGET = "onnx@onnxruntime"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("faster_rcnn")


def _graph(folder: Path, data: bytes, name: str = "model.pb") -> Graph:
    path = folder / name
    path.write_bytes(data)
    return load_graph(path)


def _detector(folder: Path, options: FasterRcnnOptions) -> TwoStageDetector:
    found = recognise(_graph(folder, build_faster_rcnn(options)))
    assert isinstance(found, TwoStageDetector)
    return found


@pytest.mark.parametrize("name", list(SAMPLES))
def test_members_are_recognised_at_every_date(folder: Path, name: str) -> None:
    found = recognise(_graph(folder, SAMPLES[name](), f"{name}.pb"))
    assert isinstance(found, TwoStageDetector)
    after = "2019" in name or "2020" in name
    assert found.kind == f"{'rfcn' if 'rfcn' in name else 'faster_rcnn'}_inception_v2"
    assert found.first_clip.value == found.clip.value == ("after" if after else "before")
    assert (found.drops_empty.value, found.drops_empty_after.value) == (not after, after)
    assert found.size.value == ((64, 96) if "fixed" in name else (64, 64))
    assert found.keeps_shape is ("fixed" not in name)
    assert (found.first_max.value, found.max_per_class.value, found.max_total.value) == (24, 6, 16)
    assert (found.first_iou_threshold.value, found.iou_threshold.value) == (0.7, 0.6)
    assert found.box_sets.value == (1 if "shared" in name else 4)
    assert found.crop_size.value == ((2, 2) if "rfcn" in name else (6, 6))


def test_sizes_and_numbers_come_from_the_graph(folder: Path) -> None:
    options = FasterRcnnOptions(
        classes=2,
        size=(80, 160),
        proposals=10,
        max_per_class=3,
        max_detections=5,
        first_iou=0.5,
        second_iou=0.4,
        score_threshold=0.25,
        crop=4,
    )
    found = _detector(folder, options)
    assert found.classes.value == 2
    assert found.size.value == (80, 80)
    assert found.first_boxes_count.value == 10 * 10 * 9
    assert (found.first_max.value, found.max_per_class.value, found.max_total.value) == (10, 3, 5)
    assert (found.first_iou_threshold.value, found.iou_threshold.value) == (0.5, 0.4)
    assert (found.first_score_threshold.value, found.score_threshold.value) == (0.0, 0.25)
    assert found.crop_size.value == (4, 4)
    assert found.label_offset.value == 1


@pytest.mark.parametrize(
    ("attrs", "said"),
    [
        ({"method": b"nearest"}, "has the method 'nearest'"),
        ({"extrapolation_value": 1.0}, "gives 1 outside the map"),
    ],
)
def test_regions_that_are_cut_out_otherwise_are_refused(
    folder: Path, attrs: dict[str, AttrValue], said: str
) -> None:
    graph = _graph(folder, build_faster_rcnn())
    changed = graph.replace(
        replace(node, attrs={**node.attrs, **attrs}) if node.op == "CropAndResize" else node for node in graph
    )
    with pytest.raises(SurgeonError, match=f"D147.*{said}"):
        surgeon.init(changed, target=TARGET)


def test_names_are_no_witness(folder: Path) -> None:
    graph = load_graph(_written(folder, build_faster_rcnn(), "named.pb"))
    names = {node.name: f"n{number}" for number, node in enumerate(graph)}
    kept = {"detection_boxes", "detection_scores", "detection_classes", "num_detections"}
    names |= {name: name for name in kept}
    renamed = Graph(
        replace(
            node,
            name=names[node.name],
            inputs=tuple(Ref(names[ref.node], ref.slot) for ref in node.inputs),
            control=tuple(names[name] for name in node.control),
        )
        for node in graph
    )
    found = recognise(renamed)
    assert isinstance(found, TwoStageDetector)
    assert found.kind == "faster_rcnn"
    assert found.max_per_class.value == 6


def _written(folder: Path, data: bytes, name: str) -> Path:
    path = folder / name
    path.write_bytes(data)
    return path


def test_a_first_stage_alone_is_none(folder: Path) -> None:
    graph = load_graph(_written(folder, build_faster_rcnn(), "whole.pb"))
    first = graph.replace(outputs=[Ref("map/TensorArrayStack/TensorArrayGatherV3")])
    found = TwoStageDetector.match(first)
    assert isinstance(found, Refusal)
    assert "nothing cuts regions" in str(found.reason)
    # A user gets a recipe for the whole network, and a warning.
    recipe = surgeon.init(first, target=TARGET)
    assert recipe.family == "generic"
    assert [(each.code, each.severity) for each in recipe.diagnostics] == [("D146", Severity.WARNING)]


@dataclass(frozen=True)
class Made:
    """A detector, its recipe and what verification said of it."""

    model: Path
    recipe: Path
    verification: Verification


def _made(folder: Path, name: str, data: bytes) -> Made:
    model, recipe = _written(folder, data, f"{name}.pb"), folder / f"{name}.yaml"
    written = surgeon.init(model, recipe, target=TARGET, force=True)
    assert not written.errors
    return Made(model, recipe, surgeon.verify(recipe, model, target=TARGET))


@pytest.fixture(scope="module", params=["faster_rcnn_2018", "faster_rcnn_2019_shared_boxes", "rfcn_2018"])
def made(request: pytest.FixtureRequest, folder: Path) -> Made:
    return _made(folder, request.param, SAMPLES[request.param]())


def test_the_recipe_of_init_gives_the_same_detections(made: Made) -> None:
    found = made.verification
    assert found.passed
    assert not found.literals
    assert all(not verdict.excused for verdict in found.verdicts)
    for verdict in found.verdicts:
        assert verdict.outcome.name == "PASSED", verdict


def test_both_suppressions_are_exercised(made: Made) -> None:
    silent = {f"{each.node}.{each.field}" for each in made.verification.power if not each.exercised}
    # No probes are made for the first stage: whether an overlap lies near the threshold is up to the picture.
    for field in ("classes", "background", "coding", "maxTotal"):
        assert f"first_stage.{field}" not in silent
    for field in ("iouThreshold", "maxTotal", "maxPerClass", "classes"):
        assert f"NMS.{field}" not in silent


def test_the_file_gives_the_same_detections_in_onnx_runtime(made: Made, tmp_path: Path) -> None:
    file = tmp_path / "model.onnx"
    conversion = surgeon.convert(made.recipe, made.model, file, target=TARGET)
    # What the file computes otherwise than the references is told, wherever it is not run.
    for diagnostics in (conversion.diagnostics, made.verification.diagnostics):
        (told,) = (each for each in diagnostics if each.code == "X172")
        assert "(CropAndResizeDynamic): standard operators differ from the plugin" in told.message
        assert told.severity is Severity.NOTE
    found = surgeon.verify(made.recipe, made.model, target=TARGET, onnx=file)
    assert found.passed
    assert all(not verdict.excused for verdict in found.verdicts)


def test_a_target_with_the_plugin_has_nothing_to_tell(made: Made) -> None:
    if made.model.stem != "faster_rcnn_2018":
        pytest.skip("one detector is enough")
    for target, told in (("onnx@tensorrt-8.5", 0), ("onnx@tensorrt-rtx", 1)):
        codes = [each.code for each in surgeon.check(made.recipe, made.model, target=target).diagnostics]
        assert codes.count("X172") == told


def test_an_open_batch_gives_what_each_picture_gives(made: Made, tmp_path: Path) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    file = tmp_path / "open.onnx"
    surgeon.convert(made.recipe, made.model, file, target=TARGET, batch="dynamic")
    session = onnxruntime.InferenceSession(str(file))
    (given,) = session.get_inputs()
    pictures = np.random.default_rng(1).uniform(-1, 1, (2, *given.shape[1:])).astype(np.float32)
    both = session.run(None, {given.name: pictures})[0]
    for number, rows in enumerate(both):
        alone = session.run(None, {given.name: pictures[number : number + 1]})[0]
        np.testing.assert_allclose(rows[0, :, 1:], alone[0, 0, :, 1:], rtol=0, atol=1e-6)


def test_another_size_is_a_parameter(made: Made) -> None:
    if made.model.stem != "faster_rcnn_2018":
        pytest.skip("one detector is enough")
    recipe = surgeon.load_recipe(made.recipe, parameters={"height": 64, "width": 96})
    assert surgeon.verify(recipe, made.model, target=TARGET).passed


@pytest.mark.parametrize(
    ("size", "nearest"), [((63, 65), (64, 66)), ((100, 100), (64, 64)), ((64, 1000), (8, 128))]
)
def test_a_size_that_no_picture_has_is_refused(
    folder: Path, size: tuple[int, int], nearest: tuple[int, int]
) -> None:
    """Sides are at least 64 and at most 128, and keep their proportions."""
    model, recipe = _written(folder, build_faster_rcnn(), "sizes.pb"), folder / "sizes.yaml"
    surgeon.init(model, recipe, target=TARGET, force=True)

    def planned(height: int, width: int) -> surgeon.Plan:
        return surgeon.plan(recipe, model, target=TARGET, parameters={"height": height, "width": width})

    with pytest.raises(SurgeonError) as caught:
        planned(*size)
    (diagnostic,) = caught.value.diagnostics
    assert diagnostic.code == "D101"
    assert f"the graph resizes a picture of that size to {nearest[0]} x {nearest[1]}" in diagnostic.message
    assert diagnostic.help == (f"take {nearest[0]} x {nearest[1]}, which it leaves as it is",)
    assert planned(*nearest).result is not None


@pytest.mark.parametrize("date", ["2018", "2019"])
def test_a_resizer_that_pads_is_warned_of(folder: Path, date: Date) -> None:
    options = FasterRcnnOptions(date=date, classes=2, resizer="padded", size=(64, 64))
    model = _written(folder, build_faster_rcnn(options), "padded.pb")
    made = surgeon.init(model, folder / "padded.yaml", target=TARGET, force=True)
    (warning,) = made.diagnostics
    assert (warning.code, warning.severity.value) == ("D162", "warning")
    assert "to the part of the input that a picture fills" in warning.message
    assert len(warning.notes) == 2


def test_uff_says_what_it_cannot_hold(folder: Path) -> None:
    model, recipe = _written(folder, build_faster_rcnn(), "uff.pb"), folder / "uff.yaml"
    surgeon.init(model, recipe, target=TARGET, force=True)
    with pytest.raises(SurgeonError) as caught:
        surgeon.convert(recipe, model, folder / "model.uff", target="uff@tensorrt-8.5")
    (diagnostic,) = caught.value.diagnostics
    assert diagnostic.code == "L123"
    assert (
        "'crops_cut' (CropAndResizeDynamic) cuts out regions that 'first_stage' finds" in diagnostic.message
    )
    assert not (folder / "model.uff").exists()
