"""Derivations of plugin fields, loaded from the plugins' own folders."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from surgeon.catalog import Catalog, PluginSpec
from surgeon.catalog.fields import FieldSpec, Unfit
from surgeon.catalog.modules import load_module
from surgeon.catalog.plugin import Lack
from surgeon.diagnostics import Diagnostic, Severity, Span, SurgeonError
from surgeon.families.context import Derivation, DerivationContext, Derived
from surgeon.families.postprocessing import PICTURE, differences, lies_inside


def derivations(catalog: Catalog, op: str) -> Mapping[str, Callable[[DerivationContext], Derived]]:
    """Return a plugin's derivations by field: the ``DERIVATIONS`` of its ``derive.py``, or none."""
    module = load_module(catalog[op].folder, "derive")
    found: Mapping[str, Callable[[DerivationContext], Derived]] = (
        getattr(module, "DERIVATIONS", {}) if module else {}
    )
    return found


def derive_fields(context: DerivationContext, name: str) -> tuple[dict[str, Any], list[Derivation]]:
    """Return a plugin node's fields with every ``auto`` replaced, and the evidence of each.

    Raise SurgeonError D107 for a field that cannot be derived, and what the derivation itself raises.
    """
    fields, found, unknown = derive_known_fields(context, name)
    if unknown:
        raise next(iter(unknown.values()))
    return fields, found


def derive_known_fields(
    context: DerivationContext, name: str
) -> tuple[dict[str, Any], list[Derivation], dict[str, SurgeonError]]:
    """Return the same as :func:`derive_fields`, and why the fields that stay ``auto`` cannot be derived."""
    definition = context.recipe.nodes[name]
    assert definition.plugin is not None
    fields: dict[str, Any] = dict(definition.fields or {})
    found: list[Derivation] = []
    unknown: dict[str, SurgeonError] = {}
    known = derivations(context.catalog, definition.plugin) if "auto" in fields.values() else {}
    for key, value in fields.items():
        if value != "auto":
            continue
        if key not in known:
            can = ", ".join(f"'{k}'" for k in known) or "none"
            unknown[key] = context.fail(
                "D107",
                f"the field '{key}' of '{name}' ({definition.plugin}) cannot be derived from the graph yet",
                "nodes",
                name,
                "fields",
                key,
                notes=[f"derivable for this plugin: {can}"],
                help=["write its value"],
            )
            continue
        try:
            derived = known[key](context.of(name))
        except SurgeonError as exc:
            unknown[key] = placed(exc, context, "nodes", name, "fields", key)
            continue
        fields[key] = derived.value
        found.append(Derivation(name, key, derived.value, derived.evidence))
    return fields, found, unknown


@dataclass(frozen=True)
class LiteralDifference:
    """A field whose value in the recipe differs from the graph's, which ``derived`` holds."""

    value: Any
    derived: Derivation

    def __str__(self) -> str:
        derived = self.derived
        name, told = f"{derived.node}.{derived.field}", show_value(derived.value)
        return f"{name} is {show_value(self.value)}; the graph says {told}"

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        return {**self.derived.to_json(), "value": self.value, "derived": self.derived.value}


@dataclass(frozen=True)
class FieldReview:
    """What holding a recipe's plugin fields against the graph gave.

    ``differences`` are literals that differ. ``settled`` are the nodes whose derivable fields are all what
    the graph says (membership only). ``diagnostics`` warn of what the graph does and the plugins cannot.
    """

    differences: tuple[LiteralDifference, ...]
    settled: frozenset[str]
    diagnostics: tuple[Diagnostic, ...] = ()


def review_fields(context: DerivationContext, names: Collection[str]) -> FieldReview:
    """Hold the fields of some of the recipe's plugin nodes against what the graph says of them.

    Fields that the graph does not tell, or that no derivation is for, are passed over.
    """
    differences: list[LiteralDifference] = []
    settled: list[str] = []
    diagnostics: list[Diagnostic] = []
    for name, definition in context.recipe.nodes.items():
        if name not in names or definition.plugin is None:
            continue
        specs, known = (
            context.catalog[definition.plugin].fields,
            derivations(context.catalog, definition.plugin),
        )
        here = context.of(name)
        untold, count = not known, len(differences)
        for key, derive in known.items():
            default = specs[key].default if key in specs else None
            value = (definition.fields or {}).get(key, default)
            if value is None or value == "auto":
                continue
            try:
                derived = derive(here)
            except SurgeonError as exc:
                untold = True
                diagnostics += (
                    replace(each, severity=Severity.WARNING)
                    for each in exc.diagnostics
                    if each.code in _CANNOT
                )
                continue
            if not _agree(specs[key], value, derived.value):
                found = Derivation(name, key, derived.value, derived.evidence)
                differences.append(LiteralDifference(value, found))
        if not untold and len(differences) == count:
            settled.append(name)
        if context.catalog[definition.plugin].lacks:
            diagnostics += _class_cap(here)
        if context.catalog[definition.plugin].detections:
            diagnostics += _edges(here)
    return FieldReview(tuple(differences), frozenset(settled), tuple(diagnostics))


