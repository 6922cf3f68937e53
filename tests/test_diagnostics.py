"""Diagnostics as text and JSON, and the nearest spellings. Codes and pages are compared in the documentation's tests."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from surgeon.diagnostics import (
    Diagnostic,
    Severity,
    Span,
    SurgeonError,
    code_page,
    error,
    nearest,
    nearest_note,
)

MISSPELT = Diagnostic(
    "R201",
    "namespace 'Postprocesor' matches no node",
    Span("recipes/ssd.yaml", 14, 3, 12, "  Postprocesor: NMS"),
    ("nearest: 'Postprocessor' (5387 nodes)",),
    ("correct the spelling",),
)

GOLDEN = """\
recipes/ssd.yaml:14:3: error[R201]: namespace 'Postprocesor' matches no node
   14 |   Postprocesor: NMS
      |   ^^^^^^^^^^^^
      = nearest: 'Postprocessor' (5387 nodes)
      = help: correct the spelling"""

COLOURED = """\
\x1b[1mrecipes/ssd.yaml:14:3: \x1b[31merror[R201]\x1b[0m\x1b[1m: namespace 'Postprocesor' matches no node\x1b[0m
\x1b[34m   14 | \x1b[0m  Postprocesor: NMS
\x1b[34m      | \x1b[0m  \x1b[31m^^^^^^^^^^^^\x1b[0m
      = nearest: 'Postprocessor' (5387 nodes)
      = help: correct the spelling"""


def test_golden_text() -> None:
    assert MISSPELT.render() == GOLDEN
    assert str(SurgeonError(MISSPELT, MISSPELT)) == GOLDEN + "\n" + GOLDEN


def test_golden_coloured_text() -> None:
    assert MISSPELT.render(colour=True) == COLOURED


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        (None, "error[G101]: m"),
        ("model.pb", "model.pb: error[G101]: m"),
        (Span("r.yaml", 2, 3), "r.yaml:2:3: error[G101]: m"),
        (Span("r.yaml", 2, 3, 2, "\tab: 1"), "r.yaml:2:3: error[G101]: m\n    2 | \tab: 1\n      | \t ^^"),
        (Span("r.yaml", 2, 4, 99, "abcdef"), "r.yaml:2:4: error[G101]: m\n    2 | abcdef\n      |    ^^^"),
        (Span("r.yaml", 2, 9, 0, "abc"), "r.yaml:2:9: error[G101]: m\n    2 | abc\n      |    ^"),
        (Span("r.yaml", 123456, 1, 1, "ü"), "r.yaml:123456:1: error[G101]: m\n123456 | ü\n       | ^"),
    ],
)
def test_the_caret_stands_under_the_place(where: Span | str | None, expected: str) -> None:
    assert Diagnostic("G101", "m", where).render() == expected


def test_other_severities_are_named() -> None:
    assert Diagnostic("G101", "m", severity=Severity.WARNING).render() == "warning[G101]: m"
    assert Diagnostic("G101", "m", severity=Severity.NOTE).render() == "note[G101]: m"


def test_control_characters_are_shown_as_escapes() -> None:
    text = Diagnostic("G101", "node '\x1b[31m\ud800'", "a\rb", ("\x07",), ("\x00",)).render()
    assert text == "a\\rb: error[G101]: node '\\x1b[31m\\ud800'\n      = \\x07\n      = help: \\x00"
    line = Diagnostic("G101", "m", Span("f", 1, 2, 1, "\x1bx")).render().splitlines()
    assert line[1] == "    1 |  x" and line[2] == "      |  ^"
    assert Diagnostic("G101", "größe\t\n✓").render() == "error[G101]: größe\\t\\n✓"


def test_json_is_the_twin_of_the_text() -> None:
    found = json.loads(json.dumps(MISSPELT.to_json()))
    assert found == {
        "code": "R201",
        "severity": "error",
        "message": "namespace 'Postprocesor' matches no node",
        "where": {"file": "recipes/ssd.yaml", "line": 14, "column": 3, "length": 12},
        "notes": ["nearest: 'Postprocessor' (5387 nodes)"],
        "help": ["correct the spelling"],
    }
    assert Diagnostic("G101", "m", "model.pb").to_json()["where"] == "model.pb"
    assert Diagnostic("G101", "m").to_json()["where"] is None


def test_error_builds_one_diagnostic() -> None:
    made = error("E101", "m", Path("a/b.pb"), ["note"], ["help"])
    assert made.diagnostics == (Diagnostic("E101", "m", "a/b.pb", ("note",), ("help",)),)
    with pytest.raises(SurgeonError, match=r"a/b.pb: error\[E101\]: m"):
        raise made


@pytest.mark.parametrize(
    ("name", "candidates", "expected"),
    [
        ("Postprocesor", ["Preprocessor", "Postprocessor", "concat"], ["Postprocessor", "Preprocessor"]),
        ("concat_9", ["concat_1", "concat_2", "concat", "concat_3", "NMS"], 3),
        ("NMS", ["Conv2D", "Relu6"], []),
        ("", ["a"], []),
        ("x", [], []),
    ],
)
def test_nearest_spellings(name: str, candidates: list[str], expected: list[str] | int) -> None:
    found = nearest(name, candidates)
    assert found == nearest(name, iter(candidates))
    assert (len(found) if isinstance(expected, int) else found) == expected


def test_nearest_among_many_is_quick() -> None:
    names = [f"FeatureExtractor/layer_{i}/Conv2D" for i in range(100_000)] + ["never looked at"]
    begin = time.perf_counter()
    assert nearest("FeatureExtractor/layer_7/Conv2", names)[0] == "FeatureExtractor/layer_7/Conv2D"
    assert nearest("never looked at", names) == []
    assert nearest("x" * 100_000, names) == [] and nearest("x" * 150, ["x" * 100_000] * 100) == []
    assert time.perf_counter() - begin < 5


def test_a_note_names_the_nearest() -> None:
    assert nearest_note("concat_9", ["concat_1"]) == ("nearest: 'concat_1'",)
    assert nearest_note("concat_9", ["NMS"]) == ()


def test_pages() -> None:
    title, body = code_page("G101") or ("", "")
    assert title and not title.startswith(("#", "G101")) and body.endswith("\n")
    for name in ("G999", "", "../G101", "G101.md"):
        assert code_page(name) is None
