"""The example in a step's docstring: read for the documentation, and run by the tests."""

from __future__ import annotations

import inspect
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from surgeon.graph import Graph, apply_edits, parse_graph
from surgeon.steps.step import NodeSpec, Step, StepContext

_HEADINGS = ("Before::", "Step::", "After::")


@dataclass(frozen=True)
class Example:
    """A step's docstring, taken apart: what it says, and the example's three parts as text."""

    summary: str
    explanation: str
    before: str
    step: str
    after: str

    def declaration(self) -> Any:
        """Return the step's YAML as plain values."""
        return yaml.safe_load(self.step)


def read_example(step_type: type[Step]) -> Example:
    """Return a step's docstring taken apart.

    Raise ValueError unless it has all three parts of an example in order.
    """
    text = inspect.getdoc(step_type) or ""
    parts: list[list[str]] = [[]]
    for line in text.splitlines():
        if len(parts) <= len(_HEADINGS) and line == _HEADINGS[len(parts) - 1]:
            parts.append([])
        else:
            parts[-1].append(line)
    if len(parts) != 1 + len(_HEADINGS):
        raise ValueError(f"the docstring of {step_type.__name__} has no '{_HEADINGS[len(parts) - 1]}'")
    prose, *example = ["\n".join(part) for part in parts]
    summary, _, explanation = prose.strip().partition("\n\n")
    before, step, after = (textwrap.dedent(part).strip() + "\n" for part in example)
    return Example(" ".join(summary.split()), explanation.strip(), before, step, after)


def parse_example(step_type: type[Step]) -> tuple[Graph, Any, Graph]:
    """Return a step's example: the graph before, the step's declaration as plain values, the graph after."""
    example = read_example(step_type)
    name = step_type.keyword
    return (
        parse_graph(example.before, f"{name}: before"),
        example.declaration(),
        parse_graph(example.after, f"{name}: after"),
    )


def run_step(step: Step, graph: Graph, nodes: Mapping[str, NodeSpec] | None = None, **around: Any) -> Graph:
    """Return the graph that one step alone makes of another.

    ``around`` are further fields of :class:`StepContext`.
    """
    return apply_edits(graph, step.plan(StepContext(graph, nodes=nodes or {}, **around)))
