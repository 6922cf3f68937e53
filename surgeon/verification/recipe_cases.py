"""``<recipe>.cases.yaml``: what a recipe is expected to make of some models, for its author."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from surgeon.catalog import Catalog
from surgeon.diagnostics import SurgeonError, error, nearest_note
from surgeon.graph import Graph, Node, TensorValue, print_attr
from surgeon.language import Recipe, load_recipe
from surgeon.language.document import plain_scalar
from surgeon.language.loading import CASES
from surgeon.rewrite import Plan, plan
from surgeon.runners.image import given_pictures
from surgeon.targets import load_target, read_data
from surgeon.verification.graph_pair import GraphPair
from surgeon.verification.limits import Limits
from surgeon.verification.results import Outcome, Tolerances, Verification
from surgeon.verification.verification import verify_rewritten

CODE = "V120"

One = TypeVar("One")

_CLOSE = 1e-6
"""Largest relative difference of a number from the expected one.

A field is float32, a case is written in decimals.
"""


def _typed(value: object) -> object:
    """Return what a plain text means in YAML, inside lists and mappings, too."""
    if isinstance(value, str):
        return plain_scalar(value)
    if isinstance(value, list):
        return [_typed(item) for item in value]
    return {key: _typed(item) for key, item in value.items()} if isinstance(value, dict) else value


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


Typed = Annotated[Any, BeforeValidator(_typed)]
Number = Annotated[float, Field(gt=0, lt=1, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=0, le=1_000_000_000)]
Name = Annotated[str, Field(min_length=1, max_length=200)]


class NodeExpectation(_Strict):
    """What a node of the rewritten graph must be; parts that are left out may be anything."""

    op: str | None = None
    fields: Mapping[str, Typed] = Field(default_factory=dict)
    inputs: tuple[str, ...] | None = None


class VerifyExpectation(_Strict):
    """How the verification must end, and what it allows."""

    outcome: Literal["passed", "failed", "inconclusive"] = "passed"
    box_tolerance: Number = Field(1e-4, alias="box-tolerance")
    score_tolerance: Number = Field(1e-4, alias="score-tolerance")
    max_excused: Count | None = Field(None, alias="max-excused")
    images: Path | None = None
    seed: Count = 0


def _node(value: object) -> object:
    """Take ``absent`` for None and a text for the op."""
    if isinstance(value, str):
        return None if value == "absent" else {"op": value}
    return value


class Expectation(_Strict):
    """What a case expects; ``error`` is the code that planning or verifying must fail with."""

    derived: Mapping[str, Typed] = Field(default_factory=dict)
    nodes: Mapping[str, Annotated[NodeExpectation | None, BeforeValidator(_node)]] = Field(
        default_factory=dict
    )
    error: str | None = None
    verify: VerifyExpectation | None = None

    @model_validator(mode="after")
    def _says_something(self) -> Expectation:
        if not (self.derived or self.nodes or self.error or self.verify):
            raise ValueError("nothing is expected; expected one of 'derived', 'nodes', 'error' and 'verify'")
        if self.error and (self.derived or self.nodes or (self.verify and self.verify.outcome != "passed")):
            raise ValueError(
                "an 'error' is expected, and something else; expected the error alone, or with 'verify'"
            )
        return self


class RecipeCase(_Strict):
    """One model, a file or options of a generated one, and what the recipe must make of it."""

    name: Name
    summary: str = ""
    model: Path | None = None
    zoo: Typed = None
    parameters: Mapping[str, Typed] = Field(default_factory=dict)
    target: str = "uff@tensorrt-8.5"
    expect: Expectation

    @model_validator(mode="after")
    def _one_model(self) -> RecipeCase:
        if (self.model is None) == (self.zoo is None):
            raise ValueError("expected exactly one of 'model' and 'zoo'")
        if self.zoo is not None and not isinstance(self.zoo, dict):
            raise ValueError("'zoo' is not a mapping; expected options such as {date: 2018, classes: 3}")
        return self


class RecipeCases(_Strict):
    """The cases of one recipe."""

    cases: Annotated[tuple[RecipeCase, ...], Field(min_length=1, max_length=1000)]

    @model_validator(mode="after")
    def _named(self) -> RecipeCases:
        names = [case.name for case in self.cases]
        twice = next((name for i, name in enumerate(names) if name in names[:i]), None)
        if twice is not None:
            raise ValueError(f"two cases are named '{twice}'; expected a name for each")
        return self


@dataclass(frozen=True)
class CaseResult:
    """How one case ended; ``unverified`` is True where only the verification was not as expected."""

    name: str
    failures: tuple[str, ...]
    unverified: bool = False
    verification: Verification | None = None

    @property
    def passed(self) -> bool:
        """True where everything was as expected."""
        return not self.failures

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        return {
            "name": self.name,
            "passed": self.passed,
            "failures": list(self.failures),
            "unverified": self.unverified,
            "verification": self.verification.to_json() if self.verification is not None else None,
        }


OpenModel: TypeAlias = Callable[[RecipeCase, Path], Graph]
"""Returns a case's model; the folder is what a relative path starts from."""


