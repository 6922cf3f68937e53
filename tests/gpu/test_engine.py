"""Engines of the demo model on a real GPU; skipped where there is none. The expected detections are checked on a CPU."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import surgeon
from surgeon.engine import read_registry
from surgeon.zoo import demo

GOLDEN = Path(__file__).parent / "demo_detections.json"
"""What the references detect with a score of 0.5 or more: for each picture rows of class, score and box."""

Rows = dict[str, list[list[float]]]


def rows_of(found: Iterable[Any]) -> Rows:
    return {
        Path(one.picture).name: [[row["class"], row["score"], *row["box"]] for row in one.rows()]
        for one in found
    }


def assert_same(found: Rows, tolerance: float) -> None:
    expected: Rows = json.loads(GOLDEN.read_text())
    assert found.keys() == expected.keys()
    for name, rows in expected.items():
        mine, theirs = np.array(found[name]), np.array(rows)
        assert mine.shape == theirs.shape and np.array_equal(mine[:, 0], theirs[:, 0])
        assert np.abs(mine - theirs).max() <= tolerance


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("gpu") / "demo.yaml"
    surgeon.init(demo.model_path(), path, labels=demo.labels_path())
    return path


def test_the_references_detect_what_is_expected(recipe: Path) -> None:
    pytest.importorskip("tensorflow")
    pytest.importorskip("PIL")
    found = surgeon.detect(recipe, demo.picture_paths()[0].parent, model=demo.model_path(), threshold=0.5)
    assert_same(rows_of(found), 1e-5)
    with pytest.raises(AssertionError):
        assert_same(
            {name: [[row[0] + 1, *row[1:]] for row in rows] for name, rows in rows_of(found).items()}, 1e-5
        )


@pytest.mark.gpu
def test_an_engine_detects_the_same(recipe: Path, tmp_path: Path) -> None:
    pytest.importorskip("PIL")
    registry = read_registry()
    if registry is None or not registry.devices:
        pytest.skip("TensorRT is not installed" if registry is None else "there is no GPU")
    built = surgeon.build_engine(
        recipe, demo.model_path(), tmp_path / "demo.engine", precision="fp32", tf32=False
    )
    assert not built.reused and built.manifest.gpu == registry.devices[0].name
    assert_same(rows_of(surgeon.detect(built.path, demo.picture_paths()[0].parent, threshold=0.5)), 1e-4)
    assert surgeon.build_engine(recipe, demo.model_path(), built.path, precision="fp32", tf32=False).reused