_CANNOT = ("D116", "D119")
"""Codes of derivations that fail because no value of the field does what the graph does."""


def _class_cap(context: DerivationContext) -> Iterator[Diagnostic]:
    """Yield a warning where the graph bounds the detections of a class more than those of a picture."""
    original = context.postprocessing
    with suppress(SurgeonError):
        per_class, total = original.max_per_class, original.max_total
        if per_class.value < total.value:
            yield Diagnostic(
                "D161",
                f"the graph keeps at most {per_class.value} detections of a class and {total.value} in all; "
                f"'{context.node}' bounds the total alone",
                context.recipe.span("nodes", context.node, "plugin"),
                (*per_class.evidence, *total.evidence),
                (
                    "write 'suppression: native', which bounds both, or verify with pictures in which one "
                    "class occurs more often than that",
                ),
                Severity.WARNING,
            )


def _edges(context: DerivationContext) -> Iterator[Diagnostic]:
    """Yield a warning where the graph treats boxes at the edges as the plugin cannot, whatever decodes them.

    A plugin with a rule of decoding clips the boxes that it gives to the picture.
    """
    original = context.postprocessing
    reference = context.catalog.reference(context.op)
    rules = () if reference is None else reference.counterfactuals.values()
    clips = any(rule.of_decoding for rule in rules)
    try:
        clip, window = original.clip, original.clip_window
        moment, sides = clip.value, window.value
    except SurgeonError:
        return
    if moment == "none":
        if clips:
            message = f"the graph clips no boxes; '{context.node}' clips those that it gives to the picture"
            yield _edge_warning(context, message, clip.evidence, _NATIVE)
    elif sides is None and moment == "before":  # after it, what shows the detections clips them
        message = (
            f"the graph clips boxes to the part of the input that a picture fills; '{context.node}' does not "
            "know it"
        )
        yield _edge_warning(context, message, window.evidence, _FILLING)
    elif sides not in (PICTURE, None) and not (clips and moment == "before" and lies_inside(sides)):
        message = f"the graph clips boxes to {list(sides)}; '{context.node}' knows the whole picture alone"
        yield _edge_warning(context, message, window.evidence, _WINDOW)


_NATIVE = "write 'suppression: native', which clips none"
_FILLING = (
    "verify with pictures of the shapes that you use; objects at the edge of the filled part may differ"
)
_WINDOW = "write 'suppression: plugin' and 'decode: graph' for a window inside the picture"


def _edge_warning(context: DerivationContext, message: str, notes: tuple[str, ...], help: str) -> Diagnostic:
    where = context.recipe.span("nodes", context.node, "plugin")
    return Diagnostic("D162", message, where, notes, (help,), Severity.WARNING)


def _agree(spec: FieldSpec, value: object, derived: object) -> bool:
    """Return whether a literal is what was derived; what the field cannot hold is not."""
    try:
        return _same(spec.convert(value), spec.convert(derived))
    except Unfit:
        return False


def _same(one: object, other: object) -> bool:
    """Return whether two values of a field are the same, floats to a millionth."""
    if isinstance(one, tuple) and isinstance(other, tuple):
        return len(one) == len(other) and all(map(_same, one, other))
    if isinstance(one, float) and isinstance(other, float):
        return math.isclose(one, other, rel_tol=1e-6)
    return one == other


def show_value(value: object) -> str:
    """Return a field's value for a reader, numbers with seven digits."""
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(show_value, value)) + "]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {show_value(each)}" for key, each in value.items()) + "}"
    return f"{value:.7g}" if isinstance(value, float) else str(value)


def check_lacks(context: DerivationContext, name: str, plugin: PluginSpec) -> None:
    """Raise SurgeonError D119 where a node's plugin cannot do what the graph does, whatever its fields are.

    Nothing is raised where the graph does not tell.
    """
    if not plugin.lacks:
        return
    for lack, difference, finding in differences(context.of(name).postprocessing, plugin.lacks):
        raise context.fail(
            "D119",
            f"{difference}, which {plugin.op} cannot do",
            "nodes",
            name,
            "plugin",
            notes=finding.evidence,
            help=[_WITHOUT[lack]],
        )


_WITHOUT: Mapping[Lack, str] = {
    "soft_sigma": "write 'suppression: native': SurgeonDetection does that, in ONNX without plugins, too; or "
    "export the model with 'soft_nms_sigma: 0.0' in its pipeline.config, if accuracy allows",
    "class_agnostic": "write 'suppression: native': SurgeonDetection does that, in ONNX without plugins, "
    "too; or export the model with suppression class by class",
}


def placed(exc: SurgeonError, context: DerivationContext, *path: str) -> SurgeonError:
    """Return an error about the graph alone with the recipe's place of what needs it."""
    span = context.recipe.span(*path)
    found = (
        d if isinstance(d.where, Span) or span is None else replace(d, where=span) for d in exc.diagnostics
    )
    return SurgeonError(*found)