def cases_file(recipe: Path) -> Path:
    """Return the file of cases beside a recipe; raise SurgeonError V121 where there is none."""
    path = recipe.with_name(recipe.stem + CASES)
    if not os.path.isfile(path):
        raise error(
            "V121",
            f"the recipe '{recipe}' has no cases; expected '{path.name}' beside it",
            help=["write one, or name a file with --cases; 'surgeon test --help' shows what stands in it"],
        )
    return path


def load_recipe_cases(path: Path) -> RecipeCases:
    """Read a file of cases; raise SurgeonError V120 with line and column for whatever is wrong in it."""
    return read_data(path, RecipeCases, CODE, "file of cases")


def chosen_cases(path: Path, text: str = "") -> list[RecipeCase]:
    """Read a file of cases and return those whose names hold a text.

    Raise SurgeonError V120, and V121 for none.
    """
    return named_so([(case.name, case) for case in load_recipe_cases(path).cases], text, path)


def named_so(cases: Sequence[tuple[str, One]], text: str, path: Path) -> list[One]:
    """Return the cases, given with their names, whose names hold a text; raise SurgeonError V121 for none."""
    found = [case for name, case in cases if text in name]
    if not found:
        raise error(
            "V121",
            f"no case's name holds '{text}'; expected one of the {len(cases)} in '{path}'",
            notes=nearest_note(text, [name for name, _ in cases]),
            help=["correct --only"],
        )
    return found


def run_case(
    case: RecipeCase,
    recipe: Path,
    folder: Path,
    catalog: Catalog,
    open_model: OpenModel,
    recipe_paths: Sequence[Path] = (),
) -> CaseResult:
    """Plan a recipe for a case's model, verify it where the case asks for that, and compare with what is
    expected.

    ``folder`` is that of the file of cases. A diagnostic that is not expected is a failure of the case; raise
    SurgeonError for a model that cannot be opened.
    """
    graph = open_model(case, folder)
    expect = case.expect
    try:
        ready = load_recipe(recipe, parameters=case.parameters, recipe_paths=recipe_paths)
        made = plan(ready, graph, target=load_target(case.target), catalog=catalog)
        failures = [*_derived(expect, made), *_nodes(expect, made)]
        verification = _verified(expect, made, ready, folder, catalog)
    except SurgeonError as exc:
        return CaseResult(case.name, tuple(_unexpected(expect, exc)))
    if expect.error is not None:
        return CaseResult(case.name, (f"no error; expected {expect.error}",), verification=verification)
    wrong = _wrong_outcome(expect, verification)
    return CaseResult(case.name, (*failures, *wrong), bool(wrong) and not failures, verification)


def _unexpected(expect: Expectation, exc: SurgeonError) -> list[str]:
    if expect.error in [d.code for d in exc.diagnostics]:
        return []
    wanted = f"; expected {expect.error}" if expect.error else ""
    return [f"{d.code}: {d.message}{wanted}" for d in exc.diagnostics[:5]]


