"""EfficientNMS_ONNX_TRT in standard operators."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from surgeon.formats.onnx.lowering import PluginNode
from surgeon.formats.onnx.shapes import batch_size, onnx_type, picture_numbers
from surgeon.kernels.boxes.onnx_nms import Rows, divided, number_of
from surgeon.kernels.efficient_nms.numbers import Rules
from surgeon.kernels.efficient_nms.onnx import Sizes, chosen, corners, sizes_of


def standard(at: PluginNode) -> Sequence[str]:
    """Return picture, class and box of each detection, int32[N K, 3], K max_output_boxes_per_class; see the
    reference.

    Pictures come in order, which the plugin leaves to chance. Raise SurgeonError X160 where a size is
    unknown, X162 for more rows than TensorRT takes.
    """
    emit, fields, sizes = at.emit, at.fields, sizes_of(at)
    most = fields["max_output_boxes_per_class"]
    rules = Rules(fields["score_threshold"], fields["iou_threshold"], most, most)
    rows = chosen(at, corners(at, sizes, fields["center_point_box"]), sizes, rules)
    picture = emit.op("Expand", picture_numbers(at, 0, 2, np.int64), emit.ints(1, most))
    triples = [
        emit.op("Unsqueeze", each, emit.ints(2))
        for each in (picture, rows.classes, _box(at, sizes, rows, picture))
    ]
    every = emit.op("Reshape", emit.op("Concat", *triples, axis=2), emit.ints(-1, 3))
    return [emit.op("Cast", _joined(at, every, rows, most), to=onnx_type(np.int32))]


def _box(at: PluginNode, sizes: Sizes, rows: Rows, picture: str) -> str:
    """Return the number of each detection's box, int64[N, K]."""
    if sizes.owners == 1:
        return rows.places
    emit, owners = at.emit, at.emit.constant(sizes.owners, np.int64)
    # With boxes of its own for each class the plugin takes a place in their array for the box.
    before = emit.op("Mul", picture, emit.constant(sizes.each * sizes.owners, np.int64))
    place = emit.op("Add", emit.op("Add", before, emit.op("Mul", rows.places, owners)), rows.classes)
    return divided(emit, place, sizes.each)[1]


def _joined(at: PluginNode, every: str, rows: Rows, most: int) -> str:
    """Return the rows with a detection of all pictures, int64[N K, 3].

    The last one fills the rest, or -1 where there is none.
    """
    emit, one, none = at.emit, at.emit.ints(1), at.emit.floats(0)
    counts = emit.op("Squeeze", emit.op("Cast", number_of(emit, rows), to=onnx_type(np.float32)), one)
    ends = emit.op("CumSum", counts, emit.constant(0, np.int64))
    total = emit.op("ReduceSum", counts, emit.ints(0))
    place = emit.op("Min", _numbers(at, every, most), emit.op("Sub", total, emit.floats(1)))
    passed = emit.op(
        "Cast", emit.op("GreaterOrEqual", emit.op("Unsqueeze", place, one), ends), to=onnx_type(np.float32)
    )
    picture = emit.op("Cast", emit.op("ReduceSum", passed, one, keepdims=0), to=onnx_type(np.int64))
    # Without a detection every row is before the first picture's, and the answer does not count.
    within = emit.op("Sub", place, emit.op("Gather", emit.op("Sub", ends, counts), picture, axis=0))
    source = emit.op(
        "Add",
        emit.op("Mul", picture, emit.constant(most, np.int64)),
        emit.op("Cast", within, to=onnx_type(np.int64)),
    )
    any_found = emit.op("Greater", total, none)
    found = emit.op("Gather", every, emit.op("Where", any_found, source, emit.ints(0)), axis=0)
    return emit.op("Where", any_found, found, emit.constant(-1, np.int64))


def _numbers(at: PluginNode, every: str, most: int) -> str:
    """Return the numbers of the rows of all pictures, float32[N K]."""
    emit, pictures = at.emit, batch_size(at, 0)
    if pictures is not None:
        return emit.floats(*range(pictures * most))
    size = emit.op("Gather", emit.op("Shape", every), emit.constant(0, np.int64), axis=0)
    return emit.op(
        "Cast",
        emit.op("Range", emit.constant(0, np.int64), size, emit.constant(1, np.int64)),
        to=onnx_type(np.float32),
    )
