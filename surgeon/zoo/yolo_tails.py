"""What projects for TensorFlow put behind the heads of YOLO: decoding, and suppression."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from surgeon.graph import DType
from surgeon.zoo.networks import NetworkWriter

SCORE_THRESHOLD, IOU_THRESHOLD = 0.3, 0.45
MOST_PER_CLASS, MOST_COMBINED = 20, 40

INT = DType.INT32


@dataclass(frozen=True)
class Cells:
    """One head to decode: its tensor, the size of its map, its anchors in pixels, and 'scale_x_y'."""

    tensor: str
    height: int
    width: int
    anchors: tuple[tuple[float, float], ...]
    scale_xy: float = 1.0


class TailWriter:
    """Writes the tail of a detector of C classes on an input of ``size`` (height, width)."""

    def __init__(self, g: NetworkWriter, size: tuple[int, int], classes: int) -> None:
        self.g, self.size, self.classes = g, size, classes
        self._names: dict[str, int] = {}

    def name(self, text: str) -> str:
        """Return a name with the number that TensorFlow adds where it is taken."""
        count = self._names.get(text, 0)
        self._names[text] = count + 1
        return f"{text}_{count}" if count else text

    def op(self, op: str, *inputs: str, name: str = "", **attrs: Any) -> str:
        return self.g.op(self.name(name or op), op, *inputs, **attrs)

    def const(self, value: Any, name: str = "Const") -> str:
        return self.g.const(self.name(name), value)

    def binary(self, op: str, first: str, second: Any, name: str = "") -> str:
        """Write an operation whose second operand is a tensor's name, or numbers."""
        own = self.name(name or op)
        operand = (
            second if isinstance(second, str) else self.g.const(f"{own}/y", np.asarray(second, np.float32))
        )
        return self.g.op(own, op, first, operand)

    def reshape(self, source: str, shape: Any, name: str = "Reshape", dtype: DType = DType.FLOAT32) -> str:
        own = self.name(name)
        target = shape if isinstance(shape, str) else self.g.const(f"{own}/shape", shape)
        return self.g.node(own, "Reshape", source, target, T=dtype, Tshape=INT)

    def concat(
        self, sources: Sequence[str], axis: int, name: str = "concat", dtype: DType = DType.FLOAT32
    ) -> str:
        own = self.name(name)
        operand = self.g.const(f"{own}/axis", axis)
        return self.g.node(own, "ConcatV2", *sources, operand, T=dtype, N=len(sources), Tidx=INT)

    def split(self, source: str, sizes: Sequence[int]) -> list[str]:
        """Write a split of the last axis."""
        own = self.name("split")
        widths, axis = self.g.const(f"{own}/Const", list(sizes)), self.g.const(f"{own}/split_dim", -1)
        self.g.op(own, "SplitV", source, widths, axis, Tlen=INT, num_split=len(sizes))
        return [f"{own}:{i}" if i else own for i in range(len(sizes))]

    def strided(
        self,
        source: str,
        begin: Sequence[int],
        end: Sequence[int],
        stride: Sequence[int] = (),
        dtype: DType = DType.FLOAT32,
        **masks: int,
    ) -> str:
        own = self.name("strided_slice")
        bounds = [
            self.g.const(f"{own}/{part}", list(value))
            for part, value in (("stack", begin), ("stack_1", end), ("stack_2", stride or [1] * len(begin)))
        ]
        zero = dict.fromkeys(
            ("begin_mask", "end_mask", "ellipsis_mask", "new_axis_mask", "shrink_axis_mask"), 0
        )
        attrs: dict[str, Any] = zero | masks | {"T": dtype, "Index": INT}
        return self.g.node(own, "StridedSlice", source, *bounds, **attrs)

    def columns(self, source: str, begin: int, end: int | None) -> str:
        """Write ``x[..., begin:end]``."""
        return self.strided(
            source, [0, begin], [0, end or 0], ellipsis_mask=1, end_mask=0 if end else 2, begin_mask=0
        )

    def reversed(self, source: str) -> str:
        """Write ``x[..., ::-1]``."""
        return self.strided(source, [0, 0], [0, 0], [1, -1], ellipsis_mask=1, begin_mask=2, end_mask=2)

    def sides(self, source: str, dtype: DType = DType.FLOAT32) -> str:
        """Write height and width of a map, ``tf.shape(x)[1:3]``."""
        shape = self.g.shape(self.name("Shape"), source, dtype)
        return self.strided(shape, [1], [3], dtype=INT)

    def element(self, source: str, index: int) -> str:
        return self.strided(source, [index], [index + 1], dtype=INT, shrink_axis_mask=1)

    def cast(self, source: str, dtype: DType = DType.FLOAT32) -> str:
        return self.g.node(self.name("Cast"), "Cast", source, SrcT=INT, DstT=dtype)

    def grid(self, sides: str) -> str:
        """Write x and y of each cell as Keras does, float32[H, W, 1, 2], of a map whose size is computed."""
        height, width = self.element(sides, 0), self.element(sides, 1)
        parts = []
        for count, across, shape in ((width, height, [1, -1, 1, 1]), (height, width, [-1, 1, 1, 1])):
            own = self.name("Range")
            start, step = self.g.const(f"{own}/start", 0), self.g.const(f"{own}/delta", 1)
            numbers = self.g.node(own, "Range", start, count, step, Tidx=INT)
            column = self.reshape(numbers, shape, dtype=INT)
            ones = [self.const(1) for _ in range(3)]
            order = [across, *ones] if shape[1] == -1 else [ones[0], across, *ones[1:]]
            times = self.g.node(self.name("stack"), "Pack", *order, T=INT, N=4, axis=0)
            parts.append(self.g.node(self.name("Tile"), "Tile", column, times, T=INT, Tmultiples=INT))
        return self.cast(self.concat(parts, 3, dtype=INT))

    def cells(self, head: Cells) -> str:
        """Write a head as [N, H, W, A, 5 + C], of computed sizes."""
        sides = self.sides(head.tensor)
        numbers = [self.element(sides, 0), self.element(sides, 1)]
        rest = [self.const(value) for value in (-1, len(head.anchors), 5 + self.classes)]
        shape = self.g.node(self.name("stack"), "Pack", rest[0], *numbers, *rest[1:], T=INT, N=5, axis=0)
        return self.reshape(head.tensor, shape)

    def slim_rows(self, head: Cells) -> str:
        """Write rows x, y, width, height, objectness, classes, [N, P, 5 + C], in pixels."""
        cells = head.height * head.width
        rows = self.reshape(head.tensor, [-1, len(head.anchors) * cells, 5 + self.classes])
        centre, sides, objectness, classes = self.split(rows, (2, 2, 1, self.classes))
        stride = [self.size[0] // head.height, self.size[1] // head.width]
        across, down = np.meshgrid(np.arange(head.width), np.arange(head.height))
        offset = np.repeat(np.stack([across.ravel(), down.ravel()], -1), len(head.anchors), 0)[None]
        centre = self.binary("Add", self.op("Sigmoid", centre), offset.astype(np.float32), "add")
        centre = self.binary("Mul", centre, stride[::-1], "mul")
        anchors = np.array(head.anchors) / stride[::-1]
        sides = self.binary("Mul", self.op("Exp", sides), np.tile(anchors, (cells, 1)), "mul")
        sides = self.binary("Mul", sides, stride[::-1], "mul")
        parts = [centre, sides, self.op("Sigmoid", objectness)]
        return self.concat([self.concat(parts, -1), self.op("Sigmoid", classes)], -1)

    def corner_rows(self, rows: str, name: str) -> str:
        """Write the rows with xmin, ymin, xmax, ymax in the place of centre and size."""
        x, y, width, height, rest = self.split(rows, (1, 1, 1, 1, 1 + self.classes))
        half = [self.binary("RealDiv", side, 2.0, "truediv") for side in (width, height)]
        low = [self.op("Sub", *pair, name="sub") for pair in zip((x, y), half, strict=True)]
        high = [self.op("Add", *pair, name="add") for pair in zip((x, y), half, strict=True)]
        return self.concat([self.concat([*low, *high], -1), rest], -1, name)

    def scale_rows(self, head: Cells, scope: str) -> str:
        """Write the cells of one head decoded, [N, H, W, A, 5 + C]: centre and size in pixels."""
        stride = self.size[0] // head.height
        cells = self.cells(head)
        shifted = self.binary(
            "Add", self.op("Sigmoid", self.columns(cells, 0, 2)), self.grid(self.sides(head.tensor)), "add"
        )
        centre = self.binary("Mul", shifted, float(stride), "mul")
        anchors = np.array(head.anchors, np.float32) / stride
        sides = self.binary("Mul", self.op("Exp", self.columns(cells, 2, 4)), anchors, "mul")
        sides = self.binary("Mul", sides, float(stride), "mul")
        chances = [
            self.op("Sigmoid", self.columns(cells, 4, 5)),
            self.op("Sigmoid", self.columns(cells, 5, None)),
        ]
        return self.concat([self.concat([centre, sides], -1), *chances], -1, f"{scope}/concat_2")

    def keras_boxes(self, head: Cells, input_sides: str, image_sides: str) -> tuple[str, str]:
        """Write boxes [P, 4] in pixels of the original picture, ymin first, and scores [P, C]."""
        cells, sides = self.cells(head), self.cast(self.sides(head.tensor))
        inner = self.columns(cells, 0, 2)
        centre = self.op("Add", self.op("Sigmoid", inner), self.grid(self.sides(head.tensor)), name="add")
        centre = self.op("RealDiv", centre, self.reversed_vector(sides), name="truediv")
        extent = self.binary(
            "Mul", self.op("Exp", self.columns(cells, 2, 4)), np.array(head.anchors)[None, None, None], "mul"
        )
        extent = self.op("RealDiv", extent, self.reversed_vector(input_sides), name="truediv")
        scores = self.op(
            "Mul",
            self.op("Sigmoid", self.columns(cells, 4, 5)),
            self.op("Sigmoid", self.columns(cells, 5, None)),
            name="mul",
        )
        share = self.op("RealDiv", input_sides, image_sides, name="truediv")
        own = self.name("Min")
        least = self.g.op(own, "Min", share, self.g.const(f"{own}/axis", [0]), Tidx=INT, keep_dims=False)
        fitted = self.op("Round", self.op("Mul", image_sides, least, name="mul"))
        border = self.binary("RealDiv", self.op("Sub", input_sides, fitted, name="sub"), 2.0, "truediv")
        offset = self.op("RealDiv", border, input_sides, name="truediv")
        scale = self.op("RealDiv", input_sides, fitted, name="truediv")
        centre = self.op("Mul", self.op("Sub", self.reversed(centre), offset, name="sub"), scale, name="mul")
        extent = self.op("Mul", self.reversed(extent), scale, name="mul")
        half = self.binary("RealDiv", extent, 2.0, "truediv")
        low, high = self.op("Sub", centre, half, name="sub"), self.op("Add", centre, half, name="add")
        corners = self.concat([self.columns(part, k, k + 1) for part in (low, high) for k in (0, 1)], -1)
        boxes = self.op("Mul", corners, self.concat([image_sides, image_sides], 0), name="mul")
        return self.reshape(boxes, [-1, 4]), self.reshape(scores, [-1, self.classes])

    def reversed_vector(self, source: str) -> str:
        return self.strided(source, [0], [0], [-1], begin_mask=1, end_mask=1)

    def suppressed(self, boxes: str, scores: str) -> tuple[str, str, str]:
        """Write suppression class by class, and return boxes, scores and classes of all, joined."""
        mask = self.binary("GreaterEqual", scores, SCORE_THRESHOLD)
        most = self.const(MOST_PER_CLASS)
        found: list[tuple[str, str, str]] = []
        for label in range(self.classes):
            taken = self.strided(
                mask,
                [0, label],
                [0, label + 1],
                dtype=DType.BOOL,
                begin_mask=1,
                end_mask=1,
                shrink_axis_mask=2,
            )
            own = self.strided(
                scores, [0, label], [0, label + 1], begin_mask=1, end_mask=1, shrink_axis_mask=2
            )
            kept = self.masked(boxes, taken), self.masked(own, taken)
            nms = self.name("non_max_suppression/NonMaxSuppressionV3")
            iou, least = self.const(IOU_THRESHOLD), self.const(float("-inf"))
            chosen = self.g.node(
                nms,
                "NonMaxSuppressionV3",
                *kept,
                most,
                iou,
                least,
                T=DType.FLOAT32,
                T_threshold=DType.FLOAT32,
            )
            picked = [self.gathered(part, chosen) for part in kept]
            shape = self.g.shape(self.name("ones_like/Shape"), picked[1])
            one = self.const(1, "ones_like/Const")
            ones = self.g.node(self.name("ones_like"), "Fill", shape, one, T=INT, index_type=INT)
            number = self.const(label)
            named = self.g.node(self.name("mul"), "Mul", ones, number, T=INT)
            found.append((picked[0], picked[1], named))
        parts = list(zip(*found, strict=True))
        return self.concat(parts[0], 0), self.concat(parts[1], 0), self.concat(parts[2], 0, dtype=INT)

    def masked(self, source: str, mask: str) -> str:
        """Write ``tf.boolean_mask``."""
        places = self.g.node(self.name("boolean_mask/Where"), "Where", mask, T=DType.BOOL)
        indices = self.g.node(
            self.name("boolean_mask/Squeeze"), "Squeeze", places, T=DType.INT64, squeeze_dims=(1,)
        )
        return self.gathered(source, indices, DType.INT64)

    def gathered(self, source: str, indices: str, dtype: DType = INT) -> str:
        own = self.name("GatherV2")
        axis = self.g.const(f"{own}/axis", 0)
        types = {"Tparams": DType.FLOAT32, "Tindices": dtype, "Taxis": INT}
        return self.g.node(own, "GatherV2", source, indices, axis, batch_dims=0, **types)

    def scaled_boxes(self, head: Cells) -> tuple[str, str]:
        """Write boxes [N, P, 4], ymin first and relative to the picture, and scores [N, P, C]."""
        stride = self.size[0] // head.height
        cells = self.cells(head)
        centre, sides, objectness, classes = self.split(cells, (2, 2, 1, self.classes))
        scaled = self.binary("Mul", self.op("Sigmoid", centre), head.scale_xy, "mul")
        moved = self.binary("Sub", scaled, 0.5 * (head.scale_xy - 1), "sub")
        centre = self.op("Add", moved, self.grid(self.sides(head.tensor)), name="add")
        centre = self.binary("Mul", centre, float(stride), "mul")
        sides = self.binary("Mul", self.op("Exp", sides), np.array(head.anchors, np.float32), "mul")
        half = self.binary("RealDiv", self.reversed(sides), 2.0, "truediv")
        middle = self.reversed(centre)
        corners = [self.op(op, middle, half, name=op.lower()) for op in ("Sub", "Add")]
        parts = [self.binary("RealDiv", part, np.array(self.size, np.float32), "truediv") for part in corners]
        count = head.height * head.width * len(head.anchors)
        scores = self.op("Mul", self.op("Sigmoid", objectness), self.op("Sigmoid", classes), name="mul")
        return (
            self.reshape(self.concat(parts, -1), [-1, count, 4]),
            self.reshape(scores, [-1, count, self.classes]),
        )

    def combined(self, heads: Sequence[tuple[str, str]]) -> None:
        """Write CombinedNonMaxSuppression of all boxes."""
        joined, scores = (self.concat(parts, 1) for parts in zip(*heads, strict=True))
        boxes = self.g.op(self.name("ExpandDims"), "ExpandDims", joined, self.const(2), Tdim=INT)
        bounds = [
            self.const(value) for value in (MOST_COMBINED, MOST_COMBINED, IOU_THRESHOLD, SCORE_THRESHOLD)
        ]
        attrs: dict[str, Any] = {"pad_per_class": False, "clip_boxes": True}
        name = "combined_non_max_suppression/CombinedNonMaxSuppression"
        self.g.node(name, "CombinedNonMaxSuppression", boxes, scores, *bounds, **attrs)
