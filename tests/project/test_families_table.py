"""The program that makes the table of docs/families/index.md."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def families() -> ModuleType:
    sys.path.insert(0, str(ROOT / "bench"))
    try:
        return importlib.import_module("families")
    finally:
        sys.path.remove(str(ROOT / "bench"))


def test_each_sample_is_found_once(families: ModuleType) -> None:
    modules = families.sample_modules()
    assert modules["ssd_cut_2018"] == "surgeon.zoo.cut_ssd"
    assert modules["opencv_face_detector"] == "surgeon.zoo.caffe_ssd"
    counts = [len(importlib.import_module(name).SAMPLES) for name in set(modules.values())]
    assert sum(counts) == len(modules)


def test_a_cell_says_what_came_of_a_target(families: ModuleType) -> None:
    passed = {"outcome": "passed", "detections": 9, "matched": 9, "excused": 0, "box": 2e-7, "score": 1e-6}
    passed |= {"mask": None, "seconds": 3.4}
    assert families.cell(passed) == "9 of 9; 2e-07, 1e-06; 3 s"
    failed = {**passed, "outcome": "failed", "matched": 7, "excused": 1, "mask": 0.01}
    assert families.cell(failed) == "**failed**: 7 of 9, 1 excused; 2e-07, 1e-06, 1e-02; 3 s"
    assert families.cell({"outcome": "refused", "codes": ["X101", "L102"]}) == "refused: X101, L102"
    assert families.cell({"outcome": "over 900 s"}) == "over 900 s"


def test_a_table_is_written_between_the_marks_of_a_page(families: ModuleType, tmp_path: Path) -> None:
    page = tmp_path / "index.md"
    page.write_text(f"# Page\n\n{families.BEGIN}\nold\n{families.END}\nmore\n", encoding="utf-8")
    row = {"name": "x", "family": "ssd", "targets": {}}
    row["targets"] = {target: {"outcome": "over 1 s"} for target in families.TARGETS}
    families.written_into(page, families.table([row]))
    text = page.read_text(encoding="utf-8")
    assert "| ssd | `x` | over 1 s |" in text and "old" not in text and text.endswith("more\n")
