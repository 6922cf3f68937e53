"""A pipeline config beside a graph: each value that agrees, and each that does not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from detector_graphs import load

import surgeon
from surgeon.families.ssd.config_check import compare_with_config
from surgeon.families.ssd.detector import SingleShotDetector as Detector
from surgeon.training_files.pipeline_config import parse_pipeline_config

Zoo = Callable[..., Path]

CONFIG = """\
model {
  ssd {
    num_classes: 3
    image_resizer { fixed_shape_resizer { height: 300 width: 300 } }
    feature_extractor { type: 'ssd_mobilenet_v1' }
    box_coder { faster_rcnn_box_coder { y_scale: 10.0 x_scale: 10.0 height_scale: 5.0 width_scale: 5.0 } }
    anchor_generator {
      ssd_anchor_generator {
        num_layers: 6
        min_scale: 0.2
        max_scale: 0.95
        aspect_ratios: 1.0
        aspect_ratios: 2.0
        aspect_ratios: 0.5
        aspect_ratios: 3.0
        aspect_ratios: 0.333333333
      }
    }
    post_processing {
      batch_non_max_suppression {
        score_threshold: 1e-8
        iou_threshold: 0.6
        max_detections_per_class: 100
        max_total_detections: 100
      }
      score_converter: SIGMOID
    }
  }
}
"""

ITEMS = (
    "type",
    "image_resizer",
    "size",
    "resize_method",
    "variances",
    "num_classes",
    "score_threshold",
    "iou_threshold",
    "max_detections_per_class",
    "max_total_detections",
    "score_converter",
    "scale of the scores",
    "",
)

CHANGES = {
    "type": ("mobilenet_v1", "mobilenet_v2"),
    "image_resizer": (
        "fixed_shape_resizer { height: 300 width: 300 }",
        "keep_aspect_ratio_resizer { max_dimension: 300 }",
    ),
    "size": ("height: 300", "height: 320"),
    "resize_method": ("width: 300", "width: 300 resize_method: NEAREST_NEIGHBOR"),
    "variances": ("x_scale: 10.0", "x_scale: 8.0"),
    "num_classes": ("num_classes: 3", "num_classes: 4"),
    "score_threshold": ("score_threshold: 1e-8", ""),
    "iou_threshold": ("iou_threshold: 0.6", "iou_threshold: 0.5"),
    "max_detections_per_class": ("per_class: 100", "per_class: 101"),
    "max_total_detections": ("total_detections: 100", "total_detections: inf".replace("inf", "99")),
    "score_converter": ("SIGMOID", "SOFTMAX"),
    "scale of the scores": ("score_converter: SIGMOID", "score_converter: SIGMOID logit_scale: 2.0"),
    "": ("0.333333333", "0.33"),
}


@pytest.fixture(scope="module")
def detector(zoo_ssd: Zoo) -> Detector:
    """Give a detector of three classes, taken apart once."""
    return Detector(load(zoo_ssd("2018")))


def test_a_config_that_agrees_in_all(detector: Detector) -> None:
    heard = compare_with_config(parse_pipeline_config(CONFIG), detector)
    assert tuple(each.item for each in heard) == ITEMS and all(each.agrees for each in heard)
    assert all(each.key and each.evidence for each in heard)


@pytest.mark.parametrize("item", ITEMS)
def test_each_value_may_disagree(detector: Detector, item: str) -> None:
    old, new = CHANGES[item]
    assert old in CONFIG
    config = parse_pipeline_config(CONFIG.replace(old, new), "p.config")
    differing = [each for each in compare_with_config(config, detector) if not each.agrees]
    assert [each.item for each in differing] == [item]
    diagnostic = differing[0].diagnostic(config)
    assert (
        diagnostic.code == "D144"
        and diagnostic.severity.value == "warning"
        and differing[0].config_value in diagnostic.message
    )
    assert ("by default" in diagnostic.message) == (differing[0].where is None)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("min_scale: 0.2", "min_scale: 0.21"),
        ("max_scale: 0.95", "max_scale: 0.9"),
        ("num_layers: 6", "num_layers: 5"),
        ("aspect_ratios: 3.0", ""),
        ("num_layers: 6", "reduce_boxes_in_lowest_layer: false"),
        ("num_layers: 6", "interpolated_scale_aspect_ratio: 2"),
        ("num_layers: 6", "base_anchor_height: 1.5"),
        ("num_layers: 6", "scales: [0.1, 0.2, 0.3, 0.4, 0.5, 0.6]"),
        ("ssd_anchor_generator", "multiscale_anchor_generator"),
        ("aspect_ratios: 2.0\n        aspect_ratios: 0.5", "aspect_ratios: 0.5 aspect_ratios: 2.0"),
    ],
)
def test_anchors_are_compared_as_a_whole(detector: Detector, old: str, new: str) -> None:
    text = CONFIG.replace(old, new)
    if "multiscale" in new:
        text = text.replace("num_layers: 6\n        min_scale: 0.2\n        max_scale: 0.95\n", "")
    differing = [
        each for each in compare_with_config(parse_pipeline_config(text), detector) if not each.agrees
    ]
    assert [each.key for each in differing] == ["GridAnchor"] and "anchors" in differing[0].config_value


def test_other_coders_and_generators(detector: Detector) -> None:
    coder = CONFIG.replace(
        "faster_rcnn_box_coder { y_scale: 10.0 x_scale: 10.0 height_scale: 5.0 width_scale: 5.0 }",
        "mean_stddev_box_coder {}",
    )
    assert [
        each.config_value
        for each in compare_with_config(parse_pipeline_config(coder), detector)
        if not each.agrees
    ] == ["mean_stddev_box_coder"]
    start = CONFIG.index("ssd_anchor_generator")
    other = (
        CONFIG[:start]
        + "flexible_grid_anchor_generator {} } post_processing { score_converter: SIGMOID batch_non_max_suppression { score_threshold: 1e-8 } } } }"
    )
    assert [each.item for each in compare_with_config(parse_pipeline_config(other), detector)] == list(
        ITEMS[:-1]
    )


def test_another_architecture_is_one_disagreement(detector: Detector) -> None:
    heard = compare_with_config(parse_pipeline_config("model { faster_rcnn { num_classes: 3 } }"), detector)
    assert [(each.item, each.config_value, each.graph_value, each.agrees) for each in heard] == [
        ("architecture", "faster_rcnn", "ssd", False)
    ]


def test_infinite_and_undefined_numbers_agree_with_nothing(detector: Detector) -> None:
    for number in ("inf", "nan"):
        config = parse_pipeline_config(CONFIG.replace("iou_threshold: 0.6", f"iou_threshold: {number}"))
        assert [each.item for each in compare_with_config(config, detector) if not each.agrees] == [
            "iou_threshold"
        ]


def test_both_say_in_the_recipe_what_they_say(zoo_ssd: Zoo, tmp_path: Path) -> None:
    path = tmp_path / "pipeline.config"
    path.write_text(CONFIG.replace("total_detections: 100", "total_detections: 20"))
    made = surgeon.init(load(zoo_ssd("2018")), pipeline_config=path)
    assert (
        f"# pipeline.config was compared in {len(ITEMS)} values: 1 differs, and the graph wins." in made.text
    )
    line = CONFIG.split("\n").index("        max_total_detections: 100") + 1
    assert (
        f"# pipeline.config:{line} says max_total_detections 20; the graph wins\n      keepTopK: 100\n"
        in made.text
    )
    assert "# pipeline.config:12 agrees: the same anchors\n  GridAnchor:\n" in made.text
    assert [d.code for d in made.diagnostics] == ["D144"] and made.recipe.nodes["NMS"].fields[
        "keepTopK"
    ] == 100  # type: ignore[index]
