"""OpenCV's face detector: the shipped recipe, held against a computation in numpy."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

import surgeon
from surgeon.catalog import load_catalog
from surgeon.graph import Ref
from surgeon.zoo.caffe_ssd import build_caffe_ssd

SIZE = 96
SIZES = ((30, 60), (60, 111), (111, 162), (162, 213), (213, 264), (264, 315))
RATIOS = ((2,), (2, 3), (2, 3), (2, 3), (2,), (2,))
STEPS = (8, 16, 32, 64, 100, 300)
ROWS = (12, 6, 3, 2, 2, 2)


@pytest.fixture(scope="module", params=["quantized", "float"])
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("caffe") / f"{request.param}.pb"
    path.write_bytes(build_caffe_ssd(size=SIZE, quantized=request.param == "quantized"))
    return path


HEADS = """\
recipe: 1
name: heads
outputs: [mbox_loc, mbox_conf_flatten]
steps: [for-inference]
"""


def sized() -> surgeon.Recipe:
    return surgeon.load_recipe("opencv_face_detector", parameters={"height": SIZE, "width": SIZE})


def priors() -> np.ndarray:
    """Return the anchors float64[P, 4] (centre x, y, width, height) of the description, in pixels / SIZE."""
    found = []
    for rows, (least, most), ratios, step in zip(ROWS, SIZES, RATIOS, STEPS, strict=True):
        shapes = [(least, least), (math.sqrt(least * most),) * 2]
        for ratio in ratios:
            root = math.sqrt(ratio)
            shapes += [(least * root, least / root), (least / root, least * root)]
        for y in range(rows):
            for x in range(rows):
                found += [((x + 0.5) * step, (y + 0.5) * step, w, h) for w, h in shapes]
    return np.array(found) / SIZE


def detected(loc: np.ndarray, conf: np.ndarray) -> np.ndarray:
    """Return the detections float64[n, 5] of encodings [P, 4] and probabilities [P]: score and corners."""
    anchors = priors()
    centre = anchors[:, :2] + 0.1 * loc[:, :2] * anchors[:, 2:]
    size = anchors[:, 2:] * np.exp(0.2 * loc[:, 2:])
    boxes = np.concatenate([centre - size / 2, centre + size / 2], axis=1)
    order = [i for i in np.argsort(-conf, kind="stable") if conf[i] > 0.01][:400]
    kept: list[int] = []
    for i in order:
        if all(overlap(boxes[i], boxes[j]) <= 0.45 for j in kept):
            kept.append(i)
    return np.column_stack([conf[kept], np.clip(boxes[kept], 0, 1)])[:200]


def overlap(a: np.ndarray, b: np.ndarray) -> float:
    sides = np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2])
    shared = float(np.prod(sides)) if (sides > 0).all() else 0.0
    return shared / (np.prod(a[2:] - a[:2]) + np.prod(b[2:] - b[:2]) - shared)


def test_the_detections_are_those_of_the_description(model: Path, tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime", reason="runs the file")
    from surgeon.runners.onnxruntime import OnnxRuntimeRunner
    from surgeon.runners.references import ReferenceRunner

    file = tmp_path / "face.onnx"
    surgeon.convert(sized(), model, file)
    heads = surgeon.parse_recipe(HEADS)
    plain = surgeon.plan(heads, model).result
    picture = np.random.default_rng(3).uniform(-120, 120, (1, SIZE, SIZE, 3)).astype(np.float32)
    with ReferenceRunner(plain, load_catalog(), [Ref("mbox_loc"), Ref("mbox_conf_flatten")]) as runner:
        outputs = runner.run({"data": picture})
    expected = detected(outputs["mbox_loc"].reshape(-1, 4), outputs["mbox_conf_flatten"][:, 1])
    with OnnxRuntimeRunner.open(file) as runner:
        rows = next(iter(runner.run({"Input": picture}).values())).reshape(-1, 7)
    found = rows[rows[:, 1] >= 0][:, 2:]
    assert len(found) == len(expected) > 20
    assert np.abs(found - expected).max() < 1e-4


def test_it_is_verified_as_it_is_written(model: Path) -> None:
    pytest.importorskip("tensorflow", reason="runs the original")
    found = surgeon.verify(sized(), model)
    assert found.passed, [c for v in found.verdicts for c in v.comparisons if c.outcome != "passed"]
    assert found.verdicts[0].comparisons[0].matched > 20
    assert ("V134" in [d.code for d in found.diagnostics]) == (model.stem == "quantized")
    subjects = {c.subject: c.outcome for c in found.verdicts[1].comparisons}
    assert subjects["mbox_loc -> concat_box_loc"] == "passed" and "not compared" not in subjects.values()


def test_a_uff_file_is_written(model: Path, tmp_path: Path) -> None:
    surgeon.convert(sized(), model, tmp_path / "face.uff")
    assert (tmp_path / "face.uff").stat().st_size > 1000
