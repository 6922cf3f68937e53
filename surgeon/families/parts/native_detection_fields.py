"""Fields of SurgeonDetection, rendered from what the original's post-processing computes.

It follows every rule, so each field is a finding in the plugin's numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from surgeon.diagnostics import SurgeonError
from surgeon.families.context import DerivationContext, Derived
from surgeon.families.finding import Finding
from surgeon.families.postprocessing import DECODED_IN_FRONT, PICTURE, Coding, Postprocessing

CODINGS: Mapping[Coding, int] = {"none": 0, "centre-size": 1, **dict.fromkeys(DECODED_IN_FRONT, 0)}
CONVERTERS = {"identity": 0, "sigmoid": 1, "softmax": 2}
CLIPPINGS = {"none": 0, "before": 1, "after": 2}
SENSES = {"above": 0, "at least": 1}
"""The plugin's numbers for the values of findings."""


def score_converter(context: DerivationContext) -> Derived:
    """Return what the plugin has to convert scores by: nothing where the rewritten graph keeps a Softmax.

    Raise D119 where the recipe puts a Softmax in and the graph has none.
    """
    converter, softmax = context.postprocessing.score_converter, context.feeding("conf", "Softmax")
    if softmax is None:
        return Derived(CONVERTERS[converter.value], converter.evidence)
    if converter.value != "softmax":
        raise _refused(context, "scoreConverter", "and the graph has none", converter)
    return Derived(CONVERTERS["identity"], (f"'{softmax}' converts scores", *converter.evidence))


def score_scale(context: DerivationContext) -> Derived:
    """Return what scores are multiplied with before they are converted.

    Raise D119 where the recipe's Softmax converts them, which sees them before.
    """
    scale = context.postprocessing.score_scale
    if scale.value != 1.0 and context.feeding("conf", "Softmax") is not None:
        raise _refused(
            context, "scoreScale", f"and the graph multiplies scores by {scale.value:g} first", scale
        )
    return Derived(scale.value, scale.evidence)


def clip(context: DerivationContext) -> Derived:
    """Return when boxes are clipped to the picture.

    Raise D119 where the graph clips them to a window of other numbers.
    """
    original = context.postprocessing
    window = original.clip_window
    if original.clip.value == "before" and original.coding.value in DECODED_IN_FRONT:
        return Derived(CLIPPINGS["none"], ("operations in front clip boxes", *original.clip.evidence))
    if original.clip.value != "none" and window.value not in (PICTURE, None):
        raise context.fail(
            "D119",
            f"the graph clips boxes to {list(window.value or ())}; {context.op} clips to the whole picture",
            "nodes",
            context.node,
            "fields",
            "clip",
            notes=window.evidence,
            help=[
                "write 'suppression: plugin' and 'decode: graph', which follows a window before suppression"
            ],
        )
    return Derived(CLIPPINGS[original.clip.value], original.clip.evidence)


def drop_empty(context: DerivationContext) -> Derived:
    """Return when boxes without an area are dropped."""
    original = context.postprocessing
    if not original.drops_empty.value and original.drops_empty_after.value:
        return Derived(2, original.drops_empty_after.evidence)
    return Derived(int(original.drops_empty.value), original.drops_empty.evidence)


def _refused(context: DerivationContext, field: str, but: str, finding: Finding[Any]) -> SurgeonError:
    softmax = context.feeding("conf", "Softmax")
    return context.fail(
        "D119",
        f"the recipe puts a Softmax in ('{softmax}'), {but}",
        "nodes",
        context.node,
        "fields",
        field,
        notes=finding.evidence,
        help=["read the scores as the recipe 'ssd' does; the plugin converts them"],
    )


def iou_threshold(context: DerivationContext) -> Derived:
    """Return the overlap above which a box is dropped: 1 where TensorFlow lowers scores instead, and so drops
    none.
    """
    original = context.postprocessing
    soft = original.soft_sigma
    if soft.value > 0:
        return Derived(1.0, ("soft suppression of TensorFlow drops no box by its overlap", *soft.evidence))
    return Derived(original.iou_threshold.value, original.iou_threshold.evidence)


def share_location(context: DerivationContext) -> Derived:
    """Return whether all classes share a box, as the heads' channels show."""
    original = context.postprocessing
    shared = original.shares_boxes
    return Derived(int(shared.value), shared.evidence or original.boxes.evidence)


def _as_it_is(find: Callable[[Postprocessing], Finding[Any]]) -> Callable[[DerivationContext], Derived]:
    return _as(find, lambda value: value)


def _as(
    find: Callable[[Postprocessing], Finding[Any]], convert: Callable[[Any], Any]
) -> Callable[[DerivationContext], Derived]:
    def derive(context: DerivationContext) -> Derived:
        found = find(context.postprocessing)
        return Derived(convert(found.value), found.evidence)

    return derive


DERIVATIONS: Mapping[str, Callable[[DerivationContext], Derived]] = {
    "classes": _as_it_is(lambda original: original.classes),
    "background": _as_it_is(lambda original: original.background),
    "shareLocation": share_location,
    "coding": _as(lambda original: original.coding, CODINGS.__getitem__),
    "scoreConverter": score_converter,
    "scoreScale": score_scale,
    "scoreThreshold": _as_it_is(lambda original: original.score_threshold),
    "scoreAtLeast": _as(lambda original: original.score_sense, SENSES.__getitem__),
    "iouThreshold": iou_threshold,
    "softSigma": _as_it_is(lambda original: original.soft_sigma),
    "classAgnostic": _as(lambda original: original.class_agnostic, int),
    "maxPerClass": _as_it_is(lambda original: original.max_per_class),
    "maxTotal": _as_it_is(lambda original: original.max_total),
    "clip": clip,
    "dropEmpty": drop_empty,
}
