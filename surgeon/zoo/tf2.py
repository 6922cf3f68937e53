"""What frozen graphs of TensorFlow 2's Object Detection API begin with: a loop over pictures."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from surgeon.graph import DType
from surgeon.zoo.networks import NetworkWriter

ROOT = "StatefulPartitionedCall"

_FLOAT: dict[str, Any] = {"element_dtype": DType.FLOAT32}
_INT: dict[str, Any] = {"element_dtype": DType.INT32}
_VARIANT: dict[str, Any] = {"T": DType.VARIANT}
_LIST: dict[str, Any] = {"shape_type": DType.INT32}


@dataclass(frozen=True)
class PictureOptions:
    """How the generated graph prepares pictures.

    ``keeps_shape`` fits a picture into the size and pads it with zeros, as ``keep_aspect_ratio_resizer`` does
    where ``pad_to_max_dimension`` is set and the size is a square. ``means`` and ``deviations`` are one a
    channel, in the order of the channels after ``bgr`` reversed them.
    """

    size: tuple[int, int] = (64, 64)
    keeps_shape: bool = False
    bgr: bool = False
    means: tuple[float, float, float] = (127.5, 127.5, 127.5)
    deviations: tuple[float, float, float] = (127.5, 127.5, 127.5)


@dataclass(frozen=True)
class Prepared:
    """The tensors that the loop gives: pictures float32[1, height, width, 3], and int32[1, 3], what part of
    each is picture.
    """

    pictures: str
    true_shapes: str


class Tf2Writer(NetworkWriter):
    """Writes nodes below the scope of a SavedModel's inner function."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        self._pin: tuple[str, ...] = ()

    def scoped(self, name: str) -> str:
        return f"{ROOT}/{name}"

    @contextmanager
    def pinned(self, node: str) -> Iterator[None]:
        """Give constants made in the block a control input: they run in the loop or branch of ``node``."""
        before, self._pin = self._pin, (node,)
        try:
            yield
        finally:
            self._pin = before

    def const(self, name: str, value: Any, *, control: Sequence[str] = ()) -> str:
        return super().const(name, value, control=control or self._pin)

    def prepared(self, options: PictureOptions) -> Prepared:
        """Write the input ``input_tensor``, uint8[1, H, W, 3], and the loop that prepares each picture."""
        picture = self.placeholder("input_tensor", DType.UINT8, 1, None, None, 3)
        return _Loop(self, options).written(picture)

    def integer(self, name: str, op: str, *inputs: str, **attrs: Any) -> str:
        """Write an operation on int32."""
        return self.node(name, op, *inputs, **{"T": DType.INT32, **attrs})

    def cast(self, name: str, source: str, given: DType, wanted: DType) -> str:
        return self.node(name, "Cast", source, SrcT=given, DstT=wanted, Truncate=False)

    def slice(
        self,
        name: str,
        source: str,
        bounds: Sequence[Sequence[int]],
        dtype: DType = DType.INT32,
        **masks: int,
    ) -> str:
        """Write a StridedSlice; ``bounds`` are its begins, ends and strides."""
        parts = [
            self.const(f"{name}/{part}", list(values))
            for part, values in zip(("stack", "stack_1", "stack_2"), bounds, strict=True)
        ]
        keys = ("begin_mask", "end_mask", "ellipsis_mask", "new_axis_mask", "shrink_axis_mask")
        attrs: dict[str, Any] = {key: masks.get(key, 0) for key in keys}
        return self.node(name, "StridedSlice", source, *parts, T=dtype, Index=DType.INT32, **attrs)


