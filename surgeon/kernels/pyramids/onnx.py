"""Regions of a feature pyramid in standard operators: Gather of the four cells around each sample."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from surgeon.diagnostics import error
from surgeon.formats.onnx.emitter import Emitter
from surgeon.formats.onnx.lowering import PluginNode
from surgeon.formats.onnx.shapes import picture_numbers, sample_dims
from surgeon.kernels.boxes.onnx import halves
from surgeon.kernels.pyramids.numbers import (
    ALIGNED,
    FIRST_AREA,
    INPUT_OFFSET,
    LEGACY,
    LEGACY_AREA,
    SAMPLING_OFFSET,
)
from surgeon.kernels.regions.onnx import (
    Maps,
    RoiRule,
    Samples,
    by_level,
    clamped,
    emit_roi_align,
    flattened,
    level_numbers,
    pooled,
)

F32 = np.float32


EPSILON = np.finfo(F32).eps
"""Width, relative and in cells, that regions have at least where RoiAlign counts the samples."""


@dataclass(frozen=True)
class Regions:
    """Regions relative to the picture, and the level of each.

    ``low`` and ``high`` are their corners, y before x, float32[N, R, 2]; the levels are int64[N, R].
    """

    low: str
    high: str
    level: str


def pyramid_roi_align(at: PluginNode) -> Sequence[str]:
    """Return float32[N, R, C, pooled_size, pooled_size].

    With sampling_ratio 0, regions that are a line or a point are made a rounding error wide. Raise
    SurgeonError X160 where a size is unknown; where sampling_ratio is 0, X170 for a roi_coords_transform of
    -1 or 0, X171 for an opset below 16.
    """
    rules = {**at.fields, **LEGACY} if at.fields["legacy"] else at.fields
    if rules["sampling_ratio"]:
        maps = flattened(at, *range(1, len(at.inputs)))
        regions = _regions(at, rules, _first_area(at))
        return [
            pooled(
                at,
                maps,
                regions.level,
                0,
                *(_samples(at, rules, regions, maps, axis) for axis in (0, 1)),
            )
        ]
    if rules["roi_coords_transform"] not in (1, 2):
        raise error(
            "X170",
            f"{at.spec.op} has sampling_ratio 0 and roi_coords_transform {rules['roi_coords_transform']}; "
            "expected samples "
            "as RoiAlign of ONNX takes them, in the middle of their parts of a cell",
            None,
            help=[
                "set sampling_ratio to the number of samples wanted, or roi_coords_transform to 1 or 2, or "
                "write the plugin "
                "node itself (--plugins native)"
            ],
        )
    return [_aligned(at, rules, _regions(at, rules, _first_area(at)))]


def _first_area(at: PluginNode) -> np.float32:
    """Return the area, relative to the picture, above which a region is on level 3 or higher."""
    if at.fields["legacy"]:
        return F32(LEGACY_AREA)
    height, width = at.fields["image_size"]
    side = np.sqrt(F32(at.fields["fpn_scale"]) ** 2 / F32(height * width))
    return F32(side * side / F32(4))


def _regions(at: PluginNode, rules: Mapping[str, Any], first: np.float32) -> Regions:
    emit, rois = at.emit, at.inputs[0]
    size = np.asarray(at.fields["image_size"], F32)
    if not rules["roi_coords_swap"]:
        rois = emit.op("Gather", rois, emit.ints(1, 0, 3, 2), axis=2)
    one, other = halves(emit, rois)
    scale, zero = (
        emit.constant(size if rules["roi_coords_absolute"] else np.ones(2, F32)),
        emit.constant(0, F32),
    )
    low, high = (
        emit.op("Div", emit.op("Max", zero, emit.op("Min", scale, emit.op(which, one, other))), scale)
        for which in ("Min", "Max")
    )
    extent = emit.op("Add", emit.op("Sub", high, low), emit.constant(F32(rules["roi_coords_plusone"]) / size))
    area = emit.op("Mul", *emit.op_many("Split", (extent, emit.ints(1, 1)), 2, axis=2))
    return Regions(low, high, level_numbers(emit, area, first, len(at.inputs) - 1))


def _samples(at: PluginNode, rules: Mapping[str, Any], regions: Regions, maps: Maps, axis: int) -> Samples:
    """Return where samples are taken along one axis, a fixed number of them for each cell."""
    emit, cells, each, transform = (
        at.emit,
        rules["pooled_size"],
        rules["sampling_ratio"],
        rules["roi_coords_transform"],
    )
    aligned = transform == ALIGNED
    sizes = [size[axis] for size in maps.sizes]
    last = by_level(emit, [size - 1 for size in sizes], regions.level)
    scale = last if aligned else by_level(emit, sizes, regions.level)
    offset = emit.constant(INPUT_OFFSET[transform])
    corners = (
        emit.op("Slice", corner, emit.ints(axis), emit.ints(axis + 1), emit.ints(2))
        for corner in (regions.low, regions.high)
    )
    start, end = (emit.op("Sub", emit.op("Mul", corner, scale), offset) for corner in corners)
    step = emit.op("Div", emit.op("Sub", end, start), emit.constant(cells - 1 if aligned else cells, F32))
    within = np.tile(np.arange(each, dtype=F32) + SAMPLING_OFFSET[transform], cells)
    inner = emit.op("Div", emit.op("Mul", step, emit.constant(within, F32)), emit.constant(each, F32))
    outer = emit.op("Mul", step, emit.constant(np.repeat(np.arange(cells), each), F32))
    at_cells = emit.op("Add", emit.op("Add", start, outer), inner)
    return Samples(clamped(emit, at_cells, last), cells, each)


def _aligned(at: PluginNode, rules: Mapping[str, Any], regions: Regions) -> str:
    """Return RoiAlign of each region on its level; on the others it takes one cell, which does not count."""
    emit, side = at.emit, rules["pooled_size"]
    count = sample_dims(at, 0)[0]
    pictures = emit.op("Expand", picture_numbers(at, 0, 2, np.int64), emit.ints(1, count))
    picture = emit.op("Reshape", pictures, emit.ints(-1))
    rule = RoiRule(side, side, 0, half_pixel=True)
    level = emit.op("Reshape", regions.level, emit.ints(-1, 1))
    found = ""
    for k in range(len(at.inputs) - 1):
        own = emit.op("Equal", level, emit.constant(k, np.int64))
        boxes = emit.op("Where", own, _in_cells(at, rules, regions, k), emit.floats(0, 0, 1, 1))
        of_level = emit_roi_align(at, at.inputs[k + 1], boxes, picture, rule)
        found = (
            emit.op("Where", emit.op("Unsqueeze", own, emit.ints(2, 3)), of_level, found)
            if found
            else of_level
        )
    channels = sample_dims(at, 1)[0]
    return emit.op("Reshape", found, emit.ints(-1, count, channels, side, side))


def _in_cells(at: PluginNode, rules: Mapping[str, Any], regions: Regions, level: int) -> str:
    """Return the regions in cells of a level's map, x before y, float32[N R, 4].

    They lie half a cell further than they are sampled.
    """
    emit = at.emit
    size = np.array(sample_dims(at, level + 1)[1:], F32)
    low, high = (emit.op("Mul", corner, emit.constant(size)) for corner in (regions.low, regions.high))
    if rules["roi_coords_transform"] == 1:
        low, high = (emit.op("Add", corner, emit.constant(0.5, F32)) for corner in (low, high))
    # Of a region without width RoiAlign takes no sample, the plugin one. It grows downwards: past the end of
    # the map a sample is 0.
    most = emit.op("Sub", emit.op("Mul", high, emit.constant(1 - EPSILON, F32)), emit.constant(EPSILON, F32))
    low = emit.op("Min", low, most)
    boxes = emit.op("Gather", emit.op("Concat", low, high, axis=2), emit.ints(1, 0, 3, 2), axis=2)
    return emit.op("Reshape", boxes, emit.ints(-1, 4))


def multilevel_crop_and_resize(at: PluginNode) -> Sequence[str]:
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
    level = level_numbers(emit, area, FIRST_AREA, len(maps.sizes))
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
