"""A pipeline config beside a detector of two stages: each value that agrees, and each that does not."""

from __future__ import annotations

from pathlib import Path

import pytest

import surgeon
from surgeon.families.faster_rcnn.config_check import compare_with_config
from surgeon.families.faster_rcnn.detector import TwoStageDetector
from surgeon.formats.graphdef import load_graph
from surgeon.training_files.pipeline_config import parse_pipeline_config
from surgeon.zoo.faster_rcnn import FasterRcnnOptions, build_faster_rcnn

CONFIG = """\
model {
  faster_rcnn {
    num_classes: 4
    image_resizer { keep_aspect_ratio_resizer { min_dimension: 64 max_dimension: 96 } }
    feature_extractor { type: 'faster_rcnn_inception_v2' }
    first_stage_nms_score_threshold: 0.0
    first_stage_nms_iou_threshold: 0.7
    first_stage_max_proposals: 24
    initial_crop_size: 6
    second_stage_post_processing {
      batch_non_max_suppression {
        score_threshold: 0.0
        iou_threshold: 0.6
        max_detections_per_class: 6
        max_total_detections: 16
      }
      score_converter: SOFTMAX
    }
  }
}
"""

CHANGES = {
    "type": ("inception_v2", "resnet50"),
    "number_of_stages": ("num_classes: 4", "num_classes: 4 number_of_stages: 3"),
    "image_resizer": ("min_dimension: 64", "min_dimension: 64 pad_to_max_dimension: true"),
    "min_dimension": ("min_dimension: 64", "min_dimension: 80"),
    "resize_method": ("min_dimension: 64", "min_dimension: 64 resize_method: NEAREST_NEIGHBOR"),
    "num_classes": ("num_classes: 4", "num_classes: 5"),
    "first_stage_nms_score_threshold": ("nms_score_threshold: 0.0", "nms_score_threshold: 0.5"),
    "first_stage_nms_iou_threshold": ("iou_threshold: 0.7", "iou_threshold: 0.9"),
    "first_stage_max_proposals": ("first_stage_max_proposals: 24", ""),
    "initial_crop_size": ("crop_size: 6", "crop_size: 7"),
    "score_threshold": ("        score_threshold: 0.0", "        score_threshold: 0.3"),
    "iou_threshold": ("iou_threshold: 0.6", "iou_threshold: 0.5"),
    "max_detections_per_class": ("per_class: 6", "per_class: 7"),
    "max_total_detections": ("total_detections: 16", "total_detections: 17"),
}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("config") / "model.pb"
    path.write_bytes(build_faster_rcnn())
    return path


@pytest.fixture(scope="module")
def detector(model: Path) -> TwoStageDetector:
    return TwoStageDetector(load_graph(model))


def test_a_config_that_agrees_in_all(detector: TwoStageDetector) -> None:
    heard = compare_with_config(parse_pipeline_config(CONFIG), detector)
    assert [each.item for each in heard] == list(CHANGES) and all(each.agrees for each in heard), heard
    assert all(each.key and each.evidence for each in heard)


@pytest.mark.parametrize("item", CHANGES)
def test_each_value_may_disagree(detector: TwoStageDetector, item: str) -> None:
    old, new = CHANGES[item]
    assert old in CONFIG
    config = parse_pipeline_config(CONFIG.replace(old, new), "p.config")
    differing = [each for each in compare_with_config(config, detector) if not each.agrees]
    # A picture that is filled up has another size, too.
    assert [each.item for each in differing] == ([item] if item != "image_resizer" else ["size"])
    assert all(each.diagnostic("p.config").code == "D144" for each in differing)


def test_a_fixed_size_is_compared(tmp_path: Path) -> None:
    path = tmp_path / "fixed.pb"
    path.write_bytes(build_faster_rcnn(FasterRcnnOptions(resizer="fixed", size=(64, 96))))
    detector = TwoStageDetector(load_graph(path))
    keep = "keep_aspect_ratio_resizer { min_dimension: 64 max_dimension: 96 }"
    fixed = CONFIG.replace(keep, "fixed_shape_resizer { height: 64 width: 96 }")
    heard = compare_with_config(parse_pipeline_config(fixed), detector)
    assert all(each.agrees for each in heard)
    assert [each.config_value for each in heard if each.item == "size"] == ["64 x 96"]
    differing = [
        each.item for each in compare_with_config(parse_pipeline_config(CONFIG), detector) if not each.agrees
    ]
    assert differing == ["image_resizer"]


def test_the_bins_of_rfcn_have_no_size_in_the_config(tmp_path: Path) -> None:
    path = tmp_path / "rfcn.pb"
    path.write_bytes(build_faster_rcnn(FasterRcnnOptions(rfcn=True)))
    text = CONFIG.replace(
        "second_stage_post", "second_stage_box_predictor { rfcn_box_predictor {} } second_stage_post"
    )
    heard = compare_with_config(parse_pipeline_config(text), TwoStageDetector(load_graph(path)))
    assert all(each.agrees for each in heard)
    assert "initial_crop_size" not in [each.item for each in heard]


def test_another_architecture_is_one_disagreement(detector: TwoStageDetector) -> None:
    heard = compare_with_config(parse_pipeline_config("model { ssd { num_classes: 4 } }"), detector)
    assert [(each.item, each.config_value, each.graph_value, each.agrees) for each in heard] == [
        ("architecture", "ssd", "faster_rcnn", False)
    ]


def test_both_say_in_the_recipe_what_they_say(model: Path, tmp_path: Path) -> None:
    path = tmp_path / "pipeline.config"
    path.write_text(CONFIG.replace("max_proposals: 24", "max_proposals: 300"))
    made = surgeon.init(model, pipeline_config=path, target="onnx@onnxruntime")
    assert "# pipeline.config was compared in 14 values: 1 differs, and the graph wins." in made.text
    assert "pipeline.config:8 says first_stage_max_proposals 300; the graph wins" in made.text
    assert "pipeline.config:4 agrees: min_dimension 64" in made.text
    assert "pipeline.config:9 agrees: initial_crop_size 6 x 6" in made.text
    assert "pipeline.config:5 agrees: type faster_rcnn_inception_v2" in made.text
    assert [each.code for each in made.diagnostics] == ["D144"]
