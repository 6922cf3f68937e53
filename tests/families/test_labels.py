"""Names of classes beside the graph: as many as it has, or a warning, in every family."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

import surgeon
from surgeon.zoo.faster_rcnn import FasterRcnnOptions, build_faster_rcnn
from surgeon.zoo.keras_retinanet import build_keras_retinanet
from surgeon.zoo.keras_ssd import build_keras_ssd


@pytest.mark.parametrize(
    ("build", "first"),
    [
        (lambda: build_faster_rcnn(FasterRcnnOptions(classes=3)), 0),
        (build_keras_retinanet, 0),
        (build_keras_ssd, 1),
    ],
    ids=["two stages", "retinanet", "ssd"],
)
def test_more_names_than_classes_are_warned_of(
    build: Callable[[], bytes], first: int, tmp_path: Path
) -> None:
    model = tmp_path / "model.pb"
    model.write_bytes(build())
    names = {number: f"class {number}" for number in range(1, 5)}
    made = surgeon.init(model, labels=names, target="onnx@onnxruntime")
    assert made.recipe.labels == {number - 1 + first: names[number] for number in (1, 2, 3)}
    assert [each.code for each in made.diagnostics] == ["D145"]
    del names[4]
    assert not surgeon.init(model, labels=names, target="onnx@onnxruntime").diagnostics
