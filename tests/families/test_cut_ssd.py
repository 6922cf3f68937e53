"""SSD detectors that end before suppression: recognised, and suppression added by parameters."""

from __future__ import annotations

from pathlib import Path

import pytest

import surgeon
from surgeon.families import recognise, recognise_detector
from surgeon.families.ssd.cut import CutDetector
from surgeon.graph import Ref
from surgeon.zoo import SsdOptions
from surgeon.zoo.cut_ssd import build_cut_ssd

SMALL = {"height": 96, "width": 96, "depth_multiplier": 0.125}


@pytest.fixture(scope="module")
def cut_ssd(tmp_path_factory: pytest.TempPathFactory):
    """Give ``cut_ssd(date, **options) -> Path``."""
    folder = tmp_path_factory.mktemp("cut")

    def written(date: str, share_constants: bool = True, **options) -> Path:
        path = folder / f"{date}_{share_constants}_{len(list(folder.iterdir()))}.pb"
        made = SsdOptions(date=date, **{**SMALL, **options})
        path.write_bytes(build_cut_ssd(made, share_constants=share_constants))
        return path

    return written


@pytest.mark.parametrize(("date", "share_constants"), [("2017", True), ("2018", False), ("2019", True)])
def test_a_recipe_is_written_and_planned(cut_ssd, date: str, share_constants: bool) -> None:
    path = cut_ssd(date, share_constants)
    made = surgeon.init(path, path.with_suffix(".yaml"))
    assert not made.errors and made.family == "ssd"
    assert "parameters: {iou_threshold: 0.6, score_threshold: 1e-8, max_detections: 100}" in made.text
    assert "nmsThreshold: $iou_threshold" in made.text
    plan = surgeon.plan(path.with_suffix(".yaml"), path, parameters={"iou_threshold": 0.5})
    assert plan.result["NMS"].attrs["nmsThreshold"] == pytest.approx(0.5)
    assert plan.result["NMS"].attrs["numClasses"] == 4


def test_what_the_graph_does_not_tell_is_not_told(cut_ssd) -> None:
    graph = surgeon.load_graph(cut_ssd("2018"))
    found = recognise_detector(graph)
    assert isinstance(found, CutDetector) and not found.suppresses
    with pytest.raises(surgeon.SurgeonError, match="ends before suppression and does not tell at which"):
        found.iou_threshold  # noqa: B018
    recipe = surgeon.init(graph).recipe
    assert not [d for d in surgeon.check(recipe, graph).diagnostics if d.code == "D160"]
    open_recipe = surgeon.parse_recipe(surgeon.init(graph).text.replace("$iou_threshold", "auto"))
    with pytest.raises(surgeon.SurgeonError, match="ends before suppression"):
        surgeon.plan(open_recipe, graph)


@pytest.mark.parametrize("date", ["2017", "2019"])
def test_detections_are_those_of_suppression_in_tensorflow(cut_ssd, date: str, tmp_path: Path) -> None:
    pytest.importorskip("tensorflow", reason="runs the original")
    path, recipe = cut_ssd(date), tmp_path / "cut.yaml"
    surgeon.init(path, recipe)
    found = surgeon.verify(recipe, path, parameters={"iou_threshold": 0.45})
    assert found.passed
    detections = found.verdicts[0].comparisons[0]
    assert detections.matched == detections.original == 100 and not found.verdicts[0].excused
    assert len(found.verdicts[1].passed_probes) > 4
    power = {f"{each.node}.{each.field}": each.exercised for each in found.power}
    assert power["NMS.nmsThreshold"] and power["NMS.confidenceThreshold"] and power["NMS.keepTopK"]
    assert found.added is not None and found.added.suppressed_by == "TensorFlow"
    assert found.added.values["NMS.nmsThreshold"] == pytest.approx(0.45)
    assert not found.literals


def test_other_decoding_than_the_graphs_fails(cut_ssd) -> None:
    pytest.importorskip("tensorflow", reason="runs the original")
    path = cut_ssd("2018")
    text = surgeon.init(path).text.replace(
        "variance: [0.1, 0.1, 0.2, 0.2]", "variance: [0.1, 0.1, 0.2, 0.21]"
    )
    assert surgeon.verify(surgeon.parse_recipe(text), path).outcome == "failed"


def test_an_onnx_file_detects_the_same(cut_ssd, tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime", reason="runs the file")
    path, file = cut_ssd("2018"), tmp_path / "cut.onnx"
    recipe = surgeon.init(path).recipe
    surgeon.convert(recipe, path, file)
    assert surgeon.verify(recipe, path, onnx=file).passed


def test_a_uff_file_is_written(cut_ssd, tmp_path: Path) -> None:
    path, file = cut_ssd("2018"), tmp_path / "cut.uff"
    surgeon.convert(surgeon.init(path).recipe, path, file)
    assert file.stat().st_size > 10_000


def test_whole_detectors_and_classifiers_are_none(zoo_graph) -> None:
    whole = zoo_graph("2018")
    assert recognise_detector(whole).suppresses
    without_boxes = whole.replace(None, [Ref("Postprocessor/convert_scores")])
    assert recognise(without_boxes).name == "generic"
