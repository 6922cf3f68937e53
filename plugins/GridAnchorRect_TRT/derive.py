"""Fields of GridAnchorRect_TRT that the graph tells."""

from __future__ import annotations

from surgeon.families import DerivationContext, Derived
from surgeon.families.parts.grid_fields import FITTED_FIELDS, num_layers


def feature_map_shapes(context: DerivationContext) -> Derived:
    """Return height and width of each feature map in turn: H0, W0, H1, W1, ..."""
    maps = context.family.finding("feature_maps")
    return Derived([side for size in maps.value for side in size], maps.evidence)


DERIVATIONS = {"numLayers": num_layers, "featureMapShapes": feature_map_shapes, **FITTED_FIELDS}
