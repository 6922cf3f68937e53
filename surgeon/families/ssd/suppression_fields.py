"""Derivations of the plugins that decode boxes and suppress overlapping ones (DetectionOutput)."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from surgeon.diagnostics import SurgeonError
from surgeon.families.context import Derived, Subject
from surgeon.families.ssd.namespace_roles import heads

TOP_K_LIMIT = 4096
"""Boxes of a class that go into suppression at most: the kernel's table has 8 entries for each of 512
threads.

On a GPU with TensorRT 8.5.3.1 it was right with 5,000 anchors; more than there are anchors was wrong.
"""

_ORDER = ("loc", "conf", "prior")
_TF_CENTER = 3


def num_classes(subject: Subject) -> Derived:
    """Return the number of scores a box has, background included.

    It is the last axis of what the class namespace joins (float32[N, boxes, numClasses]); the channels of the
    class and box convolutions, C and 4 B for B boxes a location, must agree: C / B. Raise SurgeonError D103,
    D110.
    """
    classes = heads(subject, subject.fed("conf"))
    boxes = heads(subject, subject.fed("loc"))
    counts: dict[int, str] = {}
    for head in classes:
        dims = subject.inference.spec(head.tensor).shape.dims
        if dims is not None and len(dims) == 3 and dims[-1] is not None:
            counts.setdefault(dims[-1], f"'{head.tensor}' is {subject.inference.spec(head.tensor)}")
    for score, box in zip(classes, boxes, strict=False):
        if score.channels and box.channels and box.channels % 4 == 0:
            per_location = box.channels // 4
            if score.channels % per_location:
                counts.setdefault(
                    -1, f"'{score.conv}' has {score.channels} channels for {per_location} boxes a location"
                )
                continue
            counts.setdefault(
                score.channels // per_location,
                f"'{score.conv}' has {score.channels} channels, '{box.conv}' {box.channels}: "
                f"{score.channels} / ({box.channels} / 4) = {score.channels // per_location}",
            )
    if len(counts) != 1:
        raise subject.fail(
            "D110",
            f"the number of classes is not plain: {len(counts)} different answers",
            "nodes",
            subject.node,
            "fields",
            "numClasses",
            notes=tuple(counts.values())[:6],
            help=["write numClasses, background included"],
        )
    value, evidence = next(iter(counts.items()))
    return Derived(value, (evidence, f"the same for {len(classes)} class heads"))


def input_order(subject: Subject) -> Derived:
    """Return at which edge boxes, scores and anchors arrive, from the order in which the recipe names the
    ports.
    """
    _, ports = subject.detection()
    names = list(ports)
    missing = [port for port in _ORDER if port not in names]
    if missing:
        raise subject.fail(
            "D104",
            f"'{subject.node}' declares no input for the port '{missing[0]}'",
            "nodes",
            subject.node,
            "inputs",
            help=["declare loc, conf and prior"],
        )
    return Derived(
        [names.index(port) for port in _ORDER], ("the inputs are declared in the order " + ", ".join(names),)
    )


def confidence_threshold(subject: Subject) -> Derived:
    """Return what scores must exceed."""
    found = subject.detector.score_threshold
    return Derived(max(0.0, found.value), found.evidence)


def nms_threshold(subject: Subject) -> Derived:
    """Return the overlap above which a box is dropped.

    Raise D119 for suppression that the plugin does not have.
    """
    detector = subject.detector
    if detector.soft_sigma.value:
        raise _lacks(
            subject,
            "nmsThreshold",
            "the graph lowers the scores of overlapping boxes (soft suppression)",
            detector.soft_sigma.evidence,
        )
    if detector.class_agnostic.value:
        raise _lacks(
            subject,
            "nmsThreshold",
            "boxes of different classes suppress each other in the graph",
            detector.class_agnostic.evidence,
        )
    found = detector.iou_threshold
    return Derived(found.value, found.evidence)


def top_k(subject: Subject) -> Derived:
    """Return how many boxes of a class go into suppression.

    All, as in the graph, up to the plugin's limit.
    """
    detector = subject.detector
    anchors, kept = detector.count.value, _kept(subject)
    value = max(min(anchors, TOP_K_LIMIT), kept)
    evidence = ["the graph suppresses all boxes of a class", *detector.count.evidence]
    if anchors > TOP_K_LIMIT:
        evidence.append(f"{subject.op} takes {TOP_K_LIMIT} at most")
    if detector.max_per_class.value < detector.max_total.value:
        evidence.append(
            f"the graph keeps {detector.max_per_class.value} boxes of a class, which {subject.op} cannot "
            "bound"
        )
    evidence += [f"after suppression: {line}" for line in detector.max_per_class.evidence[:1]]
    return Derived(value, tuple(evidence))


def keep_top_k(subject: Subject) -> Derived:
    """Return how many detections of a picture are kept."""
    found = subject.detector.max_total
    return Derived(_kept(subject), found.evidence)


def _kept(subject: Subject) -> int:
    return min(subject.detector.max_total.value, TOP_K_LIMIT)


def share_location(subject: Subject) -> Derived:
    """Return 1: one box of an anchor is shared by all classes, as the heads' channels show."""
    found = subject.detector.encodings
    counted = subject.detector.count
    return Derived(1, (*counted.evidence, *found.evidence))


