"""Regions of feature maps, cut out and resized, in standard operators.

They compute what :mod:`surgeon.kernels.regions.numbers` does. Maps lie one after the other as rows of
channels; each sample takes the four rows around it and weighs them. So a region may be of any picture and
level, and every shape but the batch is static.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from surgeon.diagnostics import error
from surgeon.formats.onnx.crops import crop_samples
from surgeon.formats.onnx.emitter import Emitter
from surgeon.formats.onnx.lowering import PluginNode
from surgeon.formats.onnx.shapes import onnx_type, picture_numbers, sample_dims

F32 = np.float32

_MARGIN = 2**-21
"""By what share of its place a sample may lie beyond the last row of a map and still count as inside."""

HALF_PIXEL_OPSET = 16
"""The first opset whose RoiAlign takes half a cell off coordinates."""


@dataclass(frozen=True)
class Maps:
    """Feature maps of all pictures and levels.

    ``rows`` is float32[N T, C], a picture's T cells level by level. ``sizes`` are height and width of each
    level.
    """

    rows: str
    channels: int
    sizes: tuple[tuple[int, int], ...]

    @property
    def cells(self) -> int:
        """Cells of a picture in all levels."""
        return sum(height * width for height, width in self.sizes)


@dataclass(frozen=True)
class Samples:
    """Where samples are taken along one axis of a map.

    ``at`` is float32[N, R, cells * each], counted in the map's rows or columns. Each cell of the result is
    the mean of ``each`` samples. Samples that are not ``inside``, bool[N, R, cells * each], are 0.
    """

    at: str
    cells: int
    each: int = 1
    inside: str | None = None


def flattened(at: PluginNode, *indices: int) -> Maps:
    """Return the feature maps that these inputs hold, float32[N, C, H, W] each.

    Raise SurgeonError X160 where a size is unknown.
    """
    emit, levels, sizes = at.emit, [], []
    channels = 0
    for index in indices:
        channels, height, width = sample_dims(at, index)
        sizes.append((height, width))
        by_cell = emit.op("Transpose", at.inputs[index], perm=(0, 2, 3, 1))
        levels.append(emit.op("Reshape", by_cell, emit.ints(0, height * width, channels)))
    joined = emit.op("Concat", *levels, axis=1) if len(levels) > 1 else levels[0]
    return Maps(emit.op("Reshape", joined, emit.ints(-1, channels)), channels, tuple(sizes))


def level_numbers(emit: Emitter, area: str, first: np.float32, levels: int) -> str:
    """Return the level of regions, int64[N, R], from their areas, float32[N, R, 1].

    :func:`surgeon.kernels.regions.numbers.level_of` says how.
    """
    bounds = first * F32(4) ** np.arange(levels - 1, dtype=F32)
    passed = emit.op("Cast", emit.op("Greater", area, emit.constant(bounds)), to=onnx_type(F32))
    return emit.op("Cast", emit.op("ReduceSum", passed, emit.ints(2), keepdims=0), to=onnx_type(np.int64))


def by_level(emit: Emitter, values: Sequence[float], level: str | None) -> str:
    """Return float32[N, R, 1], or float32[1] without levels: the value of each region's level."""
    if level is None:
        return emit.floats(*values)
    return emit.op("Gather", emit.constant(np.asarray(values, F32).reshape(-1, 1)), level, axis=0)


def clamped(emit: Emitter, at: str, last: str) -> str:
    """Return places along an axis clamped to 0 to ``last``; 0 for what is not a number."""
    zero = emit.constant(0, F32)
    return emit.op("Min", emit.op("Where", emit.op("Greater", at, zero), at, zero), last)


def pooled(
    at: PluginNode, maps: Maps, level: str | None, picture: int, rows: Samples, columns: Samples
) -> str:
    """Return float32[N, R, C, h, w]: the bilinear samples of regions, averaged for each cell.

    ``level`` is int64[N, R], None where there is one map; ``picture`` the input that has the pictures.
    Samples lie between 0 and the last row or column of their map.
    """
    emit = at.emit
    regions = sample_dims(at, picture)[0]
    (low_y, high_y), shares_y = _neighbours(
        emit, rows, by_level(emit, [height - 1 for height, _ in maps.sizes], level)
    )
    (low_x, high_x), shares_x = _neighbours(
        emit, columns, by_level(emit, [width - 1 for _, width in maps.sizes], level)
    )
    first, width = _first_cells(at, maps, level, picture), _widths(emit, maps, level)
    of_rows = [emit.op("Unsqueeze", share, emit.ints(3, 4)) for share in shares_y]
    of_columns = [emit.op("Unsqueeze", share, emit.ints(2, 4)) for share in shares_x]
    lines = []
    for y, share in zip((low_y, high_y), of_rows, strict=True):
        line = emit.op("Unsqueeze", emit.op("Add", first, emit.op("Mul", y, width)), emit.ints(3))
        cells = [
            emit.op("Gather", maps.rows, emit.op("Add", line, emit.op("Unsqueeze", x, emit.ints(2))), axis=0)
            for x in (low_x, high_x)
        ]
        between = emit.op(
            "Add", *(emit.op("Mul", cell, part) for cell, part in zip(cells, of_columns, strict=True))
        )
        lines.append(emit.op("Mul", between, share))
    found = emit.op("Add", *lines)
    if rows.each * columns.each > 1:
        shape = (-1, regions, rows.cells, rows.each, columns.cells, columns.each, maps.channels)
        found = emit.op("ReduceMean", emit.op("Reshape", found, emit.ints(*shape)), axes=(3, 5), keepdims=0)
    return emit.op("Transpose", found, perm=(0, 1, 4, 2, 3))


