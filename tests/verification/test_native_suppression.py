"""SurgeonDetection in the place of NMS_TRT: every detection matches, and nothing is excused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

import surgeon
from surgeon.language import parse_recipe
from surgeon.verification import DetectionComparison, Outcome

pytest.importorskip("tensorflow", reason="ordinary operations run in TensorFlow")
pytest.importorskip("PIL", reason="Pillow reads and writes pictures")

RECIPE = "recipe: 1\nname: own\nextends: [ssd]\nsuppression: native\n"


def test_every_detection_matches_and_none_is_excused(zoo_ssd: Callable[..., Path]) -> None:
    model = zoo_ssd("2018", height=96, width=96, depth_multiplier=0.125)
    found = surgeon.verify(parse_recipe(RECIPE, "own.yaml"), model)
    assert found.passed and found.excuses == {} and found.literals == ()
    compared = [each for verdict in found.verdicts for each in verdict.comparisons]
    detections = [each for each in compared if isinstance(each, DetectionComparison)]
    assert {each.picture for each in detections} >= {"probe: window", "probe: a crowd", "probe: overlaps"}
    for each in detections:
        assert each.outcome is Outcome.PASSED and each.matched == each.original == each.rewritten
    # On a batch of one picture; no score of these graphs equals their threshold.
    assert {f"{each.node}.{each.field}" for each in found.power if not each.exercised} == {
        "concat_box_loc.ignoreBatch",
        "concat_box_conf.ignoreBatch",
        "NMS.scoreAtLeast",
    }
