"""SurgeonDetection in the place of a recipe's NMS_TRT: ``suppression: native``, or ``auto``.

It has two names: SurgeonDetection for networks with implicit batch, SurgeonDetectionDynamic for those with
explicit batch.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import cast, get_args

from surgeon.diagnostics import SurgeonError, error
from surgeon.families import Derivation, DerivationContext, Postprocessing
from surgeon.families.parts.detection_output_fields import TOP_K_LIMIT
from surgeon.families.postprocessing import differences
from surgeon.language import NodeDefinition, Recipe
from surgeon.language.recipe import Decode, Suppression
from surgeon.rewrite.choices import check_choice
from surgeon.rewrite.decoding import NATIVE, graph_code
from surgeon.targets import Target

IMPLICIT, EXPLICIT = NATIVE

REPLACED = ("NMS_TRT", "NMSDynamic_TRT")
"""Plugins that read and give what SurgeonDetection does."""

_SAME = {
    "numClasses": "classes",
    "backgroundLabelId": "background",
    "shareLocation": "shareLocation",
    "keepTopK": "maxTotal",
    "confidenceThreshold": "scoreThreshold",
    "nmsThreshold": "iouThreshold",
    "confSigmoid": "scoreConverter",
}
"""Fields of NMS_TRT whose values mean the same in a field of SurgeonDetection."""

_ONLY = {
    "varianceEncodedInTarget": (0,),
    "isNormalized": (1,),
    "isBatchAgnostic": (1,),
}
"""Fields of NMS_TRT of which SurgeonDetection follows these values alone."""

_FIELDS = (
    "classes",
    "background",
    "shareLocation",
    "coding",
    "scoreConverter",
    "scoreScale",
    "scoreThreshold",
    "scoreAtLeast",
    "iouThreshold",
    "softSigma",
    "classAgnostic",
    "maxPerClass",
    "maxTotal",
    "clip",
    "dropEmpty",
)


def chosen_suppression(suppression: str) -> Suppression:
    """Return what the caller wants to suppress boxes.

    Raise SurgeonError S410 for a text that means nothing.
    """
    return cast(Suppression, check_choice(suppression, get_args(Suppression), "what suppresses boxes"))


def with_native_suppression(recipe: Recipe, target: Target | None, code: int | None = None) -> Recipe:
    """Return the recipe with SurgeonDetection in the place of NMS_TRT.

    A target of TensorRT that takes ONNX gets the plugin for explicit batch, every other one that for implicit
    batch. Numbers that the recipe tells stay; all else is derived from the graph. How many candidates go into
    suppression (topK) has no meaning any more: all do. ``code`` is the graph's coding of boxes as a value of
    codeType, None where any may be it. Raise SurgeonError S415 where there is nothing to replace, or a field
    says what SurgeonDetection cannot do.
    """
    if any(node.plugin in (IMPLICIT, EXPLICIT) for node in recipe.nodes.values()):
        return recipe
    replaced = {name: node for name, node in recipe.nodes.items() if node.plugin in REPLACED}
    if not replaced:
        raise error(
            "S415",
            f"the recipe has no node of {' or '.join(REPLACED)}, in whose place {IMPLICIT} could stand",
            recipe.span("suppression"),
            help=["write 'suppression: plugin'"],
        )
    explicit = target is not None and target.matches("onnx@tensorrt")
    plugin = EXPLICIT if explicit else IMPLICIT
    native = {name: _native(recipe, name, node, plugin, code) for name, node in replaced.items()}
    return recipe.model_copy(update={"nodes": {**recipe.nodes, **native}})


def with_chosen_suppression(
    context: DerivationContext, target: Target | None, wanted: Suppression, decode: Decode | None
) -> tuple[Recipe, tuple[Derivation, ...]]:
    """Return the recipe with SurgeonDetection in the place of NMS_TRT where that is ``wanted``, and why.

    ``auto`` wants it where the target has no plugins, so that standard operators follow either set of rules,
    and the graph has a rule that NMS_TRT lacks. Recipes stay as they are whose ``topK`` cuts, and where the
    caller's ``decode``, None for none, has operations in front of NMS_TRT decode boxes. Raise SurgeonError as
    :func:`with_native_suppression` for ``native``.
    """
    recipe = context.recipe
    if wanted == "native":
        return with_native_suppression(recipe, target, graph_code(context)), ()
    replaced = {name: node for name, node in recipe.nodes.items() if node.plugin in REPLACED}
    if wanted == "plugin" or len(replaced) != 1:
        return recipe, ()
    ((name, node),) = replaced.items()
    reasons = _unfollowed(context, name)
    if not reasons:
        return recipe, ()
    follows = f"{node.plugin} does not, and 'suppression: native' does"
    kept = Derivation(name, "suppression", "plugin", (*reasons, follows))
    if target is None or target.runs_plugins:
        return recipe, (kept,)
    reason = _why_kept(context, name, node, decode)
    if not reason:
        try:
            native = with_native_suppression(recipe, target, graph_code(context.of(name)))
        except SurgeonError as exc:
            reason = exc.diagnostics[0].message
        else:
            why = f"{node.plugin} does not; standard operators do, by the rules of {IMPLICIT}"
            return native, (Derivation(name, "suppression", "native", (*reasons, why)),)
    return recipe, (replace(kept, evidence=(*kept.evidence, f"{node.plugin} stays: {reason}")),)


def decoded_by_native(recipe: Recipe) -> Derivation | None:
    """Return what becomes of ``decode: graph`` where SurgeonDetection decodes boxes, else None."""
    for name, node in recipe.nodes.items():
        if node.plugin in (IMPLICIT, EXPLICIT):
            return Derivation(name, "decode", "plugin", (f"{node.plugin} decodes boxes as the graph does",))
    return None


def _why_kept(context: DerivationContext, name: str, node: NodeDefinition, decode: Decode | None) -> str:
    """Return why a recipe's own words, or the caller's, keep its plugin, empty where none does."""
    if decode == "graph":
        return "'decode: graph' decodes boxes in front of it"
    top_k = (node.fields or {}).get("topK", "auto")
    with suppress(SurgeonError):
        if isinstance(top_k, int) and top_k < min(_most(context, name), TOP_K_LIMIT):
            return f"topK {top_k} bounds what it looks at"
    return ""


def _most(context: DerivationContext, name: str) -> int:
    return context.of(name).family.postprocessing.boxes.value


def _unfollowed(context: DerivationContext, name: str) -> tuple[str, ...]:
    """Return what the graph does that NMS_TRT cannot do, and SurgeonDetection can, with the evidence."""
    try:
        original = context.of(name).family.postprocessing
    except SurgeonError:
        return ()
    found: list[str] = []
    lacks = context.catalog[context.recipe.nodes[name].plugin or ""].lacks
    for _, difference, finding in differences(original, lacks):
        found.append(f"{difference}: {finding.evidence[0]}")
    for rule in _RULES:
        with suppress(SurgeonError):
            found += rule(original)
    return tuple(found)


def _class_cap(original: Postprocessing) -> Iterator[str]:
    per_class, total = original.max_per_class, original.max_total
    if per_class.value < total.value:
        yield (
            f"the graph keeps at most {per_class.value} boxes of a class and {total.value} in all: "
            f"{per_class.evidence[0]}"
        )


def _drops_after(original: Postprocessing) -> Iterator[str]:
    if not original.drops_empty.value and original.drops_empty_after.value:
        late = original.drops_empty_after
        yield f"the graph drops boxes without an area after suppression: {late.evidence[0]}"


def _never_clips(original: Postprocessing) -> Iterator[str]:
    if original.clip.value == "none":
        yield f"the graph clips no boxes: {original.clip.evidence[0]}"


def _may_equal(original: Postprocessing) -> Iterator[str]:
    sense = original.score_sense
    if sense.value == "at least" and original.score_threshold.value > 0:
        yield f"a score may equal the threshold: {sense.evidence[0]}"


def _scales(original: Postprocessing) -> Iterator[str]:
    if original.score_scale.value != 1.0:
        yield f"the graph multiplies scores before it converts them: {original.score_scale.evidence[0]}"


def _many(original: Postprocessing) -> Iterator[str]:
    if original.boxes.value > TOP_K_LIMIT:
        yield f"the graph suppresses all {original.boxes.value} boxes of a class, more than {TOP_K_LIMIT}"


_RULES = (_class_cap, _drops_after, _never_clips, _may_equal, _scales, _many)


def _native(recipe: Recipe, name: str, node: NodeDefinition, plugin: str, code: int | None) -> NodeDefinition:
    fields: Mapping[str, object] = node.fields or {}
    for field, values in {**_ONLY, "codeType": (1, 2, 3) if code is None else (code,)}.items():
        value = fields.get(field, values[0])
        if value != "auto" and value not in values:
            raise error(
                "S415",
                f"'{name}' has '{field}' {value}; {plugin} does what {values[0]} means alone",
                recipe.span("nodes", name, "fields", field),
                help=["write 'suppression: plugin', or take the field away"],
            )
    literal = {own: fields[field] for field, own in _SAME.items() if fields.get(field, "auto") != "auto"}
    if fields.get("codeType") in (1, 2):
        literal["coding"] = 0  # operations in front decode boxes, if that is the graph's coding
    return node.model_copy(
        update={"plugin": plugin, "fields": {field: literal.get(field, "auto") for field in _FIELDS}}
    )