class _Loop:
    """The loop ``map``: counters, the list of pictures, and the lists of what is made of them."""

    def __init__(self, g: Tf2Writer, options: PictureOptions) -> None:
        self.g, self.options = g, options
        self.outer = g.scoped("map")
        self.inner = f"{self.outer}/while"

    def written(self, picture: str) -> Prepared:
        g, outer, inner = self.g, self.outer, self.inner
        zero, one = g.const(f"{outer}/Const", 0), g.const(f"{outer}/strided_slice", 1)
        shape = g.const(f"{outer}/TensorArrayUnstack/shape", [-1, -1, 3])
        given = g.node(
            f"{outer}/TensorArrayUnstack/TensorListFromTensor",
            "TensorListFromTensor",
            picture,
            shape,
            element_dtype=DType.UINT8,
            **_LIST,
        )
        anything = g.const(f"{outer}/TensorArrayV2_1/element_shape", -1)
        made = [
            g.node(f"{outer}/{name}", "TensorListReserve", anything, one, **kind, **_LIST)
            for name, kind in (("TensorArrayV2_1", _FLOAT), ("TensorArrayV2_2", _INT))
        ]
        variables = [self._entered(number, source) for number, source in enumerate((zero, zero, *made))]
        constant = self._entered(4, given)
        limit = g.const(f"{inner}/limit", 1)
        bound = g.node(
            f"{inner}/limit_enter",
            "Enter",
            limit,
            T=DType.INT32,
            frame_name=b"map",
            is_constant=True,
            parallel_iterations=10,
        )
        # The next rounds are written behind what they need, and merged before it.
        merges = [self._merged(number, variable) for number, variable in enumerate((*variables, constant))]
        less = g.node(f"{inner}/Less", "Less", merges[0], bound, T=DType.INT32)
        again = g.node(f"{inner}/LoopCond", "LoopCond", less)
        switches = [
            g.node(f"{inner}/switch_{number}", "Switch", merge, again, T=self._type(number))
            for number, merge in enumerate(merges)
        ]
        body = f"{inner}/body"
        count, index, floats, shapes, pictures = (
            g.node(f"{body}/arg_{number}", "Identity", f"{switch}:1", T=self._type(number))
            for number, switch in enumerate(switches)
        )
        item = g.node(
            f"{body}/TensorArrayV2Read/TensorListGetItem",
            "TensorListGetItem",
            pictures,
            index,
            g.const(f"{body}/TensorArrayV2Read/element_shape", [-1, -1, 3], control=[pictures]),
            element_dtype=DType.UINT8,
        )
        with g.pinned(item):
            image, true_shape = self._prepared(body, g.cast(f"{body}/Cast", item, DType.UINT8, DType.FLOAT32))
        results = [
            self._next(body, "add", count),
            self._next(body, "add_1", index),
            *(
                g.node(f"{body}/{name}/TensorListSetItem", "TensorListSetItem", held, index, value, **kind)
                for name, held, value, kind in (
                    ("TensorArrayV2Write", floats, image, _FLOAT),
                    ("TensorArrayV2Write_1", shapes, true_shape, _INT),
                )
            ),
            pictures,
        ]
        for number, result in enumerate(results):
            g.node(f"{inner}/next_{number}", "NextIteration", result, T=self._type(number))
        ends = [g.node(f"{inner}/exit_{number}", "Exit", switches[number], **_VARIANT) for number in (2, 3)]
        height, width = self.options.size
        stacked = []
        for name, end, kind, dims in (
            ("TensorArrayV2Stack", ends[0], _FLOAT, [height, width, 3]),
            ("TensorArrayV2Stack_1", ends[1], _INT, [3]),
        ):
            sizes = g.const(f"{outer}/{name}/element_shape", dims)
            full = f"{outer}/{name}/TensorListStack"
            stacked.append(g.node(full, "TensorListStack", end, sizes, num_elements=1, **kind))
        return Prepared(*stacked)

    def _type(self, number: int) -> DType:
        return DType.INT32 if number < 2 else DType.VARIANT

    def _entered(self, number: int, source: str) -> str:
        return self.g.node(
            f"{self.inner}/enter_{number}",
            "Enter",
            source,
            T=self._type(number),
            frame_name=b"map",
            is_constant=False,
            parallel_iterations=10,
        )

    def _merged(self, number: int, entered: str) -> str:
        name = f"{self.inner}/merge_{number}"
        return self.g.node(name, "Merge", entered, f"{self.inner}/next_{number}", T=self._type(number), N=2)

    def _next(self, body: str, name: str, number: str) -> str:
        step = self.g.const(f"{body}/{name}/y", 1, control=[number])
        return self.g.integer(f"{body}/{name}", "AddV2", number, step)

    def _prepared(self, body: str, picture: str) -> tuple[str, str]:
        """Write what becomes of one picture, and the part of the result that is picture."""
        g, options = self.g, self.options
        scope = f"{body}/ResizeToRange" if options.keeps_shape else f"{body}/ResizeImage"
        resize = self._fitted if options.keeps_shape else self._stretched
        image, true_shape = resize(scope, picture)
        if options.bgr:
            split = g.op(f"{body}/unstack_1", "Unpack", image, axis=2, num=3)
            backwards = [f"{split}:2", f"{split}:1", split]
            image = g.op(f"{body}/stack_2", "Pack", *backwards, axis=2, N=3)
        means = g.const(f"{body}/sub/y", [list(options.means)])
        deviations = g.const(f"{body}/truediv/y", [list(options.deviations)])
        image = g.op(f"{body}/truediv", "RealDiv", g.op(f"{body}/sub", "Sub", image, means), deviations)
        return image, true_shape

    def _stretched(self, scope: str, picture: str) -> tuple[str, str]:
        g = self.g
        size = g.const(f"{scope}/resize/size", list(self.options.size))
        image = self._resized(f"{scope}/resize", picture, size)
        return image, g.const(f"{scope}/stack", [*self.options.size, 3])

    def _fitted(self, scope: str, picture: str) -> tuple[str, str]:
        """Write two resizings, for pictures that are wider than high and for others, and the padding."""
        g = self.g
        height, width = (self._side(f"{scope}/given_{axis}", picture, axis) for axis in (0, 1))
        wider = g.node(f"{scope}/Less", "Less", height, width, T=DType.INT32)
        entry = g.node(f"{scope}/cond/switch", "Switch", picture, wider, T=DType.FLOAT32)
        pivot = g.node(f"{scope}/cond/pivot", "Switch", wider, wider, T=DType.BOOL)
        ends = []
        for slot, branch in ((1, "then"), (0, "else")):
            inside = f"{scope}/cond/{branch}"
            tensor = f"{entry}:{slot}" if slot else entry
            taken = g.node(f"{inside}/pivot", "Identity", f"{pivot}:{slot}" if slot else pivot, T=DType.BOOL)
            with g.pinned(taken):
                ends.append(self._resized(inside, tensor, self._fitting(inside, tensor)))
        merged = g.node(f"{scope}/cond/Merge", "Merge", *ends, T=DType.FLOAT32, N=2)
        shape = g.shape(f"{scope}/Shape_2", merged)
        split = g.op(f"{scope}/unstack", "Unpack", merged, axis=2, num=3)
        paddings = self._paddings(scope, shape)
        padded = [
            g.node(
                f"{scope}/Pad_{slot}",
                "Pad",
                f"{split}:{slot}" if slot else split,
                paddings,
                T=DType.FLOAT32,
                Tpaddings=DType.INT32,
            )
            for slot in range(3)
        ]
        return g.op(f"{scope}/stack", "Pack", *padded, axis=2, N=3), shape

    def _side(self, name: str, picture: str, axis: int) -> str:
        shape = self.g.shape(f"{name}/Shape", picture)
        return self.g.slice(f"{name}/side", shape, ([axis], [axis + 1], [1]), shrink_axis_mask=1)

    def _fitting(self, scope: str, picture: str) -> str:
        """Write the size of a picture that fits, rounded half to even."""
        g = self.g
        given = []
        for axis in (0, 1):
            side = self._side(f"{scope}/{axis}", picture, axis)
            given.append(g.cast(f"{scope}/Cast_{axis}", side, DType.INT32, DType.FLOAT32))
        factors = [
            g.op(
                f"{scope}/truediv_{axis}",
                "RealDiv",
                g.const(f"{scope}/most_{axis}", float(most)),
                side,
            )
            for axis, (most, side) in enumerate(zip(self.options.size, given, strict=True))
        ]
        factor = g.op(f"{scope}/Minimum", "Minimum", *factors)
        sides = [
            g.cast(
                f"{scope}/side_{axis}",
                g.op(f"{scope}/Round_{axis}", "Round", g.op(f"{scope}/mul_{axis}", "Mul", factor, side)),
                DType.FLOAT32,
                DType.INT32,
            )
            for axis, side in enumerate(given)
        ]
        return g.integer(f"{scope}/size", "Pack", *sides, axis=0, N=2)

    def _resized(self, scope: str, picture: str, size: str) -> str:
        g = self.g
        axis = g.const(f"{scope}/ExpandDims/dim", 0)
        batch = g.op(f"{scope}/ExpandDims", "ExpandDims", picture, axis, Tdim=DType.INT32)
        attrs = {"align_corners": False, "half_pixel_centers": False}
        resized = g.op(f"{scope}/ResizeBilinear", "ResizeBilinear", batch, size, **attrs)
        return g.op(f"{scope}/Squeeze", "Squeeze", resized, squeeze_dims=(0,))

    def _paddings(self, scope: str, shape: str) -> str:
        g = self.g
        zero = g.const(f"{scope}/zero", 0)
        rows = []
        for axis, most in enumerate(self.options.size):
            side = g.slice(f"{scope}/side_{axis}", shape, ([axis], [axis + 1], [1]), shrink_axis_mask=1)
            whole = g.const(f"{scope}/whole_{axis}", most)
            missing = g.integer(f"{scope}/sub_{axis}", "Sub", whole, side)
            rows.append(g.integer(f"{scope}/paddings_{axis}", "Pack", zero, missing, axis=0, N=2))
        return g.integer(f"{scope}/paddings", "Pack", *rows, axis=0, N=2)
