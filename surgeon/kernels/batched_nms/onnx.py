"""BatchedNMS_TRT and BatchedNMSDynamic_TRT in standard operators.

They compute what :mod:`surgeon.kernels.batched_nms.numbers` does.
"""

from __future__ import annotations

import numpy as np

from surgeon.diagnostics import SurgeonError, error
from surgeon.formats.onnx.lowering import PluginNode
from surgeon.formats.onnx.shapes import sample_dims
from surgeon.kernels.boxes import onnx as coding
from surgeon.kernels.suppression.onnx import (
    Candidates,
    above,
    best_of_each,
    best_rows,
    check_rows,
    compared,
    filled,
    filled_boxes,
    labels_but,
    number_of,
    objects,
    survivors,
)


def batched_nms(at: PluginNode) -> tuple[str, str, str, str]:
    """Return the detections: their number, boxes, scores and classes.

    These are int32[N, 1], float32[N, K, 4], float32[N, K] and float32[N, K]; K is keepTopK. Differences: with
    isNormalized 0, boxes that do not meet share no pixel, where they share one in the plugin; only for boxes
    about one pixel wide is that above a threshold. scoreBits has no meaning. Raise SurgeonError X160 where a
    size is unknown, X161 where isNormalized is 0 and caffeSemantics is too, or clipBoxes is 1, X162 for more
    rows than TensorRT takes.
    """
    emit, fields = at.emit, at.fields
    labels, any_object = labels_but(fields["numClasses"], fields["backgroundLabelId"])
    threshold = fields["scoreThreshold"] if any_object else np.inf
    every = _candidates(at, labels, threshold)
    if fields["topK"] < every.each:
        check_rows(at, "topK", fields["topK"])
    check_rows(at, "keepTopK", fields["keepTopK"])
    candidates = best_of_each(emit, every, fields["topK"])
    kept = survivors(
        emit,
        candidates,
        fields["iouThreshold"],
        fields["keepTopK"],
        least=threshold,
        measured=_measured(at, candidates),
        together=compared(at),
    )
    rows = best_rows(emit, candidates, kept, fields["keepTopK"])
    boxes = filled_boxes(emit, rows)
    classes = emit.op("Gather", emit.constant(labels, np.float32), rows.classes, axis=0)
    return (
        number_of(emit, rows),
        coding.clipped(emit, boxes) if fields["clipBoxes"] else boxes,
        filled(emit, rows, rows.scores, 0),
        filled(emit, rows, classes, -1),
    )


def batched_nms_implicit(at: PluginNode) -> list[str]:
    """Return the same with the number of detections as int32[N]."""
    number, *rest = batched_nms(at)
    return [at.emit.op("Squeeze", number, at.emit.ints(1)), *rest]


def _candidates(at: PluginNode, labels: tuple[int, ...], threshold: float) -> Candidates:
    emit, classes = at.emit, at.fields["numClasses"]
    each, owners = sample_dims(at, 0)[:2]
    every = emit.op("Reshape", at.inputs[1], emit.ints(0, each, classes))
    scores = emit.op("Transpose", objects(emit, every, labels, classes, 2), perm=(0, 2, 1))
    if owners == 1:
        boxes = emit.op("Reshape", at.inputs[0], emit.ints(0, each, 4))
    else:
        boxes = emit.op("Transpose", objects(emit, at.inputs[0], labels, classes, 2), perm=(0, 2, 1, 3))
    return Candidates(boxes, above(emit, scores, threshold), len(labels), each, shared=owners == 1)


def _measured(at: PluginNode, candidates: Candidates) -> str | None:
    """Return the boxes that stand for the candidates' when overlaps are measured."""
    if at.fields["isNormalized"]:
        return None
    if not at.fields["caffeSemantics"]:
        raise _unmeasured(
            at,
            "caffeSemantics 0, by which boxes have a pixel more and their intersection has not",
            "caffeSemantics to 1",
        )
    if at.fields["clipBoxes"]:
        raise _unmeasured(
            at,
            "clipBoxes 1, by which boxes that do not meet share a pixel as large as the picture",
            "isNormalized to 1 for boxes relative to the picture, clipBoxes to 0 for boxes in pixels",
        )
    return coding.with_last_pixel(at.emit, candidates.boxes)


def _unmeasured(at: PluginNode, what: str, instead: str) -> SurgeonError:
    return error(
        "X161",
        f"{at.spec.op} has isNormalized 0 and {what}; expected an overlap that NonMaxSuppression of ONNX "
        "measures",
        None,
        help=[f"set {instead}, or write the plugin node itself (--plugins native)"],
    )
