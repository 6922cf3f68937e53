"""Fields of the plugins that decode boxes and suppress overlapping ones (DetectionOutput), rendered from what
the original's post-processing computes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from surgeon.diagnostics import SurgeonError
from surgeon.families.context import DerivationContext, Derived
from surgeon.families.finding import Finding
from surgeon.families.postprocessing import Coding

TOP_K_LIMIT = 4096
"""Boxes of a class that go into suppression at most: the kernel's table has 8 entries for each of 512
threads.

On a GPU with TensorRT 8.5.3.1 it was right with 5,000 anchors; more than there are anchors was wrong.
"""

COSTLY = 1000
"""Boxes of a class from which on suppression takes most of an inference."""

COST = (
    "that takes time: on an H200, NMS_TRT with 1917 boxes of 91 classes took 2.3 ms of 3.1, and "
    "SurgeonDetection ('suppression: native') 0.05 ms of 0.7; a smaller topK is faster and loses detections"
)

CODE_TYPES: Mapping[Coding, int] = {"none": 0, "centre-size-xy": 1, "corners-by-size": 2, "centre-size": 3}
"""The plugins' numbers of codings."""


def num_classes(context: DerivationContext) -> Derived:
    """Return the number of scores a box has, background included."""
    classes = context.family.finding("classes")
    scores = context.family.finding("class_heads").value[0].tensor
    return Derived(classes.value, (f"'{scores}' is {context.inference.spec(scores)}", classes.evidence[-1]))


def input_order(context: DerivationContext) -> Derived:
    """Return at which edge boxes, scores and anchors arrive, from the order in which the recipe names the
    ports.
    """
    names = list(context.detection())
    ports = context.catalog[context.op].order_ports
    missing = [port for port in ports if port not in names]
    if missing:
        raise context.fail(
            "D104",
            f"'{context.node}' declares no input for the port '{missing[0]}'",
            "nodes",
            context.node,
            "inputs",
            help=["declare loc, conf and prior"],
        )
    return Derived(
        [names.index(port) for port in ports], ("the inputs are declared in the order " + ", ".join(names),)
    )


def confidence_threshold(context: DerivationContext) -> Derived:
    """Return what scores must exceed."""
    threshold = context.family.postprocessing.score_threshold
    return Derived(max(0.0, threshold.value), threshold.evidence)


def nms_threshold(context: DerivationContext) -> Derived:
    """Return the overlap above which a box is dropped."""
    return _as_it_is(context.family.postprocessing.iou_threshold)


def top_k(context: DerivationContext) -> Derived:
    """Return how many boxes of a class go into suppression.

    All, as in the graph, up to the limits of the plugin and of the target's runtime.
    """
    original = context.family.postprocessing
    boxes, per_class = original.boxes, original.max_per_class
    limit = _limit(context)
    value = max(min(boxes.value, limit), _kept(context))
    evidence = ["the graph suppresses all boxes of a class", *boxes.evidence]
    if value >= COSTLY:
        evidence.append(COST)
    if boxes.value > limit:
        bound = context.op if limit == TOP_K_LIMIT else "TopK of the target's runtime"
        evidence.append(f"{bound} takes {limit} at most")
    if per_class.value < original.max_total.value:
        evidence.append(
            f"the graph keeps {per_class.value} boxes of a class, which {context.op} cannot bound"
        )
    evidence += [f"after suppression: {line}" for line in per_class.evidence[:1]]
    return Derived(value, tuple(evidence))


def keep_top_k(context: DerivationContext) -> Derived:
    """Return how many detections of a picture are kept."""
    return Derived(_kept(context), context.family.postprocessing.max_total.evidence)


def _kept(context: DerivationContext) -> int:
    return min(context.family.postprocessing.max_total.value, _limit(context))


def _limit(context: DerivationContext) -> int:
    return min(TOP_K_LIMIT, context.most_rows or TOP_K_LIMIT)


def share_location(context: DerivationContext) -> Derived:
    """Return 1: one box of an anchor is shared by all classes, as the heads' channels show."""
    encodings = context.family.finding("encodings")
    return Derived(1, (*context.family.postprocessing.boxes.evidence, *encodings.evidence))


def background(context: DerivationContext) -> Derived:
    """Return 0 where the graph drops the first column of the scores, -1 where it uses all."""
    return _as_it_is(context.family.postprocessing.background)


def conf_sigmoid(context: DerivationContext) -> Derived:
    """Return 1 where the plugin has to apply the logistic function, 0 where scores arrive as probabilities.

    A Softmax must stay in the rewritten graph. Raise D119 where the recipe takes it away, or puts one where
    the graph has none, and where scores are scaled first.
    """
    original = context.family.postprocessing
    converter, scale = original.score_converter, original.score_scale
    softmax = context.feeding("conf", "Softmax")
    if converter.value == "softmax" and softmax is None:
        raise _lacks(
            context,
            "confSigmoid",
            "the graph converts scores by Softmax, and the recipe takes that away",
            converter,
            "keep it: read the scores through a node with 'op: Softmax', as the recipe 'ssd_softmax' does",
        )
    if converter.value != "softmax" and softmax is not None:
        raise _lacks(
            context,
            "confSigmoid",
            f"the recipe puts a Softmax in ('{softmax}'), and the graph has none",
            converter,
            "read the scores as the recipe 'ssd' does",
        )
    if scale.value != 1.0:
        raise _lacks(
            context,
            "confSigmoid",
            f"the graph multiplies scores by {scale.value:g} before it converts them",
            scale,
        )
    return Derived(int(converter.value == "sigmoid"), converter.evidence)


def variance_encoded(context: DerivationContext) -> Derived:
    """Return 0: encodings are multiplied by the variances that come with the anchors."""
    return Derived(0, context.family.postprocessing.variances.evidence)


def code_type(context: DerivationContext) -> Derived:
    """Return the number of the coding by which the graph decodes probes: 3 for TensorFlow's centre-size.

    Raise D116 for a coding that has no number.
    """
    coding = context.family.postprocessing.coding
    return Derived(CODE_TYPES[coding.value], coding.evidence)


def is_normalized(context: DerivationContext) -> Derived:
    """Return 1: boxes are relative to the picture, as the anchors are."""
    anchors = context.family.finding("anchors")
    return Derived(
        1,
        (
            f"the anchors lie between {anchors.value.min():.3g} and {anchors.value.max():.3g} of the picture",
            *anchors.evidence,
        ),
    )


def _as_it_is(finding: Finding[Any]) -> Derived:
    return Derived(finding.value, finding.evidence)


def _lacks(
    context: DerivationContext, field: str, difference: str, finding: Finding[Any], help: str = ""
) -> SurgeonError:
    return context.fail(
        "D119",
        f"{difference}, which {context.op} cannot do",
        "nodes",
        context.node,
        "fields",
        field,
        notes=finding.evidence,
        help=[help or f"write '{field}' if the difference is meant"],
    )


DERIVATIONS: Mapping[str, Callable[[DerivationContext], Derived]] = {
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
