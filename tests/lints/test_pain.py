"""The table of errors that people meet: every row has a treatment, and what it names is there."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from surgeon.diagnostics import all_codes
from surgeon.engine import known_messages
from surgeon.lints import all_lints

ROOT = Path(__file__).resolve().parents[2]
ROWS: dict[int, dict[str, Any]] = yaml.safe_load((ROOT / "docs" / "pain.yaml").read_text(encoding="utf-8"))[
    "rows"
]
TREATMENTS = ("prevented", "linted", "doctor", "explained", "not ours")


@cache
def functions(path: Path) -> frozenset[str]:
    """Return the names of the functions of a file."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return frozenset(node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef))


def missing_tests(tests: list[str]) -> list[str]:
    """Return the tests that are not there."""
    return [
        test
        for test in tests
        if not (ROOT / test.partition("::")[0]).is_file()
        or test.partition("::")[2] not in functions(ROOT / test.partition("::")[0])
    ]


def test_there_are_all_rows() -> None:
    assert list(ROWS) == list(range(1, 38))


@pytest.mark.parametrize("number", ROWS)
def test_a_row_has_a_treatment_and_what_it_names_is_there(number: int) -> None:
    row = ROWS[number]
    assert set(row) <= {"message", "cause", "treatment", "here", "codes", "tests"}
    assert all(str(row[key]).strip() for key in ("message", "cause", "here"))
    assert row["treatment"] and set(row["treatment"]) <= set(TREATMENTS)
    assert row["tests"] and missing_tests(row["tests"]) == []
    assert set(row.get("codes", ())) <= set(all_codes())
    explained = [message.name for message in known_messages() if number in message.rows]
    assert bool(explained) == ("explained" in row["treatment"]), explained
    if "linted" in row["treatment"]:
        assert row["codes"]
    if "doctor" in row["treatment"]:
        assert any("test_doctor.py" in test for test in row["tests"])


def test_every_lint_is_in_the_table() -> None:
    named = {code for row in ROWS.values() for code in row.get("codes", ())}
    # Weights that depend on the picture and the changed plugin of Mask R-CNN are no rows of it.
    assert set(all_lints()) - named == {"L105", "L118", "L123"}


def test_a_test_that_is_not_there_is_seen() -> None:
    there = "tests/lints/test_pain.py::test_there_are_all_rows"
    gone = ["tests/lints/test_pain.py::test_nonesuch", "tests/lints/nonesuch.py::test_there_are_all_rows"]
    assert missing_tests([there, *gone]) == gone