def _verified(
    expect: Expectation, made: Plan, recipe: Recipe, folder: Path, catalog: Catalog
) -> Verification | None:
    wanted = expect.verify
    if wanted is None:
        return None
    limits = Limits(Tolerances(wanted.box_tolerance, wanted.score_tolerance), wanted.max_excused)
    images = folder / wanted.images if wanted.images is not None else None
    graphs = GraphPair(made, recipe, catalog)
    records = graphs.records(given_pictures(images, wanted.seed), wanted.seed)
    return verify_rewritten(graphs, records, graphs.info(made=images is None), limits)


def _wrong_outcome(expect: Expectation, found: Verification | None) -> list[str]:
    if expect.verify is None or found is None or str(found.outcome) == expect.verify.outcome:
        return []
    bad = [verdict for verdict in found.verdicts if verdict.outcome is not Outcome.PASSED]
    reasons = [
        f"{verdict.name}: {verdict.outcome}" + (f" ({verdict.reason})" if verdict.reason else "")
        for verdict in bad
    ]
    return [
        f"verification {found.outcome}; expected {expect.verify.outcome}"
        + (": " if reasons else "")
        + "; ".join(reasons)
    ]


def _derived(expect: Expectation, made: Plan) -> list[str]:
    found = {f"{d.node}.{d.field}": d.value for d in made.derivations}
    failures = []
    for key, wanted in expect.derived.items():
        if key not in found:
            failures.append(f"'{key}' is not derived; derived are {', '.join(found) or 'none'}")
        elif not _same(found[key], wanted):
            failures.append(f"'{key}' is derived as {found[key]}; expected {wanted}")
    return failures


def _nodes(expect: Expectation, made: Plan) -> list[str]:
    assert made.result is not None
    failures: list[str] = []
    for name, wanted in expect.nodes.items():
        node = made.result.get(name)
        if wanted is None or node is None:
            if node is not None:
                failures.append(f"the node '{name}' ({node.op}) is there; expected it to be absent")
            elif wanted is not None:
                failures.append(f"the node '{name}' is absent; expected {wanted.op or 'it'}")
            continue
        failures += _node_failures(node, wanted)
    return failures


def _node_failures(node: Node, wanted: NodeExpectation) -> list[str]:
    failures = []
    if wanted.op is not None and node.op != wanted.op:
        failures.append(f"the node '{node.name}' is {node.op}; expected {wanted.op}")
    for key, value in wanted.fields.items():
        if key not in node.attrs:
            failures.append(f"the node '{node.name}' has no '{key}'; expected {value}")
        elif not _same(_plain(node.attrs[key]), value):
            failures.append(f"'{key}' of '{node.name}' is {_plain(node.attrs[key])}; expected {value}")
    inputs = tuple(map(str, node.inputs))
    if wanted.inputs is not None and inputs != wanted.inputs:
        failures.append(
            f"the node '{node.name}' reads {', '.join(inputs) or 'nothing'}; expected "
            f"{', '.join(wanted.inputs) or 'nothing'}"
        )
    return failures


def _plain(value: Any) -> Any:
    """Return an attribute as a number, a text or a list of them."""
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    if isinstance(value, TensorValue):
        return value.array().tolist()
    return value if isinstance(value, bool | int | float | str) else print_attr(value)


def _same(found: Any, wanted: Any) -> bool:
    if isinstance(wanted, list):
        return (
            isinstance(found, list | tuple) and len(found) == len(wanted) and all(map(_same, found, wanted))
        )
    if isinstance(wanted, float) or isinstance(found, float):
        numbers = all(isinstance(v, int | float) and not isinstance(v, bool) for v in (found, wanted))
        return numbers and math.isclose(found, wanted, rel_tol=_CLOSE)
    return str(found) == wanted if isinstance(wanted, str) else bool(found == wanted)
