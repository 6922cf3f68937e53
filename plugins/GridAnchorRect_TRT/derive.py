"""Fields of GridAnchorRect_TRT that the graph tells."""

from __future__ import annotations

from surgeon.families import Derived, Subject
from surgeon.families.ssd.grid_fields import FITTED_FIELDS, box_heads, num_layers


def feature_map_shapes(subject: Subject) -> Derived:
    """Return height and width of each feature map in turn: H0, W0, H1, W1, ..."""
    found = box_heads(subject)
    sizes = [n for head in found for n in (head.height, head.width)]
    return Derived(sizes, tuple(f"'{h.feature}' is {subject.inference.spec(h.feature)}" for h in found))


DERIVATIONS = {"numLayers": num_layers, "featureMapShapes": feature_map_shapes, **FITTED_FIELDS}
