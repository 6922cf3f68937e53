"""Recipes with random mistakes are read or refused with a diagnostic, never with anything else."""

from __future__ import annotations

import random

import pytest

from surgeon.diagnostics import SurgeonError
from surgeon.language import parse_recipe, recipe_files

TEXTS = [path.read_text() for path in recipe_files().values()]
PIECES = [
    "null",
    "[]",
    "{}",
    "-1",
    "1e400",
    "'",
    '"',
    ": ",
    "- ",
    "&a ",
    "*a",
    "!!map ",
    "$x",
    "$$",
    "auto",
    "\n",
    "\t",
    "#",
    "?",
    "{step: collapse, take: [1]}",
    "steps: {after: {collapse: [prune]}}\n",
    "nodes: 3\n",
    "true",
    "\x00",
    "é",
    "9" * 30,
]
KINDS = 6


def mutated(text: str, chance: random.Random) -> str:
    for _ in range(chance.randint(1, 3)):
        at = chance.randrange(len(text) + 1)
        kind = chance.randrange(KINDS)
        if kind == 0:
            text = text[:at] + chance.choice(PIECES) + text[at:]
        elif kind == 1:
            text = text[:at] + text[at + chance.randint(1, 12) :]
        elif kind == 2:
            text = text[:at] + chr(chance.randrange(32, 127)) + text[at + 1 :]
        elif kind == 3:
            lines = text.split("\n")
            chance.shuffle(lines)
            text = "\n".join(lines)
        elif kind == 4:
            words = text.split(" ")
            words[chance.randrange(len(words))] = chance.choice(PIECES)
            text = " ".join(words)
        else:
            text = text[:at]
    return text


@pytest.mark.parametrize("seed", range(8))
def test_mutated_recipes(seed: int) -> None:
    chance = random.Random(seed)
    refused = 0
    for _ in range(250):
        text = mutated(chance.choice(TEXTS), chance)
        try:
            parse_recipe(text, "mutated.yaml")
        except SurgeonError as exc:
            refused += 1
            assert all(d.message and d.code for d in exc.diagnostics)
            str(exc)
    assert refused > 100
