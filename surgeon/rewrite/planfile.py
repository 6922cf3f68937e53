"""Plans as JSON files."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from surgeon.atomic import write_text
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

_VERSION = 1


def plan_to_json(plan: Plan) -> dict[str, Any]:
    """Return a plan as plain values; nodes and attributes are in the text form of graphs, tensors whole."""
    return {
        "surgeon plan": _VERSION,
        "recipe": plan.recipe,
        "target": plan.target,
        "graph": {"digest": plan.digest, "nodes": len(plan.source) if plan.source is not None else None},
        "image": plan.image.model_dump(mode="json", exclude_none=True) if plan.image is not None else None,
        "derivations": [d.to_json() for d in plan.derivations],
        "remarks": [d.to_json() for d in plan.remarks],
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


def plan_from_json(data: Any, source: str = "<plan>") -> Plan:
    """Return the plan of :func:`plan_to_json`'s values; raise SurgeonError S408 for anything else."""
    if not isinstance(data, dict) or data.get("surgeon plan") != _VERSION:
        raise error(
            "S408",
            f"this is no plan of version {_VERSION}",
            source,
            help=["make one: surgeon plan RECIPE MODEL -o plan.json"],
        )
    try:
        steps = tuple(
            PlannedStep(
                s["step"],
                s["id"],
                tuple(_edit_from(e, source) for e in s["edits"]),
                _span_from(s.get("at")),
                s.get("skipped", ""),
                int(s["nodes"]),
            )
            for s in data["steps"]
        )
        derivations = tuple(
            Derivation(d["node"], d["field"], d["value"], tuple(d["evidence"])) for d in data["derivations"]
        )
        remarks = tuple(
            Diagnostic(
                d["code"],
                d["message"],
                _place_from(d["where"]),
                tuple(d["notes"]),
                tuple(d["help"]),
                Severity(d["severity"]),
            )
            for d in data["remarks"]
        )
        image = None if data.get("image") is None else Image.model_validate(data["image"])
        return Plan(
            str(data["recipe"]),
            str(data["target"]),
            steps,
            derivations,
            remarks,
            stored_digest=str(data["graph"]["digest"]),
            image=image,
        )
    except SurgeonError:
        raise
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as exc:
        raise error(
            "S408",
            f"the plan is damaged: {type(exc).__name__} {exc}",
            source,
            help=["make it again: surgeon plan RECIPE MODEL -o plan.json"],
        ) from None


def write_plan(plan: Plan, path: str | os.PathLike[str]) -> None:
    """Write a plan, whole or not at all; raise SurgeonError E105."""
    write_text(path, json.dumps(plan_to_json(plan), indent=1) + "\n")


def read_plan(path: str | os.PathLike[str]) -> Plan:
    """Read a plan; raise SurgeonError E101 where it cannot be read and S408 where it is none."""
    file = Path(path)
    try:
        data = json.loads(file.read_bytes())
    except OSError as exc:
        raise error(
            "E101", f"'{file}' cannot be read: {exc.strerror or exc}", help=["check the path"]
        ) from None
    except (ValueError, RecursionError) as exc:
        raise error("S408", f"the plan is no JSON: {exc}", str(file)) from None
    return plan_from_json(data, str(file))


def _span_to(span: Span | None) -> list[Any] | None:
    return None if span is None else [span.file, span.line, span.column]


def _span_from(value: Any) -> Span | None:
    return None if value is None else Span(str(value[0]), int(value[1]), int(value[2]))


def _place_from(value: Any) -> Span | str | None:
    if isinstance(value, dict):
        return Span(str(value["file"]), int(value["line"]), int(value["column"]), int(value["length"]))
    return value if isinstance(value, str) else None


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


def _edit_from(value: Mapping[str, Any], source: str) -> Edit:
    span = _span_from(value.get("at"))
    kinds: dict[str, Callable[[], Edit]] = {
        "add": lambda: Add(parse_node(value["add"], source), value.get("before"), span),
        "drop": lambda: Drop(value["drop"], value["fate"], value.get("into"), span),
        "rewire": lambda: Rewire(
            value["rewire"],
            tuple(Ref.parse(r) for r in value["inputs"]) if "inputs" in value else None,
            tuple(value["control"]) if "control" in value else None,
            span,
        ),
        "set-attr": lambda: SetAttr(
            value["set-attr"], value["key"], _attr_from(value["value"], source), span
        ),
        "set-op": lambda: SetOp(value["set-op"], value["op"], span),
        "outputs": lambda: SetOutputs(tuple(Ref.parse(r) for r in value["outputs"]), span),
    }
    for key, build in kinds.items():
        if key in value:
            return build()
    raise ValueError(f"no edit: {sorted(value)}")


def _attr_from(text: str | None, source: str) -> Any:
    if text is None:
        return None
    return parse_node(f"n = N() {{v: {text}}}", source).attrs["v"]
