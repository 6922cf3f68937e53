"""The third stage of Mask R-CNN: regions cut out at the detections, and a mask of its class for each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from surgeon.zoo.extractor import convolution_attrs
from surgeon.zoo.nodes import INT32, NodeWriter, Ref
from surgeon.zoo.options import WeightSource
from surgeon.zoo.weights import values_of, write_variable


@dataclass(frozen=True)
class MaskHead:
    """What the third stage reads and gives.

    ``features`` is the map that regions are cut out of, ``boxes`` [N, K, 4] and ``classes`` [N, K] are what
    the second stage gives, ``most`` is K. ``labels`` counts the classes without the background; with one
    there is nothing to choose. ``extract`` writes what the second stage does with regions and returns their
    features, which have ``channels``. Masks are ``side`` x ``side``.
    """

    features: Ref
    boxes: Ref
    classes: Ref
    most: int
    labels: int
    crop: int
    extract: Callable[[Ref], Ref]
    channels: int
    side: int = 7


def write_masks(g: NodeWriter, head: MaskHead, weights: WeightSource) -> Ref:
    """Write the stage and return the masks, [N, K, side, side] from 0 to 1."""
    batch, most = (g.element(g.shape(head.boxes), axis) for axis in (0, 1))
    flat = g.reshape(head.boxes, g.pack([g.mul(g.element(g.shape(head.boxes), 0), head.most), 4]))
    regions = head.extract(cut_regions(g, head.features, head.boxes, flat, head.crop))
    with g.scope("SecondStageBoxPredictor"):
        full = g.unique("ResizeBilinear")
        size = g.const([head.side, head.side], f"{full}/size")
        grown = g.node("ResizeBilinear", full, [regions, size], align_corners=True)
        name, shape = f"{full.partition('/')[0]}/MaskConv", (1, 1, head.channels, head.labels)
        kernel = write_variable(g, f"{name}/weights", values_of(weights, f"{name}/weights", shape))
        logits = g.node("Conv2D", f"{name}/Conv2D", [grown, kernel], **convolution_attrs(g.date, 1))
        order = g.unique("transpose")
        perm = g.const([0, 3, 1, 2], f"{order}/perm")
        by_class = g.expand_dims(g.node("Transpose", order, [logits, perm]), 1)
    found = g.squeeze(by_class, 1)
    if head.labels > 1:
        found = _of_class(g, found, head.classes)
    sides = [g.element(g.shape(found), axis) for axis in (1, 2)]
    if head.labels == 1:
        sides = [g.element(g.shape(found), axis) for axis in (2, 3)]
    return g.emit("Sigmoid", g.reshape(found, g.pack([batch, most, *sides])))


def cut_regions(g: NodeWriter, features: Ref, boxes: Ref, flat: Ref, crop: int) -> Ref:
    """Write the cut of all regions of a batch, [N K, crop, crop, C].

    ``boxes`` is [N, K, 4], and ``flat`` the same as [N K, 4].
    """
    shape = g.shape(boxes)
    ones = g.fill(g.slice(shape, [0], [2]), 1, g.unique("ones"))
    numbers = g.mul(ones, g.expand_dims(g.range(g.element(shape, 0)), 1))
    full = g.unique("CropAndResize")
    size = g.const([crop, crop], f"{full}/crop_size")
    inputs = [features, flat, g.reshape(numbers, [-1]), size]
    return g.node("CropAndResize", full, inputs, extrapolation_value=0.0, method="bilinear")


def _of_class(g: NodeWriter, masks: Ref, classes: Ref) -> Ref:
    """Write the choice of the mask of its class for each region, [N K, side, side]."""
    regions, labels, *sides = (g.element(g.shape(masks), axis) for axis in range(4))
    chosen = g.cast(g.reshape(classes, [-1]), INT32, "ToInt32" if g.date != "2019" else None)
    flat = g.reshape(masks, g.pack([-1, *sides]))
    first = g.mul(g.range(regions), labels)
    return g.gather(flat, g.add(first, chosen))
