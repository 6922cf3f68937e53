"""Fields of GridAnchorRect_TRT that the graph tells."""

from __future__ import annotations

from surgeon.derive import Derived, Subject, heads


def _sizes(subject: Subject) -> list[tuple[int, int, str]]:
    _, ports = subject.detection()
    found = []
    for head in heads(subject, ports["loc"].partition(":")[0]):
        if head.height is None or head.width is None:
            raise subject.fail("D103", f"the size of the feature map '{head.feature}' is not known", "nodes", subject.node,
                               notes=[f"it is {subject.inference.spec(head.feature)}"],
                               help=["give the input a 'shape', or write the value instead of 'auto'"])  # fmt: skip
        found.append((head.height, head.width, f"'{head.feature}' is {subject.inference.spec(head.feature)}"))
    return found


def num_layers(subject: Subject) -> Derived:
    """Return the number of feature maps: of convolutions whose boxes are joined."""
    sizes = _sizes(subject)
    return Derived(len(sizes), (f"{len(sizes)} box heads are joined",))


def feature_map_shapes(subject: Subject) -> Derived:
    """Return height and width of each feature map in turn: H0, W0, H1, W1, ..."""
    sizes = _sizes(subject)
    return Derived([n for height, width, _ in sizes for n in (height, width)], tuple(text for *_, text in sizes))


DERIVATIONS = {"numLayers": num_layers, "featureMapShapes": feature_map_shapes}
