"""Fields of GridAnchor_TRT that the graph tells."""

from __future__ import annotations

from surgeon.families import Derived, Subject
from surgeon.families.ssd.grid_fields import FITTED_FIELDS, box_heads, num_layers


def feature_map_shapes(subject: Subject) -> Derived:
    """Return the side of each feature map, in the order in which their boxes are joined.

    Raise D111 for oblong maps.
    """
    found = box_heads(subject)
    oblong = [h for h in found if h.height != h.width]
    if oblong:
        head = oblong[0]
        raise subject.fail(
            "D111",
            f"the feature map '{head.feature}' is {head.height} x {head.width}; "
            "GridAnchor_TRT takes square ones only",
            "nodes",
            subject.node,
            "fields",
            "featureMapShapes",
            help=[
                "put the anchors in as a constant: --anchors constant",
                "or use the plugin GridAnchorRect_TRT, on TensorRT 8.5.1 or later",
            ],
        )
    sides = [h.height for h in found]
    return Derived(sides, tuple(f"'{h.feature}' is {subject.inference.spec(h.feature)}" for h in found))


DERIVATIONS = {"numLayers": num_layers, "featureMapShapes": feature_map_shapes, **FITTED_FIELDS}
