"""How recipes build on each other: ``extends``, ``null``, step edits and parameters."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any

from surgeon.diagnostics import Span, error, nearest_note
from surgeon.language.document import Mapped, Scalar, Sequence, Value, parse_document

DEFAULT_STEPS_TEXT = """\
- remove-asserts
- forward-identities
- collapse
- {step: replace-op, id: addv2, from: AddV2, to: Add, when: {target: uff}}
- {step: replace-op, id: fusedbatchnormv3, from: FusedBatchNormV3, to: FusedBatchNorm, when: {target: uff}}
- prune
"""
"""The steps of a recipe that names none."""

_STEP_EDITS = ("before", "after", "drop", "append")


@cache
def default_steps() -> Sequence:
    """Return the steps of a recipe that names none."""
    value = parse_document(DEFAULT_STEPS_TEXT, "<default steps>")
    assert isinstance(value, Sequence)
    return Sequence(tuple(_as_step(item) for item in value.items), value.span)


def merge(layers: Iterable[Mapped]) -> Mapped:
    """Return one mapping: later layers win, mappings merge key by key, ``null`` deletes, ``steps`` may be
    edited.
    """
    merged: Mapped | None = None
    steps = default_steps()
    for layer in layers:
        body = _normalised(layer)
        if "steps" in body.entries:
            steps = _edited(steps, body.entries["steps"])
        rest = _without(body, "steps", "extends")
        merged = rest if merged is None else _merged(merged, rest)
    assert merged is not None
    entries = {**_without_null(merged).entries, "steps": steps}
    return Mapped(entries, {**merged.keys, "steps": merged.keys.get("steps", steps.span)}, merged.span)


def _without(value: Mapped, *names: str) -> Mapped:
    return Mapped({k: v for k, v in value.entries.items() if k not in names}, value.keys, value.span)


def _merged(base: Mapped, over: Mapped) -> Mapped:
    entries: dict[str, Value] = dict(base.entries)
    keys: dict[str, Span] = dict(base.keys)
    for key, value in over.entries.items():
        below = entries.get(key)
        if isinstance(value, Scalar) and value.value is None:
            entries.pop(key, None)
            continue
        entries[key] = (
            _merged(below, value) if isinstance(below, Mapped) and isinstance(value, Mapped) else value
        )
        keys[key] = over.keys[key]
    return Mapped(entries, keys, over.span)


def _without_null(value: Mapped) -> Mapped:
    entries: dict[str, Value] = {}
    for key, item in value.entries.items():
        if isinstance(item, Scalar) and item.value is None:
            continue
        entries[key] = _without_null(item) if isinstance(item, Mapped) else item
    return Mapped(entries, value.keys, value.span)


def _normalised(layer: Mapped) -> Mapped:
    """Return the layer with ``'ns?': node`` written as ``ns: {node: node, optional: true}``."""
    namespaces = layer.entries.get("namespaces")
    if not isinstance(namespaces, Mapped):
        return layer
    entries: dict[str, Value] = {}
    keys: dict[str, Span] = {}
    for key, value in namespaces.entries.items():
        place = namespaces.keys[key]
        name = key.removesuffix("?")
        if isinstance(value, Scalar) and value.value is not None:
            rule: dict[str, Value] = {"node": value}
            value = Mapped(rule, {"node": value.span}, value.span)
        if name != key and isinstance(value, Mapped):
            value = Mapped(
                {**value.entries, "optional": Scalar(True, place)},
                {**value.keys, "optional": place},
                value.span,
            )
        if name in entries:
            raise error(
                "R102",
                f"the namespace '{name}' stands here twice; the first is at line {keys[name].line}",
                place,
            )
        entries[name], keys[name] = value, place
    return Mapped(
        {**layer.entries, "namespaces": Mapped(entries, keys, namespaces.span)}, layer.keys, layer.span
    )


def _as_step(value: Value) -> Value:
    """Return a step written as a mere name as a mapping."""
    if isinstance(value, Scalar) and isinstance(value.value, str):
        return Mapped({"step": value}, {"step": value.span}, value.span)
    return value


def _label(step: Value) -> str | None:
    if isinstance(step, Mapped):
        for key in ("id", "step"):
            item = step.entries.get(key)
            if isinstance(item, Scalar) and isinstance(item.value, str):
                return item.value
    return None


def _edited(steps: Sequence, edit: Value) -> Sequence:
    """Return ``steps`` replaced by a list, or edited by a mapping of before, after, drop and append."""
    if isinstance(edit, Sequence):
        return Sequence(tuple(_as_step(item) for item in edit.items), edit.span)
    if not isinstance(edit, Mapped):
        raise error(
            "R106",
            "'steps' is neither a list nor a mapping; expected a list of steps, or before, after, drop, "
            "append",
            edit.span,
        )
    items = list(steps.items)
    for key, value in edit.entries.items():
        if key not in _STEP_EDITS:
            raise error(
                "R104",
                f"unknown key '{key}' in 'steps'",
                edit.keys[key],
                nearest_note(key, _STEP_EDITS),
                [f"expected {', '.join(_STEP_EDITS)}"],
            )
        if key == "append":
            items += [_as_step(item) for item in _list(value, "append")]
        elif key == "drop":
            for item in _list(value, "drop"):
                at = _find(items, item.value if isinstance(item, Scalar) else None, item.span)
                del items[at]
        else:
            if not isinstance(value, Mapped):
                raise error(
                    "R106",
                    f"'{key}' is not a mapping; expected the id of a step, and the steps to put {key} it",
                    value.span,
                )
            for label, added in value.entries.items():
                at = _find(items, label, value.keys[label]) + (key == "after")
                items[at:at] = [_as_step(item) for item in _list(added, label)]
    return Sequence(tuple(items), edit.span)


def _list(value: Value, what: str) -> tuple[Value, ...]:
    if not isinstance(value, Sequence):
        raise error("R106", f"'{what}' holds no list; expected a list of steps", value.span)
    return value.items


def _find(items: list[Value], label: Any, place: Span) -> int:
    labels = [_label(item) for item in items]
    hits = [i for i, found in enumerate(labels) if found == label]
    if len(hits) != 1:
        known = [found for found in labels if found]
        problem = "there is no step" if not hits else f"{len(hits)} steps have the id"
        raise error(
            "R109",
            f"{problem} '{label}'; expected the id of one step",
            place,
            ["steps: " + ", ".join(f"'{k}'" for k in known)],
        )
    return hits[0]


def substitute(value: Value, parameters: Mapping[str, Value]) -> Value:
    """Return the value with every ``$name`` replaced; ``$$`` stands for a dollar. Raise SurgeonError R110 for
    an undeclared parameter."""
    match value:
        case Scalar():
            text = value.value
            if not isinstance(text, str) or not text.startswith("$"):
                return value
            if text.startswith("$$"):
                return Scalar(text[1:], value.span)
            name = text[1:]
            if name not in parameters:
                raise error(
                    "R110",
                    f"the parameter '${name}' is not declared; expected a key of 'parameters'",
                    value.span,
                    nearest_note(name, parameters),
                    ["declare it, or write '$$' for a plain dollar sign"],
                )
            return moved(parameters[name], value.span)
        case Sequence():
            return Sequence(tuple(substitute(item, parameters) for item in value.items), value.span)
        case Mapped():
            entries = {key: substitute(item, parameters) for key, item in value.entries.items()}
            return Mapped(entries, value.keys, value.span)


def moved(value: Value, span: Span) -> Value:
    """Return the value placed at ``span``, where it is used."""
    match value:
        case Scalar():
            return Scalar(value.value, span)
        case Sequence():
            return Sequence(tuple(moved(item, span) for item in value.items), span)
        case Mapped():
            entries = {key: moved(item, span) for key, item in value.entries.items()}
            return Mapped(entries, dict.fromkeys(value.keys, span), span)
