"""The namespace MultipleGridAnchorGenerator."""

from __future__ import annotations

from collections.abc import Sequence

from surgeon.zoo.nodes import NodeWriter, Ref
from surgeon.zoo.options import LAYERS, SsdOptions

Pair = tuple[Ref, Ref]


def write_anchors(g: NodeWriter, options: SsdOptions, height: Ref | int, width: Ref | int) -> Ref:
    """Write the generator and, as of 2018, the top-level Concatenate; return the anchors, [A, 4].

    ``height`` and ``width`` are the network's input size in pixels, as tensors in 2017.
    """
    if g.date != "2019":
        base = g.const([1.0, 1.0], g.unique("Const"))
    else:
        base = ""
    with g.scope("MultipleGridAnchorGenerator"):
        layers = _Layers(g, options, base).write(height, width)
        if g.date == "2017":
            return _joined_inside(g, options, layers)
        checked = _checked(g, options, layers)
    with g.scope("Concatenate"):
        return g.concat(checked, 0)


class _Layers:
    def __init__(self, g: NodeWriter, options: SsdOptions, base: Ref) -> None:
        self.g, self.options, self.base = g, options, base

    def write(self, height: Ref | int, width: Ref | int) -> list[Ref]:
        """Write the grids of all feature maps and return their corners, [N, 4] each."""
        g = self.g
        rows, columns = g.cast(height), g.cast(width)
        strides = [(g.div(1.0, g.cast(h)), g.div(1.0, g.cast(w))) for h, w in self.options.feature_maps()]
        offsets = [(g.mul(0.5, down), g.mul(0.5, right)) for down, right in strides]
        base = self._base(rows, columns)
        return [self._layer(layer, base, strides[layer], offsets[layer]) for layer in range(LAYERS)]

    def _base(self, rows: Ref, columns: Ref) -> Pair:
        g = self.g
        shorter = g.emit("Minimum", rows, columns)
        by_height, by_width = g.div(shorter, rows), g.div(shorter, columns)
        sizes = []
        for index, share in enumerate((by_height, by_width)):
            one = g.const(1.0, g.unique("Const")) if g.date == "2019" else g.element(self.base, index)
            sizes.append(g.mul(share, one))
        return sizes[0], sizes[1]

    def _layer(self, layer: int, base: Pair, stride: Pair, offset: Pair) -> Ref:
        g = self.g
        scales, ratios = self.options.anchor_shapes()[layer]
        full = g.unique("Sqrt")
        root = g.node("Sqrt", full, [g.const(ratios, f"{full}/x")])
        heights = g.mul(g.div(scales, root), base[0])
        widths = g.mul(g.mul(scales, root), base[1])
        rows, columns = self.options.feature_maps()[layer]
        y = g.add(g.mul(g.cast(g.range(rows)), stride[0]), offset[0])
        x = g.add(g.mul(g.cast(g.range(columns)), stride[1]), offset[1])
        grid = (rows, columns)
        x_grid, y_grid = _meshgrid(g, x, (columns,), y, (rows,))
        count = (len(scales),)
        width_grid, x_centers = _meshgrid(g, widths, count, x_grid, grid)
        height_grid, y_centers = _meshgrid(g, heights, count, y_grid, grid)
        centers = g.pack([y_centers, x_centers], axis=3)
        sizes = g.pack([height_grid, width_grid], axis=3)
        centers, sizes = g.reshape(centers, [-1, 2]), g.reshape(sizes, [-1, 2])
        corners = [g.sub(centers, g.mul(0.5, sizes)), g.add(centers, g.mul(0.5, sizes))]
        joined = g.concat(corners, 1)
        if g.date != "2017":
            g.reserve("mul")
        return joined


def _meshgrid(g: NodeWriter, x: Ref, x_shape: Sequence[int], y: Ref, y_shape: Sequence[int]) -> Pair:
    """Write a meshgrid of tensors of any rank; return both grids, of shape y_shape + x_shape."""
    with g.scope("Meshgrid"):
        x_size = g.const(list(x_shape), g.unique("Shape"))
        y_rank = g.const(len(y_shape), g.unique("Rank"))
        x_expanded = _expanded_shape(g, x_size, 0, y_rank)
        y_size = g.const(list(y_shape), g.unique("Shape"))
        start = g.const(len(y_shape), g.unique("Rank"))
        x_rank = g.const(len(x_shape), g.unique("Rank"))
        y_expanded = _expanded_shape(g, y_size, start, x_rank)
        x_grid = g.emit("Tile", g.reshape(x, x_expanded), y_expanded)
        y_grid = g.emit("Tile", g.reshape(y, y_expanded), x_expanded)
    return x_grid, y_grid


def _expanded_shape(g: NodeWriter, shape: Ref, start: Ref | int, ones: Ref) -> Ref:
    """Write a shape with ones put in at ``start``."""
    with g.scope("ExpandedShape") as prefix:
        if not isinstance(start, str):
            start = g.const(start, f"{prefix}ExpandDims/input")
        where = g.expand_dims(start, 0)
        before = g.slice(shape, [0], where)
        count = g.reshape(ones, [1])
        filling = g.fill(count, 1, g.unique("ones"))
        full = g.unique("Slice")
        after = g.node("Slice", full, [shape, where, g.const([-1], f"{full}/size")])
        return g.concat([before, filling, after], 0)


def _joined_inside(g: NodeWriter, options: SsdOptions, layers: Sequence[Ref]) -> Ref:
    with g.scope("Concatenate"):
        joined = g.concat(layers, 0)
    total = sum(options.anchors_per_layer())
    count = g.element(g.const([total, 4], g.unique("Shape")), 0)
    return g.emit("Identity", joined, f"^{_assert_equal(g, total, count)}")


def _checked(g: NodeWriter, options: SsdOptions, layers: Sequence[Ref]) -> list[Ref]:
    total: Ref | int = 0
    for count in options.anchors_per_layer():
        total = g.add(total, g.element(g.const([count, 4], g.unique("Shape")), 0))
    if g.date == "2019":
        g.reserve("assert_equal")
    check = _assert_equal(g, sum(options.anchors_per_layer()), str(total))
    return [g.emit("Identity", layer, f"^{check}") for layer in layers]


def _assert_equal(g: NodeWriter, expected: int, actual: Ref) -> Ref:
    with g.scope("assert_equal") as prefix:
        left = g.const(expected, f"{prefix}x")
        equal = g.binary("Equal", left, actual)
        axes = g.const([], g.unique("Const"), 3)
        condition = g.emit("All", equal, axes, keep_dims=False)
        claim = b"Condition x == y did not hold element-wise:"
        sides = [f"{side} ({ref}:0) = ".encode() for side, ref in (("x", left), ("y", actual))]
        data: list[Ref | bytes] = [claim, sides[0], left, sides[1], actual]
        return g.assertion(condition, data if g.date == "2019" else [b"", *data])
