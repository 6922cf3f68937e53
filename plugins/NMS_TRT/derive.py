"""Fields of NMS_TRT that the graph tells."""

from __future__ import annotations

from surgeon.derive import Derived, Subject, heads

_ORDER = ("loc", "conf", "prior")


def num_classes(subject: Subject) -> Derived:
    """Return the number of scores a box has, background included.

    It is the last axis of what the class namespace joins (float32[N, boxes, numClasses]); the channels of the class
    and box convolutions, C and 4 B for B boxes a location, must agree: C / B. Raise SurgeonError D103, D110.
    """
    _, ports = subject.detection()
    classes = heads(subject, ports["conf"].partition(":")[0])
    boxes = heads(subject, ports["loc"].partition(":")[0])
    counts: dict[int, str] = {}
    for head in classes:
        dims = subject.inference.spec(head.tensor).shape.dims
        if dims is not None and len(dims) == 3 and dims[-1] is not None:
            counts.setdefault(dims[-1], f"'{head.tensor}' is {subject.inference.spec(head.tensor)}")
    for score, box in zip(classes, boxes, strict=False):
        if score.channels and box.channels and box.channels % 4 == 0:
            per_location = box.channels // 4
            if score.channels % per_location:
                counts.setdefault(-1, f"'{score.conv}' has {score.channels} channels for {per_location} boxes a location")
                continue
            counts.setdefault(
                score.channels // per_location,
                f"'{score.conv}' has {score.channels} channels, '{box.conv}' {box.channels}: "
                f"{score.channels} / ({box.channels} / 4) = {score.channels // per_location}",
            )
    if len(counts) != 1:
        raise subject.fail("D110", f"the number of classes is not plain: {len(counts)} different answers",
                           "nodes", subject.node, "fields", "numClasses", notes=tuple(counts.values())[:6],
                           help=["write numClasses, background included"])  # fmt: skip
    value, evidence = next(iter(counts.items()))
    return Derived(value, (evidence, f"the same for {len(classes)} class heads"))


def input_order(subject: Subject) -> Derived:
    """Return at which edge boxes, scores and anchors arrive, from the order in which the recipe names the ports."""
    _, ports = subject.detection()
    names = list(ports)
    missing = [port for port in _ORDER if port not in names]
    if missing:
        raise subject.fail("D104", f"'{subject.node}' declares no input for the port '{missing[0]}'", "nodes", subject.node, "inputs",
                           help=["declare loc, conf and prior"])  # fmt: skip
    return Derived([names.index(port) for port in _ORDER], ("the inputs are declared in the order " + ", ".join(names),))


DERIVATIONS = {"numClasses": num_classes, "inputOrder": input_order}
