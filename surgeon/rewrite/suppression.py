"""SurgeonDetection in the place of a recipe's NMS_TRT: ``suppression: native``.

It has two names: SurgeonDetection for networks with implicit batch, SurgeonDetectionDynamic for those with
explicit batch.
"""

from __future__ import annotations

from collections.abc import Mapping

from surgeon.diagnostics import error
from surgeon.language import NodeDefinition, Recipe
from surgeon.targets import Target

IMPLICIT, EXPLICIT = "SurgeonDetection", "SurgeonDetectionDynamic"

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
    "codeType": (3,),
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


def with_chosen_suppression(recipe: Recipe, target: Target | None) -> Recipe:
    """Return the recipe with SurgeonDetection in the place of NMS_TRT where it asks for ``native``.

    A target of TensorRT that takes ONNX gets the plugin for explicit batch, every other one that for implicit
    batch.
    Numbers that the recipe tells stay; all else is derived from the graph. How many candidates go into
    suppression (topK) has no meaning any more: all do. Raise SurgeonError S415 where there is nothing to
    replace, or a field says what SurgeonDetection cannot do.
    """
    if recipe.suppression != "native" or any(
        node.plugin in (IMPLICIT, EXPLICIT) for node in recipe.nodes.values()
    ):
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
    native = {name: _native(recipe, name, node, plugin) for name, node in replaced.items()}
    return recipe.model_copy(update={"nodes": {**recipe.nodes, **native}})


def _native(recipe: Recipe, name: str, node: NodeDefinition, plugin: str) -> NodeDefinition:
    fields: Mapping[str, object] = node.fields or {}
    for field, values in _ONLY.items():
        value = fields.get(field, values[0])
        if value != "auto" and value not in values:
            raise error(
                "S415",
                f"'{name}' has '{field}' {value}; {plugin} does what {values[0]} means alone",
                recipe.span("nodes", name, "fields", field),
                help=["write 'suppression: plugin', or take the field away"],
            )
    literal = {own: fields[field] for field, own in _SAME.items() if fields.get(field, "auto") != "auto"}
    return node.model_copy(
        update={"plugin": plugin, "fields": {field: literal.get(field, "auto") for field in _FIELDS}}
    )
