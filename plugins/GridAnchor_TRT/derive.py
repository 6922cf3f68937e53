"""Fields of GridAnchor_TRT that the graph tells."""

from __future__ import annotations

from surgeon.families import DerivationContext, Derived
from surgeon.families.parts.grid_fields import FITTED_FIELDS, num_layers


def feature_map_shapes(context: DerivationContext) -> Derived:
    """Return the side of each feature map, in the order in which their boxes are joined.

    Raise D111 for oblong maps.
    """
    maps, heads = context.family.finding("feature_maps"), context.family.finding("box_heads").value
    for head, (height, width) in zip(heads, maps.value, strict=True):
        if height != width:
            raise context.fail(
                "D111",
                f"the feature map '{head.feature}' is {height} x {width}; "
                "GridAnchor_TRT takes square ones only",
                "nodes",
                context.node,
                "fields",
                "featureMapShapes",
                help=[
                    "put the anchors in as a constant: --anchors constant",
                    "or use the plugin GridAnchorRect_TRT, on TensorRT 8.5.1 or later",
                ],
            )
    return Derived([height for height, _ in maps.value], maps.evidence)


DERIVATIONS = {"numLayers": num_layers, "featureMapShapes": feature_map_shapes, **FITTED_FIELDS}
