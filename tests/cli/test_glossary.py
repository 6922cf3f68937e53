"""Every word that an output uses is explained."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

import pytest

from surgeon.catalog import load_catalog
from surgeon.diagnostics import Severity
from surgeon.families.postprocessing import Postprocessing
from surgeon.glossary import glossary, key
from surgeon.verification import Difference, FieldPower, Outcome, Row, Tolerances, Verification
from surgeon.verification.results import ALONE, END
from surgeon.verification.verification import CUT
from surgeon.viewer.node_status import NodeStatus, status_word

ROW = Row(1, 0.5, (0.0, 0.0, 1.0, 1.0))


def counterfactuals() -> list[str]:
    """Return the names of all rules that the shipped references can change."""
    catalog = load_catalog()
    references = filter(None, (catalog.reference(op) for op in catalog))
    return [name for reference in references for name in reference.counterfactuals]


def power_words() -> list[str]:
    """Return the headings of a power with every kind of field."""
    power = (
        FieldPower("n", "p", "f", 1, ((2, ""),)),
        FieldPower("n", "p", "g", 1, ((2, "picture"), (0, ""))),
    )
    lines = Verification("r", "t", (), True, Tolerances(), None, (), power=power).power_lines
    return ["power", *(line.partition(":")[0] for line in lines[1:])]


WORDS: dict[str, Iterable[str]] = {
    "outcomes": [str(outcome) for outcome in Outcome],
    "verdicts": [CUT, ALONE, END],
    "excuses": counterfactuals(),
    "differences": [Difference(ROW, None).kind, Difference(None, ROW).kind, Difference(ROW, ROW).kind],
    "power": power_words(),
    "statuses": [*map(str, NodeStatus), status_word("dropped", "diff")],
    "post-processing": [field.name for field in dataclasses.fields(Postprocessing)],
    "severities": [severity.value for severity in Severity],
}


@pytest.mark.parametrize("kind", WORDS)
def test_every_word_of_the_code_is_explained(kind: str) -> None:
    words = list(WORDS[kind])
    assert words
    assert [word for word in words if key(word) not in glossary()] == []


@pytest.mark.parametrize(
    "word", ["clip-first", "Clip_First", "each alone", "each-alone", "cut-to-cut", "soft_sigma"]
)
def test_a_word_is_explained(run, word: str) -> None:
    ran = run("explain", word)
    assert ran.code == 0 and len(ran.out.splitlines()) > 2
    assert run("explain", word, "--json").json["kind"] == "word"


def test_a_misspelt_word_names_the_nearest(run) -> None:
    ran = run("explain", "clip-frist")
    assert ran.code == 1 and "error[E111]" in ran.err and "'clip-first'" in ran.err


def test_the_words_have_no_other_meaning(run) -> None:
    for word in glossary().values():
        found = run("explain", word.word, "--json").json
        assert found["kind"] == "word" and found["text"].strip().endswith((".", ")"))
