"""MultilevelCropAndResize_TRT in standard operators: Gather of the four cells around each sample."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from surgeon.formats.onnx.emitter import Emitter
from surgeon.formats.onnx.lowering import PluginNode
from surgeon.kernels.boxes.onnx import halves
from surgeon.kernels.regions.onnx import Samples, by_level, clamped, flattened, level_numbers, pooled

F32 = np.float32


def standard(at: PluginNode) -> Sequence[str]:
    """Return float32[N, R, C, pooled_size, pooled_size].

    What the plugin leaves unwritten, of regions without area or outside of the picture, is 0 here. Half a
    cell is added in float32, in the plugin in float64. Raise SurgeonError X160 where a size is unknown.
    """
    emit, side = at.emit, at.fields["pooled_size"]
    _, height, width = at.fields["image_size"]
    maps = flattened(at, *range(1, len(at.inputs)))
    low, high = halves(emit, at.inputs[0])
    extent = emit.op("Sub", high, low)
    area = emit.op("Mul", *emit.op_many("Split", (extent, emit.ints(1, 1)), 2, axis=2))
    reference: Any = at.catalog.module(at.spec.op, "reference")
    level = level_numbers(emit, area, reference.FIRST_AREA, len(maps.sizes))
    cell = by_level(emit, [4 * 2**k for k in range(len(maps.sizes))], level)
    start, end = (emit.op("Div", corner, cell) for corner in (low, high))
    beside = emit.op("Concat", low, emit.op("Sub", emit.floats(height, width), high), axis=2)
    there = emit.op("And", _least(emit, "GreaterOrEqual", beside), _least(emit, "Greater", extent))
    step = emit.op("Div", emit.op("Sub", end, start), emit.constant(side, F32))
    places = emit.constant(np.arange(side) + 0.5, F32)
    rows, columns = (
        Samples(
            clamped(emit, emit.op("Add", begin, emit.op("Mul", each, places)), by_level(emit, last, level)),
            side,
        )
        for begin, each, last in zip(
            emit.op_many("Split", (start, emit.ints(1, 1)), 2, axis=2),
            emit.op_many("Split", (step, emit.ints(1, 1)), 2, axis=2),
            ([rows - 1 for rows, _ in maps.sizes], [columns - 1 for _, columns in maps.sizes]),
            strict=True,
        )
    )
    found = pooled(at, maps, level, 0, rows, columns)
    return [emit.op("Where", emit.op("Unsqueeze", there, emit.ints(2, 3, 4)), found, emit.constant(0, F32))]


def _least(emit: Emitter, comparison: str, values: str) -> str:
    """Return how the least of values, float32[N, R, n], compares with 0: bool[N, R]."""
    return emit.op(comparison, emit.op("ReduceMin", values, axes=(2,), keepdims=0), emit.constant(0, F32))
