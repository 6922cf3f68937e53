"""The step ``decode-cells``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
from pydantic import Field, model_validator

from surgeon.display import plural
from surgeon.graph import Add, DType, Edit, Node, Ref, TensorValue
from surgeon.steps.placing import tensors_in_graph
from surgeon.steps.step import Step, StepContext

COORDINATES = 4
FIRST_CLASS = 5
"""Columns of a box: x, y, width, height, objectness, then its classes."""

TO_CORNERS = np.array([[0, 1, 0, 1], [1, 0, 1, 0], [0, -0.5, 0, 0.5], [-0.5, 0, 0.5, 0]], np.float32)
"""Rows x, y, width and height of a box; columns ymin, xmin, ymax and xmax."""


@dataclass(frozen=True)
class _Map:
    """One head: its rows, and for each box of a cell, cell after cell, what decodes it."""

    ref: Ref
    height: int
    width: int
    columns: int
    cell: np.ndarray
    origin: np.ndarray
    size: np.ndarray

    @property
    def boxes(self) -> int:
        return len(self.origin)


class DecodeCells(Step):
    """Add what decodes the heads of a YOLO detector: boxes and scores, by ordinary operations.

    A head is a map whose cells predict a box for each of their anchors: x, y, width, height, objectness and
    a score for each class. A box is centred at (cell + sigmoid(x), cell + sigmoid(y)), in cells of its map,
    and exp(width), exp(height) times as large as its anchor. The score of a class is sigmoid(objectness)
    times sigmoid(class), or times the softmax of the classes for YOLO v2. 'scale_xy' s of YOLO v4 puts
    s sigmoid(x) - (s - 1) / 2 in the place of sigmoid(x).

    The node 'boxes' is float32[N, P, 1, 4]: ymin, xmin, ymax, xmax relative to the picture. The node 'scores'
    is float32[N, P, C]. Boxes come head by head, and of a head cell by cell.

    Before::

        graph v1
        Input = Placeholder() {dtype: float32, shape: shape[1,32,32,3]}
        head = Placeholder() {dtype: float32, shape: shape[1,1,1,7]}

    Step::

        step: decode-cells
        heads: [head]
        picture: Input
        anchors: [[16, 24]]

    After::

        graph v1
        Input = Placeholder() {dtype: float32, shape: shape[1,32,32,3]}
        head = Placeholder() {dtype: float32, shape: shape[1,1,1,7]}
        boxes/decode/head_0/shape = Const() {dtype: int32, value: tensor<int32[4]: -1, 1, 1, 7>}
        boxes/decode/head_0 = Reshape(head, boxes/decode/head_0/shape) {T: float32, Tshape: int32}
        boxes/decode/encodings/begin = Const() {dtype: int32, value: tensor<int32[4]: 0, 0, 0, 0>}
        boxes/decode/encodings/size = Const() {dtype: int32, value: tensor<int32[4]: -1, -1, -1, 4>}
        boxes/decode/encodings = Slice(boxes/decode/head_0, boxes/decode/encodings/begin, boxes/decode/encodings/size) {T: float32, Index: int32}
        boxes/decode/sigmoid = Sigmoid(boxes/decode/encodings) {T: float32}
        boxes/decode/cell = Const() {dtype: float32, value: tensor<float32[1,1,1,4]: 1.0, 1.0, 0.0, 0.0>}
        boxes/decode/in_cells = Mul(boxes/decode/sigmoid, boxes/decode/cell) {T: float32}
        boxes/decode/origin = Const() {dtype: float32, value: tensor<float32[1,1,1,4]: 0.0, 0.0, 0.0, 0.0>}
        boxes/decode/centres = Add(boxes/decode/in_cells, boxes/decode/origin) {T: float32}
        boxes/decode/is_size = Const() {dtype: float32, value: tensor<float32[1,1,1,4]: 0.0, 0.0, 1.0, 1.0>}
        boxes/decode/logarithms = Mul(boxes/decode/encodings, boxes/decode/is_size) {T: float32}
        boxes/decode/factors = Exp(boxes/decode/logarithms) {T: float32}
        boxes/decode/anchors = Const() {dtype: float32, value: tensor<float32[1,1,1,4]: 0.0, 0.0, 0.5, 0.75>}
        boxes/decode/sizes = Mul(boxes/decode/factors, boxes/decode/anchors) {T: float32}
        boxes/decode/centres_and_sizes = Add(boxes/decode/centres, boxes/decode/sizes) {T: float32}
        boxes/decode/corners = Const() {dtype: float32, value: tensor<float32[1,1,4,4]: 0.0, 1.0, 0.0, 1.0, 1.0, 0.0, 1.0, 0.0, 0.0, -0.5, 0.0, 0.5, -0.5, 0.0, 0.5, 0.0>}
        boxes = Conv2D(boxes/decode/centres_and_sizes, boxes/decode/corners) {T: float32, padding: "VALID", data_format: "NHWC", strides: [1, 1, 1, 1], dilations: [1, 1, 1, 1]}
        boxes/decode/objectness/begin = Const() {dtype: int32, value: tensor<int32[4]: 0, 0, 0, 4>}
        boxes/decode/objectness/size = Const() {dtype: int32, value: tensor<int32[4]: -1, -1, -1, 1>}
        boxes/decode/objectness = Slice(boxes/decode/head_0, boxes/decode/objectness/begin, boxes/decode/objectness/size) {T: float32, Index: int32}
        boxes/decode/classes/begin = Const() {dtype: int32, value: tensor<int32[4]: 0, 0, 0, 5>}
        boxes/decode/classes/size = Const() {dtype: int32, value: tensor<int32[4]: -1, -1, -1, 2>}
        boxes/decode/classes = Slice(boxes/decode/head_0, boxes/decode/classes/begin, boxes/decode/classes/size) {T: float32, Index: int32}
        boxes/decode/objectness/sigmoid = Sigmoid(boxes/decode/objectness) {T: float32}
        boxes/decode/classes/sigmoid = Sigmoid(boxes/decode/classes) {T: float32}
        boxes/decode/class_scores = Mul(boxes/decode/objectness/sigmoid, boxes/decode/classes/sigmoid) {T: float32}
        boxes/decode/scores/shape = Const() {dtype: int32, value: tensor<int32[3]: -1, 1, 2>}
        scores = Reshape(boxes/decode/class_scores, boxes/decode/scores/shape) {T: float32, Tshape: int32}
    """  # noqa: E501

    keyword: ClassVar[str] = "decode-cells"
    step: Literal["decode-cells"] = "decode-cells"
    heads: tuple[str, ...] = Field(
        description="Tensors with the heads, float32[N, H, W, A (5 + C)] for A anchors and C classes.",
        min_length=1,
    )
    picture: str = Field(description="The network's input, whose height and width anchors are relative to.")
    anchors: tuple[tuple[float, float], ...] = Field(
        description="Width and height of the anchors, in pixels of the network's input.", min_length=1
    )
    masks: tuple[tuple[int, ...], ...] | None = Field(
        None,
        description="For each head, which anchors it has, counted from 0; one head has all by default.",
    )
    scale_xy: tuple[float, ...] | None = Field(
        None, description="For each head, the 'scale_x_y' of YOLO v4; default 1."
    )
    class_scores: Literal["sigmoid", "softmax"] = Field(
        "sigmoid", description="What makes probabilities of a box's classes."
    )
    channels_first: bool = Field(False, description="Whether heads are [N, A (5 + C), H, W].")
    boxes: str = Field("boxes", description="Name of the node that gives the boxes.", min_length=1)
    scores: str = Field("scores", description="Name of the node that gives the scores.", min_length=1)

    @model_validator(mode="after")
    def _one_each(self) -> DecodeCells:
        if self.masks is None and len(self.heads) > 1:
            raise ValueError(f"{len(self.heads)} heads need 'masks', which say the anchors of each")
        for name, values in (("masks", self.masks), ("scale_xy", self.scale_xy)):
            if values is not None and len(values) != len(self.heads):
                raise ValueError(
                    f"'{name}' has {plural(len(values), 'entry', 'entries')} for "
                    f"{plural(len(self.heads), 'head')}; expected one each"
                )
        if any(side <= 0 or not np.isfinite(side) for pair in self.anchors for side in pair):
            raise ValueError("an anchor has a side that is not above 0; expected pixels")
        if self.boxes == self.scores:
            raise ValueError("'boxes' and 'scores' are one name; expected two")
        for index, mask in enumerate(self.masks or ()):
            if not mask or len(set(mask)) < len(mask) or not set(mask) <= set(range(len(self.anchors))):
                raise ValueError(
                    f"entry {index} of 'masks' is {list(mask)}; expected different numbers from 0 to "
                    f"{len(self.anchors) - 1}, since there are {plural(len(self.anchors), 'anchor')}"
                )
        return self

    def plan(self, context: StepContext) -> list[Edit]:
        maps = self._maps(context)
        adding = _Adding(context, self.boxes)
        columns = maps[0].columns
        rows = [self._rows(adding, each, index) for index, each in enumerate(maps)]
        joined = rows[0]
        if len(rows) > 1:
            axis = adding.constant("rows/axis", np.int32(1))
            joined = adding.add("rows", "ConcatV2", *rows, axis, N=len(rows), Tidx=DType.INT32)
        self._boxes(adding, adding.columns("encodings", joined, 0, COORDINATES), maps)
        objectness = adding.columns("objectness", joined, COORDINATES, 1)
        classes = adding.columns("classes", joined, FIRST_CLASS, columns - FIRST_CLASS)
        self._scores(adding, objectness, classes, sum(each.boxes for each in maps))
        return adding.edits

    def _rows(self, adding: _Adding, each: _Map, index: int) -> Ref:
        """Plan the rows of a head, float32[N, boxes, 1, 5 + C]."""
        name, ref = f"head_{index}", each.ref
        if self.channels_first:
            perm = adding.constant(f"{name}/perm", np.array([0, 2, 3, 1], np.int32))
            ref = adding.add(f"{name}/channels_last", "Transpose", ref, perm, Tperm=DType.INT32)
        return adding.reshaped(name, ref, [-1, each.boxes, 1, each.columns])

    def _boxes(self, adding: _Adding, encodings: Ref, maps: list[_Map]) -> None:
        # Constants of all four columns keep x and y apart from the sizes, so that nothing is cut and joined.
        cell, origin, size = (
            np.concatenate([getattr(each, part) for each in maps])[None, :, None]
            for part in ("cell", "origin", "size")
        )
        middle = adding.add("sigmoid", "Sigmoid", encodings)
        middle = adding.add("in_cells", "Mul", middle, adding.constant("cell", cell))
        middle = adding.add("centres", "Add", middle, adding.constant("origin", origin))
        is_size = np.broadcast_to(np.array([0, 0, 1, 1], np.float32), size.shape)
        side = adding.add("logarithms", "Mul", encodings, adding.constant("is_size", is_size))
        side = adding.add("factors", "Exp", side)
        side = adding.add("sizes", "Mul", side, adding.constant("anchors", size))
        sides = adding.add("centres_and_sizes", "Add", middle, side)
        kernel = adding.constant("corners", TO_CORNERS[None, None])
        attrs = {"strides": (1, 1, 1, 1), "dilations": (1, 1, 1, 1)}
        adding.put(self.boxes, "Conv2D", sides, kernel, padding=b"VALID", data_format=b"NHWC", **attrs)

    def _scores(self, adding: _Adding, objectness: Ref, classes: Ref, boxes: int) -> None:
        activation = {"sigmoid": "Sigmoid", "softmax": "Softmax"}[self.class_scores]
        product = adding.add(
            "class_scores",
            "Mul",
            adding.add("objectness/sigmoid", "Sigmoid", objectness),
            adding.add(f"classes/{self.class_scores}", activation, classes),
        )
        adding.reshaped(self.scores, product, [-1, boxes, adding.width[classes]], whole_name=True)

    def _maps(self, context: StepContext) -> list[_Map]:
        for name, key in ((self.boxes, "boxes"), (self.scores, "scores")):
            if name in context.graph:
                raise context.fail(
                    "S102",
                    f"node '{name}' cannot be added; the graph has one of that name "
                    f"({context.graph[name].op})",
                    key,
                    help=["choose another name, or remove that node first"],
                )
        height, width = self._picture(context)
        maps = [self._map(context, index, text, (height, width)) for index, text in enumerate(self.heads)]
        different = next((each for each in maps if each.columns != maps[0].columns), None)
        if different is not None:
            raise self._fail(
                context,
                f"'{maps[0].ref}' has {maps[0].columns} numbers for a box, and '{different.ref}' "
                f"{different.columns}; expected as many",
                "masks",
            )
        return maps

    def _picture(self, context: StepContext) -> tuple[int, int]:
        (ref,) = self._one(context, self.picture, "picture")
        dims = context.inference.spec(ref).shape.dims
        if dims is None or len(dims) != 4:
            raise self._fail(
                context,
                f"'{ref}' is {context.inference.spec(ref)}; expected pictures, [N, H, W, C]",
                "picture",
            )
        sides = dims[2:] if dims[1] in (1, 3) and dims[3] not in (1, 3) else dims[1:3]
        if sides[0] is None or sides[1] is None:
            raise self._fail(
                context, f"'{ref}' is {context.inference.spec(ref)}; expected a known size", "picture"
            )
        return sides[0], sides[1]

    def _one(self, context: StepContext, text: str, *path: str | int) -> tuple[Ref, ...]:
        refs = tensors_in_graph(context, text, *path)
        if len(refs) != 1:
            raise self._fail(context, f"'{text}' means {len(refs)} tensors; expected one", *path)
        return refs

    def _map(self, context: StepContext, index: int, text: str, picture: tuple[int, int]) -> _Map:
        (ref,) = self._one(context, text, "heads", index)
        spec = context.inference.spec(ref)
        dims = spec.shape.dims
        mask = self.masks[index] if self.masks is not None else range(len(self.anchors))
        anchors = np.array([self.anchors[number] for number in mask], np.float64)
        order = (2, 3, 1) if self.channels_first else (1, 2, 3)
        height, width, channels = (dims[axis] for axis in order) if dims and len(dims) == 4 else (None,) * 3
        if height is None or width is None or channels is None or spec.dtype is not DType.FLOAT32:
            raise self._fail(
                context,
                f"'{ref}' is {spec}; expected float32 maps of known size, [N, H, W, C]",
                "heads",
                index,
            )
        columns, rest = divmod(channels, len(anchors))
        if rest or columns <= FIRST_CLASS:
            raise self._fail(
                context,
                f"'{ref}' has {plural(channels, 'channel')} for {plural(len(anchors), 'anchor')}; expected "
                f"a multiple of {len(anchors)}, of {FIRST_CLASS + 1} or more for each",
                "heads",
                index,
            )
        scale = self.scale_xy[index] if self.scale_xy is not None else 1.0
        y, x, anchor = (
            part.reshape(-1)
            for part in np.meshgrid(range(height), range(width), range(len(anchors)), indexing="ij")
        )
        nothing = np.zeros((len(x), 2))
        corner = (np.stack([x, y], -1) - (scale - 1) / 2) / [width, height]
        cell = np.broadcast_to(scale / np.array([width, height]), nothing.shape)
        sides = anchors[anchor] / [picture[1], picture[0]]
        parts = (
            np.hstack(pair).astype(np.float32)
            for pair in ((cell, nothing), (corner, nothing), (nothing, sides))
        )
        return _Map(ref, height, width, columns, *parts)

    def _fail(self, context: StepContext, message: str, *path: str | int) -> Exception:
        return context.fail(
            "S450",
            f"the heads cannot be decoded; {message}",
            *path,
            help=["name the convolutions' results, and for each head its anchors in 'masks'"],
        )


class _Adding:
    """Nodes that are added, below the name of the boxes' node."""

    def __init__(self, context: StepContext, scope: str) -> None:
        self.context, self.scope = context, f"{scope}/decode"
        self.edits: list[Edit] = []
        self.width: dict[Ref, int] = {}

    def put(self, name: str, op: str, *inputs: Ref, **attrs: Any) -> Ref:
        """Plan a node under its whole name."""
        node = Node(name, op, inputs, attrs={"T": DType.FLOAT32, **attrs})
        self.edits.append(Add(node, None, self.context.span))
        return Ref(name)

    def add(self, name: str, op: str, *inputs: Ref, **attrs: Any) -> Ref:
        return self.put(f"{self.scope}/{name}", op, *inputs, **attrs)

    def constant(self, name: str, value: Any) -> Ref:
        tensor = TensorValue.of(np.asarray(value))
        node = Node(f"{self.scope}/{name}", "Const", attrs={"dtype": tensor.dtype, "value": tensor})
        self.edits.append(Add(node, None, self.context.span))
        return Ref(node.name)

    def reshaped(self, name: str, source: Ref, shape: list[int], *, whole_name: bool = False) -> Ref:
        target = self.constant(f"{name}/shape", np.array(shape, np.int32))
        return (self.put if whole_name else self.add)(name, "Reshape", source, target, Tshape=DType.INT32)

    def columns(self, name: str, source: Ref, begin: int, size: int) -> Ref:
        """Plan a slice of the last axis of four."""
        start = self.constant(f"{name}/begin", np.array([0, 0, 0, begin], np.int32))
        length = self.constant(f"{name}/size", np.array([-1, -1, -1, size], np.int32))
        ref = self.add(name, "Slice", source, start, length, Index=DType.INT32)
        self.width[ref] = size
        return ref
