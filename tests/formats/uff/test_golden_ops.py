"""Every converter against golden text: a graph, a line of dashes, and the UFF it becomes.

SURGEON_REWRITE_GOLDEN=1 rewrites the second half of each file; read the difference before it is kept.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from surgeon.formats.uff import converters, print_uff
from surgeon.graph import parse_graph

CASES = sorted((Path(__file__).parent / "ops").glob("*.txt"))
RULE = "----\n"


@pytest.mark.parametrize("case", CASES, ids=lambda path: path.stem)
def test_golden(case, exported):
    graph, _, expected = case.read_text(encoding="utf-8").partition(RULE)
    text = print_uff(exported(graph))
    if os.environ.get("SURGEON_REWRITE_GOLDEN") == "1":
        case.write_text(graph + RULE + text, encoding="utf-8")
        return
    assert text == expected


def test_every_op_with_a_converter_has_a_case():
    seen = set()
    for case in CASES:
        seen |= {node.op for node in parse_graph(case.read_text(encoding="utf-8").partition(RULE)[0])}
    assert sorted(set(converters()) - seen) == []
