"""The step ``decode-cells``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
from pydantic import Field, model_validator

from surgeon.display import plural
from surgeon.graph import Add, DType, Edit, Node, Ref, TensorValue
from surgeon.graph.reach import before_identities
from surgeon.steps.node_names import NodeName
from surgeon.steps.placing import tensors_in_graph
from surgeon.steps.step import Step, StepContext

OBJECTNESS = 4
FIRST_CLASS = 5
"""Columns of a box: x, y, width, height, objectness, then its classes."""


def _is_size(number: float) -> bool:
    """Return whether a number is above 0 and not too large for float32."""
    return 0 < number <= float(np.finfo(np.float32).max)


@dataclass(frozen=True)
class _Map:
    """One head: its rows, and for each box of a cell, cell after cell, what decodes it.

    Of the logistic function of x and y, ``scale`` times it and ``start`` more is the centre; ``half`` times
    the exponential of width and height is half the size. Each is float64[boxes, 2], across and down, relative
    to the picture.
    """

    ref: Ref
    height: int
    width: int
    columns: int
    scale: np.ndarray
    start: np.ndarray
    half: np.ndarray

    @property
    def boxes(self) -> int:
        return len(self.start)


class DecodeCells(Step):
    """Add what decodes the heads of a YOLO detector: boxes and scores, by ordinary operations.

    A head is a map whose cells predict a box for each of their anchors: x, y, width, height, objectness and
    a score for each class. A box is centred at (cell + sigmoid(x), cell + sigmoid(y)), in cells of its map,
    and exp(width), exp(height) times as large as its anchor. The score of a class is sigmoid(objectness)
    times sigmoid(class), or times the softmax of the classes for YOLO v2. 'scale_xy' s of YOLO v4 puts
    s sigmoid(x) - (s - 1) / 2 in the place of sigmoid(x).

    The node 'boxes' is float32[N, P, 1, 4]: ymin, xmin, ymax, xmax relative to the picture. The node 'scores'
    is float32[N, P, C]. Boxes come head by head, and of a head cell by cell. Each coordinate is computed by
    itself, so that one without a bound leaves the others alone.

    Before::

        graph v1
        Input = Placeholder() {dtype: float32, shape: shape[1,32,32,3]}
        head = Placeholder() {dtype: float32, shape: shape[1,1,1,7]}

    Step::

        step: decode-cells
        heads: [head]
        picture: Input
        anchors: [[16, 24]]
        classes: 2

    After::

        graph v1
        Input = Placeholder() {dtype: float32, shape: shape[1,32,32,3]}
        head = Placeholder() {dtype: float32, shape: shape[1,1,1,7]}
        boxes/decode/head_0/shape = Const() {dtype: int32, value: tensor<int32[4]: -1, 1, 1, 7>}
        boxes/decode/head_0 = Reshape(head, boxes/decode/head_0/shape) {T: float32, Tshape: int32}
        boxes/decode/x/begin = Const() {dtype: int32, value: tensor<int32[4]: 0, 0, 0, 0>}
        boxes/decode/x/size = Const() {dtype: int32, value: tensor<int32[4]: -1, -1, -1, 1>}
        boxes/decode/x = Slice(boxes/decode/head_0, boxes/decode/x/begin, boxes/decode/x/size) {T: float32, Index: int32}
        boxes/decode/x/sigmoid = Sigmoid(boxes/decode/x) {T: float32}
        boxes/decode/x/in_picture/by = Const() {dtype: float32, value: tensor<float32[]: 1.0>}
        boxes/decode/x/in_picture = Mul(boxes/decode/x/sigmoid, boxes/decode/x/in_picture/by) {T: float32}
        boxes/decode/x/centre/by = Const() {dtype: float32, value: tensor<float32[]: 0.0>}
        boxes/decode/x/centre = Add(boxes/decode/x/in_picture, boxes/decode/x/centre/by) {T: float32}
        boxes/decode/width/begin = Const() {dtype: int32, value: tensor<int32[4]: 0, 0, 0, 2>}
        boxes/decode/width/size = Const() {dtype: int32, value: tensor<int32[4]: -1, -1, -1, 1>}
        boxes/decode/width = Slice(boxes/decode/head_0, boxes/decode/width/begin, boxes/decode/width/size) {T: float32, Index: int32}
        boxes/decode/width/exp = Exp(boxes/decode/width) {T: float32}
        boxes/decode/width/half/by = Const() {dtype: float32, value: tensor<float32[]: 0.25>}
        boxes/decode/width/half = Mul(boxes/decode/width/exp, boxes/decode/width/half/by) {T: float32}
        boxes/decode/xmin = Sub(boxes/decode/x/centre, boxes/decode/width/half) {T: float32}
        boxes/decode/xmax = Add(boxes/decode/x/centre, boxes/decode/width/half) {T: float32}
        boxes/decode/y/begin = Const() {dtype: int32, value: tensor<int32[4]: 0, 0, 0, 1>}
        boxes/decode/y/size = Const() {dtype: int32, value: tensor<int32[4]: -1, -1, -1, 1>}
        boxes/decode/y = Slice(boxes/decode/head_0, boxes/decode/y/begin, boxes/decode/y/size) {T: float32, Index: int32}
        boxes/decode/y/sigmoid = Sigmoid(boxes/decode/y) {T: float32}
        boxes/decode/y/in_picture/by = Const() {dtype: float32, value: tensor<float32[]: 1.0>}
        boxes/decode/y/in_picture = Mul(boxes/decode/y/sigmoid, boxes/decode/y/in_picture/by) {T: float32}
        boxes/decode/y/centre/by = Const() {dtype: float32, value: tensor<float32[]: 0.0>}
        boxes/decode/y/centre = Add(boxes/decode/y/in_picture, boxes/decode/y/centre/by) {T: float32}
        boxes/decode/height/begin = Const() {dtype: int32, value: tensor<int32[4]: 0, 0, 0, 3>}
        boxes/decode/height/size = Const() {dtype: int32, value: tensor<int32[4]: -1, -1, -1, 1>}
        boxes/decode/height = Slice(boxes/decode/head_0, boxes/decode/height/begin, boxes/decode/height/size) {T: float32, Index: int32}
        boxes/decode/height/exp = Exp(boxes/decode/height) {T: float32}
        boxes/decode/height/half/by = Const() {dtype: float32, value: tensor<float32[]: 0.375>}
        boxes/decode/height/half = Mul(boxes/decode/height/exp, boxes/decode/height/half/by) {T: float32}
        boxes/decode/ymin = Sub(boxes/decode/y/centre, boxes/decode/height/half) {T: float32}
        boxes/decode/ymax = Add(boxes/decode/y/centre, boxes/decode/height/half) {T: float32}
        boxes/decode/corners/axis = Const() {dtype: int32, value: tensor<int32[]: 2>}
        boxes/decode/corners = ConcatV2(boxes/decode/ymin, boxes/decode/xmin, boxes/decode/ymax, boxes/decode/xmax, boxes/decode/corners/axis) {T: float32, N: 4, Tidx: int32}
        boxes/decode/boxes/shape = Const() {dtype: int32, value: tensor<int32[4]: -1, 1, 1, 4>}
        boxes = Reshape(boxes/decode/corners, boxes/decode/boxes/shape) {T: float32, Tshape: int32}
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
    classes: int | None = Field(
        None,
        description="How many classes a box has, against which the heads' channels are checked; by default "
        "what the channels leave for the anchors of each head.",
        ge=1,
    )
    channels_first: bool = Field(False, description="Whether heads are [N, A (5 + C), H, W].")
    boxes: NodeName = Field("boxes", description="Name of the node that gives the boxes.")
    scores: NodeName = Field("scores", description="Name of the node that gives the scores.")

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
        if not all(_is_size(side) for pair in self.anchors for side in pair):
            raise ValueError(
                "an anchor has a side that is not above 0, or too large for float32; expected pixels"
            )
        if not all(_is_size(scale) for scale in self.scale_xy or ()):
            raise ValueError(
                "'scale_xy' has a number that is not above 0, or too large for float32; expected about 1"
            )
        if self.boxes == self.scores:
            raise ValueError("'boxes' and 'scores' are one name; expected two")
        if self.scores.startswith(f"{self.boxes}/decode/"):
            raise ValueError(f"'scores' is below '{self.boxes}/decode', where the step adds its own nodes")
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
        self._boxes(adding, joined, maps)
        objectness = adding.columns("objectness", joined, OBJECTNESS, 1)
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

    def _boxes(self, adding: _Adding, rows: Ref, maps: list[_Map]) -> None:
        """Plan the boxes; a coordinate is float32[N, P, 1, 1].

        No layer rounds it to fewer digits, as a convolution may, and none multiplies infinity by 0.
        """
        scale, start, half = (
            np.concatenate([getattr(each, part) for each in maps]) for part in ("scale", "start", "half")
        )
        low: dict[str, Ref] = {}
        high: dict[str, Ref] = {}
        for at, (name, side) in enumerate((("x", "width"), ("y", "height"))):
            shift = adding.add(f"{name}/sigmoid", "Sigmoid", adding.columns(name, rows, at, 1))
            shift = adding.by(f"{name}/in_picture", "Mul", shift, scale[:, at])
            centre = adding.by(f"{name}/centre", "Add", shift, start[:, at])
            growth = adding.add(f"{side}/exp", "Exp", adding.columns(side, rows, 2 + at, 1))
            extent = adding.by(f"{side}/half", "Mul", growth, half[:, at])
            low[name] = adding.add(f"{name}min", "Sub", centre, extent)
            high[name] = adding.add(f"{name}max", "Add", centre, extent)
        axis = adding.constant("corners/axis", np.int32(2))
        corners = (low["y"], low["x"], high["y"], high["x"])
        joined = adding.add("corners", "ConcatV2", *corners, axis, N=4, Tidx=DType.INT32)
        adding.reshaped(self.boxes, joined, [-1, len(start), 1, 4], whole_name=True)

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
        for index, each in enumerate(maps):
            source = before_identities(context.graph, each.ref)
            if any(source == before_identities(context.graph, other.ref) for other in maps[:index]):
                raise self._fail(
                    context, f"'{source}' is named twice; expected different heads", "heads", index
                )
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
        if not sides[0] or not sides[1]:
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
        if not height or not width or not channels or spec.dtype is not DType.FLOAT32:
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
        if self.classes is not None and columns != FIRST_CLASS + self.classes:
            found = plural(columns - FIRST_CLASS, "class", "classes")
            raise self._fail(
                context,
                f"'{ref}' has {plural(channels, 'channel')} for {plural(len(anchors), 'anchor')}, which is "
                f"{found}; expected {len(anchors) * (FIRST_CLASS + self.classes)} channels, since 'classes' "
                f"is {self.classes}",
                "heads",
                index,
            )
        scale = self.scale_xy[index] if self.scale_xy is not None else 1.0
        y, x, anchor = (
            part.reshape(-1)
            for part in np.meshgrid(range(height), range(width), range(len(anchors)), indexing="ij")
        )
        cells = [width, height]
        start = (np.stack([x, y], -1) - (scale - 1) / 2) / cells
        half = anchors[anchor] / [picture[1], picture[0]] / 2
        return _Map(
            ref, height, width, columns, np.broadcast_to(scale / np.array(cells), start.shape), start, half
        )

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

    def by(self, name: str, op: str, source: Ref, numbers: np.ndarray) -> Ref:
        """Plan arithmetic of a coordinate with a number for each box, or with one for all."""
        array = numbers.astype(np.float32)
        array = array[0] if np.all(array == array[0]) else array.reshape(-1, 1, 1)
        return self.add(name, op, source, self.constant(f"{name}/by", array))

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
