"""NVIDIA's own file for SSD Inception v2 against the file of a script with NVIDIA's numbers."""

from __future__ import annotations

import gzip
import importlib.util
import json
from pathlib import Path
from typing import Any

import pytest
from uff_golden import compare_to_golden

import surgeon.compat.graphsurgeon as gs
import surgeon.compat.uff as uff
from surgeon.compat import collecting
from surgeon.formats.uff import read_uff

NAME = "2017-11__ssd_inception_v2_coco"


@pytest.mark.shared
def test_golden_file_of_the_incumbent_node_by_node_and_in_order(shared_models: Any, tmp_path: Path) -> None:
    path = shared_models.root.parent / "golden" / f"{NAME}.uff.json.gz"
    if not path.exists():
        pytest.skip("the golden file is not beside the checkout")
    expected = json.loads(gzip.decompress(path.read_bytes()))
    config = Path(__file__).parent / "nvidia_numbers.py"
    with collecting() as remarks:
        uff.from_tensorflow_frozen_model(
            shared_models.filled(NAME), ["NMS"], str(config), output_filename=tmp_path / "m.uff", quiet=True
        )
    model = read_uff(tmp_path / "m.uff")
    assert compare_to_golden(model, expected) == []
    assert [node.id for node in model.nodes] == [node["id"] for node in expected["graphs"][0]["nodes"]]
    assert remarks == []


@pytest.mark.exhaustive
@pytest.mark.shared
def test_the_order_of_another_date_is_told(shared_models: Any) -> None:
    """The order that configs for 2018-03 give is wrong on a graph of 2018-04, where NMS also gets the picture."""
    spec = importlib.util.spec_from_file_location(
        "nvidia_numbers", Path(__file__).parent / "nvidia_numbers.py"
    )
    script = importlib.util.module_from_spec(spec)  # type: ignore[arg-type]
    spec.loader.exec_module(script)  # type: ignore[union-attr]
    graph = gs.DynamicGraph(shared_models.filled("2018-04__ssd_mobilenet_v2_coco"))
    script.MAP = {**script.MAP, "Concatenate": "concat_priorbox"}
    with collecting() as remarks:
        script.preprocess(graph, inputOrder=[1, 0, 2])
        uff.from_tensorflow(graph, ["NMS"], quiet=True)
    assert [d.code for d in remarks] == ["P101", "P118", "P119"]
