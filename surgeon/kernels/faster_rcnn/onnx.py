"""Proposal and ProposalDynamic in standard operators.

They compute what :mod:`surgeon.kernels.faster_rcnn.numbers` does.
"""

from __future__ import annotations

import numpy as np

from surgeon.formats.onnx.lowering import PluginNode
from surgeon.formats.onnx.shapes import sample_dims
from surgeon.kernels.boxes import onnx as coding
from surgeon.kernels.suppression.onnx import (
    Candidates,
    best_of_each,
    best_rows,
    check_rows,
    filled_boxes,
    survivors,
)

F32 = np.float32

LAST = -1e28
"""Score of boxes that are too small: they come after all others, and are candidates all the same."""


def proposals(at: PluginNode) -> list[str]:
    """Return the regions y1, x1, y2, x2, float32[N, post_nms_top_n, 4, 1].

    They are divided by height and width of the picture less a pixel. Where pre_nms_top_n takes in all boxes,
    TensorRT compares the best 5000 of them. Raise SurgeonError X160 where a size is unknown, X162 for more
    rows than TensorRT takes.
    """
    emit, fields = at.emit, at.fields
    most = np.array([fields["input_width"] - 1, fields["input_height"] - 1] * 2, F32)
    before, rows = fields["pre_nms_top_n"], fields["post_nms_top_n"]
    count = int(np.prod(sample_dims(at, 0)))
    boxes = emit.op("Min", emit.op("Max", _decoded(at), emit.constant(0, F32)), emit.constant(most))
    every = Candidates(boxes, _ranked(at, boxes, count), 1, count, shared=True)
    if before < count:
        check_rows(at, "pre_nms_top_n", before)
    check_rows(at, "post_nms_top_n", rows)
    candidates = best_of_each(emit, every, before)
    # Widths and heights count a pixel more, as if the far corners were a pixel further.
    measured = emit.op("Add", candidates.boxes, emit.floats(0, 0, 1, 1))
    kept = survivors(emit, candidates, min(fields["nms_iou_threshold"], 1.0), rows, measured=measured)
    found = filled_boxes(emit, best_rows(emit, candidates, kept, rows))
    relative = emit.op("Gather", emit.op("Div", found, emit.constant(most)), emit.ints(1, 0, 3, 2), axis=2)
    return [emit.op("Unsqueeze", relative, emit.ints(3))]


def _decoded(at: PluginNode) -> str:
    """Return x1, y1, x2, y2 of each anchor's box in pixels, float32[N, A H W, 4].

    The boxes come in the order anchor, row, column.
    """
    emit = at.emit
    channels, height, width = sample_dims(at, 1)
    anchors = channels // 4
    deltas = emit.op("Reshape", at.inputs[1], emit.ints(0, anchors, 4, height, width))
    deltas = emit.op(
        "Reshape",
        emit.op("Transpose", deltas, perm=(0, 1, 3, 4, 2)),
        emit.ints(0, anchors * height * width, 4),
    )
    shift, growth = coding.halves(emit, deltas)
    middles, sizes = _anchors(at, height, width)
    size = emit.constant(sizes)
    middle = emit.op("Add", emit.constant(middles), emit.op("Mul", size, shift))
    extent = emit.op("Mul", emit.op("Exp", growth), size)
    low = emit.op("Sub", middle, emit.op("Div", extent, emit.constant(2, F32)))
    return emit.op("Concat", low, emit.op("Add", low, extent), axis=2)


def _anchors(at: PluginNode, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the middles of the anchors and their sizes, x before y, float32[A H W, 2] each."""
    root = np.sqrt(np.asarray(at.fields["anchor_ratios"], F32))
    sides = np.asarray(at.fields["anchor_sizes"], F32)[:, None]
    sizes = np.stack([(sides * root).ravel(), (sides / root).ravel()], axis=-1)
    x, y = (
        (np.arange(size, dtype=F32) + F32(0.5)) * F32(at.fields["rpn_stride"]) for size in (width, height)
    )
    cells = np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)
    return np.tile(cells, (len(sizes), 1)), np.repeat(sizes, len(cells), axis=0)


def _ranked(at: PluginNode, boxes: str, count: int) -> str:
    """Return the scores, float32[N, 1, A H W], of boxes that are too small ``LAST``."""
    emit = at.emit
    low, high = coding.halves(emit, boxes)
    side = emit.op("ReduceMin", emit.op("Sub", high, low), axes=(2,), keepdims=0)
    scores = emit.op("Reshape", at.inputs[0], emit.ints(0, count))
    small = emit.op("LessOrEqual", side, emit.constant(at.fields["roi_min_size"], F32))
    return emit.op("Unsqueeze", emit.op("Where", small, emit.constant(LAST, F32), scores), emit.ints(1))
