"""SurgeonDetection in the place of NMS_TRT: every detection matches, and nothing is excused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import surgeon
from surgeon.formats.graphdef import load_graph, save_graph
from surgeon.graph import DType, TensorValue
from surgeon.language import parse_recipe
from surgeon.verification import DetectionComparison, Outcome

pytest.importorskip("tensorflow", reason="ordinary operations run in TensorFlow")
pytest.importorskip("PIL", reason="Pillow reads and writes pictures")

RECIPE = "recipe: 1\nname: own\nextends: [ssd]\nsuppression: native\n"


def softened(model: Path, to: Path) -> Path:
    """Write the model with soft suppression."""
    sigma = TensorValue.of(np.array(0.5, np.float32), DType.FLOAT32)
    graph = load_graph(model)
    nodes = [
        replace(node, attrs={**node.attrs, "value": sigma}) if node.name.endswith("/soft_nms_sigma") else node
        for node in graph
    ]
    save_graph(graph.replace(nodes), to)
    return to


@pytest.mark.parametrize("soft", [False, True])
def test_every_detection_matches_and_none_is_excused(
    zoo_ssd: Callable[..., Path], tmp_path: Path, soft: bool
) -> None:
    """Graphs of 2018 clip and drop boxes before suppression; those of 2019 after it, and may lower scores."""
    model = zoo_ssd("2019" if soft else "2018", height=96, width=96, depth_multiplier=0.125)
    if soft:
        model = softened(model, tmp_path / "soft.pb")
    found = surgeon.verify(parse_recipe(RECIPE, "own.yaml"), model)
    assert found.passed and found.excuses == {} and found.literals == ()
    compared = [each for verdict in found.verdicts for each in verdict.comparisons]
    detections = [each for each in compared if isinstance(each, DetectionComparison)]
    assert {each.picture for each in detections} >= {"probe: window", "probe: a crowd", "probe: overlaps"}
    for each in detections:
        assert each.outcome is Outcome.PASSED and each.matched == each.original == each.rewritten
    silent = {f"{each.node}.{each.field}" for each in found.power if not each.exercised}
    # On a batch of one picture; no score of these graphs equals their threshold.
    assert silent >= {"concat_box_loc.ignoreBatch", "concat_box_conf.ignoreBatch", "NMS.scoreAtLeast"}
    assert not silent & {"NMS.clip", "NMS.dropEmpty", "NMS.softSigma", "NMS.scoreConverter", "NMS.maxTotal"}
