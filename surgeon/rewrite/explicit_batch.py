"""Plugins for networks with explicit batch, which TensorRT makes of ONNX, in the place of their elders."""

from __future__ import annotations

from types import MappingProxyType

from surgeon.families import Derivation
from surgeon.language import Recipe
from surgeon.targets import Target

EXPLICIT = MappingProxyType(
    {"BatchedNMS_TRT": "BatchedNMSDynamic_TRT", "SurgeonDetection": "SurgeonDetectionDynamic"}
)
"""Plugins that a network with explicit batch cannot hold, and those that take the same fields there."""


def with_explicit_batch(recipe: Recipe, target: Target | None) -> tuple[Recipe, tuple[Derivation, ...]]:
    """Return the recipe with plugins for explicit batch where TensorRT reads ONNX, and which these are."""
    if target is None or not target.matches("onnx@tensorrt"):
        return recipe, ()
    nodes = {name: node for name, node in recipe.nodes.items() if node.plugin in EXPLICIT}
    if not nodes:
        return recipe, ()
    replaced = {
        name: node.model_copy(update={"plugin": EXPLICIT[node.plugin or ""]}) for name, node in nodes.items()
    }
    derivations = tuple(
        Derivation(
            name,
            "plugin",
            node.plugin,
            (f"networks from ONNX have explicit batch, which {nodes[name].plugin} does not know",),
        )
        for name, node in replaced.items()
    )
    return recipe.model_copy(update={"nodes": {**recipe.nodes, **replaced}}), derivations
