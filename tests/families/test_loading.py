"""Which families are loaded for a graph: those that it could be a member of, and all where none takes it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from surgeon.families import Refusal, load_families, recognise_detector
from surgeon.graph import Graph, Node, Ref
from surgeon.zoo.ssd import SAMPLES

LOADED = """
import sys
from pathlib import Path
from surgeon.families import recognise_detector
from surgeon.formats.graphdef import load_graph
print(recognise_detector(load_graph(Path(sys.argv[1]))).name, *sys.modules)
"""


def test_a_single_shot_detector_loads_no_families_of_operations_that_it_does_not_hold(tmp_path: Path) -> None:
    model = tmp_path / "ssd.pb"
    model.write_bytes(SAMPLES["ssd_mobilenet_v1_2018"]())
    run = subprocess.run(
        [sys.executable, "-c", LOADED, str(model)], capture_output=True, text=True, check=True
    )
    name, *modules = run.stdout.split()
    assert name == "ssd" and "surgeon.families.ssd.detector" in modules
    others = [f"surgeon.families.{other}.detector" for other in ("faster_rcnn", "matterport", "yolo")]
    assert not set(others) & set(modules)


@pytest.mark.parametrize("op", ["Relu", "CropAndResize", "TopKV2"])
def test_the_refusal_is_the_nearest_of_all_families(op: str) -> None:
    graph = Graph([Node("picture", "Placeholder"), Node("end", op, (Ref("picture"),))])
    refusals = [family.match(graph) for family in load_families() if family.detects]
    assert all(isinstance(each, Refusal) for each in refusals)
    nearest = max(refusals, key=lambda each: each.nearness)
    found = recognise_detector(graph)
    assert isinstance(found, Refusal)
    assert str(found.reason) == str(nearest.reason)
