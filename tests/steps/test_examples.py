"""Every step's docstring: its example is run, and its parts are there."""

from __future__ import annotations

from typing import Any

import pytest

from surgeon.diagnostics import SurgeonError
from surgeon.graph import print_graph
from surgeon.steps.example import parse_example, read_example, run_step
from surgeon.steps.step import NodeSpec, Step, step_types

STEPS = list(step_types().values())
AROUND: dict[str, dict[str, Any]] = {
    "collapse": {"nodes": {"clip": NodeSpec("clip", "Relu")}, "outputs": ("y",)},
}
"""What the recipe says around a step whose example needs it."""


@pytest.mark.parametrize("step_type", STEPS, ids=lambda s: s.keyword)
@pytest.mark.determinism
def test_example(step_type: type[Step]) -> None:
    before, declaration, after = parse_example(step_type)
    made = run_step(step_type.model_validate(declaration), before, **AROUND.get(step_type.keyword, {}))
    assert print_graph(made) == print_graph(after)
    assert print_graph(before) != print_graph(after), "an example shows a change"


@pytest.mark.parametrize("step_type", STEPS, ids=lambda s: s.keyword)
def test_declaration_is_documented(step_type: type[Step]) -> None:
    example = read_example(step_type)
    assert example.summary.endswith(".") and "\n" not in example.summary
    for name, option in step_type.model_fields.items():
        if name not in ("step", "id", "when"):
            assert option.description, f"{step_type.keyword}: {name}"


def test_every_step_of_the_issue_exists() -> None:
    assert set(step_types()) >= {
        "collapse",
        "remove",
        "remove-asserts",
        "forward",
        "forward-identities",
        "replace-op",
        "rename",
        "set-attr",
        "add-node",
        "connect",
        "disconnect",
        "reorder-inputs",
        "set-shape",
        "fold-constants",
        "pin-batch",
        "cut-at",
        "prune",
        "set-outputs",
    }


def test_a_docstring_without_an_example_is_refused() -> None:
    class Bare(Step):
        """Do nothing."""

    with pytest.raises(ValueError, match="Before::"):
        read_example(Bare)


def test_an_example_that_is_wrong_fails() -> None:
    """The comparison is not empty: another step's result differs."""
    before, _, after = parse_example(step_types()["prune"])
    made = run_step(step_types()["set-outputs"].model_validate({"outputs": ["spare"]}), before)
    assert print_graph(made) != print_graph(after)


def test_unknown_keys_are_refused() -> None:
    for step_type in STEPS:
        with pytest.raises(ValueError):
            step_type.model_validate({"no_such_option": 1})
    assert issubclass(SurgeonError, Exception)
