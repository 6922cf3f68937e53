"""Steps made from their keyword, and refusals."""

from __future__ import annotations

from typing import Any

import pytest

from surgeon.diagnostics import SurgeonError
from surgeon.graph import Graph, parse_graph
from surgeon.steps.example import run_step
from surgeon.steps.step import step_types


def make(keyword: str, **options: Any) -> Any:
    """Return the step of a keyword."""
    return step_types()[keyword].model_validate({"step": keyword, **options})


def text(body: str) -> Graph:
    """Return the graph of a text without its first line."""
    return parse_graph("graph v1\n" + body)


def refused(
    code: str, keyword: str, graph: Graph, around: dict[str, Any] | None = None, **options: Any
) -> str:
    """Return the text of the error with which a step refuses a graph; its code is the one given."""
    with pytest.raises(SurgeonError) as caught:
        run_step(make(keyword, **options), graph, **(around or {}))
    assert caught.value.diagnostics[0].code == code
    return str(caught.value)
