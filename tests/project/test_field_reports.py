"""docs/field.md: every row names a test that is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ROWS = [
    line
    for line in (ROOT / "docs" / "field.md").read_text(encoding="utf-8").splitlines()
    if line.startswith("| ")
]
TESTS = [cell.strip("` ") for line in ROWS[1:] for cell in re.findall(r"`tests/[^`]+`", line)]


def test_every_row_names_a_test() -> None:
    assert len(ROWS) > 30 and len(TESTS) == len(ROWS) - 1
    assert all(len(line.split(" | ")) == 4 for line in ROWS)


@pytest.mark.parametrize("named", sorted(set(TESTS)))
def test_a_test_that_a_row_names_is_there(named: str) -> None:
    path, _, name = named.partition("::")
    text = (ROOT / path).read_text(encoding="utf-8")
    assert re.search(rf"^def {name}\(" if name else r"^def test_", text, re.MULTILINE)
