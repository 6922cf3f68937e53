"""Fields of GridAnchor_TRT that the graph tells."""

from __future__ import annotations

from surgeon.derive import Derived, Head, Subject, heads


def num_layers(subject: Subject) -> Derived:
    """Return the number of feature maps: of convolutions whose boxes are joined."""
    found = _box_heads(subject)
    return Derived(len(found), (f"{len(found)} box heads are joined, from '{found[0].conv}' to '{found[-1].conv}'",))


def feature_map_shapes(subject: Subject) -> Derived:
    """Return the side of each feature map, in the order in which their boxes are joined; raise D111 for oblong maps."""
    found = _box_heads(subject)
    oblong = [h for h in found if h.height != h.width]
    if oblong:
        head = oblong[0]
        raise subject.fail("D111", f"the feature map '{head.feature}' is {head.height} x {head.width}; "
                           "GridAnchor_TRT takes square ones only", "nodes", subject.node, "fields", "featureMapShapes",
                           help=["use the plugin GridAnchorRect_TRT, on TensorRT 8.5.1 or later"])  # fmt: skip
    sides = [h.height for h in found]
    return Derived(sides, tuple(f"'{h.feature}' is {subject.inference.spec(h.feature)}" for h in found))


def _box_heads(subject: Subject) -> list[Head]:
    _, ports = subject.detection()
    found = heads(subject, ports["loc"].partition(":")[0])
    unknown = [h for h in found if h.height is None or h.width is None]
    if unknown:
        raise subject.fail("D103", f"the size of the feature map '{unknown[0].feature}' is not known", "nodes", subject.node,
                           notes=[f"it is {subject.inference.spec(unknown[0].feature)}"],
                           help=["give the input a 'shape', or write the value instead of 'auto'"])  # fmt: skip
    return found


DERIVATIONS = {"numLayers": num_layers, "featureMapShapes": feature_map_shapes}