def background(subject: Subject) -> Derived:
    """Return 0 where the graph drops the first column of the scores, -1 where it uses all."""
    found = subject.detector.background
    return Derived(found.value, found.evidence)


def conf_sigmoid(subject: Subject) -> Derived:
    """Return 1 where the plugin has to apply the logistic function, 0 where scores arrive as probabilities.

    A Softmax must stay in the rewritten graph. Raise D119 where the recipe takes it away, or puts one where
    the graph has none, and where scores are scaled first.
    """
    detector = subject.detector
    kind, scale = detector.score_converter, detector.logit_scale
    softmax = subject.feeding("conf", "Softmax")
    if kind.value == "softmax" and softmax is None:
        raise _lacks(
            subject,
            "confSigmoid",
            "the graph converts scores by Softmax, and the recipe takes that away",
            kind.evidence,
            "keep it: read the scores through a node with 'op: Softmax', as the recipe 'ssd_softmax' does",
        )
    if kind.value != "softmax" and softmax is not None:
        raise _lacks(
            subject,
            "confSigmoid",
            f"the recipe puts a Softmax in ('{softmax}'), and the graph has none",
            kind.evidence,
            "read the scores as the recipe 'ssd' does",
        )
    if scale.value != 1.0:
        raise _lacks(
            subject,
            "confSigmoid",
            f"the graph multiplies scores by {scale.value:g} before it converts them",
            scale.evidence,
        )
    return Derived(int(kind.value == "sigmoid"), kind.evidence)


def variance_encoded(subject: Subject) -> Derived:
    """Return 0: encodings are multiplied by the variances that come with the anchors."""
    found = subject.detector.coder
    return Derived(0, found.evidence)


def code_type(subject: Subject) -> Derived:
    """Return 3, TensorFlow's centre-size coding, where the graph decodes probes so.

    Raise D116 for any other coding.
    """
    found = subject.detector.coder
    return Derived(_TF_CENTER, found.evidence)


def is_normalized(subject: Subject) -> Derived:
    """Return 1: boxes are relative to the picture, as the anchors are."""
    found = subject.detector.anchors
    return Derived(
        1,
        (
            f"the anchors lie between {found.value.min():.3g} and {found.value.max():.3g} of the picture",
            *found.evidence,
        ),
    )


def _lacks(
    subject: Subject, field: str, what: str, evidence: tuple[str, ...], help: str = ""
) -> SurgeonError:
    return subject.fail(
        "D119",
        f"{what}, which {subject.op} cannot do",
        "nodes",
        subject.node,
        "fields",
        field,
        notes=evidence,
        help=[help or f"write '{field}' if the difference is meant"],
    )


DERIVATIONS: Mapping[str, Callable[[Subject], Derived]] = {
    "numClasses": num_classes,
    "inputOrder": input_order,
    "shareLocation": share_location,
    "varianceEncodedInTarget": variance_encoded,
    "backgroundLabelId": background,
    "topK": top_k,
    "keepTopK": keep_top_k,
    "confidenceThreshold": confidence_threshold,
    "nmsThreshold": nms_threshold,
    "confSigmoid": conf_sigmoid,
    "isNormalized": is_normalized,
    "codeType": code_type,
}
