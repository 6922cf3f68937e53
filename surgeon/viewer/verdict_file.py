"""What ``surgeon verify --json`` wrote, read back."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from surgeon.diagnostics import SurgeonError, error
from surgeon.families import Derivation
from surgeon.families.fields import LiteralDifference
from surgeon.verification import (
    DetectionComparison,
    Difference,
    FieldPower,
    Outcome,
    Row,
    TensorComparison,
    Tolerances,
    Verdict,
    Verification,
)
from surgeon.verification.results import VERSION
from surgeon.version import refuse_newer

_AGAIN = "surgeon verify RECIPE MODEL --json > verdict.json"
MAX_BYTES = 64_000_000
"""Size of a file above which it is no verdict that a person looks at."""


def read_verification(path: Path) -> Verification:
    """Return the verification of a JSON file.

    Raise SurgeonError W101 where it is none, W102 where it cannot be read, E121 where a newer release wrote
    it.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise _refused(path, f"it has more than {MAX_BYTES:,} bytes")
        data = json.loads(path.read_text(encoding="utf-8"))
    except OSError as exc:
        raise error(
            "W102",
            f"the verification '{path}' cannot be read: {exc.strerror or exc}",
            help=["check the path"],
        ) from None
    except (ValueError, RecursionError) as exc:
        raise _refused(path, f"it is not JSON: {exc}") from None
    if isinstance(data, dict):
        refuse_newer(data.get("version"), VERSION, "the verification", path, _AGAIN)
    try:
        return verification_from_json(data)
    except (KeyError, TypeError, ValueError, AttributeError) as exc:
        what = f"it has no {exc}" if isinstance(exc, KeyError) else str(exc)
        raise _refused(path, what) from None


def check_recipe(result: Verification, recipe: str) -> Verification:
    """Return a verification of this recipe; raise SurgeonError W103 for one of another."""
    if result.recipe != recipe:
        raise error(
            "W103",
            f"the verification is of the recipe '{result.recipe}'; expected one of '{recipe}'",
            help=[f"verify this recipe: surgeon verify {recipe} MODEL --json > verdict.json"],
        )
    return result


def verification_from_json(data: Mapping[str, Any]) -> Verification:
    """Return the verification whose :meth:`Verification.to_json` is ``data``.

    Raise KeyError, TypeError or ValueError for any other data.
    """
    return Verification(
        recipe=str(data["recipe"]),
        target=str(data["target"]),
        pictures=tuple(map(str, data["pictures"])),
        made=bool(data["made"]),
        tolerances=_tolerances(data["tolerances"]),
        max_excused=None if data["max_excused"] is None else int(data["max_excused"]),
        verdicts=tuple(map(_verdict, data["verdicts"])),
        excuses={str(key): str(text) for key, text in data["excuses"].items()},
        labels={int(key): str(text) for key, text in data["labels"].items()},
        drawn=tuple(map(str, data["drawn"])),
        runtime={str(key): str(text) for key, text in data.get("runtime", {}).items()},
        power=tuple(map(_power, data.get("power", ()))),
        literals=tuple(map(_literal, data.get("literals", ()))),
        given=dict(data.get("given", {})),
    )


def _tolerances(data: Mapping[str, Any]) -> Tolerances:
    box, score, tensor = (float(data[key]) for key in ("box", "score", "tensor"))
    return Tolerances(box, score, tensor, float(data.get("mask", Tolerances.mask)))


def _power(data: Mapping[str, Any]) -> FieldPower:
    changes = tuple((_hashed(row["value"]), str(row["noticed_by"] or "")) for row in data["changes"])
    node, plugin, field = (str(data[key]) for key in ("node", "plugin", "field"))
    return FieldPower(node, plugin, field, _hashed(data["value"]), changes)


def _literal(data: Mapping[str, Any]) -> LiteralDifference:
    evidence = tuple(map(str, data["evidence"]))
    derived = Derivation(str(data["node"]), str(data["field"]), data["derived"], evidence)
    return LiteralDifference(data["value"], derived)


def _hashed(value: Any) -> Any:
    return tuple(map(_hashed, value)) if isinstance(value, list) else value


def _refused(path: Path, why: str) -> SurgeonError:
    return error(
        "W101",
        f"'{path}' is not a verification; {why}",
        help=[f"make one: {_AGAIN}"],
    )


def _verdict(data: Mapping[str, Any]) -> Verdict:
    return Verdict(
        str(data["name"]),
        Outcome(data["outcome"]),
        str(data["reason"]),
        tuple(map(_comparison, data["comparisons"])),
    )


def _comparison(data: Mapping[str, Any]) -> DetectionComparison | TensorComparison:
    common = (str(data["subject"]), str(data["picture"]), Outcome(data["outcome"]), str(data["reason"]))
    if data["kind"] == "detections":
        return DetectionComparison(
            *common,
            int(data["original"]),
            int(data["rewritten"]),
            int(data["matched"]),
            float(data["worst_box_error"]),
            float(data["median_box_error"]),
            float(data["worst_score_error"]),
            tuple(map(_difference, data["differences"])),
            int(data.get("masks", 0)),
            _number(data.get("worst_mask_error", 0.0)),
        )
    if data["kind"] != "tensor":
        raise ValueError(f"'{data['kind']}' is no kind of comparison; expected detections or tensor")
    error, tolerance = _number(data["error"]), _number(data["tolerance"])
    return TensorComparison(*common, str(data["tensor"]), error, tolerance, _optional(data["excuse"]))


def _difference(data: Mapping[str, Any]) -> Difference:
    return Difference(
        _row(data["original"]),
        _row(data["rewritten"]),
        float(data["box_error"]),
        float(data["score_error"]),
        _optional(data["excuse"]),
        _number(data.get("mask_error", 0.0)),
    )


def _row(data: Mapping[str, Any] | None) -> Row | None:
    if data is None:
        return None
    top, left, bottom, right = (float(value) for value in data["box"])
    return Row(int(data["class"]), float(data["score"]), (top, left, bottom, right))


def _number(value: Any) -> float:
    return float("nan") if value is None else float(value)


def _optional(value: object) -> str | None:
    return None if value is None else str(value)
