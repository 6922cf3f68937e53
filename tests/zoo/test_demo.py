"""The demo model that comes with the package: it detects."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from surgeon.formats.graphdef import load_graph
from surgeon.zoo import SsdOptions, demo, write_ssd
from surgeon.zoo.demo.pictures import CLASSES


def test_the_files_are_there_and_small() -> None:
    assert demo.model_path().stat().st_size < 2_000_000
    assert demo.labels() == dict(enumerate(CLASSES, 1))
    paths = demo.picture_paths()
    assert len(paths) >= 3 and sum(path.stat().st_size for path in paths) < 300_000
    graph = load_graph(demo.model_path())
    assert {"detection_boxes", "detection_scores", "detection_classes", "num_detections"} <= {
        node.name for node in graph
    }


def precision(model: Path, pictures: int) -> float:
    for module in ("PIL", "tensorflow", "pycocotools"):
        pytest.importorskip(module, reason="the evaluation needs Pillow, TensorFlow and pycocotools")
    from surgeon.zoo.training.evaluation import evaluate, fresh_pictures
    from surgeon.zoo.training.frozen import frozen_detector

    return evaluate(frozen_detector(model), fresh_pictures(pictures)).map50


def test_the_model_finds_the_shapes_of_fresh_pictures() -> None:
    assert precision(demo.model_path(), 30) >= 0.9


def test_a_model_of_random_weights_does_not(tmp_path: Path) -> None:
    options = SsdOptions(classes=len(CLASSES), depth_multiplier=0.1)
    assert precision(write_ssd(tmp_path / "random.pb", options), 10) < 0.1


def test_the_samples_are_pictures_of_the_shapes() -> None:
    pillow = pytest.importorskip("PIL.Image", reason="Pillow reads pictures")
    for path in demo.picture_paths():
        pixels = np.asarray(pillow.open(path))
        assert pixels.shape[2] == 3 and min(pixels.shape[:2]) >= 240
