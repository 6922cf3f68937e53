"""Anchors whose layers do not stand in the order of the boxes that belong to them."""

from __future__ import annotations

from collections.abc import Iterator
from math import prod

from surgeon.diagnostics import Diagnostic
from surgeon.graph import Node, Ref
from surgeon.lints.lint import LintContext

CODE = "L116"
TARGETS = ("uff", "onnx", "graphdef")

_GENERATORS = ("GridAnchor_TRT", "GridAnchorRect_TRT")
_JOINS = ("FlattenConcat_TRT", "ConcatV2")
_MOVING = frozenset({"Reshape", "Squeeze", "ExpandDims", "FlattenConcat_TRT"})


def check(context: LintContext) -> Iterator[Diagnostic]:
    for node in context.of_op("NMS_TRT"):
        prior, loc = context.port(node, "prior"), context.port(node, "loc")
        if prior is None or loc is None or node.attrs.get("shareLocation") == 0:
            continue
        anchors = _sizes(context, _parts(context, prior))
        boxes = _sizes(context, _parts(context, loc))
        made = {context.producer(ref).name for ref in _parts(context, prior)}
        generator = context.graph[made.pop()] if len(made) == 1 else None
        if (
            generator is None
            or generator.op not in _GENERATORS
            or len(anchors) != len(boxes)
            or sum(anchors) != 2 * sum(boxes)
        ):
            continue
        # A layer of anchors holds four coordinates and four variances for each box's four encodings.
        for layer, (have, want) in enumerate(zip(anchors, boxes, strict=True)):
            if have != 2 * want:
                yield Diagnostic(
                    CODE,
                    f"layer {layer} of '{generator.name}' ({generator.op}) has {have // 8} anchors, and "
                    f"'{loc}' {want // 4} boxes there; expected the layers in the order of the boxes",
                    generator.name,
                    (f"anchors: {_listed(anchors, 8)}", f"boxes: {_listed(boxes, 4)}"),
                    ("correct the order in 'featureMapShapes', or write 'auto'",),
                )
                break


def _parts(context: LintContext, ref: Ref) -> tuple[Ref, ...]:
    """Return what is joined into ``ref``: the inputs of the last join of several tensors on the way to it."""
    for _ in range(len(context.graph)):
        node: Node = context.producer(ref)
        if node.op in _JOINS:
            inputs = node.inputs[:-1] if node.op == "ConcatV2" and "axis" not in node.attrs else node.inputs
            if len(inputs) != 1:
                return inputs
            ref = inputs[0]
        elif node.op in _MOVING and node.inputs:
            ref = node.inputs[0]
        else:
            break
    return (ref,)


def _sizes(context: LintContext, refs: tuple[Ref, ...]) -> list[int]:
    """Return how many numbers of one picture each tensor holds; nothing where one is unknown."""
    sizes: list[int] = []
    for ref in refs:
        dims = context.dims(ref)
        if not dims or None in dims[1:]:
            return []
        sizes.append(prod(dim for dim in dims[1:] if dim is not None))
    return sizes


def _listed(sizes: list[int], each: int) -> str:
    return ", ".join(str(size // each) for size in sizes[:12]) + (" ..." if len(sizes) > 12 else "")
