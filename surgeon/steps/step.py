"""What every recipe step is: a declaration that plans edits of the graph it sees."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache, cached_property
from types import MappingProxyType, ModuleType
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field

from surgeon.catalog import Catalog
from surgeon.diagnostics import Diagnostic, Severity, Span, SurgeonError, error
from surgeon.discovery import classes_in, discover
from surgeon.graph import AttrValue, Edit, Graph, Ref, TensorSpec
from surgeon.infer import Inference


class When(BaseModel):
    """When a step is taken."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    target: str | tuple[str, ...] = Field(
        description="Target patterns, such as 'uff', 'onnx', 'uff@tensorrt-8.5' or 'tensorrt>=8.0'; one must "
        "match."
    )


@dataclass(frozen=True)
class NodeSpec:
    """A node that a recipe puts in: everything about it that does not depend on the step that does so.

    ``inputs`` are tensor names as the recipe writes them (``name``, ``name:1``, ``name:port``, ``name:*``),
    or None where the step that puts the node in finds them. ``operands`` are small constants that the
    operation reads after its inputs (ConcatV2's axis): (input name, value). ``ports`` names the outputs.
    ``like`` is the tensor of the original graph that output 0 stands for. ``shape_only`` tells that the node
    ignores its inputs.
    """

    name: str
    op: str
    attrs: Mapping[str, AttrValue] = field(default_factory=dict)
    inputs: tuple[str, ...] | None = None
    operands: tuple[tuple[str, Any], ...] = ()
    ports: tuple[str, ...] = ("output",)
    like: Ref | None = None
    spec: TensorSpec | None = None
    ignores_inputs: bool = False
    is_plugin: bool = False
    span: Span | None = None


@dataclass(frozen=True)
class StepContext:
    """Where a step is planned: the graph as the steps before it left it, and what the recipe says around it.

    ``spans`` gives the recipe's place of the step's own keys, by path (``("nodes", 0)``); the empty path is
    the step.
    """

    graph: Graph
    spans: Callable[[tuple[str | int, ...]], Span | None] = lambda path: None
    nodes: Mapping[str, NodeSpec] = field(default_factory=dict)
    namespaces: Mapping[str, Any] = field(default_factory=dict)
    outputs: tuple[str, ...] = ()
    catalog: Catalog = field(default_factory=lambda: Catalog({}))
    diagnostics: list[Diagnostic] = field(default_factory=list)

    @cached_property
    def inference(self) -> Inference:
        """Specs and constant values of this graph."""
        return Inference(self.graph, rules=self.catalog.rules())

    @property
    def span(self) -> Span | None:
        """The step's place in the recipe."""
        return self.spans(())

    def at(self, *path: str | int) -> Span | None:
        """Return the place of one of the step's keys, or of the step."""
        return self.spans(path) or self.spans(())

    def fail(
        self, code: str, message: str, *path: str | int, notes: Any = (), help: Any = ()
    ) -> SurgeonError:
        """Return the error to raise, placed at one of the step's keys."""
        return error(code, message, self.at(*path), notes, help)

    def note(self, code: str, message: str, *path: str | int, notes: tuple[str, ...] = ()) -> None:
        """Add a note: something that the author should know and that stops nothing."""
        self.diagnostics.append(Diagnostic(code, message, self.at(*path), notes, (), Severity.NOTE))


class Step(BaseModel):
    """One entry of a recipe's ``steps``.

    A subclass lives in a file of its own in ``surgeon/steps``, names itself in :attr:`keyword`, declares its
    options as fields, and plans in :meth:`plan`. Its docstring's first line is its summary; the docstring
    also holds one example, tested: an indented graph in text form after ``Before::``, the step's YAML after
    ``Step::``, and the graph it makes after ``After::``.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    keyword: ClassVar[str] = ""

    step: str
    id: str | None = Field(
        None, description="Name by which another recipe's 'steps' edits this one; default the step's name."
    )
    when: When | None = Field(None, description="Take the step only for these targets.")

    @property
    def label(self) -> str:
        """The id, or the step's name."""
        return self.id or self.step

    def plan(self, context: StepContext) -> list[Edit]:
        """Return the edits, each with its place in the recipe.

        Raise SurgeonError where the step cannot be taken.
        """
        raise NotImplementedError


@cache
def step_types() -> Mapping[str, type[Step]]:
    """Return every step by its keyword; raise SurgeonError E112 where two files claim one keyword."""
    return MappingProxyType(dict(sorted(discover("surgeon.steps", "steps named", _steps_in).items())))


def _steps_in(module: ModuleType) -> Iterator[tuple[str, type[Step]]]:
    for value in classes_in(module, Step):
        if value.keyword and value.__module__ == module.__name__:
            yield value.keyword, value
