"""Plans as JSON files."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, NonNegativeInt, Strict, ValidationError
from pydantic_core import from_json

from surgeon.atomic import check_generated, write_text
from surgeon.deprecation import Alias
from surgeon.diagnostics import Diagnostic, Severity, Span, SurgeonError, error
from surgeon.families import Derivation
from surgeon.graph import (
    Add,
    Drop,
    Edit,
    Ref,
    Rewire,
    SetAttr,
    SetOp,
    SetOutputs,
    parse_node,
    print_attr,
    print_node,
)
from surgeon.language import Image
from surgeon.rewrite.planning import Plan, PlannedStep
from surgeon.version import refuse_newer

_VERSION = 2
"""The version of a plan that says which outputs hold detections; one that does not has version 1, which older
releases read.
"""

_AGAIN = "surgeon plan RECIPE MODEL -o plan.json"
_REMARKS = Alias("surgeon.rewrite.planfile: plan.json", "remarks", "diagnostics", removal="0.2.0")


def plan_to_json(plan: Plan) -> dict[str, Any]:
    """Return a plan as plain values; nodes and attributes are in the text form of graphs, tensors whole."""
    diagnostics = [d.to_json() for d in plan.diagnostics]
    return {
        "surgeon plan": _VERSION if plan.detections else 1,
        "recipe": plan.recipe,
        "target": plan.target,
        "graph": {"digest": plan.digest, "nodes": len(plan.source) if plan.source is not None else None},
        "image": plan.image.model_dump(mode="json", exclude_none=True) if plan.image is not None else None,
        **({"detections": _parts_to(plan.detections)} if plan.detections else {}),
        "derivations": [d.to_json() for d in plan.derivations],
        "diagnostics": diagnostics,
        _REMARKS.name: diagnostics,
        "steps": [
            {
                "step": s.step,
                "id": s.label,
                "at": _span_to(s.span),
                **({"skipped": s.skipped} if s.skipped else {}),
                "nodes": s.nodes,
                "edits": [_edit_to(e) for e in s.edits],
            }
            for s in plan.steps
        ],
    }


def _parts_to(detections: Mapping[str, Ref]) -> dict[str, str]:
    return {part: str(ref) for part, ref in detections.items()}


class _Stored(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True)


_Place = tuple[str, NonNegativeInt, NonNegativeInt]


class _StoredEdit(_Stored):
    at: Annotated[_Place, Strict(False)] | None = None

    @property
    def span(self) -> Span | None:
        return None if self.at is None else Span(*self.at)

    def edit(self) -> Edit:
        """Return the edit; raise ValueError or SurgeonError for a text in it that cannot be parsed."""
        raise NotImplementedError


class _StoredAdd(_StoredEdit):
    add: str
    before: str | None = None

    def edit(self) -> Edit:
        return Add(parse_node(self.add, "add"), self.before, self.span)


class _StoredDrop(_StoredEdit):
    drop: str
    fate: str
    into: str | None = None

    def edit(self) -> Edit:
        return Drop(self.drop, self.fate, self.into, self.span)


class _StoredRewire(_StoredEdit):
    rewire: str
    inputs: list[str] | None = None
    control: list[str] | None = None

    def edit(self) -> Edit:
        inputs = None if self.inputs is None else tuple(map(Ref.parse, self.inputs))
        control = None if self.control is None else tuple(self.control)
        return Rewire(self.rewire, inputs, control, self.span)


class _StoredAttr(_StoredEdit):
    name: str = Field(alias="set-attr")
    key: str
    value: str | None

    def edit(self) -> Edit:
        value = None if self.value is None else parse_node(f"n = N() {{v: {self.value}}}", "value").attrs["v"]
        return SetAttr(self.name, self.key, value, self.span)


class _StoredOp(_StoredEdit):
    name: str = Field(alias="set-op")
    op: str

    def edit(self) -> Edit:
        return SetOp(self.name, self.op, self.span)


class _StoredOutputs(_StoredEdit):
    outputs: list[str]

    def edit(self) -> Edit:
        return SetOutputs(tuple(map(Ref.parse, self.outputs)), self.span)


_EDITS: Mapping[str, type[_StoredEdit]] = {
    "add": _StoredAdd,
    "drop": _StoredDrop,
    "rewire": _StoredRewire,
    "set-attr": _StoredAttr,
    "set-op": _StoredOp,
    "outputs": _StoredOutputs,
}


class _StoredStep(_Stored):
    step: str
    id: str
    at: Annotated[_Place, Strict(False)] | None = None
    skipped: str = ""
    nodes: NonNegativeInt
    edits: list[dict[str, Any]]


class _StoredDerivation(_Stored):
    node: str
    field: str
    value: Any
    evidence: list[str]


class _StoredPlace(_Stored):
    file: str
    line: NonNegativeInt
    column: NonNegativeInt
    length: NonNegativeInt


class _StoredDiagnostic(_Stored):
    code: str
    message: str
    where: _StoredPlace | str | None
    notes: list[str]
    help: list[str]
    severity: Literal["error", "warning", "note"]

    def diagnostic(self) -> Diagnostic:
        place = self.where
        where = Span(**place.model_dump()) if isinstance(place, _StoredPlace) else place
        severity = Severity(self.severity)
        return Diagnostic(self.code, self.message, where, tuple(self.notes), tuple(self.help), severity)


class _StoredGraph(_Stored):
    digest: str


class _StoredPlan(_Stored):
    recipe: str
    target: str
    graph: _StoredGraph
    image: dict[str, Any] | None = None
    detections: dict[str, str] = {}
    derivations: list[_StoredDerivation]
    diagnostics: list[_StoredDiagnostic] = Field(validation_alias=AliasChoices("diagnostics", _REMARKS.name))
    steps: list[_StoredStep]


def plan_from_json(data: Any, source: str = "<plan>") -> Plan:
    """Return the plan of :func:`plan_to_json`'s values.

    Raise SurgeonError E121 for a plan of a newer release, and S408 for anything else, with the place of the
    first value that is not as it is written.
    """
    if isinstance(data, dict):
        refuse_newer(data.get("surgeon plan"), _VERSION, "the plan", source, _AGAIN)
    if not isinstance(data, dict) or data.get("surgeon plan") not in (1, _VERSION):
        raise error(
            "S408",
            f"this is not a plan of version 1 or {_VERSION}",
            source,
            help=[f"make one: {_AGAIN}"],
        )
    with _placed(source):
        stored = _StoredPlan.model_validate(data)
    image = None
    if stored.image is not None:
        with _placed(source, "image"):
            image = Image.model_validate(stored.image)
    with _placed(source, "detections"):
        detections = {part: Ref.parse(name) for part, name in stored.detections.items()}
    return Plan(
        stored.recipe,
        stored.target,
        tuple(_step_from(step, i, source) for i, step in enumerate(stored.steps)),
        tuple(Derivation(d.node, d.field, d.value, tuple(d.evidence)) for d in stored.derivations),
        tuple(each.diagnostic() for each in stored.diagnostics),
        stored_digest=stored.graph.digest,
        image=image,
        detections=detections,
    )


def _step_from(stored: _StoredStep, index: int, source: str) -> PlannedStep:
    edits = tuple(_edit_from(e, source, "steps", index, "edits", i) for i, e in enumerate(stored.edits))
    span = None if stored.at is None else Span(*stored.at)
    return PlannedStep(stored.step, stored.id, edits, span, stored.skipped, stored.nodes)


def _edit_from(value: Mapping[str, Any], source: str, *path: str | int) -> Edit:
    with _placed(source, *path):
        kind = next((key for key in _EDITS if key in value), None)
        if kind is None:
            raise ValueError(f"it is not an edit; expected one of {', '.join(_EDITS)}")
        return _EDITS[kind].model_validate(value).edit()


@contextmanager
def _placed(source: str, *path: str | int) -> Iterator[None]:
    """Turn what is wrong with a value of the file into SurgeonError S408 with its place."""
    try:
        yield
    except ValidationError as exc:
        first = exc.errors(include_url=False, include_context=False)[0]
        raise _damaged(source, (*path, *first["loc"]), first["msg"][:1].lower() + first["msg"][1:]) from None
    except ValueError as exc:
        raise _damaged(source, path, str(exc)) from None
    except SurgeonError as exc:
        raise _damaged(source, path, exc.diagnostics[0].message) from None


def _damaged(source: str, path: Sequence[str | int], reason: str) -> SurgeonError:
    return error(
        "S408",
        f"the plan is damaged at '{'.'.join(map(str, path))}': {' '.join(reason.split())}",
        source,
        help=[f"make it again: {_AGAIN}"],
    )


def write_plan(plan: Plan, path: str | os.PathLike[str]) -> None:
    """Write a plan, whole or not at all; raise SurgeonError E105, and E120 for the name of a recipe."""
    check_generated(path)
    write_text(path, json.dumps(plan_to_json(plan), indent=1) + "\n")


def read_plan(path: str | os.PathLike[str]) -> Plan:
    """Read a plan.

    Raise SurgeonError E101 where it cannot be read, E121 and S408 as :func:`plan_from_json`.
    """
    file = Path(path)
    try:
        data = from_json(file.read_bytes())
    except OSError as exc:
        raise error(
            "E101", f"'{file}' cannot be read: {exc.strerror or exc}", help=["check the path"]
        ) from None
    except ValueError as exc:
        raise error("S408", f"the plan is not JSON: {exc}", str(file)) from None
    return plan_from_json(data, str(file))


def _span_to(span: Span | None) -> list[Any] | None:
    return None if span is None else [span.file, span.line, span.column]


def _edit_to(edit: Edit) -> dict[str, Any]:
    out: dict[str, Any]
    match edit:
        case Add():
            out = {"add": print_node(edit.node, -1), **({"before": edit.before} if edit.before else {})}
        case Drop():
            out = {"drop": edit.name, "fate": edit.fate, **({"into": edit.into} if edit.into else {})}
        case Rewire():
            out = {"rewire": edit.name}
            if edit.inputs is not None:
                out["inputs"] = [str(ref) for ref in edit.inputs]
            if edit.control is not None:
                out["control"] = list(edit.control)
        case SetAttr():
            out = {
                "set-attr": edit.name,
                "key": edit.key,
                "value": None if edit.value is None else print_attr(edit.value, -1),
            }
        case SetOp():
            out = {"set-op": edit.name, "op": edit.op}
        case SetOutputs():
            out = {"outputs": [str(ref) for ref in edit.outputs]}
    if edit.span is not None:
        out["at"] = _span_to(edit.span)
    return out