def _neighbours(emit: Emitter, samples: Samples, last: str) -> tuple[tuple[str, str], tuple[str, str]]:
    """Return the two rows around each sample, and the share that each has in it.

    They are int64[N, R, M] and float32[N, R, M].
    """
    lower = emit.op("Floor", samples.at)
    one = emit.constant(1, F32)
    more = emit.op("Sub", samples.at, lower)
    less = emit.op("Sub", one, more)
    if samples.inside is not None:
        zero = emit.constant(0, F32)
        less, more = (emit.op("Where", samples.inside, share, zero) for share in (less, more))
    upper = emit.op("Min", emit.op("Add", lower, one), last)
    low, high = (emit.op("Cast", row, to=onnx_type(np.int64)) for row in (lower, upper))
    return (low, high), (less, more)


def _first_cells(at: PluginNode, maps: Maps, level: str | None, picture: int) -> str:
    """Return the row of ``maps.rows`` where each region's map begins, int64[N, 1, 1] or int64[N, R, 1]."""
    emit = at.emit
    of_picture = emit.op(
        "Mul", picture_numbers(at, picture, 3, np.int64), emit.constant(maps.cells, np.int64)
    )
    if level is None:
        return of_picture
    before = np.cumsum([0, *(height * width for height, width in maps.sizes[:-1])]).reshape(-1, 1)
    return emit.op("Add", of_picture, emit.op("Gather", emit.constant(before, np.int64), level, axis=0))


def _widths(emit: Emitter, maps: Maps, level: str | None) -> str:
    widths = np.array([[width] for _, width in maps.sizes], np.int64)
    return (
        emit.constant(widths[0]) if level is None else emit.op("Gather", emit.constant(widths), level, axis=0)
    )


def crop_and_resize(at: PluginNode) -> list[str]:
    """Return float32[N, R, C, crop_height, crop_width] of maps and regions, float32[N, R, 4, 1].

    Regions are relative to the outermost cells. What lies outside of the map is 0, but for what
    :func:`difference_crop_and_resize` says. Raise SurgeonError X160 where a size is unknown.
    """
    emit, fields = at.emit, at.fields
    maps, regions = flattened(at, 0), sample_dims(at, 1)[0]
    y1, x1, y2, x2 = emit.op_many(
        "Split",
        (emit.op("Reshape", at.inputs[1], emit.ints(0, regions, 4)), emit.ints(1, 1, 1, 1)),
        4,
        axis=2,
    )
    height, width = maps.sizes[0]
    rows, columns = (
        _crop_samples(emit, y1, y2, height, fields["crop_height"]),
        _crop_samples(emit, x1, x2, width, fields["crop_width"]),
    )
    return [pooled(at, maps, None, 1, rows, columns)]


def difference_crop_and_resize() -> str:
    """Return what the standard operators compute otherwise than the plugin."""
    return (
        "the last row or column of a region that ends with the map counts as inside; the plugin and "
        "TensorFlow give 0 where the rounding of a sum puts it outside"
    )


def _crop_samples(emit: Emitter, low: str, high: str, size: int, cells: int) -> Samples:
    at, inside = crop_samples(emit, low, high, size, cells, _MARGIN)
    return Samples(at, cells, inside=inside)


@dataclass(frozen=True)
class RoiRule:
    """How RoiAlign samples regions; ``ratio`` 0 takes as many samples as a region has cells of the map."""

    height: int
    width: int
    ratio: int
    half_pixel: bool
    average: bool = True
    scale: float = 1.0


def emit_roi_align(at: PluginNode, features: str, rois: str, pictures: str, rule: RoiRule) -> str:
    """Return float32[R, C, h, w] of regions x1, y1, x2, y2, float32[R, 4], and their pictures, int64[R].

    Raise SurgeonError X171 where half a cell is to be taken off and the opset is below
    :data:`HALF_PIXEL_OPSET`.
    """
    emit, mode = at.emit, None
    if emit.opset >= HALF_PIXEL_OPSET:
        mode = "half_pixel" if rule.half_pixel else "output_half_pixel"
    elif rule.half_pixel:
        raise error(
            "X171",
            f"{at.spec.op} takes half a cell off coordinates, and the opset is {emit.opset}; expected "
            f"{HALF_PIXEL_OPSET} "
            "or more, whose RoiAlign does so",
            None,
            help=[f"write opset {HALF_PIXEL_OPSET} or 17, or the plugin node itself (--plugins native)"],
        )
    return emit.op(
        "RoiAlign",
        features,
        rois,
        pictures,
        mode="avg" if rule.average else "max",
        output_height=rule.height,
        output_width=rule.width,
        sampling_ratio=rule.ratio,
        spatial_scale=float(rule.scale),
        coordinate_transformation_mode=mode,
    )
